use foldback_stage::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};
use realfft::RealFftPlanner;

use super::Alignment;

/// The bands whose envelopes are compared: edges in Hz, about one octave each.
const EDGES_HZ: [f64; 7] = [120.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 7000.0];
const BANDS: usize = EDGES_HZ.len() - 1;
const WINDOW_SAMPLES: usize = 2 * BLOCK_SAMPLES;

type Envelopes = [Vec<f64>; BANDS];

/// Finds speech in a recording of it by how loud each band was when, which codecs, denoisers,
/// automatic gain and time-stretching leave as it is.
///
/// The correlation is the mean, over six bands from 120 Hz to 7 kHz, of the correlation of their
/// loudness in steps of 10 ms. Speech through a codec reaches 0.9 and more, denoised and levelled
/// 0.7; another talker or another sentence stays below 0.4. The delay is a multiple of 10 ms,
/// found up to `max_delay_ms` either way.
///
/// # Panics
/// If either is shorter than 100 ms.
#[must_use]
pub fn align_envelopes(reference: &[f32], recording: &[f32], max_delay_ms: u32) -> Alignment {
    let shorter = reference.len().min(recording.len()) / BLOCK_SAMPLES;
    assert!(shorter >= 10, "less than 100 ms to align");
    let (reference, recording) = (envelopes(reference), envelopes(recording));
    let max_lag = (max_delay_ms / 10) as isize;
    // Little that overlaps looks alike by chance.
    let least_overlap = shorter / 2;
    let (lag, correlation) = (-max_lag..=max_lag)
        .filter_map(|lag| {
            Some((lag, mean_correlation(&reference, &recording, lag, least_overlap)?))
        })
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .expect("at a lag of zero the shorter one overlaps wholly");
    Alignment { delay_samples: lag * BLOCK_SAMPLES as isize, correlation }
}

/// The loudness of each band in steps of 10 ms: power to the 0.3, about what is heard (Stevens).
fn envelopes(signal: &[f32]) -> Envelopes {
    let forward = RealFftPlanner::<f64>::new().plan_fft_forward(WINDOW_SAMPLES);
    let mut spectrum = forward.make_output_vec();
    let mut windowed = vec![0.0; WINDOW_SAMPLES];
    let bin_hz = f64::from(SAMPLE_RATE_HZ) / WINDOW_SAMPLES as f64;
    let mut envelopes = Envelopes::default();
    for frame in signal.windows(WINDOW_SAMPLES).step_by(BLOCK_SAMPLES) {
        for (n, (to, from)) in windowed.iter_mut().zip(frame).enumerate() {
            let phase = std::f64::consts::PI * (n as f64 + 0.5) / WINDOW_SAMPLES as f64;
            *to = f64::from(*from) * phase.sin().powi(2);
        }
        forward.process(&mut windowed, &mut spectrum).expect("lengths come from the plan");
        for (envelope, edges_hz) in envelopes.iter_mut().zip(EDGES_HZ.windows(2)) {
            let bins = (edges_hz[0] / bin_hz) as usize..(edges_hz[1] / bin_hz) as usize;
            let power: f64 = spectrum[bins].iter().map(|bin| bin.norm_sqr()).sum();
            envelope.push(power.powf(0.3));
        }
    }
    envelopes
}

/// `None` where too little overlaps.
fn mean_correlation(
    reference: &Envelopes,
    recording: &Envelopes,
    lag: isize,
    least_overlap: usize,
) -> Option<f64> {
    let skipped = lag.unsigned_abs();
    let mut sum = 0.0;
    for (reference, recording) in reference.iter().zip(recording) {
        let (reference, recording) = if lag >= 0 {
            (&reference[..], recording.get(skipped..)?)
        } else {
            (reference.get(skipped..)?, &recording[..])
        };
        let overlap = reference.len().min(recording.len());
        if overlap < least_overlap.max(2) {
            return None;
        }
        sum += pearson(&reference[..overlap], &recording[..overlap]);
    }
    Some(sum / BANDS as f64)
}

/// 0 where either does not vary.
pub(super) fn pearson(left: &[f64], right: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (left_mean, right_mean) = (mean(left), mean(right));
    let (mut product, mut left_energy, mut right_energy) = (0.0, 0.0, 0.0);
    for (a, b) in left.iter().zip(right) {
        let (a, b) = (a - left_mean, b - right_mean);
        product += a * b;
        left_energy += a * a;
        right_energy += b * b;
    }
    let scale = (left_energy * right_energy).sqrt();
    if scale < 1e-12 { 0.0 } else { product / scale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{mix, shared_audio, silence, speech_like, white_noise};

    #[test]
    fn speech_is_found_where_its_waveform_was_destroyed_and_its_sound_was_not() {
        let reference = speech_like(1, -26.0, 6.0);
        // An all-pass chain: every phase turned, every magnitude kept.
        let mut recording = [silence(0.32), reference.clone()].concat();
        for coefficient in [0.9f32, -0.8, 0.85, 0.7, -0.9] {
            let (mut x1, mut y1) = (0.0, 0.0);
            for sample in &mut recording {
                let y = coefficient * (*sample - y1) + x1;
                (x1, y1) = (*sample, y);
                *sample = y;
            }
        }
        let alignment = align_envelopes(&reference, &recording, 2000);
        assert!((alignment.delay_samples - 32 * 480).abs() <= 480, "{alignment:?}");
        assert!(alignment.correlation > 0.95, "{alignment:?}");
    }

    #[test]
    fn another_talker_noise_and_silence_do_not_correlate() {
        let reference = speech_like(1, -26.0, 6.0);
        for other in [speech_like(2, -26.0, 6.0), white_noise(3, -26.0, 6.0), silence(6.0)] {
            let alignment = align_envelopes(&reference, &other, 500);
            assert!(alignment.correlation < 0.5, "{alignment:?}");
        }
    }

    #[test]
    fn real_talkers_are_told_apart() {
        let clips = ["f1", "f2", "f3", "m1", "m2", "m3"]
            .map(|clip| shared_audio(&format!("audio/clean/{clip}.flac")));
        let clips: Vec<Vec<f32>> = clips.into_iter().flatten().collect();
        if clips.is_empty() {
            return eprintln!("skipped: no developers' audio set (FOLDBACK_SHARED)");
        }
        for (spoken, reference) in clips.iter().enumerate() {
            let recording = mix(&[reference, &white_noise(1, -60.0, 5.0)]);
            let own = align_envelopes(reference, &recording, 1000).correlation;
            assert!(own > 0.8, "clip {spoken} and itself in noise: {own}");
            for (other, clip) in clips.iter().enumerate().filter(|(other, _)| *other != spoken) {
                let correlation = align_envelopes(reference, clip, 1000).correlation;
                assert!(correlation < 0.45, "clips {spoken} and {other}: {correlation}");
            }
        }
    }

    #[test]
    fn a_recording_with_half_of_it_missing_correlates_less() {
        let reference = speech_like(1, -26.0, 6.0);
        let mut holed = reference.clone();
        holed.chunks_mut(4800).step_by(2).for_each(|chunk| chunk.fill(0.0));
        let alignment = align_envelopes(&reference, &holed, 500);
        assert!(alignment.correlation < 0.8, "{alignment:?}");
    }
}
