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
