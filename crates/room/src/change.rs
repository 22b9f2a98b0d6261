//! Another chain for a room while people talk.

use std::fmt;
use std::sync::Arc;

use foldback_chain::{Chain, ChainBuildError, ChainSpec, Change, StageSpec};
use foldback_stage::StageFormat;

use crate::flight::ChainChanged;
use crate::participant::ParticipantId;
use crate::probe::StageTimes;

/// Another chain for a room and everybody in it, built on the control side and applied by
/// [`Room::change_chain`](crate::Room::change_chain). What it took out is in it afterwards: it is
/// dropped on the control side too.
pub struct ChainChange {
    from: Arc<ChainSpec>,
    pub(crate) chain: Arc<ChainSpec>,
    /// One for each participant.
    pub(crate) inputs: Vec<Input>,
    /// One for each mix, of which there are no more than participants.
    pub(crate) outputs: Vec<StagesChange>,
    /// What it makes of which, for the flight recorder.
    pub(crate) changed: Arc<ChainChanged>,
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
    pub(crate) stages: Option<StagesChange>,
}

/// Other stages for one chain.
pub(crate) struct StagesChange {
    /// Until it is under way.
    change: Option<Change>,
    /// With room for as many as there then are.
    times: StageTimes,
}

impl StagesChange {
    /// `None` if the stages stay as they are. Allocates.
    fn build(
        from: &[StageSpec],
        to: &[StageSpec],
        format: StageFormat,
    ) -> Result<Option<Self>, ChainBuildError> {
        let change = Change::build(from, to, format)?;
        Ok(change.map(|change| Self { change: Some(change), times: StageTimes::of(to.len()) }))
    }

    fn suits(&self, chain: &Chain) -> bool {
        self.change.as_ref().is_none_or(|change| chain.accepts(change))
    }

    /// Lets a chain that it suits change. Allocates and frees nothing.
    pub(crate) fn apply(&mut self, chain: &mut Chain, times: &mut StageTimes) {
        if let Some(change) = self.change.take() {
            self.change = chain.change(change).err();
            std::mem::swap(times, &mut self.times);
        }
    }
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
        let build = |before, after| StagesChange::build(before, after, to.format);
        let (mut changes, mut outputs) = (Vec::new(), Vec::new());
        for input in inputs {
            let stages = build(&input.from.input, &input.to.input)?;
            outputs.extend(build(&from.output, &to.output)?);
            let InputChange { id, from, to: chain } = input.clone();
            changes.push(Input { id, from, chain, stages });
        }
        let (from, chain) = (Arc::clone(from), Arc::clone(to));
        let own = inputs.iter().map(|input| (input.id, Arc::clone(&input.to))).collect();
        let changed = Arc::new(ChainChanged { chain: Arc::clone(to), inputs: own });
        Ok(Self { from, chain, inputs: changes, outputs, changed })
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
            let suits = |input: &Input| input.stages.as_ref().is_none_or(|it| it.suits(chain));
            input.is_some_and(|input| same(&input.from, spec) && suits(input))
        };
        let enough = self.outputs.is_empty() || self.outputs.len() >= outputs.len();
        let mut changes = self.outputs.iter();
        enough
            && self.chain.format == room.format
            && same(&self.from, room)
            && inputs.all(accepted)
            && outputs.all(|chain| changes.next().is_none_or(|change| change.suits(chain)))
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
