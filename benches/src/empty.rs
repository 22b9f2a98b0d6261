//! A stage that does nothing: what is left is what the chain itself costs.

use foldback_stage::{AudioBlock, BlockContext, Stage, StageKind};

/// Lets each block pass as it came.
pub static EMPTY: StageKind = StageKind {
    name: "empty",
    about: "Does nothing.",
    params: &[],
    build: &|_, _| Ok(Box::new(Empty)),
};

struct Empty;

impl Stage for Empty {
    fn process(&mut self, _block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {}
}
