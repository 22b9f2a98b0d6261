//! Measures: numbers that say how a recording sounds, and where it is broken.

mod align;
mod band;
mod defects;
mod envelope;
mod level;
mod quality;
mod tones;

pub use align::{Alignment, align};
pub use band::out_of_band_dbfs;
pub use defects::{Gap, clicks, gaps, repeats};
pub use envelope::align_envelopes;
pub use level::{peak_dbfs, rms_dbfs};
pub use quality::{log_spectral_distance_db, stoi};
pub use tones::{Tone, ToneFit, fit_tones, median_tone_dbfs, tone_dbfs};

/// What silence measures, in dB: so low that no threshold reaches it, and finite.
pub const SILENCE_DB: f64 = -200.0;

/// A power (an amplitude squared) in dB, floored at [`SILENCE_DB`].
pub(crate) fn power_to_db(power: f64) -> f64 {
    (10.0 * power.log10()).max(SILENCE_DB)
}
