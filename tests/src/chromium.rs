use std::path::Path;
use std::process::Command;

use foldback_testkit::signal::{write_stereo_wav, write_wav};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Browser;
use crate::browser::port_after;
use crate::installed::are_installed;
use crate::sound_card::{PULSEAUDIO, SoundCard};

impl Browser {
    /// A Chromium that plays a beep into its microphone.
    ///
    /// # Panics
    /// If Chromium or chromedriver are missing or do not start within 60 s.
    pub async fn start() -> Self {
        Self::chromium(&[], &[]).await
    }

    /// A Chromium whose microphone picks up `signal` in real time, again and again from its start.
    /// A signal longer than the test has no seam.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn with_microphone(signal: Vec<f32>) -> Self {
        Self::chromium(&[signal], &[]).await
    }

    /// As [`Self::with_microphone`], with memory that threads of a page share though it is not isolated
    /// from others: for a clock on the audio thread, which has none.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn with_shared_memory(signal: Vec<f32>) -> Self {
        Self::chromium(&[signal], &["--enable-features=SharedArrayBuffer"]).await
    }

    /// As [`Self::with_microphone`], in a browser that sends nothing by UDP, as where a firewall lets
    /// none through.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn without_udp(signal: Vec<f32>) -> Self {
        const POLICY: &str = "--webrtc-ip-handling-policy=disable_non_proxied_udp";
        Self::chromium(&[signal], &[POLICY]).await
    }

    /// As [`Self::with_microphone`], in a browser that finds the host `name` on this machine and takes its certificate
    /// unseen: what it asks of other machines' pages, such as HTTPS, it asks of that one's.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn that_knows(name: &str, signal: Vec<f32>) -> Self {
        let rule = format!("--host-resolver-rules=MAP {name} 127.0.0.1");
        Self::chromium(&[signal], &[&rule, "--ignore-certificate-errors"]).await
    }

    /// As [`Self::with_microphone`], with a microphone in stereo.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn with_stereo_microphone(left: Vec<f32>, right: Vec<f32>) -> Self {
        Self::chromium(&[left, right], &[]).await
    }

    /// A Chromium with a [sound card](SoundCard) in the place of the imitation of one that it has itself, whose
    /// microphone picks up `signal`; `None`, which is told, where there is no PulseAudio.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn with_sound_card(signal: Vec<f32>) -> Option<Self> {
        if !are_installed(&[PULSEAUDIO]) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sound_card = SoundCard::start(&signal).await;
        Some(Self::launch_chromium(folder, vec![], Some(sound_card)).await)
    }

    /// Sends a command of the Chrome DevTools Protocol.
    ///
    /// # Panics
    /// If it is not taken.
    pub async fn devtools(&self, command: &str, parameters: Value) {
        let session = self.client.session_id().await.expect("the driver answers");
        let session = session.expect("a session");
        let port = self.driver_port;
        let url = format!("http://127.0.0.1:{port}/session/{session}/goog/cdp/execute");
        let command = json!({ "cmd": command, "params": parameters });
        let response = reqwest::Client::new().post(url).json(&command).send().await;
        let status = response.expect("the driver answers").status();
        assert_eq!(status, 200, "{command}");
    }

    /// The microphone has a channel for each signal; without one it beeps.
    async fn chromium(microphone: &[Vec<f32>], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut arguments = vec!["--use-fake-device-for-media-stream".to_owned()];
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let file = folder.path().join("microphone.wav");
        match microphone {
            [left, right] => write_stereo_wav(&file, left, right),
            signals => signals.iter().for_each(|signal| write_wav(&file, signal)),
        }
        if !microphone.is_empty() {
            arguments.push(format!("--use-file-for-fake-audio-capture={}", file.display()));
        }
        Self::launch_chromium(folder, arguments, None).await
    }

    async fn launch_chromium(
        folder: TempDir,
        mut arguments: Vec<String>,
        sound_card: Option<SoundCard>,
    ) -> Self {
        arguments.extend(FLAGS.iter().map(|flag| (*flag).to_owned()));
        arguments.push(format!("--user-data-dir={}", folder.path().join("profile").display()));
        let mut options = json!({ "args": arguments });
        if let Some(browser) = installed_browser() {
            options["binary"] = json!(browser);
        }
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0");
        if let Some(sound_card) = &sound_card {
            driver.env("PULSE_SERVER", sound_card.address());
        }
        let port_in = |log: &str| port_after(log, "started successfully on port ");
        let options = ("goog:chromeOptions", options);
        Self::launch("Chromium", &mut driver, folder, port_in, options).await.holding(sound_card)
    }
}

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-breakpad",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    // The server under test is on the loopback interface, which WebRTC otherwise leaves out.
    "--allow-loopback-in-peer-connection",
];

/// The first that is there; where none is, chromedriver says what it looked for.
fn installed_browser() -> Option<String> {
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .iter()
        .find(|path| Path::new(path).exists())
        .map(|path| (*path).to_owned())
}
