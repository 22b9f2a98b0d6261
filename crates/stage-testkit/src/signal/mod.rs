//! Signals: made in Rust, spoken by espeak-ng, or read from files. All 48 kHz, mono, `f32` in ±1.

mod files;
mod speech;
mod synth;

pub use files::{read_audio, read_flac, read_wav, shared_audio, write_stereo_wav, write_wav};
pub use speech::{SpeechError, speech};
pub use synth::{mix, pink_noise, silence, speech_like, to_rms, tone, white_noise};

use foldback_stage::SAMPLE_RATE_HZ;

/// Seconds as a number of samples, rounded.
#[must_use]
pub fn samples(seconds: f64) -> usize {
    (seconds * f64::from(SAMPLE_RATE_HZ)).round() as usize
}

/// A level in dB as an amplitude factor.
pub(crate) fn amplitude(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}
