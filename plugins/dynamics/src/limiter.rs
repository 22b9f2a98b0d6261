//! `limiter`: a look-ahead limiter that no sample passes.
//!
//! For each sample the gain that would bring it to the ceiling is known; the least of them over
//! the look-ahead is held, rises back exponentially, and is then smoothed by two box filters in
//! series whose lengths together are the look-ahead. The smoothed gain at the moment a peak leaves
//! the delay line is an average of values each of which already is low enough for that peak, so
//! the ceiling holds by construction and the gain curve has no corner that could crackle.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, MAX_CHANNELS, ParamSpec, Params, SAMPLE_RATE_HZ, Stage,
    StageFormat, StageKind, StageReport, amplitude_to_db, db_to_amplitude,
};

use crate::sliding_min::SlidingMin;

const CEILING_DBFS: ParamSpec = ParamSpec::float(
    "ceiling_dbfs",
    "dBFS",
    -30.0,
    0.0,
    -1.0,
    "The sample peak that is never exceeded.",
);

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
);

/// `{ kind = "limiter", ceiling_dbfs = -1, lookahead_ms = 5, release_ms = 100 }`
pub const KIND: StageKind = StageKind {
    name: "limiter",
    about: "Look-ahead limiter: keeps every sample below a ceiling; stereo channels are linked.",
    params: &[CEILING_DBFS, LOOKAHEAD_MS, RELEASE_MS],
    build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let samples = |ms: f32| ms * SAMPLE_RATE_HZ as f32 / 1000.0;
    let delay = samples(params.float(&LOOKAHEAD_MS)).round() as usize;
    let first = delay / 2 + 1;
    Ok(Box::new(Limiter {
        ceiling: db_to_amplitude(params.float(&CEILING_DBFS)),
        release: 1.0 - (-1.0 / samples(params.float(&RELEASE_MS))).exp(),
        held: SlidingMin::new(delay + 1),
        released: 1.0,
        smooth: [BoxFilter::new(first), BoxFilter::new(delay + 2 - first)],
        delayed: vec![[0.0; MAX_CHANNELS]; delay],
        position: 0,
        block_min_gain: 1.0,
    }))
}

#[derive(Clone)]
struct Limiter {
    ceiling: f32,
    /// Share of the way back to the held gain that is gone in one sample.
    release: f32,
    held: SlidingMin,
    released: f32,
    smooth: [BoxFilter; 2],
    delayed: Vec<[f32; MAX_CHANNELS]>,
    position: usize,
    block_min_gain: f32,
}

impl Stage for Limiter {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        self.block_min_gain = 1.0;
        let mut planes = block.planes_mut();
        match (planes.next(), planes.next()) {
            (Some(left), Some(right)) => {
                for (l, r) in left.iter_mut().zip(right) {
                    [*l, *r] = self.step([*l, *r]);
                }
            }
            (Some(mono), None) => {
                for sample in mono {
                    [*sample, _] = self.step([*sample, 0.0]);
                }
            }
            (None, _) => {}
        }
    }

    fn delay_samples(&self) -> usize {
        self.delayed.len()
    }

    fn warm_up_blocks(&self) -> usize {
        let release_samples = 1.0 / self.release;
        ((3.0 * release_samples + self.delayed.len() as f32) / 480.0).ceil() as usize
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }

    fn report(&self, report: &mut StageReport) {
        report.add("gain_reduction_db", -amplitude_to_db(self.block_min_gain));
    }
}

impl Limiter {
    fn step(&mut self, input: [f32; MAX_CHANNELS]) -> [f32; MAX_CHANNELS] {
        let peak = input[0].abs().max(input[1].abs());
        let wanted = if peak > self.ceiling { self.ceiling / peak } else { 1.0 };
        let held = self.held.push(wanted);
        self.released = if held < self.released {
            held
        } else {
            self.released + (held - self.released) * self.release
        };
        let [first, second] = &mut self.smooth;
        let gain = second.push(first.push(self.released));
        self.block_min_gain = self.block_min_gain.min(gain);

        let output = std::mem::replace(&mut self.delayed[self.position], input);
        self.position = if self.position + 1 == self.delayed.len() { 0 } else { self.position + 1 };
        output.map(|sample| {
            let limited = sample * gain;
            // The quiet end of a tail must not become subnormal by being attenuated.
            if limited.abs() < f32::MIN_POSITIVE {
                return 0.0;
            }
            // Rounding may leave a sample one unit in the last place above.
            limited.clamp(-self.ceiling, self.ceiling)
        })
    }
}

/// The mean of the last N values; starts as if all had been 1.
#[derive(Clone)]
struct BoxFilter {
    values: Vec<f32>,
    position: usize,
    /// One over the length.
    share: f64,
    /// Adding and taking away in `f64` drifts by less than 1e-6 in a day.
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
