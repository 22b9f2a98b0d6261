//! What happens on a server, told as it happens to whoever follows: by server-sent events and by webhooks.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

use crate::clock;
use crate::conference::ECHO_ROOMS;
use crate::message::{LeftReason, Person};
use crate::reload::Origin;

/// How many are kept for those who come back.
const KEPT: usize = 1024;

/// How many may wait for one who follows slowly.
const WAITING: usize = 1024;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Happening {
    /// Unique, also after a restart; those of one run of the server count up behind the dash.
    #[schema(example = "18f2a5c3d10-42")]
    pub(crate) id: String,
    /// When: RFC 3339, UTC, to the second.
    #[schema(example = "2026-01-31T12:00:00Z")]
    pub(crate) at: String,
    /// What.
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What happened, where, to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum What {
    /// Somebody came into a room in which nobody was.
    RoomOpened {
        /// The room.
        room: String,
        /// Its chain.
        chain: String,
    },
    /// The last one left a room.
    RoomClosed {
        /// The room.
        room: String,
    },
    /// The door of a room was closed for all but hosts, or opened.
    RoomLocked {
        /// Which.
        room: String,
        /// Whether it is closed.
        locked: bool,
        /// What the host is called who did it; null: it was an operator.
        by: Option<String>,
    },
    /// Somebody waits to be let into a room.
    ParticipantWaiting {
        /// Which.
        room: String,
        /// By what number they are let in.
        id: u64,
        /// What they are called.
        name: String,
    },
    /// Somebody joined.
    ParticipantJoined {
        /// Which room.
        room: String,
        /// Who.
        participant: Person,
    },
    /// Somebody left, or was taken out, or got lost.
    ParticipantLeft {
        /// Which room.
        room: String,
        /// Who.
        participant: Person,
        /// Why.
        reason: LeftReason,
    },
    /// Somebody muted or unmuted, or was.
    ParticipantMuted {
        /// In which room.
        room: String,
        /// Who, as they are now.
        participant: Person,
        /// Whether it was an operator, or a host.
        by_operator: bool,
    },
    /// A room sounds otherwise, or one participant of it does.
    ChainChanged {
        /// Which room.
        room: String,
        /// Whose stages; absent: everybody's.
        #[serde(skip_serializing_if = "Option::is_none")]
        participant: Option<u64>,
        /// The name of their chain now.
        chain: String,
    },
    /// A room is being recorded from now on.
    RecordingStarted {
        /// Which.
        room: String,
    },
    /// A recording is over, and its files are closed.
    RecordingEnded {
        /// Of which room.
        room: String,
        /// Why it could not go on; absent: it was ended, or the room closed.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// A file plays in a room from now on.
    PlayingStarted {
        /// Which room.
        room: String,
        /// Which file.
        file: String,
    },
    /// A file has played to its end, or was stopped.
    PlayingEnded {
        /// In which room.
        room: String,
        /// Which file.
        file: String,
    },
    /// Another configuration counts from now on.
    ConfigChanged {
        /// Its number.
        version: u32,
        /// What asked for it.
        origin: Origin,
    },
    /// A configuration was not taken; everything is as it was.
    ConfigRefused {
        /// What asked for it.
        origin: Origin,
        /// Every mistake in it.
        why: String,
    },
    /// A media thread sheds more load, or less.
    LoadShed {
        /// The number of its worker.
        worker: usize,
        /// How much: 0 is nothing.
        level: u8,
        /// What that leaves out.
        shedding: &'static str,
    },
    /// Nobody new is let in: the server is about to end.
    Draining {
        /// Those inside may talk on for so long, in s.
        seconds_left: u64,
    },
}

impl What {
    /// The word by which it is told apart: one of [`foldback_config::EVENTS`].
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::RoomOpened { .. } => "room-opened",
            Self::RoomClosed { .. } => "room-closed",
            Self::RoomLocked { .. } => "room-locked",
            Self::ParticipantWaiting { .. } => "participant-waiting",
            Self::ParticipantJoined { .. } => "participant-joined",
            Self::ParticipantLeft { .. } => "participant-left",
            Self::ParticipantMuted { .. } => "participant-muted",
            Self::ChainChanged { .. } => "chain-changed",
            Self::RecordingStarted { .. } => "recording-started",
            Self::RecordingEnded { .. } => "recording-ended",
            Self::PlayingStarted { .. } => "playing-started",
            Self::PlayingEnded { .. } => "playing-ended",
            Self::ConfigChanged { .. } => "config-changed",
            Self::ConfigRefused { .. } => "config-refused",
            Self::LoadShed { .. } => "load-shed",
            Self::Draining { .. } => "draining",
        }
    }

    /// Where, unless it is about the server as a whole.
    pub(crate) fn room(&self) -> Option<&str> {
        match self {
            Self::RoomOpened { room, .. }
            | Self::RoomClosed { room }
            | Self::RoomLocked { room, .. }
            | Self::ParticipantWaiting { room, .. }
            | Self::ParticipantJoined { room, .. }
            | Self::ParticipantLeft { room, .. }
            | Self::ParticipantMuted { room, .. }
            | Self::ChainChanged { room, .. }
            | Self::RecordingStarted { room }
            | Self::RecordingEnded { room, .. }
            | Self::PlayingStarted { room, .. }
            | Self::PlayingEnded { room, .. } => Some(room),
            Self::ConfigChanged { .. }
            | Self::ConfigRefused { .. }
            | Self::LoadShed { .. }
            | Self::Draining { .. } => None,
        }
    }
}

