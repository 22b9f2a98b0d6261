//! Whisper groups: people in a room who hear each other, and whom nobody else in it hears.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use axum::extract::State;
use axum::response::Json;
use foldback_room::{HeardAs, MOST_OWN_MIXES, ParticipantId};
use foldback_worker::Command;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::AsHost;
use crate::conference::Conference;
use crate::control::not_here;
use crate::control_api::{Body, PathOf, json, target};
use crate::http::{App, HttpError};
use crate::message::{ErrorCode, ErrorMessage, ServerMessage};
use crate::openapi::{ForHosts, OfAnyRoom, OfOpenRoom, OfRoom};
use crate::returning::Returning;
use crate::roster::{self, RoomState};

/// So many groups a room has at most.
const MOST_GROUPS: usize = 16;
/// How a group may be called, in characters.
const NAME_CHARS: RangeInclusive<usize> = 1..=64;

/// Who whispers with whom in a room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Groups {
    /// The numbers of those in each, by its name.
    pub groups: BTreeMap<String, BTreeSet<u64>>,
    /// How loud they hear the others meanwhile, in dB; `None`: not at all.
    #[serde(default)]
    pub room_gain_db: Option<f32>,
}

/// What of whispering somebody comes back to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Whispered {
    /// The groups that they were in.
    groups: Vec<String>,
    /// As [`RoomState::groups_set`].
    set: u64,
}

impl Groups {
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// How `listener` hears `other`, whom they would hear as `own` says.
    pub(crate) fn heard(
        &self,
        listener: ParticipantId,
        other: ParticipantId,
        own: HeardAs,
    ) -> HeardAs {
        let (mut whispers, mut is_apart, mut together) = (false, false, false);
        for group in self.groups.values() {
            let (has_other, has_listener) = (group.contains(&other.0), group.contains(&listener.0));
            whispers |= has_other;
            is_apart |= has_listener;
            together |= has_other && has_listener;
        }
        match (together, whispers, is_apart, self.room_gain_db) {
            (true, ..) | (_, false, false, _) => own,
            (_, false, true, Some(db)) => {
                let (least, most) = (*HeardAs::GAIN_DB.start(), *HeardAs::GAIN_DB.end());
                HeardAs { gain_db: (own.gain_db + db).clamp(least, most), ..own }
            }
            _ => HeardAs { muted: true, ..own },
        }
    }

    /// The names of those that somebody is in.
    pub(crate) fn of(&self, id: ParticipantId) -> Vec<String> {
        let theirs = self.groups.iter().filter(|(_, group)| group.contains(&id.0));
        theirs.map(|(name, _)| name.clone()).collect()
    }

    /// Takes somebody out; whether they were in any.
    pub(crate) fn remove(&mut self, id: ParticipantId) -> bool {
        let mut was_in = false;
        self.groups.retain(|_, group| {
            was_in |= group.remove(&id.0);
            !group.is_empty()
        });
        was_in
    }

    fn check(&self, room: &str, open: &RoomState) -> Result<(), ErrorMessage> {
        let bad = |sentence: String| Err(ErrorMessage::new(ErrorCode::BadValue, sentence));
        if self.groups.len() > MOST_GROUPS {
            return bad(format!(
                "A room has {MOST_GROUPS} groups at most; got {}.",
                self.groups.len()
            ));
        }
        for (name, group) in &self.groups {
            if !NAME_CHARS.contains(&name.chars().count()) || name.contains(char::is_control) {
                return bad(format!(
                    "The name of a group has 1 to 64 characters, none of them control characters; got {:?}.",
                    name.chars().take(70).collect::<String>()
                ));
            }
            if let Some(id) =
                group.iter().find(|id| !open.people.contains_key(&ParticipantId(**id)))
            {
                return Err(not_here(room, Some(ParticipantId(*id))));
            }
        }
        let gains = -60.0..=0.0;
        match self.room_gain_db {
            Some(db) if !gains.contains(&db) => {
                bad(format!("`room_gain_db` goes from -60 to 0 dB, or is null; got {db}."))
            }
            _ => Ok(()),
        }
    }
}

