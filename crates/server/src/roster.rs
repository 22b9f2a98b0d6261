//! Who is in which room, and where messages to them go: what a conference keeps under its lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use axum::extract::ws::Utf8Bytes;
use foldback_peer::Flow;
use foldback_room::{HeardAs, Level, ParticipantId};
use foldback_worker::{Allowance, Figures, Readings, Recycled, RoomKey};
use tokio::sync::Mutex;
use tokio::sync::mpsc::Sender;

use crate::auth::Key;
use crate::chain_info::ChainInfo;
use crate::flight::KeptFlight;
use crate::groups::Groups;
use crate::health::Health;
use crate::ice_names::IceName;
use crate::live::RoomChains;
use crate::message::{ErrorCode, ErrorMessage, Person, ServerMessage};
use crate::placement::Placement;
use crate::playing::Playing;
use crate::recording::RoomRecording;
use crate::report::ParticipantReport;
use crate::returning::Returns;
use crate::rtp::Lines;
use crate::waiting::WaitingRooms;
use crate::whip::Sessions;

/// Where messages to one client go. Bounded: a client that does not read is let go.
pub type Outbox = Sender<Utf8Bytes>;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) rooms: HashMap<String, RoomState>,
    pub(crate) rooms_of: HashMap<ParticipantId, String>,
    /// By which tokens those are in that only so many may use at a time.
    pub(crate) tokens: HashMap<ParticipantId, Arc<str>>,
    /// The rooms' names by how workers know them.
    pub(crate) names: HashMap<RoomKey, String>,
    pub(crate) placement: Placement,
    pub(crate) health: Health,
    /// Nobody new is let in, since the server is about to end.
    pub(crate) draining: bool,
    pub(crate) next_room: u64,
    pub(crate) last_participant: u64,
    /// Those of participants that have an address of their own.
    pub(crate) sessions: Sessions,
    pub(crate) returns: Returns,
    pub(crate) waiting: WaitingRooms,
    pub(crate) lines: Lines,
    pub(crate) last_player: u64,
    /// How often whisper groups were set, in all rooms.
    pub(crate) groups_set: u64,
}

#[derive(Debug)]
pub(crate) struct RoomState {
    pub(crate) key: RoomKey,
    pub(crate) worker: usize,
    /// What the worker runs.
    pub(crate) chains: RoomChains,
    /// Held from the building of a change, or of a participant, until the worker has it: each is
    /// built for what the one before made of the room.
    pub(crate) turn: Arc<Mutex<()>>,
    /// Where it is waited for whether the worker took a change.
    pub(crate) answer: Option<SyncSender<bool>>,
    /// The room's chain as clients see it.
    pub(crate) info: ChainInfo,
    /// The chains of those who have stages of their own.
    pub(crate) own: BTreeMap<ParticipantId, ChainInfo>,
    /// Of the last second, once there was one.
    pub(crate) figures: Option<Recycled<Figures>>,
    /// Of those who are not silent now, once it was told.
    pub(crate) levels: Option<Recycled<Vec<Level>>>,
    pub(crate) people: BTreeMap<ParticipantId, Member>,
    /// How many hands were raised so far.
    pub(crate) hands: u64,
    /// What may still be written in it.
    pub(crate) chat: Allowance,
    /// The last one since somebody is in it.
    pub(crate) recording: Option<RoomRecording>,
    /// Whether hosts alone come in.
    pub(crate) locked: bool,
    /// Another one each time that somebody opens it, but those who come back to it.
    pub(crate) opening: u64,
    /// Who whispers with whom.
    pub(crate) groups: Groups,
    /// Another one each time that they are set, in this room or another.
    pub(crate) groups_set: u64,
    /// As whom it is tapped, and whether by the mix.
    pub(crate) taps: Vec<(ParticipantId, bool)>,
    /// The file that plays in it.
    pub(crate) playing: Option<Playing>,
    /// The chimes that sound in it.
    pub(crate) chimes: Vec<u64>,
    pub(crate) flight: KeptFlight,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) person: Person,
    /// An operator muted them.
    pub(crate) muted_by_operator: bool,
    /// By how much louder all the others hear them.
    pub(crate) gain_db: f32,
    pub(crate) outbox: Option<Outbox>,
    /// Is told who waits for the room, as a host or an operator.
    pub(crate) lets_in: bool,
    /// Which ways sound goes between them and the room.
    pub(crate) flow: Flow,
    /// By which their session is found, where it has an address.
    pub(crate) session: Option<Key>,
    /// What they come back by.
    pub(crate) return_key: Option<Key>,
    pub(crate) media: bool,
    /// By which connections find their session.
    pub(crate) ice_name: Option<IceName>,
    /// What is left of having ICE start anew, which takes time of the media thread.
    pub(crate) restarts: Allowance,
    /// Whom they hear otherwise than those come.
    pub(crate) hears: BTreeMap<ParticipantId, HeardAs>,
    /// Until when they hear themselves, or did.
    pub(crate) loops_back_until: Option<Instant>,
    /// Of the last second, once there was one with media.
    pub(crate) report: Option<ParticipantReport>,
}

