//! Another chain for a room while people talk.

use std::fmt;
use std::sync::Arc;

use foldback_chain::{Chain, ChainBuildError, ChainSpec, Change};

use crate::participant::ParticipantId;

/// Another chain for a room and everybody in it, built on the control side and applied by
/// [`Room::change_chain`](crate::Room::change_chain). What it took out is in it afterwards: it is
/// dropped on the control side too.
pub struct ChainChange {
    from: Arc<ChainSpec>,
    pub(crate) chain: Arc<ChainSpec>,
    /// One for each participant.
    pub(crate) inputs: Vec<Input>,
    /// One for each mix, of which there are no more than participants.
    pub(crate) outputs: Vec<Change>,
}

/// The chains whose stages before `mix` a participant has: the room's, or others of its own.
#[derive(Clone, Debug)]
pub struct InputChange {
    /// Who.
    pub id: ParticipantId,
    /// As they are.
    pub from: Arc<ChainSpec>,
    /// As they are to be.
    pub to: Arc<ChainSpec>,
}

pub(crate) struct Input {
    pub(crate) id: ParticipantId,
    from: Arc<ChainSpec>,
    pub(crate) chain: Arc<ChainSpec>,
    pub(crate) change: Option<Change>,
}

impl ChainChange {
    /// From the chain that the room has, to another, for those who are in it, each with the stages
    /// before `mix` as `inputs` says. Both chains must be of as many channels, else no room takes it.
    /// Allocates, and takes some milliseconds for each participant
    /// whose stages become others.
    ///
    /// # Errors
    /// The first stage that refused.
    pub fn build(
        from: &Arc<ChainSpec>,
        to: &Arc<ChainSpec>,
        inputs: &[InputChange],
    ) -> Result<Self, ChainBuildError> {
        let build = |before, after| Change::build(before, after, to.format);
        let (mut changes, mut outputs) = (Vec::new(), Vec::new());
        for input in inputs {
            let change = build(&input.from.input, &input.to.input)?;
            outputs.extend(build(&from.output, &to.output)?);
            let InputChange { id, from, to: chain } = input.clone();
            changes.push(Input { id, from, chain, change });
        }
        let (from, chain) = (Arc::clone(from), Arc::clone(to));
        Ok(Self { from, chain, inputs: changes, outputs })
    }

    /// Whether it can be applied to a room that runs `room`, with these chains: each participant's
    /// with what it was built from. Allocates nothing.
    pub(crate) fn fits<'a>(
        &self,
        room: &Arc<ChainSpec>,
        mut inputs: impl Iterator<Item = (ParticipantId, &'a Arc<ChainSpec>, &'a Chain)>,
        mut outputs: impl ExactSizeIterator<Item = &'a Chain>,
    ) -> bool {
        let accepted = |(id, spec, chain): (ParticipantId, &Arc<ChainSpec>, &Chain)| {
            let input = self.inputs.iter().find(|input| input.id == id);
            let change = |input: &Input| input.change.as_ref().is_none_or(|it| chain.accepts(it));
            input.is_some_and(|input| same(&input.from, spec) && change(input))
        };
        let enough = self.outputs.is_empty() || self.outputs.len() >= outputs.len();
        let mut changes = self.outputs.iter();
        enough
            && self.chain.format == room.format
            && same(&self.from, room)
            && inputs.all(accepted)
            && outputs.all(|chain| changes.next().is_none_or(|change| chain.accepts(change)))
    }
}

/// Whether two chains are one, or at least alike.
fn same(one: &Arc<ChainSpec>, other: &Arc<ChainSpec>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

impl fmt::Debug for ChainChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainChange").field("chain", &self.chain.name).finish_non_exhaustive()
    }
}
