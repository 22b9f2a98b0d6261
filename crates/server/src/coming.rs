//! Coming into rooms and leaving them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use foldback_chain::ChainSpec;
use foldback_peer::Flow;
use foldback_room::{ParticipantId, Room};
use foldback_worker::{Allowance, Command, RoomKey};

use crate::auth::{Admitted, Key, Role, SharedToken};
use crate::chat::ROOM_BURST;
use crate::conference::{Conference, ECHO_ROOMS};
use crate::connect::RESTARTS_BURST;
use crate::control::not_here;
use crate::flight::KeptFlight;
use crate::groups::{self, Groups};
use crate::happenings::What;
use crate::limits;
use crate::live::RoomChains;
use crate::message::{ErrorCode, ErrorMessage, LeftReason, Person, ServerMessage};
use crate::moderation::{locked, only_listens};
use crate::returning::{Returning, Way};
use crate::roster::{Member, Outbox, RoomState, State};
use crate::waiting;

impl Conference {
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
        // Whose place they take.
        let before = returning.map(|it| it.participant);
        let before = before.filter(|id| state.rooms_of.contains_key(id));
        self.check_way(&state, who, way, before.is_some())?;
        let return_key = outbox.as_ref().map(|_| Key::random()).transpose()?;
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

    /// Whether somebody may come in that way just now.
    fn check_way(
        &self,
        state: &State,
        who: &Admitted,
        way: Way<'_>,
        has_place: bool,
    ) -> Result<(), ErrorMessage> {
        let open = state.rooms.get(&who.room);
        if state.draining {
            return Err(crate::drain::draining());
        }
        if open.is_some_and(|room| state.placement.is_shedding(room.worker)) {
            return Err(self.overloaded());
        }
        let is_new = matches!(way, Way::Door | Way::Operator) && who.role != Role::Host;
        if is_new && open.is_some_and(|room| room.locked) {
            return Err(locked());
        }
        let running = self.running();
        if !has_place {
            let comes_back = matches!(way, Way::Back(_));
            limits::check(&running.config, state, &who.room, comes_back, 0)?;
            limits::check_token(state, who.shared.as_ref())?;
        }
        let rule = running.config.rule_for_room(&who.room);
        let waits = is_new && matches!(way, Way::Door);
        if waits && rule.is_some_and(|rule| rule.waiting_room) {
            return Err(waiting::has_waiting_room());
        }
        if !has_place && open.is_some_and(RoomState::is_full_of_whisperers) {
            return Err(groups::too_many());
        }
        Ok(())
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
            chimes: Vec::new(),
            flight: KeptFlight::default(),
        })
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
        let whispered = room.whispers_no_more(id);
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
            state.returns.gone(key, whispered, reason, Instant::now());
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
}