impl RoomState {
    /// Whether there is no encoder left for one more who would hear whom they hear and not those who whisper.
    pub(crate) fn is_full_of_whisperers(&self) -> bool {
        !self.groups.is_empty() && self.people.len() >= MOST_OWN_MIXES
    }

    /// Somebody who comes back whispers with those with whom they did.
    pub(crate) fn whisper_again(&mut self, id: ParticipantId, returning: &Returning) {
        let mut names = self.groups.of(returning.participant);
        // Whoever set groups since had others in mind, and a room that was empty has none.
        let before = &returning.whispered;
        if before.set == self.groups_set && self.people.len() <= MOST_OWN_MIXES {
            names.extend_from_slice(&before.groups);
        }
        for name in &names {
            self.groups.groups.entry(name.clone()).or_default().insert(id.0);
        }
        if !names.is_empty() {
            self.tell_all(&ServerMessage::Groups(self.groups.clone()));
        }
    }

    /// Somebody is gone; what they whispered in.
    pub(crate) fn whispers_no_more(&mut self, id: ParticipantId) -> Whispered {
        let groups = self.groups.of(id);
        if self.groups.remove(id) {
            self.tell_all(&ServerMessage::Groups(self.groups.clone()));
        }
        Whispered { groups, set: self.groups_set }
    }
}

/// Where there are groups nobody's mix is like another's, and each takes an encoder.
pub(crate) fn too_many() -> ErrorMessage {
    let sentence = format!(
        "A room with whisper groups takes {MOST_OWN_MIXES} people: each of them takes an encoder of the server."
    );
    ErrorMessage::new(ErrorCode::TooMany, sentence)
}

impl Conference {
    /// Has those in a room whisper in these groups and in no others; everybody is told. A participant may be in several.
    ///
    /// # Errors
    /// `bad-room`; `not-found`, if nobody is in the room, or nobody of one of those numbers; `no-mix`; `bad-value`; `too-many`, if more
    /// are in the room than can hear it each in their own way; `internal`.
    pub fn set_groups(&self, room: &str, mut groups: Groups) -> Result<Groups, ErrorMessage> {
        self.chain_of(room)?;
        let mut state = self.state();
        let roster::State { rooms, groups_set, .. } = &mut *state;
        let open = rooms.get_mut(room).ok_or_else(|| not_here(room, None))?;
        if open.chains.chain().mix.is_none() {
            let sentence =
                "The chain of this room has no `mix`: nobody hears anybody but themselves.";
            return Err(ErrorMessage::new(ErrorCode::NoMix, sentence));
        }
        groups.check(room, open)?;
        groups.groups.retain(|_, group| !group.is_empty());
        if !groups.is_empty() && open.people.len() > MOST_OWN_MIXES {
            return Err(too_many());
        }
        if open.groups == groups {
            return Ok(groups);
        }
        let mut changed = Vec::new();
        for (listener, member) in &open.people {
            for other in open.people.keys().filter(|other| *other != listener) {
                let own = member.hears.get(other).copied().unwrap_or(HeardAs::PLAIN);
                let after = groups.heard(*listener, *other, own);
                if open.groups.heard(*listener, *other, own) != after {
                    changed.push((*listener, *other, after));
                }
            }
        }
        // All at once: who is to whisper must not be heard by some of the others for a while.
        self.command(open.worker, Command::HearAllAs(changed))?;
        *groups_set += 1;
        (open.groups, open.groups_set) = (groups.clone(), *groups_set);
        tracing::info!(%room, groups = groups.groups.len(), "whisper groups");
        open.tell_all(&ServerMessage::Groups(groups.clone()));
        Ok(groups)
    }

    /// The whisper groups of a room; none, if nobody is in it.
    ///
    /// # Errors
    /// `bad-room`.
    pub fn groups(&self, room: &str) -> Result<Groups, ErrorMessage> {
        self.chain_of(room)?;
        Ok(self.state().rooms.get(room).map(|open| open.groups.clone()).unwrap_or_default())
    }
}