/// Tells what happens, and keeps the last of it.
#[derive(Debug)]
pub(crate) struct Happenings {
    /// Of this run of the server.
    run: String,
    recent: Mutex<Recent>,
}

#[derive(Debug)]
struct Recent {
    told: u64,
    kept: VecDeque<Arc<Happening>>,
    /// Gone once nothing more is told.
    live: Option<broadcast::Sender<Arc<Happening>>>,
}

/// What has happened since somebody last heard, and what will.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) missed: VecDeque<Arc<Happening>>,
    /// More than these may have been missed: they were too many, or of an earlier run of the server.
    pub(crate) has_gap: bool,
    pub(crate) live: broadcast::Receiver<Arc<Happening>>,
}

impl Default for Happenings {
    fn default() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let run = format!("{:x}", since_1970.as_millis());
        let live = Some(broadcast::Sender::new(WAITING));
        Self { run, recent: Mutex::new(Recent { told: 0, kept: VecDeque::new(), live }) }
    }
}

impl Happenings {
    /// Tells everybody who follows. What is of an echo test is nobody's business.
    pub(crate) fn tell(&self, what: What) {
        if what.room().is_some_and(|room| room.starts_with(ECHO_ROOMS)) {
            return;
        }
        let mut recent = self.recent();
        recent.told += 1;
        let id = format!("{}-{}", self.run, recent.told);
        let happening = Arc::new(Happening { id, at: clock::now(), what });
        if recent.kept.len() == KEPT {
            recent.kept.pop_front();
        }
        recent.kept.push_back(Arc::clone(&happening));
        // Under the lock, so that all who follow hear it in this order. Nobody may follow.
        let _ = recent.live.as_ref().map(|live| live.send(happening));
    }

    /// Nothing more is told: whoever follows has heard all of it after the last one.
    pub(crate) fn end(&self) {
        self.recent().live = None;
    }

