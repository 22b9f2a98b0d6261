use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use foldback_testkit::signal::{write_stereo_wav, write_wav};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};

use crate::child::TestChild;

/// How long a script of a test may take in the page.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60);

/// A headless Chromium of its own, with a chromedriver and a profile of its own, and one page.
///
/// Dropped, it is killed as [`Self::kill`] does.
#[derive(Debug)]
pub struct Browser {
    driver: TestChild,
    driver_port: u16,
    pub(crate) client: Client,
}

impl Browser {
    /// A browser that plays a beep into its microphone.
    ///
    /// # Panics
    /// If Chromium or chromedriver are missing or do not start within 60 s.
    pub async fn start() -> Self {
        Self::launch(&[], &[]).await
    }

    /// A browser whose microphone picks up `signal` in real time, again and again from its start.
    /// A signal longer than the test has no seam.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn with_microphone(signal: Vec<f32>) -> Self {
        Self::launch(&[signal], &[]).await
    }

    /// As [`Self::with_microphone`], with memory that threads of a page share though it is not isolated
    /// from others: for a clock on the audio thread, which has none.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn with_shared_memory(signal: Vec<f32>) -> Self {
        Self::launch(&[signal], &["--enable-features=SharedArrayBuffer"]).await
    }

    /// As [`Self::with_microphone`], with a microphone in stereo.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub async fn with_stereo_microphone(left: Vec<f32>, right: Vec<f32>) -> Self {
        Self::launch(&[left, right], &[]).await
    }

    /// Kills the browser with SIGKILL, network process and all: to others it vanishes without a
    /// word.
    pub fn kill(mut self) {
        self.driver.kill();
    }

    /// Stops the browser where it stands, as a laptop that is closed: its sockets stay open and
    /// nothing comes from them any more. Nothing can be asked of it from now on.
    pub fn freeze(&self) {
        self.driver.freeze();
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
    async fn launch(microphone: &[Vec<f32>], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut arguments: Vec<String> =
            FLAGS.iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", folder.path().join("profile").display()));
        let file = folder.path().join("microphone.wav");
        match microphone {
            [left, right] => write_stereo_wav(&file, left, right),
            signals => signals.iter().for_each(|signal| write_wav(&file, signal)),
        }
        if !microphone.is_empty() {
            arguments.push(format!("--use-file-for-fake-audio-capture={}", file.display()));
        }
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("TMPDIR", folder.path());
        let mut driver = TestChild::start(&mut command, folder);
        let port = driver
            .wait_until("listening", Duration::from_secs(30), async |log| announced_port(log))
            .await;
        let client = tokio::time::timeout(
            Duration::from_secs(60),
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities(arguments))
                .connect(&format!("http://127.0.0.1:{port}")),
        )
        .await
        .unwrap_or_else(|_| panic!("Chromium did not start within 60 s:\n{}", driver.log()))
        .unwrap_or_else(|error| panic!("Chromium does not start: {error}\n{}", driver.log()));
        Self { driver, driver_port: port, client }
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
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    // The server under test is on the loopback interface, which WebRTC otherwise leaves out.
    "--allow-loopback-in-peer-connection",
];

fn announced_port(log: &str) -> Option<u16> {
    let (_, rest) = log.split_once("started successfully on port ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn capabilities(arguments: Vec<String>) -> Map<String, Value> {
    let mut options = json!({ "args": arguments });
    if let Some(browser) = installed_browser() {
        options["binary"] = json!(browser);
    }
    let mut capabilities = Map::new();
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    let limit = SCRIPT_LIMIT.as_millis() as u64;
    capabilities.insert("timeouts".to_owned(), json!({ "script": limit, "pageLoad": limit }));
    capabilities
}

/// The first that is there; where none is, chromedriver says what it looked for.
fn installed_browser() -> Option<String> {
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
        .iter()
        .find(|path| Path::new(path).exists())
        .map(|path| (*path).to_owned())
}
