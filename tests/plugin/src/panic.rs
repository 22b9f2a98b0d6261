//! `panic`: panics where it is told to, and passes audio otherwise.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat, StageKind,
    StageReport,
};

const WHERE: ParamSpec = ParamSpec::choice(
    "where",
    &["process", "build", "idle", "adjust", "report", "delay", "drop"],
    "process",
    "The function that panics.",
);
const AFTER_BLOCKS: ParamSpec = ParamSpec::int(
    "after_blocks",
    "blocks",
    0,
    1_000_000,
    0,
    "How many are let pass in `process`.",
)
.live();

/// `{ kind = "panic", where = "process", after_blocks = 100 }`
pub const KIND: StageKind = StageKind {
    name: "panic",
    about: "Panics on purpose.",
    params: &[WHERE, AFTER_BLOCKS],
    build: &build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let stage = Panicking { at: params.choice(&WHERE), blocks_left: params.int(&AFTER_BLOCKS) };
    stage.reach("build");
    Ok(Box::new(stage))
}

struct Panicking {
    at: &'static str,
    blocks_left: i64,
}

impl Panicking {
    fn reach(&self, place: &str) {
        assert!(self.at != place, "on purpose, in {place}");
    }
}

impl Stage for Panicking {
    fn process(&mut self, _block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        match self.blocks_left {
            0 => self.reach("process"),
            _ => self.blocks_left -= 1,
        }
    }

    fn idle(&mut self, _cx: &mut BlockContext<'_>) {
        self.reach("idle");
    }

    fn adjust(&mut self, _params: &Params) {
        self.reach("adjust");
    }

    fn delay_samples(&self) -> usize {
        self.reach("delay");
        0
    }

    fn report(&self, _report: &mut StageReport) {
        self.reach("report");
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        self.reach("drop");
    }
}
