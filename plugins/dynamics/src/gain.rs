//! `gain`: a constant factor.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat, StageKind,
    db_to_amplitude,
};

const GAIN_DB: ParamSpec = ParamSpec::float(
    "gain_db",
    "dB",
    -60.0,
    30.0,
    0.0,
    "Amplification; negative is quieter. Above 0 put a limiter behind it.",
);

/// `{ kind = "gain", gain_db = -6 }`
pub const KIND: StageKind = StageKind {
    name: "gain",
    about: "Makes the signal louder or quieter by a constant factor.",
    params: &[GAIN_DB],
    build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    Ok(Box::new(Gain { factor: db_to_amplitude(params.float(&GAIN_DB)) }))
}

#[derive(Clone)]
struct Gain {
    factor: f32,
}

impl Stage for Gain {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        for sample in block.planes_mut().flatten() {
            let scaled = *sample * self.factor;
            // The quiet end of a tail must not become subnormal by being attenuated.
            *sample = if scaled.abs() < f32::MIN_POSITIVE { 0.0 } else { scaled };
        }
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }
}
