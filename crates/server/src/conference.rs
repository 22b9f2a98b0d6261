//! Who is in which room, on which worker: the control side of the media.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use foldback_chain::ChainSpec;
use foldback_config::{Config, LatencyMode, OpusApplication};
use foldback_metrics::Metrics;
use foldback_peer::{Flow, Peer};
use foldback_record::Recording;
use foldback_room::{
    Application, Economies, LatencyProfile, OpusSettings, ParticipantId, Room, RoomSpec,
};
use foldback_worker::{Allowance, Command, RoomKey, WorkerHandle};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::auth::{Admitted, Role, SharedToken};
use crate::chain_info::ChainInfo;
use crate::chat::ROOM_BURST;
use crate::connect::RESTARTS_BURST;
use crate::control::not_here;
use crate::flight::KeptFlight;
use crate::groups::{self, Groups};
use crate::happenings::{Happenings, What};
use crate::health::Health;
use crate::ice_names::IceNames;
use crate::ice_servers::{IceServer, ice_servers};
use crate::limits;
use crate::live::RoomChains;
use crate::message::{ErrorCode, ErrorMessage, LeftReason, Person, ServerMessage};
use crate::moderation;
use crate::report::ParticipantInfo;
use crate::returning::{ReturnKey, Returning, Way};
use crate::roster::{Member, RoomState, State, not_joined};
pub use crate::roster::{Outbox, encoded};
use crate::waiting;

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
    echoes: AtomicU64,
    pub(crate) ending: watch::Sender<bool>,
    /// Those that run; of others some.
    pub(crate) recordings: Mutex<Vec<Arc<Recording>>>,
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

    /// Brings a person into a room; the media follows with [`Self::connect`]. The others are told. Who comes back takes
    /// the place of their own that is still there, in a locked or full room too.
    ///
    /// # Errors
    /// `bad-room`, if no chain serves a room of that name; `overloaded`, if its worker sheds load;
    /// `draining`, if the server is about to end; `room-locked`; `waiting-room`, if one waits first; `room-full`, `server-full` or `token-in-use`, if as many are there as may be;
    /// `internal`, if its worker is gone.
    pub(crate) fn join(
        self: &Arc<Self>,
        who: &Admitted,
        way: Way<'_>,
        outbox: Option<Outbox>,
    ) -> Result<(ParticipantId, ServerMessage), ErrorMessage> {
        let chain = self.chain_of(&who.room)?;
        self.enter(who, way, chain, outbox, Flow::AsOffered)
    }

    /// Brings somebody into a room who only speaks or only listens, and is told nothing; the media
    /// follows with [`Self::connect`]. The others are told.
    ///
    /// # Errors
    /// As [`Self::join`]; `forbidden`, if a listener wants to speak.
    pub(crate) fn join_one_way(
        self: &Arc<Self>,
        mut who: Admitted,
        way: Way<'_>,
        flow: Flow,
    ) -> Result<ParticipantId, ErrorMessage> {
        // A host comes in as one, also where they listen alone and are none in the room.
        let way = if who.role == Role::Host { Way::LetIn } else { way };
        match flow {
            Flow::ToClient => who.role = Role::Listener,
            Flow::FromClient if who.role == Role::Listener => return Err(only_listens()),
            Flow::FromClient | Flow::AsOffered => {}
        }
        let chain = self.chain_of(&who.room)?;
        self.enter(&who, way, chain, None, flow).map(|(id, _)| id)
    }

    /// Brings a caller into a room of their own on chain `echo`.
    ///
    /// # Errors
    /// `overloaded`, if every worker sheds load; `draining`; `server-full`; `internal`, if its worker is gone.
    pub(crate) fn join_echo(
        self: &Arc<Self>,
        shared: Option<SharedToken>,
    ) -> Result<ParticipantId, ErrorMessage> {
        let chain = Arc::clone(self.running().config.echo_chain());
        let room = format!("{ECHO_ROOMS}{}", self.echoes.fetch_add(1, Ordering::Relaxed));
        let who = Admitted { room, name: "echo".to_owned(), shared, ..Admitted::default() };
        // Where everybody is alone nobody lets anybody in.
        self.enter(&who, Way::LetIn, chain, None, Flow::AsOffered).map(|(id, _)| id)
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

    /// Mutes or unmutes a person; everybody in the room is told.
    ///
    /// # Errors
    /// `not-joined`; `forbidden`, if a listener is to be unmuted; or `internal`.
    pub fn mute(&self, id: ParticipantId, muted: bool) -> Result<(), ErrorMessage> {
        let mut state = self.state();
        let (name, room) = state.room_of(id)?;
        let name = name.to_owned();
        let member = room.people.get_mut(&id).ok_or_else(not_joined)?;
        if member.person.role == Role::Listener && !muted {
            return Err(only_listens());
        }
        member.muted_by_operator = false;
        self.set_muted(&name, room, id, muted, false, None)
    }

    /// Mutes a person, or unmutes whom an operator muted; everybody in the room is told that an
    /// operator did, or `by` which host. Who is muted so may unmute themselves.
    ///
    /// # Errors
    /// `not-found`, if they are not in that room; `muted-by-themselves`, if that is so and they are
    /// to be unmuted; `bad-room` or `internal`.
    pub fn mute_by_operator(
        &self,
        room: &str,
        id: ParticipantId,
        muted: bool,
        by: Option<String>,
    ) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let mut state = self.state();
        let open = state.rooms.get_mut(room).ok_or_else(|| not_here(room, Some(id)))?;
        let member = open.people.get_mut(&id).ok_or_else(|| not_here(room, Some(id)))?;
        if member.person.muted == muted {
            return Ok(());
        }
        if !muted && !member.muted_by_operator {
            let name = &member.person.name;
            let sentence = match member.person.role {
                Role::Listener => format!("{name} is here to listen, and may not talk."),
                Role::Talker | Role::Host => {
                    format!("{name} muted themselves; only they can unmute.")
                }
            };
            return Err(ErrorMessage::new(ErrorCode::MutedByThemselves, sentence));
        }
        member.muted_by_operator = muted;
        self.set_muted(room, open, id, muted, true, by)
    }

    fn set_muted(
        &self,
        name: &str,
        room: &mut RoomState,
        id: ParticipantId,
        muted: bool,
        by_operator: bool,
        by: Option<String>,
    ) -> Result<(), ErrorMessage> {
        let member = room.people.get_mut(&id).ok_or_else(not_joined)?;
        member.person.muted = muted;
        self.happenings.tell(What::ParticipantMuted {
            room: name.to_owned(),
            participant: member.person.clone(),
            by_operator,
        });
        room.tell_all(&ServerMessage::ParticipantMuted { id: id.0, muted, by_operator, by });
        self.command(room.worker, Command::Mute(id, muted))
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

    /// Takes a person out of a room for an operator; they and the others are told so.
    ///
    /// # Errors
    /// `not-found`, if they are not in that room; `bad-room`.
    pub fn kick(&self, room: &str, id: ParticipantId) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let is_here = self.state().rooms.get(room).is_some_and(|it| it.people.contains_key(&id));
        if !is_here {
            return Err(not_here(room, Some(id)));
        }
        self.remove(id, LeftReason::Kicked, true);
        Ok(())
    }

    /// Takes a person out; the others are told why. Nothing happens if they are gone already.
    pub fn leave(&self, id: ParticipantId, reason: LeftReason) {
        self.remove(id, reason, true);
    }

    /// Turns true when the server is about to end.
    #[must_use]
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    fn enter(
        self: &Arc<Self>,
        who: &Admitted,
        way: Way<'_>,
        chain: Arc<ChainSpec>,
        outbox: Option<Outbox>,
        flow: Flow,
    ) -> Result<(ParticipantId, ServerMessage), ErrorMessage> {
        let name = who.room.as_str();
        let returning = if let Way::Back(returning) = way { Some(returning) } else { None };
        let mut state = self.state();
        if state.draining {
            return Err(crate::drain::draining());
        }
        if state.rooms.get(name).is_some_and(|room| state.placement.is_shedding(room.worker)) {
            return Err(self.overloaded());
        }
        let is_new = matches!(way, Way::Door | Way::Operator) && who.role != Role::Host;
        if is_new && state.rooms.get(name).is_some_and(|room| room.locked) {
            return Err(moderation::locked());
        }
        let before = returning.map(|it| it.participant);
        let before = before.filter(|id| state.rooms_of.contains_key(id));
        if before.is_none() {
            limits::check(&self.running().config, &state, name, returning.is_some(), 0)?;
            limits::check_token(&state, who.shared.as_ref())?;
        }
        let config = &self.running().config;
        let has_waiting_room = config.rule_for_room(name).is_some_and(|rule| rule.waiting_room);
        if is_new && matches!(way, Way::Door) && has_waiting_room {
            return Err(waiting::has_waiting_room());
        }
        if state.rooms.get(name).is_some_and(|room| room.is_full_of_whisperers())
            && before.is_none()
        {
            return Err(groups::too_many());
        }
        let return_key = outbox.as_ref().map(|_| ReturnKey::random()).transpose()?;
        let opened = !state.rooms.contains_key(name);
        if opened {
            let mut room = self.open_room(&mut state, chain)?;
            room.opening = returning.map_or(room.opening, |it| it.opening);
            state.names.insert(room.key, name.to_owned());
            state.rooms.insert(name.to_owned(), room);
        }
        // From 1 on: as a CSRC, 0 could be taken for none.
        state.last_participant += 1;
        let id = ParticipantId(state.last_participant);
        state.rooms_of.insert(id, name.to_owned());
        if let Some(SharedToken { payload, .. }) = &who.shared {
            state.tokens.insert(id, Arc::clone(payload));
        }
        let Some(room) = state.rooms.get_mut(name) else { return Err(ErrorMessage::internal()) };
        let muted = who.role == Role::Listener;
        let person = Person { id: id.0, name: who.name.clone(), role: who.role, muted, hand: None };
        if opened {
            let chain = room.info.name.clone();
            self.happenings.tell(What::RoomOpened { room: name.to_owned(), chain });
        }
        let participant = person.clone();
        self.happenings.tell(What::ParticipantJoined { room: name.to_owned(), participant });
        room.tell_all(&ServerMessage::ParticipantJoined { participant: person.clone() });
        let member = Member {
            person,
            muted_by_operator: false,
            gain_db: 0.0,
            outbox,
            lets_in: false,
            flow,
            session: None,
            return_key: return_key.clone(),
            media: false,
            ice_name: None,
            restarts: Allowance::new(RESTARTS_BURST),
            hears: BTreeMap::new(),
            loops_back_until: None,
            report: None,
        };
        room.people.insert(id, member);
        if let Some(returning) = returning {
            room.whisper_again(id, returning);
        }
        let opening = room.opening;
        self.metrics.joined();
        tracing::info!(%id, room = name, "joined");
        let joined = ServerMessage::Joined {
            room: name.to_owned(),
            participant: id.0,
            chain: room.info.clone(),
            participants: room.people.values().map(|member| member.person.clone()).collect(),
            operator: false,
            recording: room.is_recorded(),
            locked: room.locked,
            return_key: return_key.clone(),
            whisper: room.groups.clone(),
            ice_servers: self.ice_servers(&id.to_string()),
        };
        if let Some(key) = return_key {
            state.returns.add(key, Returning::new(id, who.clone(), opening));
        }
        drop(state);
        if opened {
            self.record_by_rule(name);
        }
        if let Some(before) = before {
            self.remove(before, LeftReason::Closed, true);
        }
        Ok((id, joined))
    }

    /// Who is in has been given less already; one more would make it worse for all of them.
    fn overloaded(&self) -> ErrorMessage {
        self.metrics.join_refused();
        ErrorMessage::new(
            ErrorCode::Overloaded,
            "The server has as much to do as it can do well, and takes nobody new just now; try \
             again in some seconds.",
        )
    }

    /// Binds a new room to the least loaded worker.
    fn open_room(
        &self,
        state: &mut State,
        chain: Arc<ChainSpec>,
    ) -> Result<RoomState, ErrorMessage> {
        let worker = state.placement.place(self.workers.len(), |worker| state.people_on(worker));
        let worker = worker.ok_or_else(|| self.overloaded())?;
        let key = RoomKey(state.next_room);
        state.next_room += 1;
        let mut room = Room::new(self.spec(Arc::clone(&chain))).map_err(|error| {
            tracing::error!(%error, "a room could not be made");
            ErrorMessage::internal()
        })?;
        let recorder = &self.running().config.flight_recorder;
        if recorder.directory.is_some() {
            room.keep_flight(Duration::from_secs(recorder.seconds.into()));
        }
        self.command(worker, Command::OpenRoom(key, Box::new(room)))?;
        Ok(RoomState {
            key,
            worker,
            info: self.running().chain_info(&chain),
            own: BTreeMap::new(),
            chains: RoomChains::new(chain),
            turn: Arc::default(),
            answer: None,
            figures: None,
            levels: None,
            people: BTreeMap::new(),
            hands: 0,
            chat: Allowance::new(ROOM_BURST),
            recording: None,
            locked: false,
            groups: Groups::default(),
            groups_set: 0,
            opening: key.0,
            taps: Vec::new(),
            playing: None,
            flight: KeptFlight::default(),
        })
    }

    pub(crate) fn remove(&self, id: ParticipantId, reason: LeftReason, tell_worker: bool) {
        let mut state = self.state();
        let Some(name) = state.rooms_of.remove(&id) else { return };
        state.tokens.remove(&id);
        let Some(room) = state.rooms.get_mut(&name) else { return };
        let media = room.people.get(&id).is_some_and(|member| member.media);
        let left = ServerMessage::ParticipantLeft { id: id.0, reason };
        // Who was lost is told too; dropping the outbox then closes their socket.
        room.tell_all(&left);
        let Some(Member { person, session, return_key, .. }) = room.people.remove(&id) else {
            return;
        };
        let participant = person;
        self.happenings.tell(What::ParticipantLeft { room: name.clone(), participant, reason });
        let groups = (room.whispers_no_more(id), room.groups_set);
        room.people.values_mut().for_each(|member| _ = member.hears.remove(&id));
        room.chains.remove_own(id);
        room.own.remove(&id);
        self.metrics.left(reason.name());
        tracing::info!(%id, room = %name, ?reason, "left");
        let (worker, key, empty) = (room.worker, room.key, room.people.is_empty());
        if media && tell_worker && self.command(worker, Command::Leave(id)).is_err() {
            tracing::error!(%id, "the worker takes no command");
        }
        if let Some(session) = session {
            state.sessions.remove(&session);
            state.lines.remove(&session);
        }
        if let Some(key) = return_key {
            state.returns.gone(key, groups, reason, Instant::now());
        }
        if empty {
            self.happenings.tell(What::RoomClosed { room: name.clone() });
            state.rooms.remove(&name);
            state.names.remove(&key);
            if self.command(worker, Command::CloseRoom(key)).is_err() {
                tracing::error!(room = %name, "the worker takes no command");
            }
        }
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

fn only_listens() -> ErrorMessage {
    let sentence = "You are here to listen; your token does not let you talk.";
    ErrorMessage::new(ErrorCode::Forbidden, sentence)
}

pub(crate) fn capitalised(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
