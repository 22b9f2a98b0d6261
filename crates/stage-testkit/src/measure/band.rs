use std::ops::RangeInclusive;

use foldback_stage::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};

use super::power_to_db;
use super::quality::{frames, power_spectra};

/// What is looked at at once: 40 ms.
const FRAME: usize = 4 * BLOCK_SAMPLES;

/// How loud a signal is outside of the band that it should be in, in dBFS (rms), in the 40 ms in
/// which that is loudest: where a click is.
///
/// Frames are under a Hann window, which passes the neighbourhood of the band too: keep 500 Hz
/// from the outermost tone, where it is 90 dB down. [`SILENCE_DB`](super::SILENCE_DB) of less than
/// 40 ms.
#[must_use]
pub fn out_of_band_dbfs(signal: &[f32], band_hz: RangeInclusive<f64>) -> f64 {
    let signal: Vec<f64> = signal.iter().map(|sample| f64::from(*sample)).collect();
    let bin_hz = f64::from(SAMPLE_RATE_HZ) / FRAME as f64;
    let outside = |spectrum: Vec<f64>| -> f64 {
        let bins = spectrum.into_iter().enumerate();
        bins.filter(|(bin, _)| !band_hz.contains(&(*bin as f64 * bin_hz))).map(|(_, p)| p).sum()
    };
    let spectra = power_spectra(frames(&signal, FRAME, FRAME / 4), FRAME);
    let loudest = spectra.into_iter().map(outside).fold(0.0, f64::max);
    // Both halves of the spectrum, and the mean of the squared window, 3/8.
    power_to_db(2.0 * loudest / (0.375 * (FRAME * FRAME) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{SILENCE_DB, rms_dbfs};
    use crate::signal::{silence, tone};

    #[test]
    fn a_tone_is_in_its_band_and_outside_of_others_at_its_level() {
        let signal = tone(1000.0, -12.0, 0.5);
        let outside = out_of_band_dbfs(&signal, 400.0..=1600.0);
        assert!(outside < -100.0, "{outside} dBFS outside of its band");
        let level = out_of_band_dbfs(&signal, 2000.0..=3000.0);
        assert!((level - rms_dbfs(&signal)).abs() < 0.1, "{level} dBFS, {}", rms_dbfs(&signal));
        assert_eq!(out_of_band_dbfs(&silence(0.5), 0.0..=100.0), SILENCE_DB);
        assert_eq!(out_of_band_dbfs(&signal[..100], 0.0..=100.0), SILENCE_DB);
    }

    #[test]
    fn one_step_in_seconds_of_a_tone_is_far_above_a_fade_of_20_ms() {
        let loud = tone(300.0, -12.0, 2.0);
        let halved = |share: &dyn Fn(usize) -> f32| -> f64 {
            let faded = loud.iter().enumerate().map(|(n, sample)| sample * (1.0 - 0.5 * share(n)));
            out_of_band_dbfs(&faded.collect::<Vec<_>>(), 0.0..=1000.0)
        };
        let step = halved(&|n| if n < 48_040 { 0.0 } else { 1.0 });
        let fade = halved(&|n| {
            let place = (n.clamp(48_000, 48_960) - 48_000) as f32 / 960.0;
            0.5 - 0.5 * (std::f32::consts::PI * place).cos()
        });
        assert!(step > fade + 20.0, "{step} dBFS at a step, {fade} in a fade");
    }
}
