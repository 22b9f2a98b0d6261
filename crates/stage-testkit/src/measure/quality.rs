use std::f64::consts::PI;

use foldback_stage::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};
use realfft::RealFftPlanner;

use super::envelope::pearson;

/// Frames of the clean signal more than 40 dB below its loudest one are pauses.
const ACTIVE_RANGE: f64 = 1e-4;

const STOI_RATE_HZ: f64 = 10_000.0;
const STOI_FRAME: usize = 256;
const STOI_HOP: usize = STOI_FRAME / 2;
const STOI_FFT: usize = 512;
/// Third-octave bands, the lowest of them around 150 Hz, the highest around 3.8 kHz.
const STOI_BANDS: i32 = 15;
const LOWEST_BAND_HZ: f64 = 150.0;
/// What is correlated at a time: 384 ms.
const SEGMENT_FRAMES: usize = 30;
/// The most that noise may add to a frame, in dB above the clean one: beyond, it is as bad.
const CLIP_DB: f64 = 15.0;

/// How intelligible speech still is, up to 1 for the clean signal itself: the short-time objective
/// intelligibility (STOI) of Taal, Hendriks, Heusdens and Jensen, "An Algorithm for
/// Intelligibility Prediction of Time-Frequency Weighted Noisy Speech", IEEE Transactions on
/// Audio, Speech, and Language Processing 19(7), 2011.
///
/// It is the mean correlation of the envelopes of both in 15 third-octave bands, over 384 ms at a
/// time; a negative one is given as 0. Both signals are 48 kHz, speech of several seconds, and
/// aligned by the caller, such as with [`align`](super::align). The value is that of the Python
/// package pystoi 0.4.1 to within 0.001.
///
/// For scale, recorded speech under white noise has 0.99 at an SNR of 20 dB, 0.95 at 10, 0.83 at 0
/// and 0.68 at -10; with a fifth of its 20 ms packets silenced, 0.86. The bottom is not 0: steady
/// noise with no speech in it still has 0.4. The paper maps values to words understood per corpus
/// only, so compare them for the same clean signal.
///
/// It does not notice level and fixed equalisation; anything above 4.3 kHz or below 130 Hz, so
/// narrowband speech is as good as wideband; what happens in the pauses of the clean signal, such
/// as residual noise and echo; clicks and roughness that leave the envelopes alone. It says little
/// about how pleasant speech is. A late signal is a degraded one: 1 ms costs 0.002, 5 ms
/// 0.05, 20 ms 0.3, and 100 ms leaves less than 0.1; stretching time costs as much as the lag that
/// it builds up.
///
/// # Panics
/// If the lengths differ, or less than 0.4 s of the clean signal is active: within 40 dB of its
/// loudest frame (25.6 ms).
#[must_use]
pub fn stoi(clean: &[f32], degraded: &[f32]) -> f64 {
    assert_same_length(clean, degraded);
    let (clean, degraded) = without_pauses(&to_stoi_rate(clean), &to_stoi_rate(degraded));
    let (clean, degraded) = (third_octaves(&clean), third_octaves(&degraded));
    let mut correlations = Vec::new();
    for (clean, degraded) in clean.iter().zip(&degraded) {
        let segments = clean.windows(SEGMENT_FRAMES).zip(degraded.windows(SEGMENT_FRAMES));
        correlations.extend(segments.map(|(clean, degraded)| intelligibility(clean, degraded)));
    }
    assert!(!correlations.is_empty(), "less than 0.4 s of the clean signal is active");
    (correlations.iter().sum::<f64>() / correlations.len() as f64).clamp(0.0, 1.0)
}

