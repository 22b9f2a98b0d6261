//! Benchmarks over several crates stand in `benches/`; here is what they share.

mod empty;
mod meeting;
mod times;

use std::f32::consts::TAU;
use std::sync::Arc;

use audiopus::coder::Encoder;
use audiopus::{Application, Channels, SampleRate};

pub use empty::EMPTY;
pub use meeting::Meeting;
pub use times::{cpu_time, ms};

/// A second of voice-like sound as a client sends it: 50 packets of 20 ms.
///
/// # Panics
/// If libopus refuses to encode.
#[must_use]
pub fn encoded_voice() -> Vec<Arc<[u8]>> {
    let encoder = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip);
    let encoder = encoder.expect("an encoder");
    (0..50u32)
        .map(|packet| {
            let pcm: Vec<f32> = (0..960u32)
                .map(|i| {
                    let t = (packet * 960 + i) as f32 / 48_000.0;
                    let syllable = 0.6 + 0.4 * (TAU * 4.0 * t).sin();
                    let voice: f32 =
                        (1..8).map(|k| (TAU * 140.0 * k as f32 * t).sin() / k as f32).sum();
                    0.1 * syllable * voice
                })
                .collect();
            let mut bytes = [0; 1275];
            let length = encoder.encode_float(&pcm, &mut bytes).expect("encodes");
            Arc::from(&bytes[..length])
        })
        .collect()
}
