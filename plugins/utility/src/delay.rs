//! `delay`: everything comes later.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat,
    StageKind, ms_to_samples,
};

const DELAY_MS: ParamSpec = ParamSpec::float(
    "delay_ms",
    "ms",
    0.0,
    1000.0,
    0.0,
    "How much later, to the nearest sample: to match a picture, or a slower way.",
);

/// `{ kind = "delay", delay_ms = 40 }`
pub const KIND: StageKind = StageKind {
    name: "delay",
    about: "Holds the signal back by a constant time.",
    params: &[DELAY_MS],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let samples = ms_to_samples(params.float(&DELAY_MS)).round() as usize;
    Ok(Box::new(Delay { lines: vec![vec![0.0; samples]; format.channels], position: 0 }))
}

#[derive(Clone)]
struct Delay {
    /// Per channel, what is yet to come; the sample at `position` is the next.
    lines: Vec<Vec<f32>>,
    position: usize,
}

impl Stage for Delay {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        let length = self.delay_samples();
        if length == 0 {
            return;
        }
        for (plane, line) in block.planes_mut().zip(&mut self.lines) {
            exchange(plane, line, self.position);
        }
        self.position = (self.position + block.frames()) % length;
    }

    fn delay_samples(&self) -> usize {
        self.lines[0].len()
    }

    fn warm_up_blocks(&self) -> usize {
        self.delay_samples().div_ceil(BLOCK_SAMPLES)
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }
}

/// Puts each sample of `plane` into the ring `line`, and takes what was there.
fn exchange(mut plane: &mut [f32], line: &mut [f32], mut position: usize) {
    while !plane.is_empty() {
        let run = plane.len().min(line.len() - position);
        let (now, later) = plane.split_at_mut(run);
        now.swap_with_slice(&mut line[position..position + run]);
        plane = later;
        position = (position + run) % line.len();
    }
}