/// How far the spectrum of a signal is from that of the clean one, in dB: 0 is the same, and a
/// gain of 6 dB is at most 6.
///
/// Both are 48 kHz and aligned by the caller: 1 ms late is 2 dB off. The distance of a frame of
/// 20 ms is the rms of the differences of its bins (every 50 Hz from 100 Hz to 8 kHz) in dB; this
/// is the mean over the frames in which the clean signal is active, within 40 dB of its loudest
/// one. A bin more than 60 dB below the mean bin of the loudest frame counts as if it were at
/// -60 dB, so that silence has a distance too.
///
/// It notices what [`stoi`] does not: level, equalisation and lost bandwidth. But it weighs bins
/// that are hardly heard like all others, and noise more than holes: white noise at an SNR of 20 dB
/// has 9 to 12 dB, a fifth of the packets silenced 5 dB. Compare degradations of one kind only. It
/// is blind to phase, to the pauses and to what is above 8 kHz.
///
/// # Panics
/// If the lengths differ, or the clean signal is silent or not longer than 20 ms.
#[must_use]
pub fn log_spectral_distance_db(clean: &[f32], degraded: &[f32]) -> f64 {
    const FRAME: usize = 2 * BLOCK_SAMPLES;
    assert_same_length(clean, degraded);
    let powers = |signal: &[f32]| {
        let signal: Vec<f64> = signal.iter().map(|sample| f64::from(*sample)).collect();
        // 50 Hz a bin.
        let mut spectra = power_spectra(frames(&signal, FRAME, BLOCK_SAMPLES), FRAME);
        spectra.iter_mut().for_each(|spectrum| *spectrum = spectrum[2..=160].to_vec());
        spectra
    };
    let (clean, degraded) = (powers(clean), powers(degraded));
    let means: Vec<f64> =
        clean.iter().map(|bins| bins.iter().sum::<f64>() / bins.len() as f64).collect();
    let floor = 1e-6 * means.iter().copied().fold(0.0, f64::max);
    let active = active_frames(&means);
    assert!(!active.is_empty(), "the clean signal is silent or not longer than 20 ms");
    let distance_db = |frame: &usize| {
        let bins = clean[*frame].iter().zip(&degraded[*frame]);
        let squares = bins.map(|(a, b)| (10.0 * (b.max(floor) / a.max(floor)).log10()).powi(2));
        (squares.sum::<f64>() / clean[*frame].len() as f64).sqrt()
    };
    active.iter().map(distance_db).sum::<f64>() / active.len() as f64
}

fn assert_same_length(clean: &[f32], degraded: &[f32]) {
    let (clean, degraded) = (clean.len(), degraded.len());
    assert!(clean == degraded, "{clean} clean samples, {degraded} degraded: align and cut them");
}

/// The correlation of two segments of a band, after the degraded one is brought to the level of
/// the clean one and clipped where it exceeds it (equations 3 to 5 of the paper).
fn intelligibility(clean: &[f64], degraded: &[f64]) -> f64 {
    let norm = |segment: &[f64]| segment.iter().map(|value| value * value).sum::<f64>().sqrt();
    let (clean_norm, degraded_norm) = (norm(clean), norm(degraded));
    if clean_norm == 0.0 || degraded_norm == 0.0 {
        return 0.0;
    }
    let most = 1.0 + 10f64.powf(CLIP_DB / 20.0);
    let clean: Vec<f64> = clean.iter().map(|value| value / clean_norm).collect();
    let clipped: Vec<f64> = degraded
        .iter()
        .zip(&clean)
        .map(|(value, clean)| (value / degraded_norm).min(clean * most))
        .collect();
    pearson(&clean, &clipped)
}

/// Both signals without the frames in which the clean one pauses, joined by overlapping.
fn without_pauses(clean: &[f64], degraded: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let clean = frames(clean, STOI_FRAME, STOI_HOP);
    let degraded = frames(degraded, STOI_FRAME, STOI_HOP);
    let energies: Vec<f64> =
        clean.iter().map(|frame| frame.iter().map(|sample| sample * sample).sum()).collect();
    let active = active_frames(&energies);
    let joined = |frames: &[Vec<f64>]| {
        let mut signal = vec![0.0; (active.len() + 1) * STOI_HOP];
        for (place, frame) in active.iter().enumerate() {
            let to = &mut signal[place * STOI_HOP..][..STOI_FRAME];
            to.iter_mut().zip(&frames[*frame]).for_each(|(sum, sample)| *sum += sample);
        }
        signal
    };
    (joined(&clean), joined(&degraded))
}