/// The routes, for hosts of the room and operators.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(show, set))
}

/// Who is to whisper with whom in a room.
// As `Groups`; over HTTP nothing else may stand beside it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GroupsWanted)]
struct Wanted {
    /// The numbers of those in each, by its name; none ends all whispering.
    groups: BTreeMap<String, BTreeSet<u64>>,
    /// How loud they hear the others meanwhile; left out, not at all.
    #[schema(minimum = -60, maximum = 0)]
    room_gain_db: Option<f32>,
}

/// Who whispers with whom in a room
///
/// For the room's hosts and operators.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/groups", operation_id = "show_groups", tag = "rooms", params(OfRoom),
    security((), ("token" = [])), responses((status = 200, body = Groups), ForHosts, OfAnyRoom))]
async fn show(_: AsHost, State(app): State<App>, path: PathOf) -> Result<Json<Groups>, HttpError> {
    let (room, ..) = target(path)?;
    Ok(Json(app.conference.groups(&room)?))
}

/// Have people in a room whisper
///
/// Those in a group hear each other, and nobody else in the room hears them. For the room's hosts and operators.
#[utoipa::path(put, path = "/api/v1/rooms/{room}/groups", operation_id = "set_groups", tag = "rooms", params(OfRoom),
    request_body = Wanted, security((), ("token" = [])), responses((status = 200, body = Groups), ForHosts, OfOpenRoom,
        (status = 422, description = "`bad-room`, `bad-value`, `no-mix`, or `too-many`: no more than 32 are in a room with groups", body = ErrorMessage)))]
async fn set(
    _: AsHost,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<Json<Groups>, HttpError> {
    let (room, ..) = target(path)?;
    let form = "{\"groups\":{\"NAME\":[1,2]},\"room_gain_db\":-20}";
    let Wanted { groups, room_gain_db } = json(body, form)?;
    let groups = Groups { groups, room_gain_db };
    Ok(Json(app.conference.set_groups(&room, groups)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(groups: &Groups, listener: u64, other: u64) -> Option<f32> {
        let own = HeardAs { gain_db: -6.0, ..HeardAs::PLAIN };
        let heard = groups.heard(ParticipantId(listener), ParticipantId(other), own);
        (!heard.muted).then_some(heard.gain_db)
    }

    #[test]
    fn who_hears_whom_as_a_matrix() {
        let desk = [("desk".to_owned(), [1, 2].into()), ("door".to_owned(), [2, 3].into())];
        let mut groups = Groups { groups: desk.into(), room_gain_db: None };
        // By listener: 1 with 2, 2 with 1 and 3, 3 with 2, 4 and 5 with each other.
        let rows = |groups: &Groups| {
            [1, 2, 3, 4, 5]
                .map(|listener| [1, 2, 3, 4, 5].map(|other| heard(groups, listener, other)))
        };
        let (own, no) = (Some(-6.0), None);
        for (listener, expected) in [
            [None, own, no, no, no],
            [own, None, own, no, no],
            [no, own, None, no, no],
            [no, no, no, None, own],
            [no, no, no, own, None],
        ]
        .into_iter()
        .enumerate()
        {
            for (other, expected) in
                expected.into_iter().enumerate().filter(|(it, _)| *it != listener)
            {
                assert_eq!(rows(&groups)[listener][other], expected, "{listener} {other}");
            }
        }
        groups.room_gain_db = Some(-20.0);
        assert_eq!(heard(&groups, 1, 4), Some(-26.0), "the room, softly");
        assert_eq!(heard(&groups, 1, 3), None, "not those of another group");
        groups.room_gain_db = Some(-60.0);
        assert_eq!(heard(&groups, 1, 4), Some(-60.0), "as soft as can be");
        assert_eq!(groups.of(ParticipantId(2)), ["desk", "door"]);
        assert!(groups.remove(ParticipantId(1)) && groups.remove(ParticipantId(2)));
        assert_eq!(groups.groups.len(), 1);
        assert!(!groups.remove(ParticipantId(4)));
    }
}
