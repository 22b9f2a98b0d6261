//! Who is in which room, on which worker: the control side of the media.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use foldback_chain::ChainSpec;
use foldback_config::{Config, LatencyMode, OpusApplication};
use foldback_metrics::Metrics;
use foldback_peer::Peer;
use foldback_record::Recording;
use foldback_room::{
    Application, Economies, LatencyProfile, OpusSettings, ParticipantId, RoomSpec,
};
use foldback_worker::{Command, WorkerHandle};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::chain_info::ChainInfo;
use crate::happenings::Happenings;
use crate::health::Health;
use crate::ice_names::IceNames;
use crate::ice_servers::{IceServer, ice_servers};
use crate::message::{ErrorCode, ErrorMessage, ServerMessage};
use crate::report::ParticipantInfo;
pub use crate::roster::{Outbox, encoded};
use crate::roster::{State, not_joined};
use crate::sentences::capitalised;

/// All rooms of one server.
#[derive(Debug)]
pub struct Conference {
    pub(crate) running: RwLock<Arc<Running>>,
    opus: OpusSettings,
    latency: LatencyProfile,
    economies: Economies,
    pub(crate) workers: Vec<WorkerHandle>,
    pub(crate) metrics: Metrics,
    /// Where clients find the media port of TCP, if there is one.
    tcp_candidates: OnceLock<Vec<SocketAddr>>,
    pub(crate) ice_names: IceNames,
    state: Mutex<State>,
    pub(crate) echoes: AtomicU64,
    pub(crate) ending: watch::Sender<bool>,
    /// Those that run; of others some.
    pub(crate) recordings: Mutex<Vec<Arc<Recording>>>,
    /// Held while one begins.
    pub(crate) beginning_recording: Mutex<()>,
    pub(crate) happenings: Happenings,
    /// Held while a flight is saved.
    pub(crate) saving_flight: tokio::sync::Mutex<()>,
}

/// The configuration that rooms are opened by.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) config: Config,
    chains: HashMap<String, ChainInfo>,
}

impl Running {
    pub(crate) fn new(config: Config) -> Arc<Self> {
        let chains = config.chains.iter().chain([config.echo_chain()]);
        let chains = chains.map(|chain| (chain.name.clone(), ChainInfo::of(chain))).collect();
        Arc::new(Self { config, chains })
    }

    /// Builds the stages, to ask them for their delays, where the chain is not as configured.
    pub(crate) fn chain_info(&self, chain: &Arc<ChainSpec>) -> ChainInfo {
        let configured = self.config.chain(&chain.name).is_some_and(|known| known == chain);
        let known = self.chains.get(&chain.name).filter(|_| configured);
        known.cloned().unwrap_or_else(|| ChainInfo::of(chain))
    }

    /// The chain of a room by its name, if it is served.
    pub(crate) fn chain_of(&self, room: &str) -> Option<&Arc<ChainSpec>> {
        if room.starts_with(ECHO_ROOMS) {
            return Some(self.config.echo_chain());
        }
        self.config.chain_for_room(room)
    }
}

/// Where callers who ask for no room are alone. A slash cannot be in a name that people ask for.
pub(crate) const ECHO_ROOMS: &str = "echo/";

/// What a room would be to somebody who joined it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, ToSchema)]
pub struct RoomInfo {
    /// Its name.
    pub room: String,
    /// Its chain.
    pub chain: ChainInfo,
    /// How many are in it.
    pub participants: usize,
    /// Whether whoever joins must say a PIN, unless they have a token.
    pub pin_required: bool,
    /// Whether it is being recorded, or will be once somebody is in it.
    pub recording: bool,
    /// Whether hosts alone come in.
    pub locked: bool,
    /// Whether whoever comes waits until a host lets them in.
    pub waiting_room: bool,
    /// Whether whoever asks must have a token to join.
    pub token_required: bool,
}

impl Conference {
    /// A conference without rooms on `workers` (at least one), whose load shows in `metrics`.
    #[must_use]
    pub fn new(
        config: Config,
        workers: Vec<WorkerHandle>,
        economies: Economies,
        metrics: Metrics,
    ) -> Arc<Self> {
        let opus = OpusSettings {
            bitrate_bps: i32::try_from(config.opus.bitrate_bps).unwrap_or(i32::MAX),
            complexity: u8::try_from(config.opus.complexity).unwrap_or(u8::MAX),
            expected_loss_percent: u8::try_from(config.opus.expected_loss_percent)
                .unwrap_or(u8::MAX),
            application: match config.opus.application {
                OpusApplication::Voice => Application::Voice,
                OpusApplication::Audio => Application::Audio,
            },
            dtx: config.opus.dtx,
        };
        let latency = match config.latency {
            LatencyMode::Low => LatencyProfile::Low,
            LatencyMode::Balanced => LatencyProfile::Balanced,
            LatencyMode::Robust => LatencyProfile::Robust,
        };
        let health = Health::new(workers.len(), Instant::now());
        Arc::new(Self {
            running: RwLock::new(Running::new(config)),
            opus,
            latency,
            economies,
            workers,
            metrics,
            tcp_candidates: OnceLock::new(),
            ice_names: IceNames::default(),
            state: Mutex::new(State { health, ..State::default() }),
            echoes: AtomicU64::new(0),
            ending: watch::Sender::new(false),
            recordings: Mutex::default(),
            beginning_recording: Mutex::default(),
            happenings: Happenings::default(),
            saving_flight: tokio::sync::Mutex::default(),
        })
    }

