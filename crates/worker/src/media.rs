//! The media thread.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use foldback_chain::Probe;
use foldback_metrics::{ChainHandle, Gauges, LatencyParts, WorkerMetrics};
use foldback_peer::{Closed, OutgoingFrame, Peer, stun_ufrag};
use foldback_room::{ChainChange, ParticipantId, Room, TICK};
use foldback_stage::BLOCK_SAMPLES;
use tokio::sync::mpsc::Sender;

use crate::control::{
    Command, Event, Join, LeaveReason, ParticipantStats, Readings, Remains, RoomKey, WorkerHandle,
};
use crate::frames::outgoing;
use crate::member::{Member, Outputs};
use crate::socket::{MediaSocket, ReceiveBuffers};

/// Commands that may wait.
const QUEUE: usize = 1024;
/// A worker that was held up plays at most so many ticks at once; older ones are skipped.
const MAX_CATCH_UP: u32 = 5;
/// Addresses that one browser may come from at a time: its interfaces, and those of relays.
const MAX_ADDRESSES: usize = 16;
/// An address that was heard of so lately is still its session's.
const ADDRESS_IN_USE: Duration = Duration::from_secs(1);
const LEVELS_EVERY_TICKS: u64 = 10;
const STATS_EVERY_TICKS: u64 = 100;

/// What a worker is made of.
#[derive(Debug)]
pub struct WorkerConfig {
    /// Its number, for its thread's name.
    pub index: usize,
    /// Its socket.
    pub socket: MediaSocket,
    /// Where it records.
    pub metrics: WorkerMetrics,
    /// Where its events go. When the queue is full, levels and figures are dropped, departures
    /// are kept and sent later.
    pub events: Sender<Event>,
    /// Run on the thread before it begins: what libraries keep per thread is made here rather
    /// than in the first tick that needs it.
    pub on_start: fn(),
}

/// Starts the thread of a worker.
///
/// # Errors
/// When the operating system grants no thread.
pub fn spawn(config: WorkerConfig) -> io::Result<WorkerHandle> {
    let (commands, queue) = sync_channel(QUEUE);
    let candidates = config.socket.candidates().to_vec();
    let builder = std::thread::Builder::new().name(format!("media-{}", config.index));
    let thread = builder.spawn(move || {
        (config.on_start)();
        Worker::new(config, queue).run();
    })?;
    Ok(WorkerHandle { commands, candidates, thread })
}

struct Worker {
    /// Shared with nobody else; counted so that it can be read from while `self` is changed.
    socket: Arc<MediaSocket>,
    metrics: WorkerMetrics,
    events: Sender<Event>,
    commands: Receiver<Command>,
    rooms: BTreeMap<RoomKey, OpenRoom>,
    members: BTreeMap<ParticipantId, Member>,
    /// Demultiplexing: by address once known, before that by the user name in STUN.
    by_address: HashMap<SocketAddr, ParticipantId>,
    by_ufrag: HashMap<String, ParticipantId>,
    /// Departures that did not fit into the queue.
    unsent: VecDeque<Event>,
    /// This tick's packets by mix: what all listeners of one share.
    frames: Vec<Option<OutgoingFrame>>,
    ticks: u64,
    shutdown: bool,
}

struct OpenRoom {
    room: Box<Room>,
    chain: ChainHandle,
    faults: u64,
}

impl OpenRoom {
    fn count_faults(&mut self, metrics: &mut WorkerMetrics) {
        let faults = self.room.faults();
        metrics.count().stage_faults += faults.saturating_sub(self.faults);
        self.faults = faults;
    }
}

impl Worker {
    fn new(config: WorkerConfig, commands: Receiver<Command>) -> Self {
        Self {
            socket: Arc::new(config.socket),
            metrics: config.metrics,
            events: config.events,
            commands,
            rooms: BTreeMap::new(),
            members: BTreeMap::new(),
            by_address: HashMap::new(),
            by_ufrag: HashMap::new(),
            unsent: VecDeque::new(),
            frames: Vec::new(),
            ticks: 0,
            shutdown: false,
        }
    }

