//! What the stages of a room read.

use std::sync::Arc;

use foldback_chain::{Chain, ChainSpec};
use foldback_stage::StageReport;

use crate::participant::ParticipantId;

/// One side of a chain that runs, to be read.
#[derive(Clone, Copy, Debug)]
pub struct ChainReadings<'a> {
    /// Whose, before `mix`; `None` after it.
    pub id: Option<ParticipantId>,
    /// What it was built from.
    pub chain: &'a Arc<ChainSpec>,
    running: &'a Chain,
}

impl<'a> ChainReadings<'a> {
    pub(crate) fn new(
        id: Option<ParticipantId>,
        chain: &'a Arc<ChainSpec>,
        running: &'a Chain,
    ) -> Self {
        Self { id, chain, running }
    }

    /// Whether the stages that run are those of the chain, all of them.
    pub(crate) fn is_settled(&self) -> bool {
        !self.running.is_changing()
    }

    /// The live values of its stages, in order.
    pub fn reports(&self) -> impl Iterator<Item = StageReport> + '_ {
        (0..self.running.stage_delays().count()).map(|stage| self.running.report(stage))
    }
}
