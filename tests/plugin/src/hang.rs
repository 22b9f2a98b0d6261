//! `hang`: keeps its thread waiting in each block.

use std::thread::sleep;
use std::time::Duration;

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat, StageKind,
};

const FOR_MS: ParamSpec =
    ParamSpec::int("for_ms", "ms", 0, 10_000, 100, "How long each block takes.");

/// `{ kind = "hang", for_ms = 300 }`
pub const KIND: StageKind = StageKind {
    name: "hang",
    about: "Keeps its thread waiting on purpose.",
    params: &[FOR_MS],
    build: &build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let for_ms = u64::try_from(params.int(&FOR_MS)).unwrap_or(0);
    Ok(Box::new(Hanging(Duration::from_millis(for_ms))))
}

struct Hanging(Duration);

impl Stage for Hanging {
    fn process(&mut self, _block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        sleep(self.0);
    }
}
