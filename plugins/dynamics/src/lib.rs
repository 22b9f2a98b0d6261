//! Level stages.
//!
//! [`gain`] multiplies; [`limiter`] keeps every sample below a ceiling without audible distortion
//! and is what makes a sum of voices safe to encode. Both are pure Rust.

pub mod gain;
pub mod limiter;

mod sliding_min;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] = &[&gain::KIND, &limiter::KIND];

/// The quiet end of a tail must not become subnormal by being attenuated: such numbers cost a hundred
/// times as much, here and in every stage behind.
fn without_subnormals(sample: f32) -> f32 {
    if sample.abs() < f32::MIN_POSITIVE { 0.0 } else { sample }
}
