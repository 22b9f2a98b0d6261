use std::f64::consts::TAU;

use foldback_stage::SAMPLE_RATE_HZ;

use super::{SILENCE_DB, power_to_db};

const RATE_HZ: f64 = SAMPLE_RATE_HZ as f64;

/// One tone of a [`ToneFit`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// The frequency that was asked for, in Hz.
    pub frequency_hz: f64,
    /// Its peak, in dBFS.
    pub level_dbfs: f64,
}

/// A span taken apart into tones and the rest.
#[derive(Clone, Debug)]
pub struct ToneFit {
    /// The tones, in the order in which they were asked for.
    pub tones: Vec<Tone>,
    /// What is not the tones (nor a constant offset), in dB relative to their sum: the lower, the
    /// cleaner. [`f64::INFINITY`] where there is something, but no tone.
    pub residual_db: f64,
    /// What is not the tones.
    pub residual: Vec<f32>,
}

/// The peak level, in dBFS, of what a span holds at one frequency: its projection onto a complex
/// sine wave under a Hann window (side lobes fall by 18 dB per octave, the main lobe is four
/// bins = 4 / seconds Hz wide in all).
#[must_use]
pub fn tone_dbfs(signal: &[f32], frequency_hz: f64) -> f64 {
    let length = signal.len() as f64;
    let (mut in_phase, mut quadrature, mut weight) = (0.0, 0.0, 0.0);
    for (n, sample) in signal.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * (n as f64 + 0.5) / length).cos();
        let (sin, cos) = phase(frequency_hz, n).sin_cos();
        in_phase += window * f64::from(*sample) * cos;
        quadrature += window * f64::from(*sample) * sin;
        weight += window;
    }
    if weight == 0.0 {
        return SILENCE_DB;
    }
    power_to_db(4.0 * (in_phase.powi(2) + quadrature.powi(2)) / weight.powi(2))
}

/// As [`tone_dbfs`], but the median over spans of 100 ms: for what a real browser has played, whose
/// time-stretching shifts the tone's phase now and then, so that it cancels itself over a longer
/// span. What is left of the end does not count. [`SILENCE_DB`] below 100 ms.
#[must_use]
pub fn median_tone_dbfs(signal: &[f32], frequency_hz: f64) -> f64 {
    const SPAN_SAMPLES: usize = SAMPLE_RATE_HZ as usize / 10;
    let mut levels: Vec<f64> =
        signal.chunks_exact(SPAN_SAMPLES).map(|span| tone_dbfs(span, frequency_hz)).collect();
    levels.sort_by(f64::total_cmp);
    levels.get(levels.len() / 2).copied().unwrap_or(SILENCE_DB)
}

/// Takes tones of exactly these frequencies out of a span, by least squares over the sine and the
/// cosine of each (and a constant offset), and says what is left.
///
/// A frequency that drifts by a tenth of `1 / seconds` Hz is no longer one tone: take short spans
/// of what a real sound card or browser has played.
///
/// # Panics
/// If no frequency is given, two are equal, or the span is too short to tell them apart.
#[must_use]
pub fn fit_tones(signal: &[f32], frequencies_hz: &[f64]) -> ToneFit {
    assert!(!frequencies_hz.is_empty(), "no tone to fit");
    let weights = solve(normal_equations(signal, frequencies_hz));
    let mut residual = Vec::with_capacity(signal.len());
    let (mut tone_energy, mut residual_energy) = (0.0, 0.0);
    let mut basis = vec![0.0; weights.len()];
    for (n, sample) in signal.iter().enumerate() {
        fill_basis(&mut basis, frequencies_hz, n);
        let fitted: f64 = weights.iter().zip(&basis).map(|(weight, value)| weight * value).sum();
        // The offset is the last weight: neither a tone nor something that is heard.
        let rest = f64::from(*sample) - fitted;
        tone_energy += (fitted - weights[weights.len() - 1]).powi(2);
        residual_energy += rest.powi(2);
        residual.push(rest as f32);
    }
    let tones = frequencies_hz
        .iter()
        .zip(weights.chunks_exact(2))
        .map(|(frequency_hz, pair)| Tone {
            frequency_hz: *frequency_hz,
            level_dbfs: power_to_db(pair[0].powi(2) + pair[1].powi(2)),
        })
        .collect();
    let residual_db = match (residual_energy > 0.0, tone_energy > 0.0) {
        (false, _) => SILENCE_DB,
        (true, false) => f64::INFINITY,
        (true, true) => power_to_db(residual_energy / tone_energy),
    };
    ToneFit { tones, residual_db, residual }
}

fn phase(frequency_hz: f64, n: usize) -> f64 {
    TAU * (frequency_hz * n as f64 / RATE_HZ).fract()
}

fn fill_basis(basis: &mut [f64], frequencies_hz: &[f64], n: usize) {
    let (pairs, offset) = basis.split_at_mut(2 * frequencies_hz.len());
    for (pair, frequency_hz) in pairs.chunks_exact_mut(2).zip(frequencies_hz) {
        (pair[0], pair[1]) = phase(*frequency_hz, n).sin_cos();
    }
    offset[0] = 1.0;
}

/// One row per unknown, the right side as its last column.
fn normal_equations(signal: &[f32], frequencies_hz: &[f64]) -> Vec<Vec<f64>> {
    let unknowns = 2 * frequencies_hz.len() + 1;
    let mut rows = vec![vec![0.0; unknowns + 1]; unknowns];
    let mut basis = vec![0.0; unknowns];
    for (n, sample) in signal.iter().enumerate() {
        fill_basis(&mut basis, frequencies_hz, n);
        for (row, left) in rows.iter_mut().zip(&basis) {
            for (cell, right) in row.iter_mut().zip(&basis) {
                *cell += left * right;
            }
            row[unknowns] += left * f64::from(*sample);
        }
    }
    rows
}

