mod accessibility;
mod admin;
mod chat;
mod control;
mod delay;
mod departures;
mod disturbances;
mod firefox;
mod hearing;
mod joining;
mod live_chain;
mod mixed;
mod networks;
mod offers;
mod plugins;
mod preview;
mod processing;
mod reconnection;
mod reload;
mod rooms;
mod stereo;
mod talking;

use foldback_testkit::signal;

/// Longer than any test records, so that no loop's seam is heard.
const MICROPHONE_SECONDS: f64 = 120.0;

/// What the tones of these tests peak at.
const TONE_DBFS: f64 = -20.0;

fn microphone_tone(frequency_hz: f64) -> Vec<f32> {
    signal::tone(frequency_hz, TONE_DBFS, MICROPHONE_SECONDS)
}
