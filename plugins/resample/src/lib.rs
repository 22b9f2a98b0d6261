//! Sound as it is at other sample rates: [`band_limit`] sounds like a telephone.

pub mod band_limit;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] = &[&band_limit::KIND];
