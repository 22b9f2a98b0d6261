//! What a worker measures of one participant, named as in W3C "Identifiers for WebRTC's
//! Statistics API" (<https://www.w3.org/TR/webrtc-stats/>); `docs/signalling.md` is the contract.

use std::time::Duration;

use foldback_worker::ParticipantStats;
use serde::Serialize;
use utoipa::ToSchema;

use crate::message::Person;

/// Figures of one participant. What is counted or summed is so since the participant joined;
/// samples are of 48 kHz.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantReport {
    /// The participant's voice as the server receives it.
    pub inbound: Inbound,
    /// The room's sound as the participant receives it, by its RTCP reports.
    pub remote_inbound: RemoteInbound,
    /// Figures that have no name in the W3C's list.
    pub foldback: Own,
}

/// Of `RTCInboundRtpStreamStats`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inbound {
    /// RTP packets taken, those in `packets_discarded` left out.
    pub packets_received: u64,
    /// RTP packets that did not come before they were due; rebuilt or not.
    pub packets_lost: u64,
    /// RTP packets that came after they were due, or twice.
    pub packets_discarded: u64,
    /// Inter-arrival jitter in s (RFC 3550, section 6.4.1).
    pub jitter: f32,
    /// Time that samples spent in the jitter buffer, summed over `jitter_buffer_emitted_count`
    /// samples, in s.
    pub jitter_buffer_delay: f64,
    /// The delay that was aimed for, summed likewise, in s.
    pub jitter_buffer_target_delay: f64,
    /// How many samples those sums are over.
    pub jitter_buffer_emitted_count: u64,
    /// Samples given to the chain, concealed ones included, silence of idle senders left out.
    pub total_samples_received: u64,
    /// Samples made up because their packet was not there.
    pub concealed_samples: u64,
    /// Those of them that were silence or background noise.
    pub silent_concealed_samples: u64,
    /// How often concealment began.
    pub concealment_events: u64,
    /// Samples put in to lengthen the delay.
    pub inserted_samples_for_deceleration: u64,
    /// Samples taken out to shorten the delay.
    pub removed_samples_for_acceleration: u64,
}

/// Of `RTCRemoteInboundRtpStreamStats`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteInbound {
    /// In s; `null` before the first report.
    pub round_trip_time: Option<f64>,
    /// Share of the packets to the participant that were lost on the way of late, 0 to 1; `null`
    /// before the first report.
    pub fraction_lost: Option<f32>,
}

/// Figures of foldback's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// Delay of the jitter buffer now, smoothed, in ms.
    pub jitter_buffer_ms: f32,
    /// By how much the participant's audio clock is fast against the server's, in parts per
    /// million; `null` until that is known.
    pub clock_drift_ppm: Option<f64>,
    /// Lost packets that were rebuilt from the next one's in-band FEC.
    pub fec_packets_used: u64,
    /// Lost packets that a later one carried a copy of (RFC 2198).
    pub red_packets_used: u64,
    /// Packets that were no Opus, or too far from what was expected.
    pub packets_invalid: u64,
}

impl From<&ParticipantStats> for ParticipantReport {
    fn from(stats: &ParticipantStats) -> Self {
        let received = &stats.received;
        Self {
            inbound: Inbound {
                packets_received: received.packets_received,
                packets_lost: received.packets_lost,
                packets_discarded: received.packets_discarded,
                jitter: received.jitter,
                jitter_buffer_delay: received.jitter_buffer_delay,
                jitter_buffer_target_delay: received.jitter_buffer_target_delay,
                jitter_buffer_emitted_count: received.jitter_buffer_emitted_count,
                total_samples_received: received.total_samples_received,
                concealed_samples: received.concealed_samples,
                silent_concealed_samples: received.silent_concealed_samples,
                concealment_events: received.concealment_events,
                inserted_samples_for_deceleration: received.inserted_samples_for_deceleration,
                removed_samples_for_acceleration: received.removed_samples_for_acceleration,
            },
            remote_inbound: RemoteInbound {
                round_trip_time: stats.round_trip.map(|time| time.as_secs_f64()),
                fraction_lost: stats.fraction_lost,
            },
            foldback: Own {
                jitter_buffer_ms: tenths(stats.jitter_buffer_ms),
                clock_drift_ppm: stats.clock_drift_ppm,
                fec_packets_used: received.fec_packets_used,
                red_packets_used: received.red_packets_used,
                packets_invalid: received.packets_invalid,
            },
        }
    }
}

/// Somebody in a room with their figures of the last second; `null` before there are any.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantInfo {
    /// Who.
    #[serde(flatten)]
    pub person: Person,
    /// Their voice as the server receives it.
    pub inbound: Option<Inbound>,
    /// The room's sound as they receive it, by their RTCP reports.
    pub remote_inbound: Option<RemoteInbound>,
    /// Figures that have no name in the W3C's list.
    pub foldback: Option<Own>,
}

