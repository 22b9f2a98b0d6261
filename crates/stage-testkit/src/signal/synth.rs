use std::f64::consts::TAU;

use foldback_stage::SAMPLE_RATE_HZ;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::{amplitude, samples};
use crate::measure::rms_dbfs;

const RATE_HZ: f64 = SAMPLE_RATE_HZ as f64;

/// A sine wave whose peak is at `level_dbfs`.
#[must_use]
pub fn tone(frequency_hz: f64, level_dbfs: f64, seconds: f64) -> Vec<f32> {
    let peak = amplitude(level_dbfs);
    (0..samples(seconds))
        .map(|n| (peak * (TAU * (frequency_hz * n as f64 / RATE_HZ).fract()).sin()) as f32)
        .collect()
}

/// Digital silence.
#[must_use]
pub fn silence(seconds: f64) -> Vec<f32> {
    vec![0.0; samples(seconds)]
}

/// White noise, evenly distributed, with an rms of `rms_dbfs`.
#[must_use]
pub fn white_noise(seed: u64, rms_dbfs: f64, seconds: f64) -> Vec<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let noise = (0..samples(seconds)).map(|_| random.random_range(-1.0..1.0f32)).collect();
    to_rms(noise, rms_dbfs)
}

/// Pink noise (-3 dB per octave) with an rms of `rms_dbfs`.
///
/// Paul Kellet's "economy" filter, good to ±0.5 dB above 10 Hz
/// (<https://www.firstpr.com.au/dsp/pink-noise/>).
#[must_use]
pub fn pink_noise(seed: u64, rms_dbfs: f64, seconds: f64) -> Vec<f32> {
    let mut slow = [0.0f32; 3];
    let pink = white_noise(seed, -10.0, seconds)
        .into_iter()
        .map(|white| {
            slow[0] = 0.99765 * slow[0] + white * 0.099_046;
            slow[1] = 0.963 * slow[1] + white * 0.296_516_4;
            slow[2] = 0.57 * slow[2] + white * 1.052_691_3;
            slow.iter().sum::<f32>() + white * 0.1848
        })
        .collect();
    to_rms(pink, rms_dbfs)
}

/// Something that codecs, voice detectors and mixers take for a talker: phrases of four syllables
/// a second, voiced (harmonics of a gliding pitch under three formants) or hissing, with pauses
/// between the phrases. Two seeds give two voices. The rms over all of it, pauses included, is
/// `rms_dbfs`.
#[must_use]
pub fn speech_like(seed: u64, rms_dbfs: f64, seconds: f64) -> Vec<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let pitch_hz = random.random_range(95.0..220.0);
    let mut voice = Vec::with_capacity(samples(seconds));
    while voice.len() < samples(seconds) {
        for _ in 0..random.random_range(4..10) {
            syllable(&mut random, pitch_hz, &mut voice);
        }
        voice.extend(silence(random.random_range(0.25..0.7)));
    }
    voice.truncate(samples(seconds));
    to_rms(voice, rms_dbfs)
}

/// The sum of signals, as long as the longest.
#[must_use]
pub fn mix(signals: &[&[f32]]) -> Vec<f32> {
    let mut sum = vec![0.0; signals.iter().map(|signal| signal.len()).max().unwrap_or(0)];
    for signal in signals {
        sum.iter_mut().zip(*signal).for_each(|(total, sample)| *total += sample);
    }
    sum
}

/// The same signal with another rms. Silence stays silence.
#[must_use]
pub fn to_rms(mut signal: Vec<f32>, rms_dbfs: f64) -> Vec<f32> {
    let gain = amplitude(rms_dbfs - self::rms_dbfs(&signal)) as f32;
    if signal.iter().any(|sample| *sample != 0.0) {
        signal.iter_mut().for_each(|sample| *sample *= gain);
    }
    signal
}