    /// All that happens from now on, and before it what happened after the one called `last`.
    pub(crate) fn follow(&self, last: Option<&str>) -> Follow {
        let recent = self.recent();
        let live = recent.live.as_ref().map(broadcast::Sender::subscribe);
        let live = live.unwrap_or_else(|| broadcast::channel(1).1);
        let Some(last) = last else {
            return Follow { missed: VecDeque::new(), has_gap: false, live };
        };
        let of_this_run = last.strip_prefix(&self.run).and_then(|rest| rest.strip_prefix('-'));
        let last = of_this_run.and_then(|number| number.parse::<u64>().ok());
        let last = last.filter(|last| *last <= recent.told);
        let first_kept = recent.told - recent.kept.len() as u64 + 1;
        let known = last.is_some_and(|last| last + 1 >= first_kept);
        let heard = last.map_or(0, |last| (last + 1).saturating_sub(first_kept));
        let missed = recent.kept.iter().skip(usize::try_from(heard).unwrap_or(usize::MAX));
        Follow { missed: missed.cloned().collect(), has_gap: !known, live }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use foldback_config::EVENTS;

    use super::*;
    use crate::auth::Role;

    fn closed(room: &str) -> What {
        What::RoomClosed { room: room.to_owned() }
    }

    fn person() -> Person {
        let name = "Ann".to_owned();
        Person { id: 7, name, role: Role::Talker, muted: false, hand: None }
    }

    fn rooms(happenings: &VecDeque<Arc<Happening>>) -> Vec<&str> {
        happenings.iter().filter_map(|it| it.what.room()).collect()
    }

    #[test]
    fn each_is_called_as_it_says_itself_and_as_a_configuration_may_name_it() {
        let room = || "lobby".to_owned();
        let (origin, participant) = (Origin::File, person());
        let all = [
            What::RoomOpened { room: room(), chain: room() },
            closed("lobby"),
            What::RoomLocked { room: room(), locked: true, by: None },
            What::ParticipantWaiting { room: room(), id: 7, name: room() },
            What::ParticipantJoined { room: room(), participant: participant.clone() },
            What::ParticipantLeft {
                room: room(),
                participant: participant.clone(),
                reason: LeftReason::Left,
            },
            What::ParticipantMuted { room: room(), participant, by_operator: true },
            What::ChainChanged { room: room(), participant: None, chain: room() },
            What::RecordingStarted { room: room() },
            What::RecordingEnded { room: room(), failure: None },
            What::PlayingStarted { room: room(), file: room() },
            What::PlayingEnded { room: room(), file: room() },
            What::ConfigChanged { version: 2, origin },
            What::ConfigRefused { origin, why: String::new() },
            What::LoadShed { worker: 0, level: 1, shedding: "" },
            What::Draining { seconds_left: 20 },
        ];
        assert_eq!(all.each_ref().map(What::name), EVENTS);
        for what in all {
            let json = serde_json::to_value(&what).expect("serialises");
            assert_eq!(json["type"], what.name());
            assert_eq!(json.get("room").and_then(|room| room.as_str()), what.room());
        }
    }

    #[test]
    fn who_comes_back_hears_what_they_missed_and_then_what_happens() {
        let happenings = Happenings::default();
        let Follow { missed, has_gap, mut live } = happenings.follow(None);
        assert_eq!((missed.len(), has_gap), (0, false));
        happenings.tell(closed("a"));
        let last = live.try_recv().expect("told").id.clone();
        happenings.tell(closed("b"));
        happenings.tell(closed("c"));
        let Follow { missed, has_gap, mut live } = happenings.follow(Some(&last));
        assert_eq!((rooms(&missed), has_gap), (vec!["b", "c"], false));
        assert!(live.try_recv().is_err(), "nothing has happened since");
        happenings.tell(closed("d"));
        assert_eq!(live.try_recv().expect("told").what.room(), Some("d"));
    }

    #[test]
    fn who_was_away_for_too_long_or_comes_from_another_run_is_told_that_there_is_a_gap() {
        let happenings = Happenings::default();
        let mut first = happenings.follow(None).live;
        happenings.tell(closed("first"));
        let first = first.try_recv().expect("told").id.clone();
        for number in 0..KEPT {
            happenings.tell(closed(&number.to_string()));
        }
        let Follow { missed, has_gap, .. } = happenings.follow(Some(&first));
        assert_eq!((missed.len(), has_gap), (KEPT, false), "just so");
        happenings.tell(closed("one more"));
        let Follow { missed, has_gap, .. } = happenings.follow(Some(&first));
        assert_eq!((missed.len(), has_gap), (KEPT, true));
        for other in ["18f2a5c3d10-3", "", "x", &format!("{}-99999", happenings.run)] {
            let Follow { missed, has_gap, .. } = happenings.follow(Some(other));
            assert_eq!((missed.len(), has_gap), (KEPT, true), "{other}");
        }
    }

    #[test]
    fn at_the_end_whoever_follows_hears_the_last_and_then_that_it_was_the_last() {
        let happenings = Happenings::default();
        let mut live = happenings.follow(None).live;
        happenings.tell(closed("a"));
        happenings.end();
        assert_eq!(live.try_recv().expect("told").what.room(), Some("a"));
        assert_eq!(live.try_recv(), Err(broadcast::error::TryRecvError::Closed));
        let late = happenings.follow(None).live.try_recv();
        assert_eq!(late, Err(broadcast::error::TryRecvError::Closed));
    }

    #[test]
    fn of_an_echo_test_nothing_is_told() {
        let happenings = Happenings::default();
        let mut live = happenings.follow(None).live;
        happenings.tell(closed("echo/0"));
        assert!(live.try_recv().is_err());
    }
}