impl State {
    pub(crate) fn room_of(
        &mut self,
        id: ParticipantId,
    ) -> Result<(&str, &mut RoomState), ErrorMessage> {
        let name = self.rooms_of.get(&id).ok_or_else(not_joined)?;
        let room = self.rooms.get_mut(name).ok_or_else(not_joined)?;
        Ok((name, room))
    }

    /// How many people are in the rooms of a worker.
    pub(crate) fn people_on(&self, worker: usize) -> usize {
        let rooms = self.rooms.values().filter(|room| room.worker == worker);
        rooms.map(|room| room.people.len()).sum()
    }

    /// The room that workers know as `key`, unless it was closed meanwhile.
    pub(crate) fn room_by_key(&mut self, key: RoomKey) -> Option<&mut RoomState> {
        self.rooms.get_mut(self.names.get(&key)?)
    }

    /// The room of that name, if it is still the one of that key.
    pub(crate) fn open(&mut self, name: &str, key: RoomKey) -> Option<&mut RoomState> {
        self.rooms.get_mut(name).filter(|open| open.key == key)
    }
}

impl RoomState {
    /// What stages read in the last second.
    pub(crate) fn readings(&self) -> &[Readings] {
        self.figures.as_ref().map_or(&[], |figures| figures.readings())
    }

    /// Those who have brought an offer, so that the worker knows them, or soon will; and who hears the room and is
    /// nobody in it.
    pub(crate) fn media(&self) -> Vec<ParticipantId> {
        let people = self.people.iter().filter(|(_, member)| member.media);
        let listener = self.recording.as_ref().and_then(RoomRecording::listener);
        let taps = self.taps.iter().filter(|(_, hears_mix)| *hears_mix).map(|(id, _)| *id);
        people.map(|(id, _)| *id).chain(listener).chain(taps).collect()
    }

    /// Whether it is being recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recording.as_ref().is_some_and(RoomRecording::is_running)
    }

    pub(crate) fn tell_all(&mut self, message: &ServerMessage) {
        let text = encoded(message);
        for member in self.people.values_mut() {
            member.tell_text(&text, message.is_passing());
        }
    }
}

impl Member {
    /// Whether what they hear may be like nobody else's even while they are silent.
    pub(crate) fn has_own_mix(&self) -> bool {
        let loops_back = self.loops_back_until.is_some_and(|until| until > Instant::now());
        loops_back || !self.hears.is_empty()
    }

    pub(crate) fn tell(&mut self, message: &ServerMessage) {
        if self.outbox.is_some() {
            self.tell_text(&encoded(message), message.is_passing());
        }
    }

    fn tell_text(&mut self, text: &Utf8Bytes, passing: bool) {
        let Some(outbox) = &self.outbox else { return };
        // A full outbox is a client that has not read for seconds. Levels it may miss; with who
        // is in the room it would be wrong for ever, so it is let go.
        if outbox.try_send(text.clone()).is_err() && !passing {
            self.outbox = None;
        }
    }
}

/// A message as it goes over the WebSocket.
#[must_use]
pub fn encoded(message: &ServerMessage) -> Utf8Bytes {
    // Strings and numbers always serialise.
    serde_json::to_string(message).unwrap_or_default().into()
}

pub(crate) fn not_joined() -> ErrorMessage {
    ErrorMessage::new(ErrorCode::NotJoined, "Join a room first.")
}
