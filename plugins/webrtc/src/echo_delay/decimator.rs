//! From 48 kHz to the rate at which echo is looked for.

use std::f32::consts::{PI, TAU};

use foldback_stage::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};

/// 8 kHz: most of speech is below 4 kHz, and so is what small loudspeakers and codecs keep.
pub(super) const DECIMATION: usize = 6;

/// Samples of a block after it.
pub(super) const DECIMATED_BLOCK: usize = BLOCK_SAMPLES / DECIMATION;

const TAPS: usize = 60;
const CUTOFF_HZ: f32 = 3600.0;

/// How much of the sample before is taken off. Speech falls with frequency; what is flat shows a
/// sharper peak, and has less to leak over the edges of a frame.
const PRE_EMPHASIS: f32 = 0.9;

/// A windowed-sinc low-pass, kept for every sixth sample, and a pre-emphasis.
pub(super) struct Decimator {
    taps: [f32; TAPS],
    history: [f32; TAPS + BLOCK_SAMPLES],
    previous: f32,
}

impl Decimator {
    pub(super) fn new() -> Self {
        let cutoff = CUTOFF_HZ / SAMPLE_RATE_HZ as f32;
        let taps = std::array::from_fn(|n| {
            let from_middle = n as f32 - (TAPS - 1) as f32 / 2.0;
            let hann = 0.5 - 0.5 * (TAU * (n as f32 + 0.5) / TAPS as f32).cos();
            hann * (TAU * cutoff * from_middle).sin() / (PI * from_middle)
        });
        Self { taps, history: [0.0; TAPS + BLOCK_SAMPLES], previous: 0.0 }
    }

    pub(super) fn run(&mut self, input: &[f32; BLOCK_SAMPLES], output: &mut [f32]) {
        self.history.copy_within(BLOCK_SAMPLES.., 0);
        self.history[TAPS..].copy_from_slice(input);
        for (n, out) in output.iter_mut().enumerate() {
            let window = &self.history[(n + 1) * DECIMATION..][..TAPS];
            let low = dot(window, &self.taps);
            *out = low - PRE_EMPHASIS * self.previous;
            self.previous = low;
        }
    }
}

/// Four sums side by side, which compilers turn into vector instructions.
fn dot(left: &[f32], right: &[f32; TAPS]) -> f32 {
    let mut sums = [0.0; 4];
    for (left, right) in left.chunks_exact(4).zip(right.chunks_exact(4)) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums.iter().sum()
}
