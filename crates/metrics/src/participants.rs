//! Figures of single participants, where the configuration asks for them.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge};

use crate::declarations as declared;
use crate::{labels, opts, unregistered_floats};

/// Figures of those who have series of their own. Made anew for each scrape, so that who left no
/// longer shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParticipantFigures {
    /// Each by number.
    pub shown: Vec<(u64, ParticipantFigure)>,
    /// How many more there are.
    pub left_out: usize,
}

/// What is told of one participant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ParticipantFigure {
    /// RTP packets taken.
    pub packets_received: u64,
    /// RTP packets that did not come before they were due.
    pub packets_lost: u64,
    /// How long packets wait.
    pub jitter_buffer_delay: Duration,
    /// Server to client and back; `None` before the first report.
    pub round_trip: Option<Duration>,
}

impl ParticipantFigures {
    /// The families that have series.
    pub(crate) fn families(&self) -> Vec<MetricFamily> {
        let counter = |family| IntCounterVec::new(opts(family), &labels(family));
        let received = counter(&declared::PARTICIPANT_RECEIVED).expect("valid metric");
        let lost = counter(&declared::PARTICIPANT_LOST).expect("valid metric");
        let delay = unregistered_floats(&declared::PARTICIPANT_DELAY);
        let round_trip = unregistered_floats(&declared::PARTICIPANT_ROUND_TRIP);
        let left_out = IntGauge::with_opts(opts(&declared::PARTICIPANTS_LEFT_OUT));
        let left_out = left_out.expect("valid metric");
        left_out.set(i64::try_from(self.left_out).unwrap_or(i64::MAX));
        for (id, figure) in &self.shown {
            let id = [&id.to_string()];
            received.with_label_values(&id).inc_by(figure.packets_received);
            lost.with_label_values(&id).inc_by(figure.packets_lost);
            delay.with_label_values(&id).set(figure.jitter_buffer_delay.as_secs_f64());
            if let Some(time) = figure.round_trip {
                round_trip.with_label_values(&id).set(time.as_secs_f64());
            }
        }
        let all = [received.collect(), lost.collect(), delay.collect(), round_trip.collect()];
        let all = all.into_iter().flatten().chain(left_out.collect());
        // One without series is no family in the text format.
        all.filter(|family| !family.get_metric().is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn whoever_is_shown_has_series_and_the_others_are_counted() {
        let figure = ParticipantFigure {
            packets_received: 50,
            packets_lost: 1,
            jitter_buffer_delay: Duration::from_millis(40),
            round_trip: None,
        };
        let heard = ParticipantFigure { round_trip: Some(Duration::from_millis(8)), ..figure };
        let figures = ParticipantFigures { shown: vec![(7, figure), (8, heard)], left_out: 3 };
        let text = Metrics::default().encode(&[], Some(&figures));
        for line in [
            "foldback_participant_packets_received_total{participant=\"7\"} 50",
            "foldback_participant_packets_lost_total{participant=\"8\"} 1",
            "foldback_participant_jitter_buffer_delay_seconds{participant=\"7\"} 0.04",
            "foldback_participant_round_trip_seconds{participant=\"8\"} 0.008",
            "foldback_participants_left_out 3",
        ] {
            assert!(text.lines().any(|l| l == line), "no line `{line}` in\n{text}");
        }
        assert!(!text.contains("round_trip_seconds{participant=\"7\"}"), "{text}");
        assert!(!Metrics::default().encode(&[], None).contains("foldback_participant_"));
    }
}