/// Gauss-Jordan elimination with partial pivoting.
fn solve(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let unknowns = rows.len();
    let scale = rows.iter().flatten().fold(0.0f64, |largest, cell| largest.max(cell.abs()));
    for column in 0..unknowns {
        let pivot = (column..unknowns)
            .max_by(|a, b| rows[*a][column].abs().total_cmp(&rows[*b][column].abs()))
            .expect("at least one row is left");
        rows.swap(column, pivot);
        assert!(
            rows[column][column].abs() > 1e-9 * scale,
            "the span is too short to tell these frequencies apart"
        );
        let pivot_row = rows[column].clone();
        for (index, row) in rows.iter_mut().enumerate() {
            if index != column {
                let factor = row[column] / pivot_row[column];
                row.iter_mut().zip(&pivot_row).for_each(|(cell, other)| *cell -= factor * other);
            }
        }
    }
    (0..unknowns).map(|index| rows[index][unknowns] / rows[index][index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{mix, silence, tone, white_noise};

    #[test]
    fn tones_are_measured_at_their_level_and_not_at_others() {
        let signal =
            mix(&[&tone(440.0, -20.0, 1.0), &tone(660.0, -30.0, 1.0), &tone(880.0, -60.0, 1.0)]);
        for (frequency_hz, level_dbfs) in [(440.0, -20.0), (660.0, -30.0), (880.0, -60.0)] {
            let measured = tone_dbfs(&signal, frequency_hz);
            assert!((measured - level_dbfs).abs() < 0.05, "{measured} at {frequency_hz} Hz");
        }
        assert!(tone_dbfs(&signal, 550.0) < -100.0);
        assert_eq!(tone_dbfs(&silence(1.0), 440.0), SILENCE_DB);
        assert_eq!(tone_dbfs(&[], 440.0), SILENCE_DB);
    }

    #[test]
    fn the_median_level_survives_shifts_of_phase() {
        let tone = tone(440.0, -20.0, 2.0);
        // Half a period is cut out in the middle: the halves cancel each other.
        let shifted = [&tone[..48_000], &tone[48_055..]].concat();
        assert!(tone_dbfs(&shifted, 440.0) < -40.0, "{}", tone_dbfs(&shifted, 440.0));
        let median = median_tone_dbfs(&shifted, 440.0);
        assert!((median + 20.0).abs() < 0.05, "{median}");
        assert!(median_tone_dbfs(&shifted, 660.0) < -80.0);
        assert_eq!(median_tone_dbfs(&tone[..100], 440.0), SILENCE_DB);
    }

    #[test]
    fn a_fit_finds_levels_and_leaves_nothing_of_pure_tones() {
        let signal = mix(&[&tone(440.5, -1.0, 0.1), &tone(661.3, -7.0, 0.1)]);
        let fit = fit_tones(&signal, &[440.5, 661.3]);
        assert!((fit.tones[0].level_dbfs + 1.0).abs() < 1e-3, "{:?}", fit.tones);
        assert!((fit.tones[1].level_dbfs + 7.0).abs() < 1e-3, "{:?}", fit.tones);
        assert!(fit.residual_db < -120.0, "{} dB", fit.residual_db);
    }

    #[test]
    fn what_is_not_the_tones_is_measured_against_them() {
        let tone = tone(440.0, -17.0, 1.0);
        let noise = white_noise(1, -60.0, 1.0);
        // A tone peaking at -17 dBFS has an rms of -20.
        let fit = fit_tones(&mix(&[&tone, &noise]), &[440.0]);
        assert!((fit.residual_db + 40.0).abs() < 0.1, "{} dB", fit.residual_db);
    }

    #[test]
    fn a_sum_that_wraps_around_is_far_from_its_tones_and_one_that_saturates_is_nearer() {
        let loud = mix(&[&tone(440.0, -1.0, 1.0), &tone(660.0, -1.0, 1.0)]);
        let wrapped: Vec<f32> = loud.iter().map(|x| (x + 1.0).rem_euclid(2.0) - 1.0).collect();
        let saturated: Vec<f32> = loud.iter().map(|x| x.clamp(-1.0, 1.0)).collect();
        let residual_db = |signal: &[f32]| fit_tones(signal, &[440.0, 660.0]).residual_db;
        assert!(residual_db(&wrapped) > 0.0, "{} dB", residual_db(&wrapped));
        assert!((-30.0..-8.0).contains(&residual_db(&saturated)), "{} dB", residual_db(&saturated));
    }

    #[test]
    fn an_offset_is_neither_tone_nor_residual() {
        let shifted: Vec<f32> = tone(440.0, -20.0, 0.5).iter().map(|x| x + 0.3).collect();
        let fit = fit_tones(&shifted, &[440.0]);
        assert!(fit.residual_db < -100.0, "{} dB", fit.residual_db);
    }

    #[test]
    fn silence_and_noise_are_no_tones() {
        assert_eq!(fit_tones(&silence(0.1), &[440.0]).residual_db, SILENCE_DB);
        assert!(fit_tones(&white_noise(1, -20.0, 1.0), &[440.0]).residual_db > 30.0);
    }

    #[test]
    #[should_panic(expected = "too short to tell")]
    fn one_frequency_twice_is_refused() {
        let _ = fit_tones(&tone(440.0, -20.0, 0.1), &[440.0, 440.0]);
    }
}
