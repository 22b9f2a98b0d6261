//! Lines of RTP to gateways and tools: each has a port of its own, by which it is known.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use foldback_metrics::Counters;
use foldback_room::{Codec, MixPacket, ParticipantId, PcmEncoder, PcmFormat};
use foldback_rtp::{Dropped, Received, Session};

use crate::control::{Event, LeaveReason};
use crate::frames::encoded;
use crate::media::Worker;
use crate::poller::Poller;
use crate::sessions::guarded;
use crate::socket::{LineSocket, ReceiveBuffers};

/// The longest packet of sound and its head.
const MOST_BYTES: usize = 60 * 48 * 4 + 64;

/// A session of RTP with its port.
pub struct Line {
    session: Session,
    socket: LineSocket,
    codec: Codec,
    hears: bool,
    stereo: bool,
    /// For those who take no Opus.
    packets: Option<Packets>,
    /// What is being sent.
    datagram: Vec<u8>,
}

/// Sound on its way into packets of a length that is not the room's.
struct Packets {
    encoder: PcmEncoder,
    waiting: Vec<u8>,
    /// Bytes and samples at 48 kHz of a packet.
    bytes: usize,
    samples: u32,
    /// When what waits begins, in the room's time, and how long it is.
    from: u32,
    samples_waiting: u32,
}

impl Line {
    /// Of a session that has been made for it. `hears`: whether the room is sent to it, in packets of `packet_ms`, where they
    /// are no Opus, and in stereo where the room is. Allocates.
    #[must_use]
    pub fn new(
        session: Session,
        socket: LineSocket,
        codec: Codec,
        hears: bool,
        stereo: bool,
        packet_ms: u32,
    ) -> Self {
        let packets = match codec {
            Codec::Opus => None,
            Codec::Pcm(format) => Some(Packets::new(format, packet_ms)),
        };
        Self {
            session,
            socket,
            codec,
            hears,
            stereo,
            packets,
            datagram: Vec::with_capacity(MOST_BYTES),
        }
    }

    pub(crate) fn hears(&self) -> bool {
        self.hears
    }

    pub(crate) fn stereo(&self) -> bool {
        self.stereo
    }

    /// Sends what the room gave, whose packets hold so many samples.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        packet: &MixPacket<'_>,
        samples: usize,
        count: &mut Counters<u64>,
    ) {
        let (session, datagram) = (&mut self.session, &mut self.datagram);
        let socket = &self.socket;
        match &mut self.packets {
            None => {
                let (time, payload) = (packet.rtp_time, packet.payload);
                let to = session.send(now, time, packet.marker, payload, datagram);
                push(socket, to, datagram, count);
            }
            Some(packets) => {
                packets.add(packet, samples);
                while let Some((time, payload)) = packets.next() {
                    let to = session.send(now, time, false, payload, datagram);
                    push(socket, to, datagram, count);
                    packets.pass();
                }
            }
        }
    }

    pub(crate) fn timeout(&self) -> Instant {
        self.session.timeout()
    }

    pub(crate) fn deadline(&self) -> Instant {
        let timeout = self.session.timeout();
        self.session.gone_at().map_or(timeout, |gone| gone.min(timeout))
    }

    /// Why it is over, if it is.
    pub(crate) fn is_gone(&self, now: Instant) -> Option<LeaveReason> {
        let gone = self.session.gone_at().is_some_and(|at| at <= now);
        let why = match self.session.said_goodbye() {
            true => LeaveReason::ByPeer,
            false => LeaveReason::Timeout,
        };
        gone.then_some(why)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant, count: &mut Counters<u64>) {
        let to = self.session.handle_timeout(now, &mut self.datagram);
        push(&self.socket, to, &self.datagram, count);
    }

    pub(crate) fn close(&mut self, now: Instant, count: &mut Counters<u64>) {
        let to = self.session.close(now, &mut self.datagram);
        push(&self.socket, to, &self.datagram, count);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("told", &self.socket.told())
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}

/// Sends a datagram, if it is known where to. What the kernel has no room for would come too late.
fn push(socket: &LineSocket, to: Option<SocketAddr>, datagram: &[u8], count: &mut Counters<u64>) {
    let Some(to) = to else { return };
    count.send_calls += 1;
    match socket.send(to, datagram) {
        Ok(_) => count.datagrams_sent += 1,
        Err(_) => count.datagrams_unsent += 1,
    }
}

impl Packets {
    fn new(format: PcmFormat, packet_ms: u32) -> Self {
        let samples = packet_ms * 48;
        let bytes = format.bytes_of(samples as usize);
        let waiting = Vec::with_capacity(2 * bytes + MOST_BYTES);
        let encoder = PcmEncoder::new(format);
        Self { encoder, waiting, bytes, samples, from: 0, samples_waiting: 0 }
    }

