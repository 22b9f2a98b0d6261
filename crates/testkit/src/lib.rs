//! For tests only: signals to send, a network and a clock to send them over, measures to judge
//! what arrived.
//!
//! Everything is deterministic from its seed. Audio is 48 kHz mono `f32` in ±1; levels are in
//! dBFS, where a sine wave that just reaches full scale peaks at 0 dBFS and has an rms of -3 dBFS.

pub mod acoustics;
pub mod clock;
pub mod net;
pub mod playout;
pub mod sim;
pub mod studio;

pub use foldback_stage_testkit::{alloc, guard_allocations, measure, signal};