impl ParticipantInfo {
    /// Puts together what is known of a person.
    #[must_use]
    pub fn new(person: Person, report: Option<ParticipantReport>) -> Self {
        Self {
            person,
            inbound: report.map(|report| report.inbound),
            remote_inbound: report.map(|report| report.remote_inbound),
            foldback: report.map(|report| report.foldback),
        }
    }
}

/// Rounded to what a person can use.
#[must_use]
pub fn tenths(value: f32) -> f32 {
    (value * 10.0).round() / 10.0
}

/// In ms.
#[must_use]
pub fn tenths_of_ms(time: Duration) -> f32 {
    tenths(time.as_secs_f32() * 1e3)
}

#[cfg(test)]
mod tests {
    use foldback_room::{ParticipantId, ReceiverStats};

    use super::*;
    use crate::auth::Role;
    use crate::chain_view::Means;
    use crate::message::{LatencyInfo, ServerMessage};

    /// Each figure another number, so that none can stand for its neighbour.
    fn stats() -> ParticipantStats {
        ParticipantStats {
            id: ParticipantId(7),
            received: ReceiverStats {
                packets_received: 1,
                packets_lost: 2,
                packets_discarded: 3,
                packets_invalid: 4,
                fec_packets_used: 5,
                red_packets_used: 6,
                jitter: 0.5,
                total_samples_received: 7,
                concealed_samples: 8,
                silent_concealed_samples: 9,
                concealment_events: 10,
                inserted_samples_for_deceleration: 11,
                removed_samples_for_acceleration: 12,
                jitter_buffer_delay: 13.5,
                jitter_buffer_target_delay: 14.5,
                jitter_buffer_emitted_count: 15,
            },
            jitter_buffer_ms: 40.04,
            clock_drift_ppm: Some(-20.5),
            round_trip: Some(Duration::from_micros(1_500)),
            fraction_lost: Some(0.25),
        }
    }

    const REPORT: &str = concat!(
        r#""inbound":{"packetsReceived":1,"packetsLost":2,"packetsDiscarded":3,"jitter":0.5,"#,
        r#""jitterBufferDelay":13.5,"jitterBufferTargetDelay":14.5,"#,
        r#""jitterBufferEmittedCount":15,"totalSamplesReceived":7,"concealedSamples":8,"#,
        r#""silentConcealedSamples":9,"concealmentEvents":10,"#,
        r#""insertedSamplesForDeceleration":11,"removedSamplesForAcceleration":12},"#,
        r#""remoteInbound":{"roundTripTime":0.0015,"fractionLost":0.25},"#,
        r#""foldback":{"jitterBufferMs":40.0,"clockDriftPpm":-20.5,"fecPacketsUsed":5,"#,
        r#""redPacketsUsed":6,"packetsInvalid":4}"#,
    );

    fn person() -> Person {
        Person { id: 7, name: "Ann".to_owned(), role: Role::Talker, muted: false, hand: None }
    }

    #[test]
    fn participants_have_their_figures_under_the_names_of_the_w3c() {
        let info = ParticipantInfo::new(person(), Some((&stats()).into()));
        let text = serde_json::to_string(&info).expect("serialises");
        assert_eq!(
            text,
            format!(
                r#"{{"id":7,"name":"Ann","role":"talker","muted":false,"hand":null,{REPORT}}}"#
            )
        );
    }

    #[test]
    fn participants_without_figures_have_nulls() {
        let text =
            serde_json::to_string(&ParticipantInfo::new(person(), None)).expect("serialises");
        let nulls = r#""inbound":null,"remoteInbound":null,"foldback":null"#;
        assert_eq!(
            text,
            format!(r#"{{"id":7,"name":"Ann","role":"talker","muted":false,"hand":null,{nulls}}}"#)
        );
    }

    #[test]
    fn stats_messages_have_the_report_beside_the_fields_of_version_1() {
        let message = ServerMessage::Stats {
            server_latency_ms: LatencyInfo { p50: Some(24.0), ..LatencyInfo::default() },
            jitter_buffer_ms: 40.0,
            round_trip_ms: Some(1.5),
            packets_received: 1,
            packets_lost: 2,
            readings: [("gate".to_owned(), Means::from([("gain_db", -1.5)]))].into(),
            stage_time_us: [("gate".to_owned(), 1.5)].into(),
            report: Box::new((&stats()).into()),
        };
        let text = serde_json::to_string(&message).expect("serialises");
        let flat = concat!(
            r#""type":"stats","server_latency_ms":{"p50":24.0,"p95":null,"parts":null},"#,
            r#""jitter_buffer_ms":40.0,"round_trip_ms":1.5,"packets_received":1,"packets_lost":2,"#,
            r#""readings":{"gate":{"gain_db":-1.5}},"stage_time_us":{"gate":1.5}"#,
        );
        assert_eq!(text, format!("{{{flat},{REPORT}}}"));
    }
}
