//! One participant as the worker keeps it: the session and what it owes to whom.

use std::time::{Duration, Instant};

use foldback_metrics::WorkerMetrics;
use foldback_peer::{Closed, NetworkReport, Peer, ReceivedFrame, Route, Sink, Transport};
use foldback_room::{ParticipantId, ReceiverStats};

use crate::allowance::Allowance;
use crate::control::{Connection, LeaveReason, RoomKey};
use crate::frames::encoded;
use crate::media::OpenRoom;
use crate::messages::BURST;
use crate::outbox::Outbox;
use crate::stage_times::TimedStages;
use crate::streams::Streams;

/// ICE consent alone takes 30 s to notice that a browser is gone; somebody who talks sends 50
/// packets a second, somebody who only listens a few each second.
const SILENT_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a browser may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Member {
    pub(crate) room: RoomKey,
    /// Its stages before `mix`.
    pub(crate) input: TimedStages,
    pub(crate) connection: Connection,
    /// Whether anything came by a line.
    pub(crate) connected: bool,
    pub(crate) counted: ReceiverStats,
    pub(crate) report: NetworkReport,
    /// What it may still say by data channel, and whether it was told that this was too much.
    pub(crate) allowance: Allowance,
    pub(crate) told_too_fast: bool,
    /// A share of lost packets that the room was not told yet.
    pub(crate) loss_news: Option<f32>,
}

impl Member {
    pub(crate) fn new(room: RoomKey, input: TimedStages, connection: Connection) -> Self {
        Self {
            room,
            input,
            connection,
            connected: false,
            counted: ReceiverStats::default(),
            report: NetworkReport::default(),
            allowance: Allowance::new(BURST),
            told_too_fast: false,
            loss_news: None,
        }
    }

    /// Why it is over with it: nothing was heard of it for too long.
    pub(crate) fn is_gone(&self, now: Instant) -> Option<LeaveReason> {
        match &self.connection {
            Connection::Browser(peer) => (gone_at(peer) <= now).then_some(LeaveReason::Timeout),
            Connection::Line(line) => line.is_gone(now),
        }
    }

    /// When it is to be looked at, should nothing come of it until then.
    pub(crate) fn deadline(&self) -> Instant {
        match &self.connection {
            Connection::Browser(peer) => {
                let gone_at = gone_at(peer);
                peer.timeout().map_or(gone_at, |timeout| timeout.min(gone_at))
            }
            Connection::Line(line) => line.deadline(),
        }
    }

    /// When it asked for time to pass.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        match &self.connection {
            Connection::Browser(peer) => peer.timeout(),
            Connection::Line(line) => Some(line.timeout()),
        }
    }

    /// Takes note of what the browser reported.
    pub(crate) fn learn(&mut self, news: NetworkReport) {
        self.report.update(news);
        self.loss_news = news.loss.or(self.loss_news);
    }

    /// Adds what the receiver counted since the last call to the metrics.
    pub(crate) fn count(&mut self, stats: ReceiverStats, metrics: &mut WorkerMetrics) {
        let (before, to) = (self.counted, metrics.count());
        to.packets_received += stats.packets_received - before.packets_received;
        to.packets_lost += stats.packets_lost - before.packets_lost;
        to.packets_late += stats.packets_discarded - before.packets_discarded;
        to.packets_invalid += stats.packets_invalid - before.packets_invalid;
        to.packets_recovered += stats.fec_packets_used - before.fec_packets_used;
        to.packets_recovered += stats.red_packets_used - before.red_packets_used;
        to.samples_concealed += stats.concealed_samples - before.concealed_samples;
        to.samples_removed +=
            stats.removed_samples_for_acceleration - before.removed_samples_for_acceleration;
        self.counted = stats;
    }
}

fn gone_at(peer: &Peer) -> Instant {
    let limit = if peer.is_connected() { SILENT_TIMEOUT } else { CONNECT_TIMEOUT };
    peer.last_received() + limit
}

/// Where a session's outputs go: datagrams to the outbox or a connection, frames to the room, the rest into
/// fields that the worker reads right after.
pub(crate) struct Outputs<'a> {
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) streams: &'a mut Streams,
    pub(crate) metrics: &'a mut WorkerMetrics,
    pub(crate) room: Option<&'a mut OpenRoom>,
    pub(crate) id: ParticipantId,
    pub(crate) connected: bool,
    pub(crate) closed: Option<Closed>,
    pub(crate) report: NetworkReport,
    /// What came by data channel.
    pub(crate) messages: Vec<Option<String>>,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(
        outbox: &'a mut Outbox,
        streams: &'a mut Streams,
        metrics: &'a mut WorkerMetrics,
        room: Option<&'a mut OpenRoom>,
        id: ParticipantId,
    ) -> Self {
        let report = NetworkReport::default();
        let messages = Vec::new();
        let (connected, closed) = (false, None);
        Self { outbox, streams, metrics, room, id, connected, closed, report, messages }
    }
}

impl Sink for Outputs<'_> {
    fn transmit(&mut self, route: Route, datagram: &[u8]) {
        let Route { transport, source, destination } = route;
        let count = self.metrics.count();
        match transport {
            Transport::Udp => self.outbox.push(source, destination, datagram, count),
            Transport::Tcp => self.streams.send(destination, datagram, count),
        }
    }

    fn frame(&mut self, frame: ReceivedFrame) {
        if let Some(open) = &mut self.room {
            let frame = encoded(frame);
            open.overhear(self.id, &frame);
            open.room.push(self.id, frame);
        }
    }

    fn connected(&mut self) {
        self.connected = true;
    }

    fn closed(&mut self, why: Closed) {
        self.closed = Some(why);
    }

    fn report(&mut self, report: NetworkReport) {
        self.report.update(report);
    }

    fn message(&mut self, text: Option<String>) {
        self.messages.push(text);
    }
}
