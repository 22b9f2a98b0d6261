//! Another chain for a room while people talk.

use std::fmt;
use std::sync::Arc;

use foldback_chain::{Chain, ChainBuildError, ChainSpec, Change};
use foldback_stage::StageFormat;

use crate::participant::ParticipantId;

/// Another chain for a room and everybody in it, built on the control side and applied by
/// [`Room::change_chain`](crate::Room::change_chain). What it took out is in it afterwards: it is
/// dropped on the control side too.
pub struct ChainChange {
    pub(crate) chain: Arc<ChainSpec>,
    pub(crate) inputs: Vec<(ParticipantId, Change)>,
    /// One for each mix, of which there are as many as participants.
    pub(crate) outputs: Vec<Change>,
}

impl ChainChange {
    /// From the chain that the room has, to another, for those who are in it. Allocates, and takes
    /// some milliseconds for each participant.
    ///
    /// # Errors
    /// The first stage that refused.
    pub fn build(
        from: &ChainSpec,
        to: &Arc<ChainSpec>,
        participants: &[ParticipantId],
    ) -> Result<Self, ChainBuildError> {
        let change = |from, to| Change::build(from, to, StageFormat::MONO);
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for id in participants {
            inputs.extend(change(&from.input, &to.input)?.map(|change| (*id, change)));
            outputs.extend(change(&from.output, &to.output)?);
        }
        Ok(Self { chain: Arc::clone(to), inputs, outputs })
    }

    /// Whether it can be applied to a room with these chains.
    pub(crate) fn fits<'a>(
        &self,
        inputs: impl Iterator<Item = (ParticipantId, &'a Chain)>,
        mut outputs: impl ExactSizeIterator<Item = &'a Chain>,
    ) -> bool {
        let input = |id| self.inputs.iter().find(|(of, _)| *of == id).map(|(_, change)| change);
        let all_inputs = self.inputs.is_empty();
        let mut fit = inputs.map(|(id, chain)| match input(id) {
            Some(change) => chain.accepts(change),
            None => all_inputs,
        });
        let enough = self.outputs.is_empty() || self.outputs.len() >= outputs.len();
        let mut changes = self.outputs.iter();
        enough
            && fit.all(|fits| fits)
            && outputs.all(|chain| changes.next().is_none_or(|change| chain.accepts(change)))
    }
}

impl fmt::Debug for ChainChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainChange").field("chain", &self.chain.name).finish_non_exhaustive()
    }
}
