//! `tone`: a sine wave as test signal.

use std::f32::consts::TAU;

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Ramp, SAMPLE_RATE_HZ, Stage,
    StageFormat, StageKind, db_to_amplitude,
};

const FREQUENCY_HZ: ParamSpec =
    ParamSpec::float("frequency_hz", "Hz", 20.0, 20_000.0, 1000.0, "Its pitch.").live();

const LEVEL_DBFS: ParamSpec =
    ParamSpec::float("level_dbfs", "dBFS", -90.0, 0.0, -20.0, "Its peak.").live();

const MODE: ParamSpec = ParamSpec::choice(
    "mode",
    &["replace", "add"],
    "replace",
    "Whether it stands in for the signal or is heard beside it.",
);

/// `{ kind = "tone", frequency_hz = 1000, level_dbfs = -20, mode = "replace" }`
pub const KIND: StageKind = StageKind {
    name: "tone",
    about: "A sine wave as test signal, the same in every channel.",
    params: &[FREQUENCY_HZ, LEVEL_DBFS, MODE],
    build: &build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    Ok(Box::new(Tone {
        frequency_hz: Ramp::new(params.float(&FREQUENCY_HZ)),
        peak: Ramp::new(peak(params)),
        periods: 0.0,
        kept: if params.choice(&MODE) == "add" { 1.0 } else { 0.0 },
    }))
}

fn peak(params: &Params) -> f32 {
    db_to_amplitude(params.float(&LEVEL_DBFS))
}

#[derive(Clone)]
struct Tone {
    frequency_hz: Ramp,
    peak: Ramp,
    /// Where in its period the wave is, from 0 to 1.
    periods: f64,
    /// Share of the signal that is kept.
    kept: f32,
}

impl Stage for Tone {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        let mut planes = block.planes_mut();
        match (planes.next(), planes.next()) {
            (Some(left), Some(right)) => {
                for (l, r) in left.iter_mut().zip(right) {
                    let tone = self.next();
                    *l = self.kept * *l + tone;
                    *r = self.kept * *r + tone;
                }
            }
            (Some(mono), None) => {
                for sample in mono {
                    *sample = self.kept * *sample + self.next();
                }
            }
            (None, _) => {}
        }
    }

    fn adjust(&mut self, params: &Params) {
        self.frequency_hz.aim(params.float(&FREQUENCY_HZ));
        self.peak.aim(peak(params));
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }
}

impl Tone {
    fn next(&mut self) -> f32 {
        const SECONDS_PER_SAMPLE: f64 = 1.0 / SAMPLE_RATE_HZ as f64;
        let tone = self.peak.next() * (TAU * self.periods as f32).sin();
        let moved = f64::from(self.frequency_hz.next()) * SECONDS_PER_SAMPLE;
        self.periods = (self.periods + moved).fract();
        tone
    }
}
