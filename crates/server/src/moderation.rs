//! Muting, and what hosts and operators do to a whole room: close its door, and mute everybody in it.

use axum::extract::State;
use axum::http::StatusCode;
use foldback_room::ParticipantId;
use foldback_worker::Command;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin_api::Mute;
use crate::auth::{AsHost, Role};
use crate::conference::Conference;
use crate::control::not_here;
use crate::control_api::{Body, PathOf, json, target};
use crate::happenings::What;
use crate::http::{App, HttpError};
use crate::message::{ErrorCode, ErrorMessage, ServerMessage};
use crate::openapi::{ForHosts, OfOpenRoom, OfRoom};
use crate::roster::{RoomState, not_joined};

/// The routes, for hosts of the room and operators.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(lock, unlock)).routes(routes!(mute_all))
}

/// Lock a room
///
/// Nobody new comes in but hosts, and who comes back. Everybody in it is told. For the room's hosts and operators.
#[utoipa::path(put, path = "/api/v1/rooms/{room}/lock", tag = "rooms", params(OfRoom), security((), ("token" = [])),
    responses((status = 204, description = "It is locked"), ForHosts, OfOpenRoom))]
async fn lock(host: AsHost, State(app): State<App>, path: PathOf) -> Result<StatusCode, HttpError> {
    let (room, ..) = target(path)?;
    app.conference.lock(&room, true, host.name)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Unlock a room
///
/// For the room's hosts and operators.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/lock", tag = "rooms", params(OfRoom), security((), ("token" = [])),
    responses((status = 204, description = "It is open"), ForHosts, OfOpenRoom))]
async fn unlock(
    host: AsHost,
    State(app): State<App>,
    path: PathOf,
) -> Result<StatusCode, HttpError> {
    let (room, ..) = target(path)?;
    app.conference.lock(&room, false, host.name)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mute everybody in a room, or unmute whom a host or an operator muted
///
/// Everybody but its hosts; each may unmute themselves. For the room's hosts and operators.
#[utoipa::path(put, path = "/api/v1/rooms/{room}/mute", tag = "rooms", params(OfRoom), request_body = Mute,
    security((), ("token" = [])), responses((status = 204, description = "They are as was asked for"), ForHosts, OfOpenRoom))]
async fn mute_all(
    host: AsHost,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<StatusCode, HttpError> {
    let (room, ..) = target(path)?;
    let Mute { muted } = json(body, "{\"muted\":true}")?;
    app.conference.mute_all(&room, muted, host.name)?;
    Ok(StatusCode::NO_CONTENT)
}

impl Conference {
    /// Mutes or unmutes a person; everybody in the room is told, if it was otherwise, or others had muted them.
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
        if member.person.muted == muted && !member.muted_by_operator {
            return Ok(());
        }
        self.set_muted(&name, room, id, muted, None)
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
        self.set_muted(room, open, id, muted, Some(by))
    }

    /// For themselves, or for an operator or for a host of that name.
    fn set_muted(
        &self,
        name: &str,
        room: &mut RoomState,
        id: ParticipantId,
        muted: bool,
        by_other: Option<Option<String>>,
    ) -> Result<(), ErrorMessage> {
        let member = room.people.get_mut(&id).ok_or_else(not_joined)?;
        // Before anybody is told so: who is muted must not be heard.
        self.command(room.worker, Command::Mute(id, muted))?;
        let by_operator = by_other.is_some();
        member.person.muted = muted;
        member.muted_by_operator = muted && by_operator;
        self.happenings.tell(What::ParticipantMuted {
            room: name.to_owned(),
            participant: member.person.clone(),
            by_operator,
        });
        let by = by_other.flatten();
        room.tell_all(&ServerMessage::ParticipantMuted { id: id.0, muted, by_operator, by });
        Ok(())
    }

    /// Closes the door of a room, through which hosts alone come from then on, and who comes back by their key; or opens it.
    /// Everybody in it is told, and who did it, `by`. A room that empties is open again.
    ///
    /// # Errors
    /// `bad-room`; `not-found`, if nobody is in the room.
    pub fn lock(&self, room: &str, locked: bool, by: Option<String>) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let mut state = self.state();
        let open = state.rooms.get_mut(room).ok_or_else(|| not_here(room, None))?;
        if std::mem::replace(&mut open.locked, locked) != locked {
            tracing::info!(%room, locked, "the door");
            self.happenings.tell(What::RoomLocked {
                room: room.to_owned(),
                locked,
                by: by.clone(),
            });
            open.tell_all(&ServerMessage::RoomLocked { locked, by });
        }
        Ok(())
    }

    /// Mutes everybody in a room but its hosts, or unmutes whom a host or an operator muted; everybody is told of it, and who
    /// did it, `by`.
    ///
    /// # Errors
    /// `bad-room`; `not-found`, if nobody is in the room; `internal`, of those whose worker did not take it.
    pub fn mute_all(
        &self,
        room: &str,
        muted: bool,
        by: Option<String>,
    ) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let mut state = self.state();
        let open = state.rooms.get_mut(room).ok_or_else(|| not_here(room, None))?;
        let (worker, mut ids, mut done) = (open.worker, Vec::new(), Ok(()));
        for (id, member) in &mut open.people {
            let person = &mut member.person;
            let may_be = person.role == Role::Talker && (muted || member.muted_by_operator);
            if person.muted == muted || !may_be {
                continue;
            }
            match self.command(worker, Command::Mute(*id, muted)) {
                Ok(()) => {
                    (person.muted, member.muted_by_operator) = (muted, muted);
                    ids.push(id.0);
                    self.happenings.tell(What::ParticipantMuted {
                        room: room.to_owned(),
                        participant: person.clone(),
                        by_operator: true,
                    });
                }
                error => done = error,
            }
        }
        if !ids.is_empty() {
            let told = ServerMessage::ParticipantsMuted { ids, muted, by_operator: true, by };
            open.tell_all(&told);
        }
        done
    }

    /// What a host is called who does something in their room; `None`: it is an operator, who need not be one.
    ///
    /// # Errors
    /// `not-joined`; `forbidden`, if they are neither.
    pub(crate) fn host(
        &self,
        id: ParticipantId,
        is_operator: bool,
    ) -> Result<(String, Option<String>), ErrorMessage> {
        let mut state = self.state();
        let (name, room) = state.room_of(id)?;
        let name = name.to_owned();
        let person = &room.people.get(&id).ok_or_else(not_joined)?.person;
        match person.role {
            Role::Host => Ok((name, Some(person.name.clone()))),
            Role::Talker | Role::Listener if is_operator => Ok((name, None)),
            Role::Talker | Role::Listener => {
                let sentence = "This is for hosts of the room and for the operator.";
                Err(ErrorMessage::new(ErrorCode::Forbidden, sentence))
            }
        }
    }
}

/// What whoever comes to a locked room is told.
pub(crate) fn locked() -> ErrorMessage {
    let sentence = "This room is locked: nobody new comes in until a host unlocks it.";
    ErrorMessage::new(ErrorCode::RoomLocked, sentence)
}

/// What a listener is told who wants to talk.
pub(crate) fn only_listens() -> ErrorMessage {
    let sentence = "You are here to listen; your token does not let you talk.";
    ErrorMessage::new(ErrorCode::Forbidden, sentence)
}
