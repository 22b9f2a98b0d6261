//! `pan`: where between left and right a stereo signal is heard.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Ramp, Stage, StageFormat, StageKind,
    balance,
};

const POSITION: ParamSpec = ParamSpec::float(
    "position",
    "",
    -1.0,
    1.0,
    0.0,
    "-1: only the left channel, 0: as it comes, 1: only the right. At either end 3 dB louder.",
)
.live();

/// `{ kind = "pan", position = -0.5 }`
pub const KIND: StageKind = StageKind {
    name: "pan",
    about: "Equal-power balance between the left and the right channel. For stereo only.",
    params: &[POSITION],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    if format != StageFormat::STEREO {
        return Err(BuildError::new("it balances left and right, and the signal here is mono"));
    }
    Ok(Box::new(Pan { gains: gains(params).map(Ramp::new) }))
}

fn gains(params: &Params) -> [f32; 2] {
    balance(params.float(&POSITION))
}

#[derive(Clone)]
struct Pan {
    gains: [Ramp; 2],
}

impl Stage for Pan {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        for (plane, gain) in block.planes_mut().zip(&mut self.gains) {
            match gain.steady() {
                Some(gain) => plane.iter_mut().for_each(|sample| *sample = scaled(*sample, gain)),
                None => plane.iter_mut().for_each(|sample| *sample = scaled(*sample, gain.next())),
            }
        }
    }

    fn adjust(&mut self, params: &Params) {
        self.gains.iter_mut().zip(gains(params)).for_each(|(ramp, gain)| ramp.aim(gain));
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }
}

fn scaled(sample: f32, gain: f32) -> f32 {
    let scaled = sample * gain;
    // The quiet end of a tail must not become subnormal by being attenuated.
    if scaled.abs() < f32::MIN_POSITIVE { 0.0 } else { scaled }
}
