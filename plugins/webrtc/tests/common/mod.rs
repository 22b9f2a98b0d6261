//! Signals and measures for the tests of this crate.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this module")]

use foldback_stage::{BLOCK_SAMPLES, RawValue, SAMPLE_RATE_HZ, Stage, StageFormat, StageKind};
use foldback_stage_testkit::stages;

pub const SECOND: usize = SAMPLE_RATE_HZ as usize;

/// A mono stage of `kind` with some parameters set.
pub fn stage(kind: &StageKind, set: &[(&str, RawValue<'_>)]) -> Box<dyn Stage> {
    stages::build(kind, StageFormat::MONO, set)
}

/// Takes whole blocks of `input` through the stage, with nothing played to the participant.
pub use foldback_stage_testkit::stages::run;

/// White noise in ±1 from a seed.
pub struct Noise(pub u32);

impl Iterator for Noise {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0)
    }
}

/// White noise at `level_dbfs` (RMS).
pub fn noise(seed: u32, level_dbfs: f32, samples: usize) -> Vec<f32> {
    at_level(Noise(seed).take(samples).collect(), level_dbfs)
}

/// Something that speech detectors take for speech: a voiced source with a moving pitch through
/// three moving formants, in syllables of about 230 ms with pauses, at `level_dbfs` (RMS over all).
pub fn speech_like(seed: u32, level_dbfs: f32, samples: usize) -> Vec<f32> {
    let mut formants = [Resonator::default(); 3];
    let mut random = Noise(seed);
    let vowels = [[730.0, 1090.0, 2440.0], [270.0, 2290.0, 3010.0], [300.0, 870.0, 2240.0]];
    let mut vowel = vowels[0];
    let mut phase = 0.0f32;
    let mut voice = Vec::with_capacity(samples);
    // Two voices must not share their rhythm or melody, or one passes for the other's echo.
    let syllable = SECOND / 5 + (seed as usize * 613) % 3000;
    let base_hz = 100.0 + ((seed * 29) % 70) as f32;
    let melody = 1.5 + ((seed * 17) % 10) as f32 / 10.0;
    for n in 0..samples {
        let within = (n % syllable) as f32 / syllable as f32;
        let pause = (n / syllable) % 7 == 6;
        if n % syllable == 0 {
            vowel = vowels[((random.by_ref().next().unwrap_or(0.0) + 1.0) * 1.49) as usize];
        }
        let seconds = n as f32 / SECOND as f32;
        let pitch_hz =
            base_hz + 25.0 * (seconds * melody).sin() + 15.0 * (seconds * 3.5 * melody).sin();
        phase += pitch_hz / SECOND as f32;
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase = phase.fract();
        let breath = 0.02 * random.by_ref().next().unwrap_or(0.0);
        let envelope = if pause { 0.0 } else { (std::f32::consts::PI * within).sin().powf(0.7) };
        let source = (pulse + breath) * envelope;
        let out = formants
            .iter_mut()
            .zip(vowel)
            .zip([1.0, 0.5, 0.25])
            .map(|((f, hz), weight)| weight * f.run(source, hz, 90.0))
            .sum();
        voice.push(out);
    }
    at_level(voice, level_dbfs)
}

#[derive(Clone, Copy, Default)]
struct Resonator {
    y1: f32,
    y2: f32,
}

impl Resonator {
    fn run(&mut self, x: f32, centre_hz: f32, width_hz: f32) -> f32 {
        let r = (-std::f32::consts::PI * width_hz / SECOND as f32).exp();
        let w = std::f32::consts::TAU * centre_hz / SECOND as f32;
        let y = x + 2.0 * r * w.cos() * self.y1 - r * r * self.y2;
        (self.y2, self.y1) = (self.y1, y);
        y
    }
}

/// Scales to an RMS level.
pub fn at_level(mut signal: Vec<f32>, level_dbfs: f32) -> Vec<f32> {
    let factor = 10f32.powf((level_dbfs - level(&signal)) / 20.0);
    signal.iter_mut().for_each(|s| *s *= factor);
    signal
}

/// RMS level in dBFS.
pub fn level(signal: &[f32]) -> f32 {
    let energy: f64 = signal.iter().map(|s| f64::from(*s).powi(2)).sum();
    (10.0 * (energy / signal.len() as f64 + 1e-20).log10()) as f32
}

/// RMS level over the 10 ms blocks that are not pauses (within 25 dB of the loudest).
pub fn active_level(signal: &[f32]) -> f32 {
    let levels: Vec<f32> = signal.chunks_exact(BLOCK_SAMPLES).map(level).collect();
    let loudest = levels.iter().copied().fold(f32::MIN, f32::max);
    let active: Vec<f32> = signal
        .chunks_exact(BLOCK_SAMPLES)
        .zip(&levels)
        .filter(|(_, l)| **l > loudest - 25.0)
        .flat_map(|(b, _)| b.iter().copied())
        .collect();
    level(&active)
}

/// The delay in 0..`most` samples at which `output` is most like `input`, and the correlation
/// coefficient there.
pub fn delay_between(input: &[f32], output: &[f32], most: usize) -> (usize, f32) {
    let n = input.len().min(output.len()) - most;
    let correlation = |lag: usize| {
        let (mut xy, mut xx, mut yy) = (0.0f64, 0.0f64, 0.0f64);
        for (x, y) in input[..n].iter().zip(&output[lag..lag + n]) {
            xy += f64::from(*x) * f64::from(*y);
            xx += f64::from(*x).powi(2);
            yy += f64::from(*y).powi(2);
        }
        (xy / (xx * yy).sqrt().max(1e-20)) as f32
    };
    (0..most)
        .map(|lag| (lag, correlation(lag)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0, 0.0))
}
