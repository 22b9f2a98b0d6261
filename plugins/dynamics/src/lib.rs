//! Level stages.
//!
//! [`gain`] multiplies; [`gate`] closes between the words, [`compressor`] evens out what is loud,
//! [`de_esser`] what hisses; [`limiter`] keeps every sample below a ceiling without audible
//! distortion and is what makes a sum of voices safe to encode. All are pure Rust, and treat the
//! channels of a stereo signal alike, so that the image stands still.

pub mod compressor;
pub mod de_esser;
pub mod gain;
pub mod gate;
pub mod limiter;

mod side_chain;
mod sliding_min;
mod split;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] =
    &[&gain::KIND, &gate::KIND, &compressor::KIND, &de_esser::KIND, &limiter::KIND];

/// The quiet end of a tail must not become subnormal by being attenuated: such numbers cost a hundred
/// times as much, here and in every stage behind.
fn without_subnormals(sample: f32) -> f32 {
    if sample.abs() < f32::MIN_POSITIVE { 0.0 } else { sample }
}