fn active_frames(energies: &[f64]) -> Vec<usize> {
    let loudest = energies.iter().copied().fold(0.0, f64::max);
    (0..energies.len()).filter(|frame| energies[*frame] > ACTIVE_RANGE * loudest).collect()
}

/// The amplitude of each third-octave band by frame (equation 1 of the paper).
fn third_octaves(signal: &[f64]) -> Vec<Vec<f64>> {
    let spectra = power_spectra(frames(signal, STOI_FRAME, STOI_HOP), STOI_FFT);
    let bin = |frequency_hz: f64| (frequency_hz * STOI_FFT as f64 / STOI_RATE_HZ).round() as usize;
    (0..STOI_BANDS)
        .map(|band| {
            let edge = |sixths: i32| bin(LOWEST_BAND_HZ * 2f64.powf(f64::from(sixths) / 6.0));
            let bins = edge(2 * band - 1)..edge(2 * band + 1);
            spectra.iter().map(|bands| bands[bins.clone()].iter().sum::<f64>().sqrt()).collect()
        })
        .collect()
}

/// The frames of a signal under a Hann window. A frame that ends with the signal is left out, as
/// the authors of STOI do.
pub(super) fn frames(signal: &[f64], length: usize, hop: usize) -> Vec<Vec<f64>> {
    let window: Vec<f64> =
        (1..=length).map(|n| (PI * n as f64 / (length + 1) as f64).sin().powi(2)).collect();
    signal[..signal.len().saturating_sub(1)]
        .windows(length)
        .step_by(hop)
        .map(|frame| frame.iter().zip(&window).map(|(sample, weight)| sample * weight).collect())
        .collect()
}

pub(super) fn power_spectra(frames: Vec<Vec<f64>>, fft_length: usize) -> Vec<Vec<f64>> {
    let forward = RealFftPlanner::<f64>::new().plan_fft_forward(fft_length);
    let mut spectrum = forward.make_output_vec();
    frames
        .into_iter()
        .map(|mut frame| {
            frame.resize(fft_length, 0.0);
            forward.process(&mut frame, &mut spectrum).expect("lengths come from the plan");
            spectrum.iter().map(|bin| bin.norm_sqr()).collect()
        })
        .collect()
}

