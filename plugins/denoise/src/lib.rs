//! Neural noise suppression.
//!
//! [`denoise`] wraps nnnoiseless, a Rust port of RNNoise (J.-M. Valin, "A Hybrid DSP/Deep Learning
//! Approach to Real-Time Full-Band Speech Enhancement", 2018). Pure Rust, no model file.

pub mod denoise;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] = &[&denoise::KIND];
