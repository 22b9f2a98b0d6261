//! `high-pass`: a Butterworth high-pass of order 1 to 4.

use std::f64::consts::PI;

use biquad::{Coefficients, Errors, ToHertz, Type};
use foldback_stage::{ParamSpec, Params, SAMPLE_RATE_HZ, StageKind};

use crate::butterworth::{ORDER, butterworth};
use crate::cascade::Tuning;
use crate::filter;

const CUTOFF_HZ: ParamSpec = ParamSpec::float(
    "cutoff_hz",
    "Hz",
    20.0,
    1000.0,
    80.0,
    "Where the response is 3 dB down; what lies below falls away.",
)
.live();

/// `{ kind = "high-pass", cutoff_hz = 80, order = 2 }`
pub const KIND: StageKind = StageKind {
    name: "high-pass",
    about: "Butterworth high-pass: removes rumble, hum and plosives below the voice.",
    params: &[CUTOFF_HZ, ORDER],
    build: &|params, _format| filter::build(tune, params),
};

fn tune(params: &Params) -> Result<Tuning, Errors> {
    let cutoff_hz = f64::from(params.float(&CUTOFF_HZ));
    butterworth(params.int(&ORDER), first_order(cutoff_hz), |q| {
        Coefficients::from_params(Type::HighPass, SAMPLE_RATE_HZ.hz(), cutoff_hz.hz(), q)
    })
}

/// By the bilinear transform, its corner prewarped.
fn first_order(cutoff_hz: f64) -> Coefficients<f64> {
    let k = (PI * cutoff_hz / f64::from(SAMPLE_RATE_HZ)).tan();
    let b0 = 1.0 / (1.0 + k);
    Coefficients { a1: (k - 1.0) / (k + 1.0), a2: 0.0, b0, b1: -b0, b2: 0.0 }
}
