//! What crosses between the control side and a worker.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use foldback_chain::{ChainSpec, Change};
use foldback_metrics::RecentLatency;
use foldback_peer::{IceRestart, OfferError, Peer};
use foldback_room::{
    Admission, ChainChange, ChainReadings, Departed, Flight, HeardAs, Level, ParticipantId, Player,
    ReceiverStats, Room, Shedding, Spare,
};
use foldback_stage::{Reading, StageReport};
use tokio::sync::oneshot;

use crate::ears::{Ear, EarRemains};
use crate::lines::Line;
use crate::recycle::Recycled;
use crate::stage_times::Took;
use crate::streams::MediaStream;

/// Names a room within the server for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub u64);

/// What the control side asks of a worker. Asked in order, done in order.
#[derive(Debug)]
pub enum Command {
    /// Takes a new, empty room.
    OpenRoom(RoomKey, Box<Room>),
    /// Goes on with another chain in a room; answered by [`Event::ChainChanged`].
    ChangeChain(RoomKey, Box<ChainChange>),
    /// Gives up a room; whoever is still in it leaves.
    CloseRoom(RoomKey),
    /// Brings a participant into an open room.
    Join(Box<Join>),
    /// Takes a participant out and says goodbye to its browser.
    Leave(ParticipantId),
    /// Mutes or unmutes a participant for the others.
    Mute(ParticipantId, bool),
    /// Has everybody hear a participant by so many dB louder.
    Gain(ParticipantId, f32),
    /// Lets the first participant hear the second one so; nothing happens unless the worker has both.
    HearAs(ParticipantId, ParticipantId, HeardAs),
    /// As [`Self::HearAs`], of many at once, in the same tick.
    HearAllAs(Vec<(ParticipantId, ParticipantId, HeardAs)>),
    /// A participant hears itself for so long, and nobody else does.
    LoopBack(ParticipantId, Duration),
    /// Lets somebody hear a room who is nobody in it; at the end of that or of the room answered by [`Event::EarGone`].
    Listen(Box<Ear>),
    /// Ends that.
    Unlisten(RoomKey, ParticipantId),
    /// Lets everybody in a room hear what a player plays; at its end answered by [`Event::Played`].
    Play(RoomKey, Player),
    /// Ends a player by its number.
    StopPlaying(RoomKey, u64),
    /// Gives away what the flight recorder of a room has; nothing, if it has none.
    TakeFlight(RoomKey, oneshot::Sender<Option<Box<Flight>>>),
    /// Sends a text to everybody in a room who has a data channel for it.
    TellRoom(RoomKey, Arc<str>),
    /// Sends a text to one participant.
    Tell(ParticipantId, Arc<str>),
    /// Has ICE start anew for a participant.
    RestartIce(ParticipantId, Box<IceRestart>, Answer),
    /// Takes a connection whose first datagram names a session of this worker.
    Stream(Box<MediaStream>),
    /// Says goodbye to everybody and ends the thread.
    Shutdown,
}

/// Where the answer to a further offer goes, as [`Peer::restart_ice`] gives it; nothing goes there if
/// the participant is gone.
pub type Answer = oneshot::Sender<Result<Option<String>, OfferError>>;

/// A participant to bring in.
#[derive(Debug)]
pub struct Join {
    /// Into which room.
    pub room: RoomKey,
    /// Under which number.
    pub id: ParticipantId,
    /// How it is reached.
    pub connection: Connection,
    /// Its receiver, chain and encoder.
    pub admission: Admission,
    /// Whether it is muted to begin with.
    pub muted: bool,
    /// By how much louder all others hear it to begin with, in dB.
    pub gain_db: f32,
    /// Who hears whom otherwise than they come, of it and those who are in the room: listener, other, how.
    pub heard: Vec<(ParticipantId, ParticipantId, HeardAs)>,
}

