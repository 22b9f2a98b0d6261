//! Stages for setting up a chain and for listening in.
//!
//! [`delay`] holds the signal back, [`tone`] is a test signal, [`pan`] moves it between left and
//! right, [`record`] keeps what passes in a file.

pub mod delay;
pub mod pan;
pub mod record;
pub mod tone;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] = &[&delay::KIND, &tone::KIND, &pan::KIND, &record::KIND];
