//! What the fuzz targets share: real Opus packets, a listener that checks what a receiver says, a
//! browser, and text and bytes gone wrong.

pub mod browser;
pub mod edits;
pub mod listener;
pub mod opus;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The origin of simulated time: the same for every input of a process. Time can be counted back
/// from it, too.
#[must_use]
pub fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(|| Instant::now() + Duration::from_secs(3600))
}
