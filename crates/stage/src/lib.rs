//! The plugin API: what a DSP stage is, and how it declares itself.
//!
//! A plugin is a [`StageKind`] (its name, its parameters, how it is built) and a [`Stage`] (the
//! running thing). Building happens on the control side: it may allocate, may fail, may read
//! files. Everything else happens on the media side, once per 10 ms block, under one contract:
//!
//! > **`Stage::process` never allocates, locks, logs, blocks, does IO or panics.**
//!
//! The audio a stage sees is always 48 kHz, planar `f32` in ±1.0, [`BLOCK_SAMPLES`] samples per
//! block, mono or stereo. It is finite and within
//! ±[`MAX_AMPLITUDE`]: the chain sees to that. This crate has no IO, no threads and no clock, and builds for wasm32.
//!
//! ```
//! use foldback_stage::{
//!     AudioBlock, BlockContext, BuildError, Params, ParamSpec, Stage, StageFormat, StageKind,
//! };
//!
//! const GAIN_DB: ParamSpec =
//!     ParamSpec::float("gain_db", "dB", -60.0, 30.0, 0.0, "Amplification.");
//!
//! /// What operators write in TOML: `{ kind = "my-gain", gain_db = 6 }`.
//! pub const KIND: StageKind = StageKind {
//!     name: "my-gain",
//!     about: "Makes it louder.",
//!     params: &[GAIN_DB],
//!     build: &build,
//! };
//!
//! struct MyGain {
//!     factor: f32,
//! }
//!
//! fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
//!     let factor = 10f32.powf(params.float(&GAIN_DB) / 20.0);
//!     Ok(Box::new(MyGain { factor }))
//! }
//!
//! impl Stage for MyGain {
//!     fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
//!         for plane in block.planes_mut() {
//!             for sample in plane {
//!                 *sample *= self.factor;
//!             }
//!         }
//!     }
//! }
//! ```

use std::f32::consts::{FRAC_PI_4, SQRT_2};

mod audio;
mod kind;
mod params;
mod ramp;

pub use audio::{
    AudioBlock, AudioBuffer, BLOCK_SAMPLES, MAX_AMPLITUDE, MAX_CHANNELS, SAMPLE_RATE_HZ,
};
pub use kind::{
    BlockContext, BuildError, BuildStage, CaptureTimeline, Reading, Stage, StageFormat, StageKind,
    StageReport, is_words,
};
pub use params::{ParamSpec, ParamType, ParamValue, Params, RawValue, SetParamError};
pub use ramp::Ramp;

/// `ms` milliseconds in samples, not rounded.
#[must_use]
pub fn ms_to_samples(ms: f32) -> f32 {
    ms * SAMPLE_RATE_HZ as f32 / 1000.0
}

/// `samples` in ms.
#[must_use]
pub fn samples_to_ms(samples: usize) -> f32 {
    samples as f32 * 1000.0 / SAMPLE_RATE_HZ as f32
}

/// A level in dB as an amplitude factor: `db_to_amplitude(-6.02)` is about one half.
#[must_use]
pub fn db_to_amplitude(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// What left and right are multiplied by for an equal-power balance: from -1, where only the left is
/// left, over 0, where nothing changes, to 1. The sum of their squares is 2 wherever that is.
///
/// ```
/// assert_eq!(foldback_stage::balance(0.0), [1.0, 1.0]);
/// assert_eq!(foldback_stage::balance(1.0), [0.0, 2f32.sqrt()]);
/// ```
#[must_use]
pub fn balance(position: f32) -> [f32; 2] {
    // Not quite 1 by the formula: rounding would change every sample of a centred signal.
    if position == 0.0 {
        return [1.0; 2];
    }
    let (right, left) = ((position + 1.0) * FRAC_PI_4).sin_cos();
    // The cosine of a right angle is not quite 0 either.
    [left.max(0.0) * SQRT_2, right * SQRT_2]
}

/// An amplitude as a level in dB, floored at -120 dB (so silence is finite).
#[must_use]
pub fn amplitude_to_db(amplitude: f32) -> f32 {
    20.0 * amplitude.abs().max(1e-6).log10()
}
