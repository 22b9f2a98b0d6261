//! Stages on WebRTC's audio processing module (M131, C++), each with a processor of its own.
//!
//! [`echo_cancel`] is AEC3, [`noise_suppress`] the classic NS, [`auto_gain`] AGC2. One processor
//! per stage costs more than one for all three, but each keeps its place in the chain, can be
//! timed, and can be taken out. [`combined`] is one for all.
//!
//! All FFI is in `apm`. Nothing on our side of it allocates; the C++ takes two mutexes that no
//! other thread ever holds.

pub mod auto_gain;
pub mod combined;
pub mod echo_cancel;
pub mod echo_delay;
pub mod noise_suppress;

mod apm;
mod echo_path;
mod far_end;

use foldback_stage::StageKind;

/// Every kind of this crate.
pub const KINDS: &[&StageKind] =
    &[&echo_cancel::KIND, &noise_suppress::KIND, &auto_gain::KIND, &combined::KIND];