    /// STUN and TURN servers for a client that they know as `name`, with credentials for those of TURN.
    #[must_use]
    pub fn ice_servers(&self, name: &str) -> Vec<IceServer> {
        ice_servers(&self.running().config.ice, name, SystemTime::now())
    }

    /// From now on clients are told of these addresses of the media port of TCP. To be called once,
    /// before anybody comes.
    pub(crate) fn set_tcp_candidates(&self, candidates: &[SocketAddr]) {
        let _ = self.tcp_candidates.set(candidates.to_vec());
    }

    pub(crate) fn tcp_candidates(&self) -> Vec<SocketAddr> {
        self.tcp_candidates.get().cloned().unwrap_or_default()
    }

    /// What the room of that name is, or would be once somebody joins it, to whoever needs a token for it or does not.
    ///
    /// # Errors
    /// `bad-room`, if no chain serves a room of that name.
    pub fn room_info(&self, room: &str, token_required: bool) -> Result<RoomInfo, ErrorMessage> {
        let configured = self.chain_of(room)?;
        let running = self.running();
        let open =
            self.state().rooms.get(room).map(|open| {
                (open.info.clone(), open.people.len(), open.is_recorded(), open.locked)
            });
        let rule = running.config.rule_for_room(room);
        let pin_required = rule.is_some_and(|rule| rule.pin.is_some());
        let will_be = rule.is_some_and(|rule| rule.record);
        let waiting_room = rule.is_some_and(|rule| rule.waiting_room);
        let closed = || (running.chain_info(&configured), 0, will_be, false);
        let (chain, participants, recording, locked) = open.unwrap_or_else(closed);
        let room = room.to_owned();
        Ok(RoomInfo {
            room,
            chain,
            participants,
            pin_required,
            token_required,
            recording,
            locked,
            waiting_room,
        })
    }

    /// Everybody in the room of that name, in the order of their coming, with their figures of the
    /// last second; nobody, if nobody is there yet.
    ///
    /// # Errors
    /// `bad-room`, if no chain serves a room of that name.
    pub fn participants(&self, room: &str) -> Result<Vec<ParticipantInfo>, ErrorMessage> {
        self.chain_of(room)?;
        let state = self.state();
        let members = state.rooms.get(room).into_iter().flat_map(|room| room.people.values());
        Ok(members.map(|it| ParticipantInfo::new(it.person.clone(), it.report)).collect())
    }

    /// Looks at a candidate that a client trickled, which is needed for nothing: a client's addresses
    /// are learnt from its checks.
    ///
    /// # Errors
    /// `not-joined`, `not-connected` or `bad-candidate`.
    pub fn candidate(&self, id: ParticipantId, candidate: &str) -> Result<(), ErrorMessage> {
        let mut state = self.state();
        let (_, room) = state.room_of(id)?;
        if !room.people.get(&id).is_some_and(|member| member.media) {
            return Err(ErrorMessage::new(
                ErrorCode::NotConnected,
                "Candidates are taken once there was an offer.",
            ));
        }
        Peer::check_candidate(candidate).map_err(|error| {
            ErrorMessage::new(ErrorCode::BadCandidate, capitalised(&error.to_string()))
        })
    }

    /// Raises or lowers a person's hand; everybody in the room is told, if it was otherwise.
    ///
    /// # Errors
    /// `not-joined`.
    pub fn raise_hand(&self, id: ParticipantId, raised: bool) -> Result<(), ErrorMessage> {
        let mut state = self.state();
        let (_, room) = state.room_of(id)?;
        let next = room.hands + 1;
        let person = &mut room.people.get_mut(&id).ok_or_else(not_joined)?.person;
        if person.hand.is_some() == raised {
            return Ok(());
        }
        let hand = raised.then_some(next);
        person.hand = hand;
        room.hands += u64::from(raised);
        room.tell_all(&ServerMessage::ParticipantHand { id: id.0, hand });
        Ok(())
    }

    /// Turns true when the server is about to end.
    #[must_use]
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    pub(crate) fn chain_of(&self, room: &str) -> Result<Arc<ChainSpec>, ErrorMessage> {
        self.running().config.chain_for_room(room).map(Arc::clone).ok_or_else(|| {
            ErrorMessage::new(
                ErrorCode::BadRoom,
                format!("No [[room]] of the configuration serves a room called `{room}`."),
            )
        })
    }

    /// What a room with that chain is made of.
    pub(crate) fn spec(&self, chain: Arc<ChainSpec>) -> RoomSpec {
        RoomSpec { chain, opus: self.opus, latency: self.latency, economies: self.economies }
    }

    pub(crate) fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn command(&self, worker: usize, command: Command) -> Result<(), ErrorMessage> {
        self.workers[worker].send(command).map_err(|error| {
            tracing::error!(worker, %error, "a command was not taken");
            ErrorMessage::internal()
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
