use std::process::Command;

use serde_json::{Value, json};

use crate::Browser;
use crate::browser::port_after;
use crate::installed::are_installed;
use crate::sound_card::{PULSEAUDIO, SoundCard};

impl Browser {
    /// A Firefox ESR without a sound card, whatever the machine has, so that WebAudio stands still; its
    /// microphone picks up a tone of `tone_hz`, whole Hz, that peaks at -20 dBFS. `None`, and a line that
    /// says why, where it or its driver is not installed.
    ///
    /// # Panics
    /// If it does not start within 60 s.
    pub async fn firefox(tone_hz: u32) -> Option<Self> {
        if !are_installed(&NEEDED) {
            return None;
        }
        let preferences = json!({
            "media.navigator.streams.fake": true,
            "media.navigator.audio.fake_frequency": tone_hz,
            "media.cubeb.force_null_context": true,
        });
        Some(Self::launch_firefox(preferences, None).await)
    }

    /// A Firefox ESR with a sound card of its own, whose microphone picks up `signal` in real time, again
    /// and again from its start. `None`, and a line that says why, where what it needs is not installed.
    ///
    /// # Panics
    /// As [`Self::firefox`].
    pub async fn firefox_with_microphone(signal: Vec<f32>) -> Option<Self> {
        if !are_installed(&NEEDED) || !are_installed(&[PULSEAUDIO]) {
            return None;
        }
        let sound_card = SoundCard::start(&signal).await;
        Some(Self::launch_firefox(json!({}), Some(sound_card)).await)
    }

    async fn launch_firefox(preferences: Value, sound_card: Option<SoundCard>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let profiles = folder.path().join("profiles");
        std::fs::create_dir(&profiles).expect("a temporary folder takes another one");
        let mut driver = Command::new("geckodriver");
        driver.args(["--port=0", "--websocket-port=0", "--profile-root"]).arg(&profiles);
        // Whatever it keeps outside of its profile.
        driver.env("HOME", folder.path());
        let port_in = |log: &str| port_after(log, "Listening on 127.0.0.1:");
        if let Some(sound_card) = &sound_card {
            driver.env("PULSE_SERVER", sound_card.address());
        }
        let mut options = json!({
            "binary": "firefox-esr",
            "args": ["-headless"],
            "prefs": {
                "media.navigator.permission.disabled": true,
                "media.autoplay.default": 0,
                "network.captive-portal-service.enabled": false,
                "network.connectivity-service.enabled": false,
            },
        });
        for (name, value) in preferences.as_object().into_iter().flatten() {
            options["prefs"][name] = value.clone();
        }
        let options = ("moz:firefoxOptions", options);
        Self::launch("Firefox", &mut driver, folder, port_in, options).await.holding(sound_card)
    }
}

/// Programs, and where they come from.
const NEEDED: [(&str, &str); 2] = [
    ("firefox-esr", "Debian has it; on Ubuntu there is none"),
    ("geckodriver", "`make setup` installs it where there is Firefox ESR"),
];
