//! Neural noise suppression and voice activity.
//!
//! [`denoise`] and [`vad`] run nnnoiseless, a Rust port of RNNoise (J.-M. Valin, "A Hybrid DSP/Deep
//! Learning Approach to Real-Time Full-Band Speech Enhancement", 2018). Pure Rust, no model file.

pub mod denoise;
pub mod vad;

mod network;

pub use network::prime_thread;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] = &[&denoise::KIND, &vad::KIND];
