//! Loudness by EBU R128 (ITU-R BS.1770-5): [`loudness`] brings a programme to a target in LUFS.

pub mod loudness;

mod meter;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] = &[&loudness::KIND];