    fn run(mut self) {
        let mut buffers = ReceiveBuffers::new();
        let mut deadline = Instant::now() + TICK;
        while !self.shutdown {
            self.socket.wait(deadline.saturating_duration_since(Instant::now()));
            self.take_commands();
            self.receive(&mut buffers, deadline);
            let now = Instant::now();
            if now < deadline {
                continue;
            }
            let behind = now.saturating_duration_since(deadline).as_nanos() / TICK.as_nanos();
            let behind = u32::try_from(behind).unwrap_or(u32::MAX);
            if behind > MAX_CATCH_UP {
                deadline += TICK * behind;
                self.skip(u64::from(behind));
            }
            self.tick(deadline);
            deadline += TICK;
        }
        let everybody: Vec<_> = self.members.keys().copied().collect();
        for id in everybody {
            self.say_goodbye(id);
            self.remove(id, LeaveReason::Asked);
        }
        self.metrics.flush(Gauges::default());
    }

    fn take_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::OpenRoom(key, room) => self.open(key, room),
                Command::ChangeChain(key, change) => self.change_chain(key, *change),
                Command::CloseRoom(key) => self.close(key),
                Command::Join(join) => self.join(*join),
                Command::Leave(id) => {
                    self.say_goodbye(id);
                    self.remove(id, LeaveReason::Asked);
                }
                Command::Mute(id, muted) => {
                    let room = self.members.get(&id).map(|member| member.room);
                    if let Some(open) = room.and_then(|key| self.rooms.get_mut(&key)) {
                        open.room.set_muted(id, muted);
                    }
                }
                Command::RemoteCandidate(id, candidate) => {
                    let now = Instant::now();
                    self.with_member(id, |member, outputs| {
                        if let Err(error) =
                            member.peer.add_remote_candidate(&candidate, now, outputs)
                        {
                            tracing::debug!(%id, %error, "candidate ignored");
                        }
                    });
                }
                Command::Shutdown => self.shutdown = true,
            }
        }
    }

    fn open(&mut self, key: RoomKey, room: Box<Room>) {
        let chain = resolve(&mut self.metrics, &room);
        self.rooms.insert(key, OpenRoom { room, chain, faults: 0 });
    }

    fn change_chain(&mut self, key: RoomKey, change: ChainChange) {
        self.send_stages_out();
        let result = self.try_to_change(key, change).or_else(|refused| {
            // So many are under way that the first must be over at once.
            if let Some(open) = self.rooms.get_mut(&key) {
                open.room.settle_changes();
            }
            self.send_stages_out();
            self.try_to_change(key, refused)
        });
        if let Some(open) = self.rooms.get_mut(&key).filter(|_| result.is_ok()) {
            open.chain = resolve(&mut self.metrics, &open.room);
        }
        let taken = result.is_ok();
        let remains = Box::new(result.unwrap_or_else(|refused| refused));
        self.tell_surely(Event::ChainChanged { room: key, taken, remains });
    }

    #[allow(clippy::result_large_err, reason = "what is refused must be freed elsewhere")]
    fn try_to_change(
        &mut self,
        key: RoomKey,
        change: ChainChange,
    ) -> Result<ChainChange, ChainChange> {
        match self.rooms.get_mut(&key) {
            Some(open) => open.room.change_chain(change),
            None => Err(change),
        }
    }

    fn close(&mut self, key: RoomKey) {
        let inside = self.members.iter().filter(|(_, member)| member.room == key);
        let inside: Vec<_> = inside.map(|(id, _)| *id).collect();
        for id in inside {
            self.say_goodbye(id);
            self.remove(id, LeaveReason::Asked);
        }
        if let Some(open) = self.rooms.remove(&key) {
            self.tell_surely(Event::RoomClosed(key, open.room));
        }
    }

    fn join(&mut self, join: Join) {
        let Join { room, id, peer, admission, muted } = join;
        let Some(open) = self.rooms.get_mut(&room) else {
            let remains = Remains(None, Some(Box::new(peer)));
            self.tell_surely(Event::Left { id, reason: LeaveReason::Failed, remains });
            return;
        };
        open.room.join(id, admission);
        open.room.set_muted(id, muted);
        open.room.set_dtx(id, peer.wants_dtx());
        self.by_ufrag.insert(peer.local_ufrag().to_owned(), id);
        self.members.insert(id, Member::new(room, peer));
        let now = Instant::now();
        self.with_member(id, |member, outputs| member.peer.handle_timeout(now, outputs));
    }

    /// Reads what is there, but no longer than to `deadline`: a flood must not hold up the tick.
    fn receive(&mut self, buffers: &mut ReceiveBuffers, deadline: Instant) {
        let socket = Arc::clone(&self.socket);
        let mut read = || {
            socket.receive(buffers, |arrival, source, destination, bytes| {
                self.datagram(arrival, source, destination, bytes);
            })
        };
        while read() > 0 && Instant::now() < deadline {}
    }

    fn datagram(
        &mut self,
        arrival: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        let by_ufrag = || stun_ufrag(bytes).and_then(|ufrag| self.by_ufrag.get(&ufrag).copied());
        // A STUN request names its session; an address may have passed to another one.
        let Some(id) = by_ufrag().or_else(|| self.by_address.get(&source).copied()) else {
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
        let before = self.by_address.get(&source).copied();
        let in_use = before.and_then(|before| self.members.get(&before)).is_some_and(|member| {
            now.saturating_duration_since(member.peer.last_received()) < ADDRESS_IN_USE
        });
        if before == Some(id) || in_use {
            return;
        }
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.addresses.len() == MAX_ADDRESSES {
            let oldest = member.addresses.remove(0);
            if self.by_address.get(&oldest) == Some(&id) {
                self.by_address.remove(&oldest);
            }
        }
        member.addresses.push(source);
        self.by_address.insert(source, id);
    }

    fn tick(&mut self, deadline: Instant) {
        let begun = Instant::now();
        self.ticks += 1;
        for open in self.rooms.values_mut() {
            let mut probe =
                StageProbe { epoch: begun, metrics: &mut self.metrics, chain: open.chain };
            open.room.tick(deadline, &mut probe);
        }
        self.send_packets(deadline, begun);
        let now = Instant::now();
        self.metrics.tick(begun.saturating_duration_since(deadline), now - begun);
        self.timeouts(now);
        self.send_unsent();
        if self.ticks.is_multiple_of(LEVELS_EVERY_TICKS) {
            self.tell_levels();
            self.send_stages_out();
        }
        if self.ticks.is_multiple_of(STATS_EVERY_TICKS) {
            self.tell_stats();
        }
    }

    fn skip(&mut self, ticks: u64) {
        self.ticks += ticks;
        self.metrics.count().ticks_skipped += ticks;
        self.rooms.values_mut().for_each(|open| open.room.skip(ticks));
    }

    fn send_packets(&mut self, deadline: Instant, begun: Instant) {
        let now = Instant::now();
        let mut closed = Vec::new();
        for open in self.rooms.values() {
            self.frames.clear();
            let samples = open.room.spec().latency.blocks_per_packet() * BLOCK_SAMPLES;
            for packet in open.room.packets() {
                let Some(member) = self.members.get_mut(&packet.to) else { continue };
                if self.frames.len() <= packet.mix {
                    self.frames.resize(packet.mix + 1, None);
                }
                let shared = &mut self.frames[packet.mix];
                let frame = shared.get_or_insert_with(|| outgoing(&packet, samples));
                let mut outputs = Outputs::new(&self.socket, &mut self.metrics, None, packet.to);
                let sent = guarded(|| member.peer.send(now, frame, &mut outputs));
                member.learn(outputs.report);
                if sent.is_none() || outputs.closed.is_some() {
                    closed.push((packet.to, outputs.closed));
                }
            }
            let sent_at = Instant::now();
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

    fn timeouts(&mut self, now: Instant) {
        let due = |m: &Member| m.peer.timeout().is_some_and(|at| at <= now) || m.is_gone(now);
        let due = self.members.iter().filter(|(_, member)| due(member));
        let due: Vec<_> = due.map(|(id, member)| (*id, member.is_gone(now))).collect();
        for (id, gone) in due {
            if gone {
                self.say_goodbye(id);
                self.remove(id, LeaveReason::Timeout);
            } else {
                self.with_member(id, |member, outputs| member.peer.handle_timeout(now, outputs));
            }
        }
    }

    /// Runs `act` on a member and follows up on what came of it.
    fn with_member(&mut self, id: ParticipantId, act: impl FnOnce(&mut Member, &mut Outputs<'_>)) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let mut outputs = Outputs::new(
            &self.socket,
            &mut self.metrics,
            self.rooms.get_mut(&member.room).map(|open| &mut *open.room),
            id,
        );
        let done = guarded(|| act(member, &mut outputs));
        let (connected, closed, report) = (outputs.connected, outputs.closed, outputs.report);
        member.learn(report);
        if connected {
            self.tell_surely(Event::Connected(id));
        }
        if done.is_none() || closed.is_some() {
            self.remove(id, reason_of(closed));
        }
    }

    fn say_goodbye(&mut self, id: ParticipantId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let mut outputs = Outputs::new(&self.socket, &mut self.metrics, None, id);
        let now = Instant::now();
        guarded(|| member.peer.close(now, &mut outputs));
    }

    fn remove(&mut self, id: ParticipantId, reason: LeaveReason) {
        let Some(mut member) = self.members.remove(&id) else { return };
        self.by_ufrag.remove(member.peer.local_ufrag());
        for address in &member.addresses {
            if self.by_address.get(address) == Some(&id) {
                self.by_address.remove(address);
            }
        }
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

    /// Sends away what running chains have no more use for.
    fn send_stages_out(&mut self) {
        for open in self.rooms.values_mut() {
            while let Some(change) = open.room.take_over() {
                self.unsent.push_back(Event::StagesOut(change));
            }
        }
        self.send_unsent();
    }

    fn tell_levels(&self) {
        for (key, open) in &self.rooms {
            // Levels are only of use while they are new: a full queue drops them.
            let _ = self.events.try_send(Event::Levels(*key, open.room.levels().collect()));
        }
    }

    fn tell_stats(&mut self) {
        let server_latency = self.metrics.recent_latency();
        let mut now = Gauges {
            rooms: i64::try_from(self.rooms.len()).unwrap_or(i64::MAX),
            ..Gauges::default()
        };
        for (key, open) in &mut self.rooms {
            let mut participants = Vec::with_capacity(open.room.len());
            for (id, receiver) in open.room.receivers() {
                let Some(member) = self.members.get_mut(&id) else { continue };
                let stats = receiver.stats();
                member.count(stats, &mut self.metrics);
                let jitter_buffer_ms = receiver.jitter_buffer_ms();
                if stats.packets_received > 0 {
                    let delay = Duration::from_secs_f32(jitter_buffer_ms.max(0.0) / 1e3);
                    self.metrics.jitter_buffer_delay(delay);
                }
                participants.push(ParticipantStats {
                    id,
                    received: stats,
                    jitter_buffer_ms,
                    clock_drift_ppm: receiver.drift_ppm(),
                    round_trip: member.report.round_trip,
                    fraction_lost: member.report.loss,
                });
            }
            for stats in &participants {
                let member = self.members.get_mut(&stats.id);
                if let Some(loss) = member.and_then(|member| member.loss_news.take()) {
                    open.room.report(stats.id, loss);
                }
            }
            open.count_faults(&mut self.metrics);
            now.participants += i64::try_from(open.room.len()).unwrap_or(0);
            now.encoders += i64::try_from(open.room.encoders_at_work()).unwrap_or(0);
            let readings = open.room.readings().map(|side| Readings {
                id: side.id,
                chain: Arc::clone(side.chain),
                reports: side.reports().collect(),
            });
            let readings = readings.collect();
            let event = Event::Stats { room: *key, server_latency, participants, readings };
            let _ = self.events.try_send(event);
        }
        self.metrics.flush(now);
    }

    fn tell_surely(&mut self, event: Event) {
        self.unsent.push_back(event);
        self.send_unsent();
    }

    fn send_unsent(&mut self) {
        while let Some(event) = self.unsent.pop_front() {
            if let Err(tokio::sync::mpsc::error::TrySendError::Full(event)) =
                self.events.try_send(event)
            {
                self.unsent.push_front(event);
                return;
            }
        }
    }
}

/// The series that the stages of a room are recorded in.
fn resolve(metrics: &mut WorkerMetrics, room: &Room) -> ChainHandle {
    let chain = &room.spec().chain;
    metrics.chain(&chain.name, chain.stages().map(|stage| stage.name.as_str()))
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

struct StageProbe<'a> {
    epoch: Instant,
    metrics: &'a mut WorkerMetrics,
    chain: ChainHandle,
}

impl Probe for StageProbe<'_> {
    fn now_ns(&mut self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn stage_took(&mut self, stage: usize, ns: u64) {
        self.metrics.stage_took(self.chain, stage, ns);
    }
}

const _: fn() = || {
    fn sendable<T: Send>() {}
    sendable::<Peer>();
};
