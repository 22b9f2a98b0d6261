use std::process::{Command, Stdio};

use serde_json::json;

use crate::Browser;
use crate::browser::port_after;

impl Browser {
    /// A Firefox ESR whose microphone picks up a tone of `tone_hz`, whole Hz, that peaks at -20 dBFS.
    /// `None`, and a line that says why, where it or its driver is not installed.
    ///
    /// # Panics
    /// If it does not start within 60 s.
    pub async fn firefox(tone_hz: u32) -> Option<Self> {
        for (program, comes_from) in [
            ("firefox-esr", "Debian has it; on Ubuntu there is none"),
            ("geckodriver", "`make setup` installs it where there is Firefox ESR"),
        ] {
            if !is_installed(program) {
                eprintln!("skipped: {program} is not installed ({comes_from})");
                return None;
            }
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let profiles = folder.path().join("profiles");
        std::fs::create_dir(&profiles).expect("a temporary folder takes another one");
        let mut driver = Command::new("geckodriver");
        driver.args(["--port=0", "--websocket-port=0", "--profile-root"]).arg(&profiles);
        // Whatever it keeps outside of its profile.
        driver.env("HOME", folder.path());
        let port_in = |log: &str| port_after(log, "Listening on 127.0.0.1:");
        let options = json!({
            "binary": "firefox-esr",
            "args": ["-headless"],
            "prefs": {
                "media.navigator.streams.fake": true,
                "media.navigator.audio.fake_frequency": tone_hz,
                "media.navigator.permission.disabled": true,
                "media.autoplay.default": 0,
                // No sound card, whatever the machine has: as the other headless browser. WebAudio stands still so.
                "media.cubeb.force_null_context": true,
                "network.captive-portal-service.enabled": false,
                "network.connectivity-service.enabled": false,
            },
        });
        let options = ("moz:firefoxOptions", options);
        Some(Self::launch("Firefox", &mut driver, folder, port_in, options).await)
    }
}

fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
