use realfft::RealFftPlanner;

/// Where in a recording a reference is, and how much it looks like it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// By how many samples the recording is later than the reference; negative if it is earlier.
    pub delay_samples: isize,
    /// The normalised correlation there, over what overlaps: 1 is the same but for its level, 0
    /// has nothing in common, -1 is the same upside down.
    pub correlation: f64,
}

/// Finds a reference in a recording by cross-correlation of their samples.
///
/// For what keeps its waveform. Through denoisers, canceller and time-stretching, where the
/// waveform changes and what is heard does not, use [`align_envelopes`](super::align_envelopes).
/// The delay of a periodic signal such as a tone is ambiguous by its period.
///
/// # Panics
/// If either is empty.
#[must_use]
pub fn align(reference: &[f32], recording: &[f32]) -> Alignment {
    assert!(!reference.is_empty() && !recording.is_empty(), "nothing to align");
    let correlations = cross_correlation(reference, recording);
    let (lag, _) = correlations
        .iter()
        .enumerate()
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .expect("neither is empty");
    // Lags of which the recording is earlier stand at the end of a circular correlation.
    let delay_samples = if lag < recording.len() {
        lag as isize
    } else {
        lag as isize - correlations.len() as isize
    };
    Alignment { delay_samples, correlation: normalised(reference, recording, delay_samples) }
}

/// The sum over n of reference[n] * recording[n + lag], by lag, circular over a length at which
/// nothing overlaps that should not.
fn cross_correlation(reference: &[f32], recording: &[f32]) -> Vec<f64> {
    let length = (reference.len() + recording.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let spectrum = |signal: &[f32]| {
        let mut padded = vec![0.0; length];
        padded.iter_mut().zip(signal).for_each(|(to, from)| *to = f64::from(*from));
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum).expect("lengths come from the plan");
        spectrum
    };
    let mut product = spectrum(recording);
    product.iter_mut().zip(spectrum(reference)).for_each(|(bin, other)| *bin *= other.conj());
    // The inverse refuses what is not exactly real there.
    product[0].im = 0.0;
    product[length / 2].im = 0.0;
    let mut correlations = inverse.make_output_vec();
    inverse.process(&mut product, &mut correlations).expect("lengths come from the plan");
    correlations
}

fn normalised(reference: &[f32], recording: &[f32], delay_samples: isize) -> f64 {
    let skipped = delay_samples.unsigned_abs();
    let (reference, recording) = if delay_samples >= 0 {
        (reference, &recording[skipped..])
    } else {
        (&reference[skipped..], recording)
    };
    let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
    for (a, b) in reference.iter().zip(recording) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        product += a * b;
        left += a * a;
        right += b * b;
    }
    if left == 0.0 || right == 0.0 { 0.0 } else { product / (left * right).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{mix, silence, speech_like, to_rms, white_noise};

    fn delayed(signal: &[f32], samples: usize) -> Vec<f32> {
        [vec![0.0; samples], signal.to_vec()].concat()
    }

    #[test]
    fn a_delayed_and_quieter_copy_is_found_to_the_sample() {
        let reference = speech_like(1, -26.0, 3.0);
        let recording = to_rms(delayed(&reference, 12_345), -50.0);
        let alignment = align(&reference, &recording);
        assert_eq!(alignment.delay_samples, 12_345);
        assert!(alignment.correlation > 0.9999, "{alignment:?}");
    }

    #[test]
    fn a_recording_that_starts_later_has_a_negative_delay() {
        let reference = speech_like(1, -26.0, 3.0);
        let alignment = align(&reference, &reference[4800..]);
        assert_eq!(alignment.delay_samples, -4800);
        assert!(alignment.correlation > 0.9999, "{alignment:?}");
    }

    #[test]
    fn noise_lowers_the_correlation_by_its_share() {
        let reference = white_noise(1, -20.0, 2.0);
        let alignment = align(&reference, &mix(&[&reference, &white_noise(2, -20.0, 2.0)]));
        assert_eq!(alignment.delay_samples, 0);
        assert!((alignment.correlation - 0.707).abs() < 0.02, "{alignment:?}");
    }

    #[test]
    fn another_talker_upside_down_audio_and_silence_do_not_correlate() {
        let reference = speech_like(1, -26.0, 3.0);
        let inverted: Vec<f32> = reference.iter().map(|sample| -sample).collect();
        for other in [speech_like(2, -26.0, 3.0), silence(3.0)] {
            let alignment = align(&reference, &other);
            assert!(alignment.correlation < 0.5, "{alignment:?}");
        }
        assert!(align(&reference, &inverted).correlation < 0.9);
    }
}
