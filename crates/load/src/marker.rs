//! A sound that is found again in a mix: by it mouth-to-ear delay is measured.

use std::f64::consts::{PI, TAU};
use std::time::Duration;

/// From the beginning of one to that of the next.
pub(crate) const EVERY: Duration = Duration::from_secs(2);
/// Within the time of [`EVERY`]; what is before and after in the voice makes room for it.
pub(crate) const BEGINS_AT: Duration = Duration::from_millis(100);
/// How long it is.
pub(crate) const LASTS: Duration = Duration::from_millis(80);
/// It is looked for so long after it was sent.
pub(crate) const LATEST: Duration = Duration::from_millis(700);

/// The rate at which it is looked for, in Hz: it has nothing above 3 kHz.
pub(crate) const SEARCH_RATE_HZ: u32 = 8_000;

const FROM_HZ: f64 = 600.0;
const TO_HZ: f64 = 3_000.0;
/// Some dB louder than a voice, so that several that talk over it do not hide it.
const PEAK: f64 = 0.4;
/// Of the sound in its place so much must be the marker: a share of amplitudes. Noise and voices
/// reach 0.3 by chance.
const LEAST_LIKENESS: f64 = 0.45;

/// A sweep from 600 Hz to 3 kHz that comes and goes softly.
pub(crate) fn samples(rate_hz: u32) -> Vec<f32> {
    sweep(rate_hz, f64::sin).map(|sample| (PEAK * sample) as f32).collect()
}

/// The sweep, with `wave` of its phase.
fn sweep(rate_hz: u32, wave: fn(f64) -> f64) -> impl Iterator<Item = f64> {
    let rate_hz = f64::from(rate_hz);
    let lasts_s = LASTS.as_secs_f64();
    let count = (lasts_s * rate_hz).round() as usize;
    (0..count).map(move |n| {
        let time_s = n as f64 / rate_hz;
        let phase = TAU * (FROM_HZ + (TO_HZ - FROM_HZ) * time_s / lasts_s / 2.0) * time_s;
        let window = (PI * time_s / lasts_s).sin().powi(2);
        window * wave(phase)
    })
}

/// Looks for markers in sound of [`SEARCH_RATE_HZ`].
#[derive(Debug)]
pub(crate) struct Finder {
    /// The sweep and the same a quarter of a period on, each of energy 1: together they find it
    /// whatever filters did to its phase.
    sine: Vec<f32>,
    cosine: Vec<f32>,
}

impl Finder {
    pub(crate) fn new() -> Self {
        Self { sine: normal(f64::sin), cosine: normal(f64::cos) }
    }

    /// Where in `sound` the marker begins, in samples.
    pub(crate) fn find(&self, sound: &[f32]) -> Option<usize> {
        let windows = sound.windows(self.sine.len()).enumerate();
        let likeness = |window: &[f32]| {
            let energy = dot(window, window);
            // Of silence nothing can be told, nor of what is quieter than any marker.
            let audible = energy > 1e-6 * window.len() as f32;
            let found = dot(window, &self.sine).hypot(dot(window, &self.cosine));
            if audible { f64::from(found / energy.sqrt()) } else { 0.0 }
        };
        let likely = windows.map(|(at, window)| (at, likeness(window)));
        let best = likely.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        (best.1 >= LEAST_LIKENESS).then_some(best.0)
    }
}

fn normal(wave: fn(f64) -> f64) -> Vec<f32> {
    let sweep: Vec<f64> = sweep(SEARCH_RATE_HZ, wave).collect();
    let energy: f64 = sweep.iter().map(|sample| sample * sample).sum();
    sweep.iter().map(|sample| (sample / energy.sqrt()) as f32).collect()
}

/// In lanes, so that the compiler may use what the processor has for several at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Harmonics of a pitch, loud and quiet four times a second: as a voice to a correlator.
    fn voice(pitch_hz: f32, rms: f32) -> Vec<f32> {
        let sample = |n: usize| {
            let time_s = n as f32 / SEARCH_RATE_HZ as f32;
            let harmonics = (1..=12).map(|k| (TAU as f32 * pitch_hz * k as f32 * time_s).sin());
            let syllable = 0.6 + 0.4 * (TAU as f32 * 4.0 * time_s).sin();
            syllable * harmonics.sum::<f32>()
        };
        let voice: Vec<f32> = (0..6_000).map(sample).collect();
        let found = (dot(&voice, &voice) / voice.len() as f32).sqrt();
        voice.iter().map(|sample| sample * rms / found).collect()
    }

    #[test]
    fn a_marker_is_found_to_the_sample_among_talkers() {
        let talkers = [voice(113.0, 0.05), voice(171.0, 0.05), voice(204.0, 0.05)];
        for at in [0, 1_111, 5_360] {
            let mut sound: Vec<f32> =
                (0..6_000).map(|n| talkers.iter().map(|t| t[n]).sum()).collect();
            for (sample, marker) in sound[at..].iter_mut().zip(samples(SEARCH_RATE_HZ)) {
                *sample -= 0.5 * marker;
            }
            let found = Finder::new().find(&sound).expect("it is there");
            assert!(found.abs_diff(at) <= 1, "at {at}, found at {found}");
        }
    }

    #[test]
    fn no_marker_is_found_where_there_is_none() {
        let finder = Finder::new();
        assert_eq!(finder.find(&voice(120.0, 0.05)), None);
        assert_eq!(finder.find(&vec![0.0; 6_000]), None);
        assert_eq!(finder.find(&[]), None);
        let mut random = 1_u32;
        let noise: Vec<f32> = (0..6_000)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 8) as f32 / (1 << 25) as f32 - 0.25
            })
            .collect();
        assert_eq!(finder.find(&noise), None);
    }
}
