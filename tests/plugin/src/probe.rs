//! `probe`: shows what reaches a stage.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat, StageKind,
    StageReport,
};

const FLOAT_DB: ParamSpec = ParamSpec::float("float_db", "dB", -9.5, 9.5, 0.1, "A number.").live();
const INT_MS: ParamSpec = ParamSpec::int("int_ms", "ms", -9, 9, 3, "A whole number.").live();
const BOOL: ParamSpec = ParamSpec::bool("bool", true, "A switch.").live();
const CHOICE: ParamSpec = ParamSpec::choice("choice", &["a", "b", "c"], "b", "A word.").live();
const TEXT: ParamSpec = ParamSpec::text("text", "sieben", "Text.");
const FIXED_DB: ParamSpec = ParamSpec::float("fixed_db", "dB", 0.0, 9.0, 1.0, "Not live.");

/// `{ kind = "probe" }`
pub const KIND: StageKind = StageKind {
    name: "probe",
    about: "Reports its parameters, and writes what it is told of a block into the block.",
    params: &[FLOAT_DB, INT_MS, BOOL, CHOICE, TEXT, FIXED_DB],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    match &*params.text(&TEXT) {
        "" => Err(BuildError::new(format!("no text für {} channels", format.channels))),
        _ => Ok(Box::new(Probe { params: params.clone() })),
    }
}

struct Probe {
    params: Params,
}

impl Stage for Probe {
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>) {
        for plane in block.planes_mut() {
            plane.reverse();
            plane[0] = cx.timeline.position_samples as f32;
            plane[1] = cx.timeline.shift_samples as f32;
            plane[2] = cx.voice_probability.unwrap_or(-1.0);
            plane[3] = cx.far_end.map_or(-1.0, |far_end| far_end.len() as f32);
            plane[4] = cx.far_end.and_then(|far_end| far_end.last().copied()).unwrap_or(-1.0);
        }
        cx.voice_probability = cx.voice_probability.map(|probability| probability / 2.0);
    }

    fn delay_samples(&self) -> usize {
        77
    }

    fn warm_up_blocks(&self) -> usize {
        7
    }

    fn adjust(&mut self, params: &Params) {
        self.params.clone_from(params);
    }

    fn report(&self, report: &mut StageReport) {
        let params = &self.params;
        report.add("float_db", params.float(&FLOAT_DB));
        report.add("int_ms", params.int(&INT_MS) as f32);
        report.add("bool", f32::from(u8::from(params.bool(&BOOL))));
        report.add("choice_is_c", f32::from(u8::from(params.choice(&CHOICE) == "c")));
        report.add("text_bytes", params.text(&TEXT).len() as f32);
        report.add("fixed_db", params.float(&FIXED_DB));
    }
}
