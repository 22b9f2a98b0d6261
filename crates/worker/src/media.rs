//! The media thread: its loop and its tick.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use foldback_metrics::{Gauges, WorkerMetrics};
use foldback_peer::Peer;
use foldback_room::{Clock, Departed, ParticipantId, Room, RoomProbe, Sequential, StageTime, TICK};
use tokio::sync::mpsc::Sender;

use crate::control::{Command, Event, LeaveReason, RoomKey, WorkerHandle};
use crate::crew::{Crew, Division};
use crate::demux::Demux;
use crate::ears::OpenEar;
use crate::figures::Reports;
use crate::frames::Fanout;
use crate::lines::Ports;
use crate::load::{Lateness, LoadControl};
use crate::member::Member;
use crate::outbox::Outbox;
use crate::priority;
use crate::socket::{MediaSocket, ReceiveBuffers};
use crate::stage_times::TimedStages;
use crate::streams::Streams;
use crate::timers::Timers;

/// Commands that may wait.
const QUEUE: usize = 1024;
/// A worker that was held up plays at most so many ticks at once; older ones are skipped.
const MAX_CATCH_UP: u32 = 5;
pub(crate) const LEVELS_EVERY_TICKS: u64 = 10;
pub(crate) const STATS_EVERY_TICKS: u64 = 100;

/// What is done once in so many ticks, however many of them are skipped.
pub(crate) struct Every {
    period: u64,
    next: u64,
}

impl Every {
    fn new(period: u64) -> Self {
        Self { period, next: period }
    }

    /// Whether it is to be done in this tick.
    fn is_due(&mut self, tick: u64) -> bool {
        let due = tick >= self.next;
        if due {
            self.next = tick - tick % self.period + self.period;
        }
        due
    }
}

/// What a worker is made of.
#[derive(Debug)]
pub struct WorkerConfig {
    /// Its number, by which it tells of itself.
    pub index: usize,
    /// The share of its time that it may be busy before it sheds load; 0 never sheds.
    pub max_load: f32,
    /// Threads, its own included, that it may divide a large room among, 1 or more.
    pub threads: usize,
    /// The real-time priority of its threads, 1 to 99, where the system allows it; 0 is none.
    pub realtime_priority: u8,
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
        priority::make_real_time(config.realtime_priority);
        (config.on_start)();
        Worker::new(config, queue).run();
    })?;
    Ok(WorkerHandle { commands, candidates, thread })
}

pub(crate) struct Worker {
    /// Shared with the outbox.
    pub(crate) socket: Arc<MediaSocket>,
    pub(crate) outbox: Outbox,
    pub(crate) streams: Streams,
    /// Of lines of RTP.
    pub(crate) ports: Ports,
    /// Those that have something to be read.
    pub(crate) ready: Vec<usize>,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) events: Sender<Event>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) rooms: BTreeMap<RoomKey, OpenRoom>,
    pub(crate) members: HashMap<ParticipantId, Member>,
    pub(crate) demux: Demux,
    /// When each member is to be looked at, whether it was heard of or not.
    pub(crate) timers: Timers,
    /// Those whose time has come in this tick.
    pub(crate) due: Vec<ParticipantId>,
    pub(crate) fanout: Fanout,
    pub(crate) reports: Reports,
    /// Texts to be sent by data channel, and to whom.
    pub(crate) texts: VecDeque<(ParticipantId, Arc<str>)>,
    /// Departures that did not fit into the queue.
    pub(crate) unsent: VecDeque<Event>,
    pub(crate) load: LoadControl,
    pub(crate) lateness: Lateness,
    /// Ticks left out since the start.
    pub(crate) skipped: u64,
    /// For rooms that are divided.
    crew: Crew,
    pub(crate) index: usize,
    pub(crate) ticks: u64,
    levels: Every,
    stats: Every,
    pub(crate) shutdown: bool,
}

pub(crate) struct OpenRoom {
    pub(crate) room: Box<Room>,
    /// Those who hear it and are nobody in it.
    pub(crate) ears: Vec<OpenEar>,
    /// Its stages after `mix`, over all of its mixes.
    pub(crate) output: TimedStages,
    pub(crate) faults: u64,
    /// The levels told last were none: everybody is silent.
    pub(crate) silence_told: bool,
    /// Whether it takes more than one thread.
    pub(crate) division: Division,
}

impl OpenRoom {
    pub(crate) fn new(room: Box<Room>, output: TimedStages) -> Self {
        let division = Division::default();
        Self { room, ears: Vec::new(), output, faults: 0, silence_told: false, division }
    }

    /// Counts faults of stages since this was done last, and tells of them.
    pub(crate) fn tell_faults(
        &mut self,
        key: RoomKey,
        metrics: &mut WorkerMetrics,
        events: &Sender<Event>,
    ) {
        let faults = self.room.faults();
        let new = faults.saturating_sub(self.faults);
        metrics.count().stage_faults += new;
        self.faults = faults;
        if new > 0 {
            let _ = events.try_send(Event::Fault(key));
        }
    }

