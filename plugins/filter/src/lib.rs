//! Filters as stages.
//!
//! [`high_pass`] removes rumble, hum and plosives below speech. Filters here work per channel,
//! add no algorithmic delay, and keep their state in `f64` so that a low cutoff stays exact.

pub mod high_pass;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] = &[&high_pass::KIND];