/// How a participant is reached.
#[derive(Debug)]
pub enum Connection {
    /// By WebRTC.
    Browser(Box<Peer>),
    /// By a line of RTP.
    Line(Box<Line>),
}

impl Connection {
    pub(crate) fn browser(&mut self) -> Option<&mut Peer> {
        match self {
            Self::Browser(peer) => Some(peer),
            Self::Line(_) => None,
        }
    }

    pub(crate) fn line(&mut self) -> Option<&mut Line> {
        match self {
            Self::Browser(_) => None,
            Self::Line(line) => Some(line),
        }
    }
}

impl From<Peer> for Connection {
    fn from(peer: Peer) -> Self {
        Self::Browser(Box::new(peer))
    }
}

impl From<Line> for Connection {
    fn from(line: Line) -> Self {
        Self::Line(Box::new(line))
    }
}

/// What a worker tells the control side.
#[derive(Debug)]
pub enum Event {
    /// A stage of a room was taken out: it panicked, or gave samples that are no numbers.
    Fault(RoomKey),
    /// A session is up.
    Connected(ParticipantId),
    /// A participant said something over its data channel.
    Message {
        /// Who.
        id: ParticipantId,
        /// What; or why it was not taken.
        message: Result<String, MessageRefused>,
    },
    /// A participant is gone.
    Left {
        /// Who.
        id: ParticipantId,
        /// Why.
        reason: LeaveReason,
        /// What it leaves behind, to be freed here.
        remains: Remains,
    },
    /// A room goes on with another chain.
    ChainChanged {
        /// The room.
        room: RoomKey,
        /// Whether it does; else it was built for another state of the room.
        taken: bool,
        /// To be freed here.
        remains: Box<ChainChange>,
    },
    /// Stages that were taken out of a running chain, to be freed here.
    StagesOut(Change),
    /// What was taken of a room for somebody who waits for it no more; to be freed here.
    FlightUnclaimed(Box<Flight>),
    /// Who was nobody in a room hears it no more; to be freed here.
    EarGone(EarRemains),
    /// A player has played all, or could not; to be freed here.
    Played(RoomKey, Player),
    /// What a room has enough of, to be freed here.
    Spare(Spare),
    /// A room was given up as asked; freed here.
    RoomClosed(RoomKey, Box<Room>),
    /// A connection is over, to be freed here.
    StreamClosed(Box<MediaStream>),
    /// How loud everybody in a room is; ten times a second.
    Levels(RoomKey, Recycled<Vec<Level>>),
    /// How busy the worker is; once a second, and whenever it sheds more or less.
    Load(Load),
    /// Figures of everybody in a room; once a second.
    Stats {
        /// The room.
        room: RoomKey,
        /// The worker's latest server latencies.
        server_latency: Option<RecentLatency>,
        /// The rest.
        figures: Recycled<Figures>,
    },
}

/// How busy a worker is, and what its rooms do without for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Its number.
    pub worker: usize,
    /// The share of its time that it was busy in the last 100 ms; above 1 if it cannot keep up.
    pub busy: f32,
    /// What its rooms do without.
    pub shedding: Shedding,
    /// How its ticks went.
    pub ticks: Ticks,
}

/// How the ticks of a worker went, since it told that last where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// From when one was due until it began, on average.
    pub mean_lateness: Duration,
    /// The latest one.
    pub max_lateness: Duration,
    /// Left out since the start, because the worker was held up.
    pub skipped: u64,
    /// Rooms that are divided among threads now.
    pub divided: usize,
}

/// Figures of a room.
#[derive(Debug, Default)]
pub struct Figures {
    /// One entry for each participant.
    pub participants: Vec<ParticipantStats>,
    /// What stages read, and behind that the memory of more of it.
    pub(crate) readings: Vec<Readings>,
    /// For how many sides of chains that is.
    pub(crate) sides: usize,
}

impl Figures {
    /// What the stages that run read.
    #[must_use]
    pub fn readings(&self) -> &[Readings] {
        &self.readings[..self.sides]
    }
}