    /// Takes somebody out, with what their stages did wrong, which is to be told before.
    pub(crate) fn leave(&mut self, id: ParticipantId) -> Option<Departed> {
        let departed = self.room.leave(id);
        // Those that left are no longer in the sum.
        self.faults = self.room.faults();
        departed
    }
}

impl Worker {
    pub(crate) fn new(config: WorkerConfig, commands: Receiver<Command>) -> Self {
        let socket = Arc::new(config.socket);
        Self {
            outbox: Outbox::new(Arc::clone(&socket)),
            socket,
            streams: Streams::default(),
            ports: Ports::default(),
            ready: Vec::new(),
            metrics: config.metrics,
            events: config.events,
            commands,
            rooms: BTreeMap::new(),
            members: HashMap::new(),
            demux: Demux::default(),
            timers: Timers::default(),
            due: Vec::new(),
            fanout: Fanout::default(),
            reports: Reports::default(),
            texts: VecDeque::new(),
            unsent: VecDeque::new(),
            load: LoadControl::new(config.max_load),
            lateness: Lateness::default(),
            skipped: 0,
            crew: Crew::new(config.index, config.threads),
            index: config.index,
            ticks: 0,
            levels: Every::new(LEVELS_EVERY_TICKS),
            stats: Every::new(STATS_EVERY_TICKS),
            shutdown: false,
        }
    }

    fn run(mut self) {
        let mut buffers = ReceiveBuffers::default();
        let mut busy_since = Instant::now();
        let mut busy = Duration::ZERO;
        let mut deadline = busy_since + TICK;
        while !self.shutdown {
            self.outbox.flush(self.metrics.count());
            let now = Instant::now();
            busy += now - busy_since;
            let left = deadline.saturating_duration_since(now);
            let streams = self.streams.readable();
            let lines = self.ports.readable();
            let ready = self.socket.wait(left, !self.outbox.is_empty(), streams, lines);
            busy_since = Instant::now();
            self.take_commands();
            self.receive(&mut buffers, ready, deadline);
            self.send_messages();
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
            self.follow_load(std::mem::take(&mut busy));
            deadline += TICK;
        }
        let everybody: Vec<_> = self.members.keys().copied().collect();
        for id in everybody {
            self.say_goodbye(id);
            self.remove(id, LeaveReason::Asked);
        }
        self.outbox.flush(self.metrics.count());
        self.metrics.flush(Gauges::default());
    }

    pub(crate) fn tick(&mut self, deadline: Instant) {
        let begun = Instant::now();
        self.ticks += 1;
        let epoch = Epoch(begun);
        let mut before = begun;
        for open in self.rooms.values_mut() {
            let (metrics, members) = (&mut self.metrics, &mut self.members);
            let mut probe = StageProbe { epoch, metrics, members, output: &mut open.output };
            match open.division.is_needed() {
                true => open.room.tick(deadline, &mut probe, &self.crew),
                false => open.room.tick(deadline, &mut probe, &Sequential),
            }
            let after = Instant::now();
            open.division.follow(after - before, self.crew.threads());
            before = after;
        }
        self.send_packets(deadline, begun);
        self.let_go_of_players();
        let now = Instant::now();
        let late = begun.saturating_duration_since(deadline);
        self.lateness.add(late);
        self.metrics.tick(late, now - begun);
        self.timeouts(now);
        self.send_unsent();
        if self.levels.is_due(self.ticks) {
            self.tell_levels();
            self.send_stages_out();
        }
        if self.stats.is_due(self.ticks) {
            self.tell_stats();
        }
    }

    fn skip(&mut self, ticks: u64) {
        self.ticks += ticks;
        self.skipped += ticks;
        self.metrics.count().ticks_skipped += ticks;
        self.rooms.values_mut().for_each(|open| open.room.skip(ticks));
    }
}

struct StageProbe<'a> {
    epoch: Epoch,
    metrics: &'a mut WorkerMetrics,
    members: &'a mut HashMap<ParticipantId, Member>,
    /// The room's stages after `mix`.
    output: &'a mut TimedStages,
}

impl RoomProbe for StageProbe<'_> {
    type Clock = Epoch;

    fn clock(&self) -> Epoch {
        self.epoch
    }

    fn stages_took(&mut self, side: Option<ParticipantId>, took: &[StageTime]) {
        let member = side.and_then(|id| self.members.get_mut(&id));
        let stages = member.map_or(&mut *self.output, |member| &mut member.input);
        stages.record(self.metrics, took);
    }
}

/// When a tick began, from which stages are timed.
#[derive(Clone, Copy)]
struct Epoch(Instant);

impl Clock for Epoch {
    fn now_ns(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

const _: fn() = || {
    fn sendable<T: Send>() {}
    sendable::<Peer>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_once_in_ten_ticks_is_done_though_the_tenth_is_skipped() {
        let mut every = Every::new(10);
        let done: Vec<_> =
            [1, 9, 10, 11, 39, 40, 41, 50, 83, 89, 90].map(|tick| every.is_due(tick)).into();
        let expected = [false, false, true, false, true, true, false, true, true, false, true];
        assert_eq!(done, expected);
    }
}
