//! `low-pass`: a Butterworth low-pass of order 1 to 4.

use biquad::{Coefficients, Errors, ToHertz, Type};
use foldback_stage::{ParamSpec, Params, SAMPLE_RATE_HZ, StageKind};

use crate::butterworth::{ORDER, butterworth};
use crate::cascade::Tuning;
use crate::filter;

const CUTOFF_HZ: ParamSpec = ParamSpec::float(
    "cutoff_hz",
    "Hz",
    200.0,
    20_000.0,
    12_000.0,
    "Where the response is 3 dB down; what lies above falls away.",
)
.live();

/// `{ kind = "low-pass", cutoff_hz = 12000, order = 2 }`
pub const KIND: StageKind = StageKind {
    name: "low-pass",
    about: "Butterworth low-pass: removes hiss above the voice, or narrows it to a telephone's.",
    params: &[CUTOFF_HZ, ORDER],
    build: &|params, _format| filter::build(tune, params),
};

fn tune(params: &Params) -> Result<Tuning, Errors> {
    let cutoff_hz = f64::from(params.float(&CUTOFF_HZ));
    let section =
        |shape, q| Coefficients::from_params(shape, SAMPLE_RATE_HZ.hz(), cutoff_hz.hz(), q);
    // A filter of one pole has no Q.
    let first_order = section(Type::SinglePoleLowPass, 1.0)?;
    butterworth(params.int(&ORDER), first_order, |q| section(Type::LowPass, q))
}
