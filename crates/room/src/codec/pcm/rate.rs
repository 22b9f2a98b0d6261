//! Between 48 kHz and a whole fraction of it: windowed-sinc filters in their polyphase form.

/// Samples at the lower rate that one at the higher is made of.
const TAPS: usize = 32;
/// Where the filter is down by half, as a share of the lower rate: a telephone's voice ends at 3.4 kHz of 8.
const CUTOFF: f64 = 0.475;
/// Of Kaiser's window: 70 dB.
const BETA: f64 = 6.76;

/// The filter at the higher rate, of sum 1.
fn filter(factor: usize) -> Vec<f32> {
    let length = TAPS * factor;
    let middle = (length - 1) as f64 / 2.0;
    let taps: Vec<f64> = (0..length)
        .map(|i| {
            let at = i as f64 - middle;
            let angle = std::f64::consts::TAU * CUTOFF / factor as f64 * at;
            let sinc = if at == 0.0 { 1.0 } else { angle.sin() / angle };
            let edge = at / (middle + 0.5);
            sinc * bessel(BETA * (1.0 - edge * edge).max(0.0).sqrt()) / bessel(BETA)
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| (tap / sum) as f32).collect()
}

/// The modified Bessel function of the first kind and order 0.
fn bessel(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    // Four sums at a time, which compilers turn into one instruction.
    let mut sums = [0.0; 4];
    for (a, b) in a.chunks_exact(4).zip(b.chunks_exact(4)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

/// To the higher rate. Delays by 16 samples of the lower one, if they differ.
pub(super) struct Upsampler {
    factor: usize,
    /// For each place between two samples of the lower rate its taps, the oldest first.
    phases: Vec<f32>,
    /// The last samples, and the new ones.
    line: Vec<f32>,
}

impl Upsampler {
    /// For so many samples at once. Allocates.
    pub(super) fn new(factor: usize, most: usize) -> Self {
        let taps = filter(factor);
        let tap = |phase: usize, k: usize| taps[phase + (TAPS - 1 - k) * factor] * factor as f32;
        let phases = (0..factor).flat_map(|phase| (0..TAPS).map(move |k| tap(phase, k)));
        Self { factor, phases: phases.collect(), line: vec![0.0; TAPS - 1 + most] }
    }

    /// Writes `factor` samples for each. Allocates nothing.
    pub(super) fn process(&mut self, sound: &[f32], out: &mut [f32]) {
        if self.factor == 1 {
            return out.copy_from_slice(sound);
        }
        self.line[TAPS - 1..][..sound.len()].copy_from_slice(sound);
        for (at, out) in out.chunks_exact_mut(self.factor).enumerate() {
            let past = &self.line[at..at + TAPS];
            for (out, phase) in out.iter_mut().zip(self.phases.chunks_exact(TAPS)) {
                *out = product(past, phase);
            }
        }
        self.line.copy_within(sound.len()..sound.len() + TAPS - 1, 0);
    }
}

/// To the lower rate. Delays by 16 samples of it, if they differ.
pub(super) struct Downsampler {
    factor: usize,
    taps: Vec<f32>,
    line: Vec<f32>,
}

impl Downsampler {
    /// For so many samples at once. Allocates.
    pub(super) fn new(factor: usize, most: usize) -> Self {
        let taps = filter(factor);
        let line = vec![0.0; taps.len() + most];
        Self { factor, taps, line }
    }

    /// Writes one sample for `factor`. Allocates nothing.
    pub(super) fn process(&mut self, sound: &[f32], out: &mut [f32]) {
        if self.factor == 1 {
            return out.copy_from_slice(&sound[..out.len()]);
        }
        let past = self.taps.len();
        self.line[past..][..sound.len()].copy_from_slice(sound);
        for (out, at) in out.iter_mut().zip((self.factor..).step_by(self.factor)) {
            *out = product(&self.line[at..at + past], &self.taps);
        }
        self.line.copy_within(sound.len()..sound.len() + past, 0);
    }
}
