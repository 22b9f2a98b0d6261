//! `gain`: a factor.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Ramp, Stage, StageFormat, StageKind,
    db_to_amplitude,
};

use crate::without_subnormals;

const GAIN_DB: ParamSpec = ParamSpec::float(
    "gain_db",
    "dB",
    -60.0,
    30.0,
    0.0,
    "Amplification; negative is quieter. Above 0 put a limiter behind it.",
)
.live();

/// `{ kind = "gain", gain_db = -6 }`
pub const KIND: StageKind = StageKind {
    name: "gain",
    about: "Makes the signal louder or quieter by a constant factor.",
    params: &[GAIN_DB],
    build: &build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    Ok(Box::new(Gain { factor: Ramp::new(db_to_amplitude(params.float(&GAIN_DB))) }))
}

#[derive(Clone)]
struct Gain {
    factor: Ramp,
}

impl Stage for Gain {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        let at_start = self.factor;
        match at_start.steady() {
            Some(1.0) => {}
            Some(factor) => {
                for plane in block.planes_mut() {
                    plane
                        .iter_mut()
                        .for_each(|sample| *sample = without_subnormals(*sample * factor));
                }
            }
            None => {
                for plane in block.planes_mut() {
                    self.factor = at_start;
                    for sample in plane {
                        *sample = without_subnormals(*sample * self.factor.next());
                    }
                }
            }
        }
    }

    fn adjust(&mut self, params: &Params) {
        self.factor.aim(db_to_amplitude(params.float(&GAIN_DB)));
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }
}
