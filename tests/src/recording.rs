//! What a page hears: the decoded samples of the track that it receives.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::Browser;

/// Finds the track that a connection receives.
const RECEIVER: &str = include_str!("recording/receiver.js");
/// By the browsers' own taps on a track rather than WebAudio: they drop nothing when the machine is
/// busy, and need no script that the page's security policy forbids.
const START: &str = include_str!("recording/start.js");
/// Hands out what was recorded, and ends the recording if its argument is true.
const TAKE: &str = include_str!("recording/take.js");

/// A browser takes a few out now and then, as its clock is not the server's.
const MOST_MENDED: u64 = 600;

/// Changes no level: jitter buffers that settle take out some periods of a tone.
const MOST_MENDED_OF_STEADY: u64 = 2_400;

/// How often a recording is made until the machine lets one be as it should.
const ATTEMPTS: usize = 4;

impl Browser {
    /// As [`Self::record_channels`]; of stereo the left side.
    ///
    /// # Panics
    /// As [`Self::stop_recording`].
    pub async fn record(&self, seconds: f64) -> Vec<f32> {
        self.record_channels(seconds).await.swap_remove(0)
    }

    /// What the page receives from its connection during `seconds`, of a sound that stays as it is:
    /// 48 kHz, each channel that the browser plays. While a busy machine holds up a browser, here or at
    /// the other end, so that it or the server has to mend what comes too late, it is recorded again,
    /// up to four times in all.
    ///
    /// # Panics
    /// As [`Self::stop_recording`].
    pub async fn record_channels(&self, seconds: f64) -> Vec<Vec<f32>> {
        let mut attempt = 1;
        loop {
            self.start_recording().await;
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            let recorded = self.take(true).await;
            let (here, at_server) = (recorded.mended_here, recorded.mended_at_server);
            if here.max(at_server) <= MOST_MENDED_OF_STEADY || attempt == ATTEMPTS {
                return recorded.channels;
            }
            println!("recorded again: {here} samples were mended here, {at_server} at the server");
            attempt += 1;
        }
    }

    /// What the page receives while something happens, as of [`Self::stop_undisturbed_recording`]: it
    /// happens again, up to four times in all, while a busy machine holds up the browser.
    ///
    /// # Panics
    /// As [`Self::stop_recording`], and if it was held up each time.
    pub async fn record_while(&self, happens: impl AsyncFn()) -> Vec<f32> {
        for _ in 0..ATTEMPTS {
            self.start_recording().await;
            happens().await;
            if let Some(heard) = self.stop_undisturbed_recording().await {
                return heard;
            }
            println!("recorded again: the browser was held up");
        }
        panic!("the browser was held up in each of {ATTEMPTS} recordings");
    }

    /// Starts to record what the page receives from `window.foldback.pc`.
    ///
    /// # Panics
    /// If it receives no audio track.
    pub async fn start_recording(&self) {
        self.record_connection("window.foldback.pc").await;
    }

    /// Starts to record what a connection receives, given as a script's expression.
    ///
    /// # Panics
    /// If it receives no audio track.
    pub async fn record_connection(&self, connection: &str) {
        let source = format!("const connection = {connection};\n{RECEIVER}");
        self.async_script(&format!("{source}\n{START}"), vec![]).await;
    }

    /// What a track of the page sounds like during `seconds`, given as a script's expression.
    ///
    /// # Panics
    /// As [`Self::stop_recording`].
    pub async fn record_track(&self, track: &str, seconds: f64) -> Vec<f32> {
        let source = format!(
            "const track = {track};\nconst mended = async () => ({{ here: 0, atServer: 0 }});"
        );
        self.async_script(&format!("{source}\n{START}"), vec![]).await;
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        self.stop_recording().await
    }

    /// Returns what was recorded since the start or the last call, and goes on; of stereo the left
    /// side. What Firefox returns begins with some of what it returned before. Between calls should be
    /// seconds, but not minutes: the page keeps it all until then.
    ///
    /// # Panics
    /// As [`Self::stop_recording`].
    pub async fn take_recording(&self) -> Vec<f32> {
        self.take(false).await.channels.swap_remove(0)
    }

    /// Stops, and returns what was recorded; of stereo the left side.
    ///
    /// # Panics
    /// If nothing was being recorded, some of it is missing, or its sample rate is not 48 kHz.
    pub async fn stop_recording(&self) -> Vec<f32> {
        self.take(true).await.channels.swap_remove(0)
    }

    /// Stops, and returns what was recorded; `None` if the browser, held up by a busy machine, filled
    /// gaps or caught up, which leaves seams of its own.
    ///
    /// # Panics
    /// As [`Self::stop_recording`].
    pub async fn stop_undisturbed_recording(&self) -> Option<Vec<f32>> {
        let Recorded { mut channels, mended_here, .. } = self.take(true).await;
        (mended_here <= MOST_MENDED).then(|| channels.swap_remove(0))
    }

    async fn take(&self, end: bool) -> Recorded {
        let recorded = self.async_script(TAKE, vec![json!(end)]).await;
        assert_eq!(recorded["sampleRate"], json!(48_000), "the recorded track's sample rate");
        let channels = recorded["channels"].as_array().expect("the script returns a list");
        let channels: Vec<_> = channels.iter().map(from_base64).collect();
        let seconds = channels[0].len() as f64 / 48_000.0;
        // A busy browser plays its last block some ms late; a recorder that drops loses far more.
        // Firefox does not tell.
        if let Some(played) = recorded["playedSeconds"].as_f64() {
            assert!((seconds - played).abs() < 0.2, "recorded {seconds} s of {played} s");
        }
        let samples = |name: &str| recorded[name].as_u64().expect("the script counts them");
        let (mended_here, mended_at_server) = (samples("mendedHere"), samples("mendedAtServer"));
        Recorded { channels, mended_here, mended_at_server }
    }
}

struct Recorded {
    channels: Vec<Vec<f32>>,
    /// Samples filled in or taken out by the browser that recorded,
    mended_here: u64,
    /// and by its server, of all that it was sent.
    mended_at_server: u64,
}

fn from_base64(text: &Value) -> Vec<f32> {
    let text = text.as_str().expect("the script returns base64");
    let bytes = BASE64.decode(text).expect("the script returns base64");
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
