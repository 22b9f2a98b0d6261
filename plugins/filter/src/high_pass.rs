//! `high-pass`: a Butterworth high-pass of order 1 to 4.

use std::f64::consts::PI;

use biquad::{Biquad, Coefficients, DirectForm2Transposed, ToHertz, Type};
use foldback_stage::{
    AudioBlock, BlockContext, BuildError, MAX_CHANNELS, ParamSpec, Params, SAMPLE_RATE_HZ, Stage,
    StageFormat, StageKind,
};

const CUTOFF_HZ: ParamSpec = ParamSpec::float(
    "cutoff_hz",
    "Hz",
    20.0,
    1000.0,
    80.0,
    "Where the response is 3 dB down; what lies below falls away.",
);

const ORDER: ParamSpec =
    ParamSpec::int("order", "", 1, 4, 2, "Steepness: 6 dB per octave for each order.");

/// `{ kind = "high-pass", cutoff_hz = 80, order = 2 }`
pub const KIND: StageKind = StageKind {
    name: "high-pass",
    about: "Butterworth high-pass: removes rumble, hum and plosives below the voice.",
    params: &[CUTOFF_HZ, ORDER],
    build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let cutoff_hz = f64::from(params.float(&CUTOFF_HZ));
    let channel = Cascade::butterworth(cutoff_hz, params.int(&ORDER))?;
    Ok(Box::new(HighPass {
        channels: [channel; MAX_CHANNELS],
        settle_blocks: settle_blocks(cutoff_hz),
    }))
}

#[derive(Clone)]
struct HighPass {
    channels: [Cascade; MAX_CHANNELS],
    settle_blocks: usize,
}

impl Stage for HighPass {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        for (plane, cascade) in block.planes_mut().zip(&mut self.channels) {
            cascade.run(plane);
        }
    }

    fn warm_up_blocks(&self) -> usize {
        self.settle_blocks
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }
}

/// Sections in series. Unused ones pass the signal as it is.
#[derive(Clone, Copy)]
struct Cascade {
    sections: [DirectForm2Transposed<f64>; 2],
    used: usize,
}

impl Cascade {
    fn butterworth(cutoff_hz: f64, order: i64) -> Result<Self, BuildError> {
        let second = |q: f64| {
            let rate = f64::from(SAMPLE_RATE_HZ).hz();
            Coefficients::from_params(Type::HighPass, rate, cutoff_hz.hz(), q)
                .map_err(|e| BuildError::new(format!("no filter at {cutoff_hz} Hz: {e:?}")))
        };
        // A pole pair at angle t from the negative real axis has Q = 1 / (2 cos t); the poles of
        // a Butterworth filter stand evenly on the left half circle.
        let pair = |angle: f64| 1.0 / (2.0 * angle.cos());
        let pass = Coefficients { a1: 0.0, a2: 0.0, b0: 1.0, b1: 0.0, b2: 0.0 };
        let sections = match order {
            1 => [first_order(cutoff_hz), pass],
            2 => [second(pair(PI / 4.0))?, pass],
            3 => [first_order(cutoff_hz), second(pair(PI / 3.0))?],
            4 => [second(pair(PI / 8.0))?, second(pair(3.0 * PI / 8.0))?],
            _ => return Err(BuildError::new(format!("`order` must be 1 to 4, got {order}"))),
        };
        let used = if order > 2 { 2 } else { 1 };
        Ok(Self { sections: sections.map(DirectForm2Transposed::new), used })
    }

    fn run(&mut self, plane: &mut [f32]) {
        for section in &mut self.sections[..self.used] {
            for sample in plane.iter_mut() {
                *sample = section.run(f64::from(*sample)) as f32;
            }
            // A tail would decay into subnormal numbers, which cost a hundred times as much.
            if section.s1.abs() + section.s2.abs() < INAUDIBLE {
                section.reset_state();
            }
        }
    }
}

/// -300 dBFS. Within one block even the fastest filter here decays by less than 1e-20, so the
/// samples of that block stay above the subnormal range of `f32` (1.2e-38).
const INAUDIBLE: f64 = 1e-15;

/// First-order high-pass by the bilinear transform, its corner prewarped.
fn first_order(cutoff_hz: f64) -> Coefficients<f64> {
    let k = (PI * cutoff_hz / f64::from(SAMPLE_RATE_HZ)).tan();
    let b0 = 1.0 / (1.0 + k);
    Coefficients { a1: (k - 1.0) / (k + 1.0), a2: 0.0, b0, b1: -b0, b2: 0.0 }
}

/// Blocks of 10 ms until a start-up transient is 60 dB down: 1.1 periods per time constant of the
/// slowest pole, taken as three periods of the cutoff.
fn settle_blocks(cutoff_hz: f64) -> usize {
    (3.0 / cutoff_hz / 0.01).ceil() as usize
}
