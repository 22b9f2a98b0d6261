//! For the tests of stages only: signals to send through them, measures to judge what comes out, a
//! guard against allocation, and what every stage must do.
//!
//! A plugin depends on this in `[dev-dependencies]`; its tests begin with
//!
//! ```
//! foldback_stage_testkit::guard_allocations!();
//! # fn main() {}
//! ```
//!
//! and [`stages::must_be_sound`] holds each of its kinds to the contract of
//! [`Stage`](foldback_stage::Stage).
//!
//! Everything is deterministic from its seed. Audio is 48 kHz mono `f32` in ±1; levels are in
//! dBFS, where a sine wave that just reaches full scale peaks at 0 dBFS and has an rms of -3 dBFS.

pub mod alloc;
pub mod libraries;
pub mod measure;
pub mod signal;
pub mod stages;
