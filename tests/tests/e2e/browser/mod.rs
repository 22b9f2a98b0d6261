mod accessibility;
mod admin;
mod admission;
mod chat;
mod control;
mod delay;
mod departures;
mod disturbances;
mod elsewhere;
mod firefox;
mod hearing;
mod hosts;
mod invitations;
mod joining;
mod live_chain;
mod mixed;
mod networks;
mod offers;
mod playing;
mod plugins;
mod preview;
mod processing;
mod reconnection;
mod recording;
mod reload;
mod rooms;
mod stereo;
mod talking;
mod ways;

use foldback_testkit::signal;
use foldback_tests::Browser;

/// Longer than any test records, so that no loop's seam is heard.
const MICROPHONE_SECONDS: f64 = 120.0;

/// What the tones of these tests peak at.
const TONE_DBFS: f64 = -20.0;

/// What a test runs in, once each.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Chromium,
    Firefox,
}

impl Kind {
    /// One that has a microphone and a running WebAudio; `None` where there is no Firefox ESR.
    async fn with_microphone(self, signal: Vec<f32>) -> Option<Browser> {
        match self {
            Self::Chromium => Some(Browser::with_microphone(signal).await),
            Self::Firefox => Browser::firefox_with_microphone(signal).await,
        }
    }
}

/// A test for each kind of browser, of an async function that takes it.
macro_rules! in_both_browsers {
    ($scenario:ident) => {
        mod $scenario {
            use super::Kind;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_chromium() {
                super::$scenario(Kind::Chromium).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_firefox() {
                super::$scenario(Kind::Firefox).await;
            }
        }
    };
}
use in_both_browsers;

fn microphone_tone(frequency_hz: f64) -> Vec<f32> {
    signal::tone(frequency_hz, TONE_DBFS, MICROPHONE_SECONDS)
}
