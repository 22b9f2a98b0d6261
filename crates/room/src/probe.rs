//! Timing the stages of a room, in which several chains may run.

use foldback_chain::{NoProbe, Probe};

use crate::participant::ParticipantId;

/// A [`Probe`] that knows whose stages it is told of.
pub trait RoomProbe: Probe {
    /// From now on it is told of the stages before `mix` of that participant, or of those after it:
    /// numbered from 0 in either case.
    fn turn_to(&mut self, side: Option<ParticipantId>);
}

impl RoomProbe for NoProbe {
    fn turn_to(&mut self, _side: Option<ParticipantId>) {}
}
