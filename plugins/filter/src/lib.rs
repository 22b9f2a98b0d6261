//! Filters as stages.
//!
//! [`high_pass`] removes rumble, hum and plosives below speech, [`low_pass`] what hisses above it;
//! [`equaliser`] shapes what is between. Filters here work per channel, add no algorithmic delay,
//! and compute in `f64`, so that a low cutoff stays exact. All their parameters are live: the
//! filter that is wanted is faded in beside the one that runs.

pub mod equaliser;
pub mod high_pass;
pub mod low_pass;

mod butterworth;
mod cascade;
mod filter;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] = &[&high_pass::KIND, &low_pass::KIND, &equaliser::KIND];
