use std::process::Command;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::child::TestChild;
use crate::sound_card::SoundCard;

/// How long a script of a test may take in the page.
const SCRIPT_LIMIT: Duration = Duration::from_secs(60);

/// A headless browser of its own, with a driver and a profile of its own, and one page: Chromium,
/// or [Firefox](Self::firefox).
///
/// Dropped, it is killed as [`Self::kill`] does.
#[derive(Debug)]
pub struct Browser {
    driver: TestChild,
    sound_card: Option<SoundCard>,
    pub(crate) driver_port: u16,
    pub(crate) client: Client,
}

impl Browser {
    /// Starts `driver`, which is told to choose a port and says it in its log, where `port_in` finds
    /// it, and has it start the browser. `folder` is theirs.
    pub(crate) async fn launch(
        name: &str,
        driver: &mut Command,
        folder: TempDir,
        port_in: impl Fn(&str) -> Option<u16>,
        capability: (&str, Value),
    ) -> Self {
        driver.env("TMPDIR", folder.path());
        let mut driver = TestChild::start(driver, folder);
        let port =
            driver.wait_until("listening", Duration::from_secs(30), async |log| port_in(log)).await;
        let limit = SCRIPT_LIMIT.as_millis() as u64;
        let timeouts = json!({ "script": limit, "pageLoad": limit });
        let capabilities = [capability, ("timeouts", timeouts)];
        let capabilities: Map<_, _> =
            capabilities.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let client = tokio::time::timeout(
            Duration::from_secs(60),
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities)
                .connect(&format!("http://127.0.0.1:{port}")),
        )
        .await
        .unwrap_or_else(|_| panic!("{name} did not start within 60 s:\n{}", driver.log()))
        .unwrap_or_else(|error| panic!("{name} does not start: {error}\n{}", driver.log()));
        Self { driver, sound_card: None, driver_port: port, client }
    }

    /// Lets the sound card that it was started with go no sooner than it does.
    pub(crate) fn holding(self, sound_card: Option<SoundCard>) -> Self {
        Self { sound_card, ..self }
    }

    /// What it plays on and records from.
    ///
    /// # Panics
    /// If it was started without.
    #[must_use]
    pub fn sound_card(&self) -> &SoundCard {
        self.sound_card.as_ref().expect("it has a sound card")
    }

    /// Kills the browser with SIGKILL, network process and all: to others it vanishes without a
    /// word.
    pub fn kill(mut self) {
        self.driver.kill();
    }

    /// Stops the browser where it stands, as a laptop that is closed: its sockets stay open and
    /// nothing comes from them any more. Nothing can be asked of it until it goes on.
    pub fn freeze(&self) {
        self.driver.freeze();
    }

    /// Lets a browser that was [frozen](Self::freeze) go on, as a laptop that is opened again.
    pub fn thaw(&self) {
        self.driver.thaw();
    }
}

/// The number that follows `before` in a log.
pub(crate) fn port_after(log: &str, before: &str) -> Option<u16> {
    let (_, rest) = log.split_once(before)?;
    // Another character behind it tells that it was written whole.
    let (port, _) = rest.split_once(|character: char| !character.is_ascii_digit())?;
    port.parse().ok()
}