    /// What the room gave waits behind what did before it, if it follows upon that.
    fn add(&mut self, packet: &MixPacket<'_>, samples: usize) {
        let end = self.from.wrapping_add(self.samples_waiting);
        if self.waiting.is_empty() || end != packet.rtp_time {
            self.waiting.clear();
            (self.from, self.samples_waiting) = (packet.rtp_time, 0);
        }
        self.samples_waiting += samples as u32;
        self.encoder.encode(packet.sound, &mut self.waiting);
    }

    fn next(&self) -> Option<(u32, &[u8])> {
        Some((self.from, self.waiting.get(..self.bytes).filter(|it| !it.is_empty())?))
    }

    fn pass(&mut self) {
        self.waiting.drain(..self.bytes);
        self.from = self.from.wrapping_add(self.samples);
        self.samples_waiting = self.samples_waiting.saturating_sub(self.samples);
    }
}

/// The ports of a worker's lines.
#[derive(Default)]
pub(crate) struct Ports {
    /// Once there was one.
    poller: Option<Poller>,
    /// Whose a port is, by its number.
    owners: Vec<Option<ParticipantId>>,
}

impl Ports {
    /// Has the port of a line watched; says whether it is. Allocates.
    pub(crate) fn add(&mut self, id: ParticipantId, line: &Line) -> bool {
        if self.poller.is_none() {
            self.poller = Poller::new().ok();
        }
        let number = self.owners.iter().position(Option::is_none).unwrap_or(self.owners.len());
        let Some(poller) = &self.poller else { return false };
        if !poller.add(&line.socket, number) {
            return false;
        }
        match self.owners.get_mut(number) {
            Some(owner) => *owner = Some(id),
            None => self.owners.push(Some(id)),
        }
        true
    }

    /// Has it watched no more.
    pub(crate) fn remove(&mut self, id: ParticipantId, line: &Line) {
        self.owners.iter_mut().filter(|owner| **owner == Some(id)).for_each(|owner| *owner = None);
        if let Some(poller) = &self.poller {
            poller.remove(&line.socket);
        }
    }

    /// What turns readable when one does.
    pub(crate) fn readable(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.poller.as_ref().and_then(Poller::readable)
    }

    /// Adds the numbers of those that have something to be read.
    fn ready(&self, numbers: &mut Vec<usize>) {
        if let Some(poller) = &self.poller {
            poller.ready(self.owners.len(), numbers);
        }
    }
}

impl Worker {
    /// Each port is read once, as far as the buffers go; the others' turn comes.
    pub(crate) fn receive_lines(&mut self, buffers: &mut ReceiveBuffers, deadline: Instant) {
        let mut ready = std::mem::take(&mut self.ready);
        self.ports.ready(&mut ready);
        for number in ready.drain(..) {
            if let Some(id) = self.ports.owners.get(number).copied().flatten() {
                self.receive_line(id, buffers);
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.ready = ready;
    }

    fn receive_line(&mut self, id: ParticipantId, buffers: &mut ReceiveBuffers) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(open) = self.rooms.get_mut(&member.room) else { return };
        let was_connected = member.connected;
        let Some(Line { session, socket, codec, .. }) = member.connection.line() else { return };
        let (mut connected, mut broken) = (was_connected, false);
        let count = self.metrics.count();
        let mut news = foldback_peer::NetworkReport::default();
        let read = socket.receive(buffers, |arrival, source, bytes| {
            match guarded(|| session.receive(arrival, source, bytes)) {
                None => broken = true,
                Some(Received::Frame(frame)) => {
                    let frame = encoded(frame);
                    // What records is made for Opus.
                    if *codec == Codec::Opus {
                        open.overhear(id, &frame);
                    }
                    open.room.push(id, frame);
                    connected = true;
                }
                Some(Received::Report(report)) => {
                    news.update(report);
                    connected = true;
                }
                Some(Received::Dropped(why)) => *dropped(count, why) += 1,
            }
        });
        count.receive_calls += 1;
        count.datagrams_received += read.datagrams as u64;
        member.learn(news);
        member.connected = connected;
        let deadline = member.deadline();
        self.timers.set(id, deadline);
        if broken {
            return self.remove(id, LeaveReason::Failed);
        }
        if connected && !was_connected {
            self.tell_surely(Event::Connected(id));
        }
    }
}

fn dropped(count: &mut Counters<u64>, why: Dropped) -> &mut u64 {
    match why {
        Dropped::Foreign => &mut count.rtp_foreign,
        Dropped::Malformed => &mut count.rtp_malformed,
        Dropped::OtherPayload => &mut count.rtp_other_payload,
        Dropped::Unauthentic => &mut count.rtp_unauthentic,
    }
}
