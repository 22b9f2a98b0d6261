//! What sessions receive and send, and when they end.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_metrics::LatencyParts;
use foldback_peer::Closed;
use foldback_room::{ParticipantId, TICK};
use foldback_stage::BLOCK_SAMPLES;

use crate::control::{Event, LeaveReason, Remains};
use crate::ears;
use crate::media::Worker;
use crate::member::{Member, Outputs};
use crate::socket::ReceiveBuffers;

/// An address that was heard of so lately is still its session's.
const ADDRESS_IN_USE: Duration = Duration::from_secs(1);

impl Worker {
    /// Reads what is there, but no longer than to `deadline`: a flood must not hold up the tick.
    pub(crate) fn receive(&mut self, buffers: &mut ReceiveBuffers, deadline: Instant) {
        let socket = Arc::clone(&self.socket);
        loop {
            let read = socket.receive(buffers, |arrival, source, destination, bytes| {
                self.datagram(arrival, source, destination, bytes);
            });
            let count = self.metrics.count();
            count.receive_calls += u64::from(read.datagrams > 0);
            count.datagrams_received += read.datagrams as u64;
            if !read.more || Instant::now() >= deadline {
                return;
            }
        }
    }

    fn datagram(
        &mut self,
        arrival: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        let Some(id) = self.demux.find(source, bytes) else {
            self.metrics.count().datagrams_unknown += 1;
            return;
        };
        let mut accepted = false;
        self.with_member(id, |member, outputs| {
            accepted = member.peer.receive(arrival, source, destination, bytes, outputs);
        });
        // Only what the session took (for STUN: whose integrity is right) tells of an address.
        if accepted {
            self.learn_address(arrival, source, id);
        }
    }

    /// Notes that `source` speaks for `id`. An address passes to another session only once the
    /// one before has fallen silent: a forged source must not cut somebody off.
    fn learn_address(&mut self, now: Instant, source: SocketAddr, id: ParticipantId) {
        let before = self.demux.of_address(source);
        let in_use = before.and_then(|before| self.members.get(&before)).is_some_and(|member| {
            now.saturating_duration_since(member.peer.last_received()) < ADDRESS_IN_USE
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
                let (frame, payloads) = self.fanout.frame(&packet, samples);
                let mut outputs =
                    Outputs::new(&mut self.outbox, &mut self.metrics, None, packet.to);
                let sent = guarded(|| member.peer.send(now, frame, payloads, &mut outputs));
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
            if member.is_gone(now) {
                self.say_goodbye(id);
                self.remove(id, LeaveReason::Timeout);
            } else if member.peer.timeout().is_some_and(|at| at <= now) {
                self.with_member(id, |member, outputs| member.peer.handle_timeout(now, outputs));
            } else {
                self.timers.set(id, member.deadline());
            }
        }
        self.due = due;
    }

    /// Runs `act` on a member and follows up on what came of it.
    pub(crate) fn with_member(
        &mut self,
        id: ParticipantId,
        act: impl FnOnce(&mut Member, &mut Outputs<'_>),
    ) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let mut outputs =
            Outputs::new(&mut self.outbox, &mut self.metrics, self.rooms.get_mut(&member.room), id);
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
        let mut outputs = Outputs::new(&mut self.outbox, &mut self.metrics, None, id);
        let now = Instant::now();
        guarded(|| member.peer.close(now, &mut outputs));
    }

    pub(crate) fn remove(&mut self, id: ParticipantId, reason: LeaveReason) {
        let Some(mut member) = self.members.remove(&id) else { return };
        self.demux.remove(id);
        self.timers.remove(id);
        let open = self.rooms.get_mut(&member.room);
        let departed = open.and_then(|open| {
            open.count_faults(&mut self.metrics);
            let departed = open.room.leave(id)?;
            // Those that left are no longer in the sum.
            open.faults = open.room.faults();
            Some(departed)
        });
        if let Some(departed) = &departed {
            member.count(departed.stats, &mut self.metrics);
        }
        let remains = Remains(departed.map(Box::new), Some(member.peer));
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
fn guarded<R>(act: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

fn reason_of(closed: Option<Closed>) -> LeaveReason {
    match closed {
        Some(Closed::ByPeer) => LeaveReason::ByPeer,
        Some(Closed::Failed) | None => LeaveReason::Failed,
    }
}
