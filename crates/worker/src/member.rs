//! One participant as the worker keeps it: the session and what it owes to whom.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use foldback_metrics::WorkerMetrics;
use foldback_peer::{Closed, NetworkReport, Peer, ReceivedFrame, Sink};
use foldback_room::{EncodedFrame, ParticipantId, ReceiverStats, Room};

use crate::control::RoomKey;
use crate::socket::MediaSocket;

/// ICE consent alone takes 30 s to notice that a browser is gone; somebody who talks sends 50
/// packets a second, somebody who only listens a few each second.
const SILENT_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a browser may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct Member {
    pub(crate) room: RoomKey,
    pub(crate) peer: Box<Peer>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) counted: ReceiverStats,
    pub(crate) report: NetworkReport,
}

impl Member {
    pub(crate) fn new(room: RoomKey, peer: Peer) -> Self {
        Self {
            room,
            peer: Box::new(peer),
            addresses: Vec::new(),
            counted: ReceiverStats::default(),
            report: NetworkReport::default(),
        }
    }

    pub(crate) fn is_gone(&self, now: Instant) -> bool {
        let limit = if self.peer.is_connected() { SILENT_TIMEOUT } else { CONNECT_TIMEOUT };
        now.saturating_duration_since(self.peer.last_received()) > limit
    }

    /// Adds what the receiver counted since the last call to the metrics.
    pub(crate) fn count(&mut self, stats: ReceiverStats, metrics: &mut WorkerMetrics) {
        let (before, to) = (self.counted, metrics.count());
        to.packets_received += stats.received - before.received;
        to.packets_lost += stats.lost - before.lost;
        to.packets_late += stats.late - before.late;
        to.packets_invalid += stats.invalid - before.invalid;
        to.packets_recovered += stats.recovered - before.recovered;
        to.samples_concealed += stats.concealed_samples - before.concealed_samples;
        to.samples_removed += stats.removed_samples - before.removed_samples;
        self.counted = stats;
    }
}

/// Where a session's outputs go: datagrams to the socket, frames to the room, the rest into
/// fields that the worker reads right after.
pub(crate) struct Outputs<'a> {
    pub(crate) socket: &'a MediaSocket,
    pub(crate) metrics: &'a mut WorkerMetrics,
    pub(crate) room: Option<&'a mut Room>,
    pub(crate) id: ParticipantId,
    pub(crate) connected: bool,
    pub(crate) closed: Option<Closed>,
    pub(crate) report: Option<NetworkReport>,
}

impl Sink for Outputs<'_> {
    fn transmit(&mut self, source: SocketAddr, destination: SocketAddr, datagram: &[u8]) {
        if !self.socket.send(source, destination, datagram) {
            self.metrics.count().datagrams_unsent += 1;
        }
    }

    fn frame(&mut self, frame: ReceivedFrame) {
        let ReceivedFrame { seq, rtp_time, level_minus_dbov, payload, arrival } = frame;
        if let Some(room) = &mut self.room {
            let frame = EncodedFrame { seq, rtp_time, level_minus_dbov, payload, arrival };
            room.push(self.id, frame);
        }
    }

    fn connected(&mut self) {
        self.connected = true;
    }

    fn closed(&mut self, why: Closed) {
        self.closed = Some(why);
    }

    fn report(&mut self, report: NetworkReport) {
        self.report = Some(report);
    }
}
