//! What sessions receive and send, and when they end.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_metrics::LatencyParts;
use foldback_peer::{Closed, Route};
use foldback_room::{ParticipantId, TICK};
use foldback_stage::BLOCK_SAMPLES;

use crate::control::{Connection, Event, LeaveReason, Remains};
use crate::ears;
use crate::framing::MAX_FRAME_BYTES;
use crate::media::Worker;
use crate::member::{Member, Outputs};
use crate::socket::{Ready, ReceiveBuffers};
use crate::streams::MediaStream;

/// An address that was heard of so lately is still its session's.
const ADDRESS_IN_USE: Duration = Duration::from_secs(1);

impl Worker {
    /// Reads what is there, but no longer than to `deadline`: a flood must not hold up the tick.
    pub(crate) fn receive(
        &mut self,
        buffers: &mut ReceiveBuffers,
        ready: Ready,
        deadline: Instant,
    ) {
        self.receive_datagrams(buffers, ready, deadline);
        // Elsewhere than on Linux nothing tells of them.
        if ready.streams || self.streams.readable().is_none() {
            self.receive_streams(deadline);
        }
        if ready.lines || self.ports.readable().is_none() {
            self.receive_lines(buffers, deadline);
        }
    }

    fn receive_datagrams(&mut self, buffers: &mut ReceiveBuffers, ready: Ready, deadline: Instant) {
        let socket = Arc::clone(&self.socket);
        loop {
            let read = socket.receive(buffers, ready, |arrival, source, destination, bytes| {
                self.datagram(arrival, Route::udp(source, destination), bytes);
            });
            let count = self.metrics.count();
            count.receive_calls += u64::from(read.datagrams > 0);
            count.datagrams_received += read.datagrams as u64;
            if !read.more || Instant::now() >= deadline {
                return;
            }
        }
    }

    fn datagram(&mut self, arrival: Instant, route: Route, bytes: &[u8]) {
        let Some(id) = self.demux.find(route.source, bytes) else {
            self.metrics.count().datagrams_unknown += 1;
            return;
        };
        // Only what the session took (for STUN: whose integrity is right) tells of an address.
        if self.is_taken(id, arrival, route, bytes) {
            self.learn_address(arrival, route.source, id);
        }
    }

    /// Gives a datagram to a session; says whether that took it as its own.
    fn is_taken(
        &mut self,
        id: ParticipantId,
        arrival: Instant,
        route: Route,
        bytes: &[u8],
    ) -> bool {
        let mut taken = false;
        self.with_member(id, |member, outputs| {
            if let Some(peer) = member.connection.browser() {
                taken = peer.receive(arrival, route, bytes, outputs);
            }
        });
        taken
    }

    /// Takes a connection, and what was read of it already.
    pub(crate) fn take_stream(&mut self, stream: Box<MediaStream>) {
        match self.streams.add(stream) {
            Ok(number) => self.take_datagrams(number),
            Err(stream) => self.tell_surely(Event::StreamClosed(stream)),
        }
    }

    /// Each connection is read once, as far as its buffer goes; the others' turn comes.
    fn receive_streams(&mut self, deadline: Instant) {
        let mut ready = std::mem::take(&mut self.ready);
        self.streams.ready(&mut ready);
        for number in ready.drain(..) {
            let is_open = self.streams.read(number);
            self.metrics.count().receive_calls += 1;
            self.take_datagrams(number);
            if !is_open {
                self.close_stream(number);
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        self.ready = ready;
    }

    /// A connection is the session's that its first datagram names, and that took it; one of nobody is
    /// not kept.
    fn take_datagrams(&mut self, number: usize) {
        let arrival = Instant::now();
        let mut bytes = [0; MAX_FRAME_BYTES];
        loop {
            let (route, owner, length) = match self.streams.datagram(number, &mut bytes) {
                Ok(Some(datagram)) => datagram,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "a connection is closed");
                    return self.close_stream(number);
                }
            };
            self.metrics.count().datagrams_received += 1;
            let datagram = &bytes[..length];
            let named = self.demux.named(datagram).or(owner);
            match named.filter(|id| self.is_taken(*id, arrival, route, datagram)) {
                Some(id) => self.streams.learn(number, id),
                None if owner.is_some() => {}
                None => {
                    self.metrics.count().datagrams_unknown += 1;
                    return self.close_stream(number);
                }
            }
        }
    }

    fn close_stream(&mut self, number: usize) {
        if let Some(stream) = self.streams.remove(number) {
            self.tell_surely(Event::StreamClosed(stream));
        }
    }

    /// Notes that `source` speaks for `id`. An address passes to another session only once the
    /// one before has fallen silent: a forged source must not cut somebody off.
    fn learn_address(&mut self, now: Instant, source: SocketAddr, id: ParticipantId) {
        let before = self.demux.of_address(source);
        let before_it = before.and_then(|before| self.members.get_mut(&before));
        let in_use = before_it.and_then(|member| member.connection.browser()).is_some_and(|peer| {
            now.saturating_duration_since(peer.last_received()) < ADDRESS_IN_USE
        });
        if before != Some(id) && !in_use {
            self.demux.learn(source, id);
        }
    }

