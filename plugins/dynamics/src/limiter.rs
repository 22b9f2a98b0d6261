//! `limiter`: a look-ahead limiter that no sample passes.
//!
//! For each sample the gain that would bring it to the ceiling is known; the least of them over
//! the look-ahead is held, rises back exponentially, and is then smoothed by two box filters in
//! series whose lengths together are the look-ahead. The smoothed gain at the moment a peak leaves
//! the delay line is an average of values each of which already is low enough for that peak, so
//! the ceiling holds by construction and the gain curve has no corner that could crackle.
//!
//! The ceiling that holds for a sample is the one of the moment it came in. So a lower one takes
//! hold a look-ahead after it was asked for, as smoothly as a peak would.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, ParamSpec, Params, Ramp, Stage,
    StageFormat, StageKind, StageReport, amplitude_to_db, db_to_amplitude, ms_to_samples,
};

use crate::sliding_min::SlidingMin;
use crate::without_subnormals;

const CEILING_DBFS: ParamSpec = ParamSpec::float(
    "ceiling_dbfs",
    "dBFS",
    -30.0,
    0.0,
    -1.0,
    "The sample peak that is never exceeded.",
)
.live();

const LOOKAHEAD_MS: ParamSpec = ParamSpec::float(
    "lookahead_ms",
    "ms",
    1.0,
    10.0,
    5.0,
    "How long before a peak the gain begins to fall; this is also the delay.",
);

const RELEASE_MS: ParamSpec = ParamSpec::float(
    "release_ms",
    "ms",
    10.0,
    1000.0,
    100.0,
    "Time constant of the gain's return after a peak.",
)
.live();

/// `{ kind = "limiter", ceiling_dbfs = -1, lookahead_ms = 5, release_ms = 100 }`
pub const KIND: StageKind = StageKind {
    name: "limiter",
    about: "Look-ahead limiter: keeps every sample below a ceiling; stereo channels are linked.",
    params: &[CEILING_DBFS, LOOKAHEAD_MS, RELEASE_MS],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let delay = ms_to_samples(params.float(&LOOKAHEAD_MS)).round() as usize;
    let first = delay / 2 + 1;
    Ok(Box::new(Limiter {
        ceiling: Ramp::new(db_to_amplitude(params.float(&CEILING_DBFS))),
        release: release(params),
        held: SlidingMin::new(delay + 1),
        released: 1.0,
        smooth: [BoxFilter::new(first), BoxFilter::new(delay + 2 - first)],
        unity_samples: delay + 2,
        delayed: vec![vec![0.0; delay]; format.channels],
        block_min_gain: 1.0,
    }))
}

/// Share of the way back to the held gain that is gone in one sample.
fn release(params: &Params) -> f64 {
    1.0 - (-1.0 / f64::from(ms_to_samples(params.float(&RELEASE_MS)))).exp()
}

#[derive(Clone)]
struct Limiter {
    ceiling: Ramp,
    release: f64,
    held: SlidingMin,
    /// In `f64`, or a slow release would stand still before it arrives.
    released: f64,
    smooth: [BoxFilter; 2],
    /// For how many samples `released` has been 1; counted until `smooth` holds nothing else.
    unity_samples: usize,
    /// What each channel still owes, as long as the look-ahead.
    delayed: Vec<Vec<f32>>,
    block_min_gain: f32,
}

impl Stage for Limiter {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        let peaks = linked_peaks(block);
        for (plane, delayed) in block.planes_mut().zip(&mut self.delayed) {
            plane.rotate_right(delayed.len());
            plane[..delayed.len()].swap_with_slice(delayed);
        }
        self.block_min_gain = 1.0;
        if self.is_at_rest() && self.ceiling.steady().is_some_and(|c| is_within(&peaks, c)) {
            return;
        }
        let gains = peaks.map(|peak| self.gain(peak));
        for plane in block.planes_mut() {
            for (sample, gain) in plane.iter_mut().zip(&gains) {
                *sample = without_subnormals(*sample * gain);
            }
        }
    }

    fn delay_samples(&self) -> usize {
        self.delayed[0].len()
    }

    fn warm_up_blocks(&self) -> usize {
        let release_samples = 1.0 / self.release;
        let samples = 3.0 * release_samples + self.delay_samples() as f64;
        (samples / BLOCK_SAMPLES as f64).ceil() as usize
    }

    fn adjust(&mut self, params: &Params) {
        self.ceiling.aim(db_to_amplitude(params.float(&CEILING_DBFS)));
        self.release = release(params);
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }

    fn report(&self, report: &mut StageReport) {
        report.add("gain_reduction_db", -amplitude_to_db(self.block_min_gain));
    }
}

/// The highest sample of all channels at each moment.
fn linked_peaks(block: &AudioBlock<'_>) -> [f32; BLOCK_SAMPLES] {
    let mut peaks = [0.0f32; BLOCK_SAMPLES];
    for plane in block.planes() {
        for (peak, sample) in peaks.iter_mut().zip(plane) {
            *peak = peak.max(sample.abs());
        }
    }
    peaks
}

/// Counted without a branch, which compilers turn into a few instructions for four samples.
fn is_within(peaks: &[f32; BLOCK_SAMPLES], ceiling: f32) -> bool {
    peaks.iter().map(|peak| u32::from(*peak > ceiling)).sum::<u32>() == 0
}

impl Limiter {
    /// Whether the gain is 1, and stays so while nothing is above the ceiling.
    fn is_at_rest(&self) -> bool {
        let [first, second] = &self.smooth;
        self.unity_samples >= first.values.len() + second.values.len()
    }

    /// The gain of the sample that leaves when one with this peak comes in.
    fn gain(&mut self, peak: f32) -> f32 {
        let ceiling = self.ceiling.next();
        let wanted = if peak > ceiling { ceiling / peak * BELOW } else { 1.0 };
        let held = f64::from(self.held.push(wanted));
        let way_back = held - self.released;
        self.released =
            if way_back < ARRIVED { held } else { self.released + way_back * self.release };
        let is_unity = self.released == 1.0;
        self.unity_samples = if is_unity { self.unity_samples + 1 } else { 0 };
        let [first, second] = &mut self.smooth;
        let gain = second.push(first.push(self.released as f32));
        self.block_min_gain = self.block_min_gain.min(gain);
        gain
    }
}

/// Makes up for six roundings between a peak and its gain, which could each leave a sample half a
/// unit in the last place above the ceiling.
const BELOW: f32 = 1.0 - 4.0 * f32::EPSILON;

/// -120 dB: what a release ends with, so that it does end.
const ARRIVED: f64 = 1e-6;

/// The mean of the last N values; starts as if all had been 1.
#[derive(Clone)]
struct BoxFilter {
    values: Vec<f32>,
    position: usize,
    /// One over the length.
    share: f64,
    /// Exact: gains from 1/500 to 1 are whole multiples of 2^-32, hundreds of which fit into `f64`.
    sum: f64,
}

impl BoxFilter {
    fn new(length: usize) -> Self {
        Self {
            values: vec![1.0; length],
            position: 0,
            share: 1.0 / length as f64,
            sum: length as f64,
        }
    }

    fn push(&mut self, value: f32) -> f32 {
        let oldest = std::mem::replace(&mut self.values[self.position], value);
        self.position = if self.position + 1 == self.values.len() { 0 } else { self.position + 1 };
        self.sum += f64::from(value) - f64::from(oldest);
        (self.sum * self.share) as f32
    }
}