/// The live values of the stages of one side of a chain, and what they took.
#[derive(Clone, Debug)]
pub struct Readings {
    /// Whose stages before `mix`; `None` for those after it, of one distinct mix.
    pub id: Option<ParticipantId>,
    /// The chain that they are of.
    pub chain: Arc<ChainSpec>,
    /// One for each stage of that side, in order.
    pub reports: Vec<StageReport>,
    /// Likewise; of those after `mix` over all distinct mixes.
    pub took: Vec<Took>,
}

impl Readings {
    pub(crate) fn of(side: &ChainReadings<'_>, took: &[Took]) -> Self {
        let (chain, reports) = (Arc::clone(side.chain), side.reports().collect());
        Self { id: side.id, chain, reports, took: took.to_vec() }
    }

    /// As [`Self::of`], in the memory that is there.
    pub(crate) fn set(&mut self, side: &ChainReadings<'_>, took: &[Took]) {
        self.id = side.id;
        self.chain = Arc::clone(side.chain);
        self.reports.clear();
        self.reports.extend(side.reports());
        self.took.clear();
        self.took.extend_from_slice(took);
    }

    /// The live values by the names of their stages.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Reading)> {
        self.names()
            .zip(&self.reports)
            .flat_map(|(stage, report)| report.readings().map(move |reading| (stage, reading)))
    }

    /// Mean computing times for a block of 10 ms, in µs, by the names of the stages that had one.
    pub fn times_us(&self) -> impl Iterator<Item = (&str, f32)> {
        self.names().zip(&self.took).filter_map(|(stage, took)| Some((stage, took.mean_us()?)))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let stages = if self.id.is_some() { &self.chain.input } else { &self.chain.output };
        stages.iter().map(|stage| stage.name.as_str())
    }
}

/// Memory of a departed participant.
pub struct Remains(pub(crate) Option<Box<Departed>>, pub(crate) Option<Connection>);

impl fmt::Debug for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remains").field(&self.0.is_some()).field(&self.1.is_some()).finish()
    }
}

/// Why a participant is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// The control side asked.
    Asked,
    /// The browser said goodbye (DTLS close_notify).
    ByPeer,
    /// Nothing was heard of it for too long.
    Timeout,
    /// Its session failed.
    Failed,
}

/// Why a worker does not pass on what a participant said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageRefused {
    /// It says too much in a short time. Told once, until it is heard again.
    TooFast,
    /// It has more than 16 KiB.
    TooLarge,
    /// It is binary, or no UTF-8.
    NoText,
}

/// Figures of one participant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParticipantStats {
    /// Who.
    pub id: ParticipantId,
    /// What was received of it, since it joined.
    pub received: ReceiverStats,
    /// Its jitter buffer: arrival until played, in ms, smoothed.
    pub jitter_buffer_ms: f32,
    /// By how much its clock is fast, in parts per million, once that is known.
    pub clock_drift_ppm: Option<f64>,
    /// Round trip, if known.
    pub round_trip: Option<Duration>,
    /// Share of the packets to it that were lost on the way, 0 to 1, if known.
    pub fraction_lost: Option<f32>,
}

/// The control side's end of a worker.
#[derive(Debug)]
pub struct WorkerHandle {
    pub(crate) commands: SyncSender<Command>,
    pub(crate) candidates: Vec<SocketAddr>,
    pub(crate) thread: JoinHandle<()>,
}

impl WorkerHandle {
    /// Hands a command over. The worker looks at its queue at least every 10 ms.
    ///
    /// # Errors
    /// When a thousand commands wait already, or the worker has ended.
    pub fn send(&self, command: Command) -> Result<(), QueueFull> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => QueueFull,
        })
    }

    /// The addresses at which this worker's socket is reached.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Whether its thread runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }
}

/// The worker's queue took no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the media worker is overloaded or has ended")
    }
}

impl std::error::Error for QueueFull {}