    /// Sends what the tick closed, in all rooms, and takes note of how long that took.
    pub(crate) fn send_packets(&mut self, deadline: Instant, begun: Instant) {
        let now = Instant::now();
        let mut closed = Vec::new();
        for open in self.rooms.values_mut() {
            self.fanout.begin();
            let samples = open.room.spec().latency.blocks_per_packet() * BLOCK_SAMPLES;
            for packet in open.room.packets() {
                let Some(member) = self.members.get_mut(&packet.to) else {
                    ears::hear(&mut open.ears, deadline, &packet);
                    continue;
                };
                let peer = match &mut member.connection {
                    Connection::Browser(peer) => peer,
                    Connection::Line(line) => {
                        let count = self.metrics.count();
                        if guarded(|| line.send(now, &packet, samples, count)).is_none() {
                            closed.push((packet.to, None));
                        }
                        continue;
                    }
                };
                let (frame, payloads) = self.fanout.frame(&packet, samples);
                let mut outputs = Outputs::new(
                    &mut self.outbox,
                    &mut self.streams,
                    &mut self.metrics,
                    None,
                    packet.to,
                );
                let sent = guarded(|| peer.send(now, frame, payloads, &mut outputs));
                member.learn(outputs.report);
                if sent.is_none() || outputs.closed.is_some() {
                    closed.push((packet.to, outputs.closed));
                }
                self.timers.set(packet.to, member.deadline());
            }
        }
        self.outbox.flush(self.metrics.count());
        let sent_at = Instant::now();
        for open in self.rooms.values() {
            for packet in open.room.played() {
                let quantum = TICK * open.room.spec().latency.blocks_per_packet() as u32;
                let encode = open.room.encode_time() + (sent_at - now);
                let computing = (now - begun).saturating_sub(open.room.encode_time());
                self.metrics.server_latency(LatencyParts::of(
                    sent_at.saturating_duration_since(packet.arrival),
                    waited_for_tick(packet.arrival, deadline, quantum) + (begun - deadline),
                    packet.chain_delay + computing,
                    encode,
                ));
            }
        }
        for (id, why) in closed {
            self.remove(id, reason_of(why));
        }
    }

    /// Lets time pass for those that asked for it, and lets go of those that fell silent.
    pub(crate) fn timeouts(&mut self, now: Instant) {
        let mut due = std::mem::take(&mut self.due);
        due.extend(std::iter::from_fn(|| self.timers.due(now)));
        for id in due.drain(..) {
            let Some(member) = self.members.get(&id) else { continue };
            if let Some(why) = member.is_gone(now) {
                self.say_goodbye(id);
                self.remove(id, why);
            } else if member.timeout().is_some_and(|at| at <= now) {
                self.pass_time(id, now);
            } else {
                self.timers.set(id, member.deadline());
            }
        }
        self.due = due;
    }

    /// Lets time pass for a member.
    pub(crate) fn pass_time(&mut self, id: ParticipantId, now: Instant) {
        self.with_member(id, |member, outputs| match &mut member.connection {
            Connection::Browser(peer) => peer.handle_timeout(now, outputs),
            Connection::Line(line) => line.handle_timeout(now, outputs.metrics.count()),
        });
    }

    /// Runs `act` on a member and follows up on what came of it.
    pub(crate) fn with_member(
        &mut self,
        id: ParticipantId,
        act: impl FnOnce(&mut Member, &mut Outputs<'_>),
    ) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let mut outputs = Outputs::new(
            &mut self.outbox,
            &mut self.streams,
            &mut self.metrics,
            self.rooms.get_mut(&member.room),
            id,
        );
        let done = guarded(|| act(member, &mut outputs));
        let (connected, closed, report) = (outputs.connected, outputs.closed, outputs.report);
        let messages = std::mem::take(&mut outputs.messages);
        member.learn(report);
        self.timers.set(id, member.deadline());
        if connected {
            self.tell_surely(Event::Connected(id));
        }
        self.hear_messages(id, messages);
        if done.is_none() || closed.is_some() {
            self.remove(id, reason_of(closed));
        }
    }

    pub(crate) fn say_goodbye(&mut self, id: ParticipantId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let (outbox, streams) = (&mut self.outbox, &mut self.streams);
        let mut outputs = Outputs::new(outbox, streams, &mut self.metrics, None, id);
        let now = Instant::now();
        guarded(|| match &mut member.connection {
            Connection::Browser(peer) => peer.close(now, &mut outputs),
            Connection::Line(line) => line.close(now, outputs.metrics.count()),
        });
    }

    pub(crate) fn remove(&mut self, id: ParticipantId, reason: LeaveReason) {
        let Some(mut member) = self.members.remove(&id) else { return };
        if let Some(line) = member.connection.line() {
            self.ports.remove(id, line);
        }
        self.demux.remove(id);
        self.timers.remove(id);
        while let Some(number) = self.streams.of(id) {
            self.close_stream(number);
        }
        let open = self.rooms.get_mut(&member.room);
        let departed = open.and_then(|open| {
            open.tell_faults(member.room, &mut self.metrics, &self.events);
            open.leave(id)
        });
        if let Some(departed) = &departed {
            member.count(departed.stats, &mut self.metrics);
        }
        let remains = Remains(departed.map(Box::new), Some(member.connection));
        self.tell_surely(Event::Left { id, reason, remains });
    }
}

/// How long the first tick that closed a packet after `arrival` was to come; they are `quantum`
/// apart, and `tick` is one of them.
fn waited_for_tick(arrival: Instant, tick: Instant, quantum: Duration) -> Duration {
    let since = tick.saturating_duration_since(arrival).as_nanos() % quantum.as_nanos();
    Duration::from_nanos(u64::try_from(since).unwrap_or_default())
}

/// Runs code of a session; a panic there (a bug, here or in a library) costs that session only.
pub(crate) fn guarded<R>(act: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

fn reason_of(closed: Option<Closed>) -> LeaveReason {
    match closed {
        Some(Closed::ByPeer) => LeaveReason::ByPeer,
        Some(Closed::Failed) | None => LeaveReason::Failed,
    }
}
