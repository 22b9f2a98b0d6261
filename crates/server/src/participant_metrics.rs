//! Series of single participants, where the configuration asks for them.

use std::collections::BTreeSet;
use std::time::Duration;

use foldback_metrics::{ParticipantFigure, ParticipantFigures};
use foldback_room::ParticipantId;

use crate::conference::Conference;
use crate::report::ParticipantReport;
use crate::roster::State;

impl Conference {
    /// Those who have series of their own, which are the first of those inside; `None` where nobody is to
    /// have any.
    pub(crate) fn shown_participants(&self, state: &State) -> Option<BTreeSet<ParticipantId>> {
        let config = self.running().config.metrics;
        config.participant_readings.then(|| {
            let all: BTreeSet<_> = state.rooms_of.keys().copied().collect();
            all.into_iter().take(config.max_participants).collect()
        })
    }

    /// Figures of those who have series of their own; `None` where nobody is to have any.
    #[must_use]
    pub fn participant_figures(&self) -> Option<ParticipantFigures> {
        let state = self.state();
        let shown = self.shown_participants(&state)?;
        let left_out = state.rooms_of.len() - shown.len();
        let members = state.rooms.values().flat_map(|room| &room.people);
        let of_shown = members.filter(|(id, _)| shown.contains(id));
        let figures = of_shown.filter_map(|(id, member)| Some((id.0, member.report?.into())));
        Some(ParticipantFigures { shown: figures.collect(), left_out })
    }
}

impl From<ParticipantReport> for ParticipantFigure {
    fn from(report: ParticipantReport) -> Self {
        Self {
            packets_received: report.inbound.packets_received,
            packets_lost: report.inbound.packets_lost,
            jitter_buffer_delay: Duration::from_secs_f32(
                report.foldback.jitter_buffer_ms.max(0.0) / 1000.0,
            ),
            round_trip: report.remote_inbound.round_trip_time.map(Duration::from_secs_f64),
        }
    }
}