fn syllable(random: &mut Xoshiro256PlusPlus, pitch_hz: f64, voice: &mut Vec<f32>) {
    let length = samples(random.random_range(0.15..0.3));
    if random.random_bool(0.4) {
        hiss(random, length / 3, voice);
    }
    let formants_hz = [
        random.random_range(300.0..800.0),
        random.random_range(900.0..2200.0),
        random.random_range(2400.0..3200.0),
    ];
    let (from_hz, to_hz) =
        (pitch_hz * random.random_range(0.9..1.15), pitch_hz * random.random_range(0.85..1.05));
    let strengths = harmonic_strengths(pitch_hz, formants_hz);
    let mut phase = 0.0;
    for n in 0..length {
        let place = n as f64 / length as f64;
        phase = (phase + (from_hz + (to_hz - from_hz) * place) / RATE_HZ).fract();
        let sum: f64 = strengths
            .iter()
            .enumerate()
            .map(|(index, strength)| strength * (TAU * phase * (index + 1) as f64).sin())
            .sum();
        voice.push((0.2 * swell(place) * sum) as f32);
    }
}

fn hiss(random: &mut Xoshiro256PlusPlus, length: usize, voice: &mut Vec<f32>) {
    let mut previous = 0.0f32;
    for n in 0..length {
        let white = random.random_range(-1.0..1.0f32);
        let swell = swell(n as f64 / length as f64) as f32;
        voice.push(0.05 * swell * (white - previous));
        previous = white;
    }
}

/// How strong each harmonic is below 4 kHz: a fall of 6 dB per octave, raised at the formants.
fn harmonic_strengths(pitch_hz: f64, formants_hz: [f64; 3]) -> Vec<f64> {
    (1..)
        .map(|harmonic| pitch_hz * f64::from(harmonic))
        .take_while(|frequency_hz| *frequency_hz < 4000.0)
        .map(|frequency_hz| {
            let raised: f64 = formants_hz
                .iter()
                .map(|formant_hz| 1.0 / (1.0 + ((frequency_hz - formant_hz) / 100.0).powi(2)))
                .sum();
            pitch_hz / frequency_hz * (0.1 + 3.0 * raised)
        })
        .collect()
}

/// From 0 up to 1 and back to 0 over `place` from 0 to 1, without a corner at either end.
fn swell(place: f64) -> f64 {
    (std::f64::consts::PI * place).sin().powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{clicks, gaps, peak_dbfs, tone_dbfs};

    #[test]
    fn a_tone_peaks_at_its_level() {
        let signal = tone(1000.0, -12.0, 1.0);
        assert!((peak_dbfs(&signal) + 12.0).abs() < 0.01);
        assert!((rms_dbfs(&signal) + 15.01).abs() < 0.01);
    }

    #[test]
    fn the_same_seed_gives_the_same_signal_and_another_a_different_one() {
        for make in [white_noise, pink_noise, speech_like] {
            assert_eq!(make(7, -20.0, 0.5), make(7, -20.0, 0.5));
            assert_ne!(make(7, -20.0, 0.5), make(8, -20.0, 0.5));
        }
    }

    #[test]
    fn noise_and_speech_have_their_rms() {
        for make in [white_noise, pink_noise, speech_like] {
            assert!((rms_dbfs(&make(1, -26.0, 5.0)) + 26.0).abs() < 0.01);
        }
    }

    #[test]
    fn pink_noise_falls_by_three_db_per_octave_where_white_noise_is_flat() {
        let slope = |signal: &[f32]| {
            let band = |low_hz: f64| -> f64 {
                (0..40)
                    .map(|n| {
                        let frequency_hz = low_hz * (1.0 + f64::from(n) / 40.0);
                        10f64.powf(tone_dbfs(signal, frequency_hz) / 10.0)
                    })
                    .sum()
            };
            10.0 * (band(250.0) / band(4000.0)).log10() / 4.0
        };
        let pink = slope(&pink_noise(3, -20.0, 10.0));
        let white = slope(&white_noise(3, -20.0, 10.0));
        assert!((pink - 3.0).abs() < 0.8, "pink falls by {pink} dB per octave");
        assert!(white.abs() < 0.8, "white falls by {white} dB per octave");
    }

    #[test]
    fn speech_like_has_pauses_and_no_clicks() {
        let signal = speech_like(5, -26.0, 10.0);
        let pauses = gaps(&signal, -70.0, 200.0);
        assert!((3..30).contains(&pauses.len()), "{} pauses", pauses.len());
        assert_eq!(clicks(&signal), []);
        assert!(peak_dbfs(&signal) < 0.0);
    }

    #[test]
    fn a_mix_is_as_long_as_its_longest_part() {
        assert_eq!(mix(&[&[0.25, 0.5], &[0.25]]), [0.5, 0.5]);
    }
}