/// Resamples from 48 kHz to 10 kHz, by 5/24, with a sinc under a Blackman window of 10 ms: flat to
/// 4.4 kHz, beyond which no band reaches, and what would alias into a band is 70 dB down.
fn to_stoi_rate(signal: &[f32]) -> Vec<f64> {
    const UP: usize = 5;
    const DOWN: usize = 24;
    const REACH: usize = 240;
    const CUTOFF_HZ: f64 = 4750.0;
    // An output sample is at one of five places between two input samples.
    let kernels: Vec<Vec<f64>> = (0..UP)
        .map(|place| {
            let taps = (0..=2 * REACH).map(|tap| {
                let distance = tap as f64 - REACH as f64 - place as f64 / UP as f64;
                let turn = PI * distance / (REACH + 1) as f64;
                let window = 0.42 + 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos();
                let pass = 2.0 * CUTOFF_HZ / f64::from(SAMPLE_RATE_HZ);
                let phase = PI * pass * distance;
                window * pass * if phase == 0.0 { 1.0 } else { phase.sin() / phase }
            });
            taps.collect()
        })
        .collect();
    let padded: Vec<f64> = std::iter::repeat_n(0.0, REACH)
        .chain(signal.iter().map(|sample| f64::from(*sample)))
        .chain(std::iter::repeat_n(0.0, REACH))
        .collect();
    (0..(signal.len() * UP).div_ceil(DOWN))
        .map(|n| {
            let around = &padded[n * DOWN / UP..];
            around.iter().zip(&kernels[n * DOWN % UP]).map(|(sample, tap)| sample * tap).sum()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{mix, shared_audio, silence, speech_like, to_rms, tone, white_noise};

    #[test]
    fn stoi_of_generated_signals_is_that_of_pystoi() {
        // Made without chance, so that pystoi 0.4.1 can be given the very same.
        let seconds = 2.0;
        let voices = [(300.0, 3.0), (600.0, 4.0), (1200.0, 5.0), (2400.0, 6.0), (3600.0, 7.0)];
        let clean = voices.map(|(frequency_hz, swells_hz)| {
            let (carrier, swell) =
                (tone(frequency_hz, 0.0, seconds), tone(swells_hz, 0.0, seconds));
            carrier.iter().zip(swell).map(|(x, swell)| 0.05 * (1.0 + swell) * x).collect::<Vec<_>>()
        });
        let clean = mix(&clean.each_ref().map(Vec::as_slice));
        let maskers = [320.0, 640.0, 1300.0, 2500.0, 3700.0]
            .map(|frequency_hz| tone(frequency_hz, 20.0 * 0.03f64.log10(), seconds));
        let masked = mix(&[&clean, &mix(&maskers.each_ref().map(Vec::as_slice))]);
        assert_near(stoi(&clean, &masked), 0.888_93, 0.001);
    }

    #[test]
    fn stoi_of_recordings_is_that_of_pystoi() {
        let recordings = [
            ("f1", "f1_babble_00dB", 0.675_93),
            ("m1", "m1_babble_05dB", 0.766_61),
            ("m2", "m2_mechanical_00dB", 0.903_82),
            ("f1", "f1_keyboard_15dB", 0.914_33),
        ];
        for (spoken, noisy, by_pystoi) in recordings {
            let clean = shared_audio(&format!("audio/clean/{spoken}.flac"));
            let noisy = shared_audio(&format!("audio/noisy/{noisy}.flac"));
            let (Some(clean), Some(noisy)) = (clean, noisy) else {
                return eprintln!("skipped: no developers' audio set (FOLDBACK_SHARED)");
            };
            // Half a second of noise comes first.
            let noisy = &noisy[24_000..];
            assert_near(stoi(&clean[..noisy.len()], noisy), by_pystoi, 0.001);
        }
    }

    #[test]
    fn speech_is_wholly_intelligible_at_any_level() {
        let clean = speech_like(1, -26.0, 4.0);
        for level_dbfs in [-90.0, -26.0, -10.0] {
            assert_near(stoi(&clean, &to_rms(clean.clone(), level_dbfs)), 1.0, 1e-6);
        }
    }

    #[test]
    fn the_louder_the_noise_the_less_is_intelligible() {
        let clean = speech_like(1, -26.0, 4.0);
        let at_snr = |snr_db| stoi(&clean, &mix(&[&clean, &white_noise(2, -26.0 - snr_db, 4.0)]));
        let values = [20.0, 10.0, 0.0, -10.0].map(at_snr);
        assert!(values[0] > 0.97, "{values:?}");
        assert!(values[3] < 0.75, "{values:?}");
        assert_falling(&values, 0.02);
    }

    #[test]
    fn the_more_frames_are_silenced_the_less_is_intelligible() {
        let clean = speech_like(1, -26.0, 4.0);
        let values = [0, 1, 2, 4, 6].map(|tenths| stoi(&clean, &with_holes(&clean, tenths)));
        assert_falling(&values, 0.03);
    }

    #[test]
    fn a_delay_of_a_few_samples_changes_hardly_anything_and_a_long_one_much() {
        let clean = speech_like(1, -26.0, 4.0);
        let noisy = mix(&[&clean, &white_noise(2, -36.0, 4.0)]);
        let delayed =
            |samples: usize| [vec![0.0; samples], noisy[..noisy.len() - samples].to_vec()].concat();
        let value = stoi(&clean, &noisy);
        assert_near(stoi(&clean, &delayed(5)), value, 0.002);
        assert!(stoi(&clean, &delayed(4800)) < value - 0.5);
    }

    #[test]
    fn another_talker_is_hardly_intelligible_and_silence_not_at_all() {
        let clean = speech_like(1, -26.0, 4.0);
        assert!(stoi(&clean, &speech_like(2, -26.0, 4.0)) < 0.4);
        assert_eq!(stoi(&clean, &silence(4.0)), 0.0);
    }

    #[test]
    fn what_is_above_the_bands_does_not_alias_into_them() {
        let clean = speech_like(1, -26.0, 4.0);
        for frequency_hz in [6000.0, 9000.0, 11_000.0, 19_000.0] {
            let whistled = mix(&[&clean, &tone(frequency_hz, -20.0, 4.0)]);
            assert_near(stoi(&clean, &whistled), 1.0, 0.001);
        }
    }

    #[test]
    fn noise_in_the_pauses_of_the_clean_signal_is_not_judged() {
        let spoken = speech_like(1, -26.0, 3.0);
        let clean = [spoken.clone(), silence(2.0)].concat();
        let noisy = [spoken, silence(0.1), white_noise(2, -26.0, 1.9)].concat();
        assert_near(stoi(&clean, &noisy), 1.0, 1e-6);
        assert_near(log_spectral_distance_db(&clean, &noisy), 0.0, 1e-6);
    }

    #[test]
    #[should_panic(expected = "192000 clean samples, 191999 degraded")]
    fn signals_of_different_lengths_are_refused() {
        let clean = speech_like(1, -26.0, 4.0);
        let _ = stoi(&clean, &clean[1..]);
    }

    #[test]
    #[should_panic(expected = "less than 0.4 s of the clean signal is active")]
    fn too_little_speech_to_judge_is_refused() {
        let clean = [tone(440.0, -20.0, 0.3), silence(2.0)].concat();
        let _ = stoi(&clean, &clean);
    }

    #[test]
    #[should_panic(expected = "the clean signal is silent")]
    fn a_distance_from_silence_is_refused() {
        let _ = log_spectral_distance_db(&silence(1.0), &white_noise(1, -20.0, 1.0));
    }

    #[test]
    fn a_change_of_level_is_as_far_as_it_is_strong() {
        let noise = white_noise(1, -20.0, 2.0);
        for level_dbfs in [-26.0, -20.0, -8.0] {
            let distance_db = log_spectral_distance_db(&noise, &to_rms(noise.clone(), level_dbfs));
            assert_near(distance_db, (level_dbfs + 20.0).abs(), 0.01);
        }
    }

    #[test]
    fn silence_is_a_finite_distance_from_speech() {
        let distance_db = log_spectral_distance_db(&speech_like(1, -26.0, 4.0), &silence(4.0));
        assert!((10.0..60.0).contains(&distance_db), "{distance_db}");
    }

    #[test]
    fn noise_and_holes_are_the_farther_from_speech_the_more_there_is() {
        let clean = speech_like(1, -26.0, 4.0);
        let noisy = [-30.0, -20.0, -10.0, 0.0].map(|noise_db: f64| {
            let noisy = mix(&[&clean, &white_noise(2, -26.0 + noise_db, 4.0)]);
            -log_spectral_distance_db(&clean, &noisy)
        });
        assert_falling(&noisy, 3.0);
        let holed = [0, 1, 2, 4, 6]
            .map(|tenths| -log_spectral_distance_db(&clean, &with_holes(&clean, tenths)));
        assert_falling(&holed, 1.0);
    }

    /// Without so many tenths of its 20 ms frames, spread evenly.
    fn with_holes(signal: &[f32], tenths: usize) -> Vec<f32> {
        let mut holed = signal.to_vec();
        let frames = holed.chunks_mut(960).enumerate();
        frames.filter(|(n, _)| n * 7 % 10 < tenths).for_each(|(_, frame)| frame.fill(0.0));
        holed
    }

    fn assert_near(value: f64, expected: f64, tolerance: f64) {
        assert!((value - expected).abs() < tolerance, "{value}, not {expected}");
    }

    fn assert_falling(values: &[f64], by_at_least: f64) {
        let falls = values.windows(2).all(|pair| pair[1] <= pair[0] - by_at_least);
        assert!(falls, "{values:?} do not fall by {by_at_least} each");
    }
}
