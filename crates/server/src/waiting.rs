//! Waiting rooms: whoever comes to a room that has one waits until a host, or an operator, lets them in.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State as FromApp;
use axum::http::StatusCode;
use axum::response::Json;
use foldback_room::ParticipantId;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Admitted, AsHost, Role};
use crate::conference::Conference;
use crate::control_api::{PathOf, target};
use crate::happenings::What;
use crate::http::{App, HttpError};
use crate::limits;
use crate::message::{ErrorCode, ErrorMessage, ServerMessage};
use crate::openapi::{ForHosts, ForOperators, OfAnyRoom, OfOpenRoom, OfParticipant, OfRoom};
use crate::operator::AsOperator;
use crate::roster::State;

/// So many wait for a room at a time.
const MOST_WAITING: usize = 50;
/// For so long somebody waits.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30 * 60);

/// Somebody who waits, as hosts see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WaitingPerson {
    /// Unique as long as the server runs, and nobody's number in a room.
    pub id: u64,
    /// As they named themselves, or their token does.
    pub name: String,
}

/// A room that somebody waits for; nobody need be in it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WaitedFor {
    room: String,
    /// In the order of their coming.
    waiting: Vec<WaitingPerson>,
}

/// Those who wait, by room, in the order of their coming; a conference keeps them under its lock.
#[derive(Debug, Default)]
pub(crate) struct WaitingRooms {
    rooms: BTreeMap<String, BTreeMap<u64, Waiter>>,
    last: u64,
}

#[derive(Debug)]
struct Waiter {
    name: String,
    decision: oneshot::Sender<bool>,
}

/// Of one who waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    id: u64,
    pub(crate) who: Admitted,
    decision: oneshot::Receiver<bool>,
    until: Instant,
}

impl Waiting {
    /// Waits until somebody decides: whether they come in; `None` where nobody did in time.
    pub(crate) async fn decided(&mut self) -> Option<bool> {
        let decision = tokio::time::timeout_at(self.until, &mut self.decision).await;
        decision.ok().map(|decision| decision.unwrap_or_default())
    }
}

impl WaitingRooms {
    /// How many wait, for whatever room.
    pub(crate) fn count(&self) -> usize {
        self.rooms.values().map(BTreeMap::len).sum()
    }

    fn list(&self, room: &str) -> Vec<WaitingPerson> {
        let waiting = self.rooms.get(room).into_iter().flatten();
        waiting.map(|(id, it)| WaitingPerson { id: *id, name: it.name.clone() }).collect()
    }

    fn add(&mut self, who: Admitted) -> Result<Waiting, ErrorMessage> {
        let room = self.rooms.entry(who.room.clone()).or_default();
        if room.len() >= MOST_WAITING {
            let sentence = format!(
                "{MOST_WAITING} people wait for this room already, as many as can. Try again later."
            );
            return Err(ErrorMessage::new(ErrorCode::RoomFull, sentence));
        }
        self.last += 1;
        let (id, until) = (self.last, Instant::now() + LONGEST_WAIT);
        let (sender, decision) = oneshot::channel();
        room.insert(id, Waiter { name: who.name.clone(), decision: sender });
        Ok(Waiting { id, who, decision, until })
    }

    fn remove(&mut self, room: &str, id: u64) -> Option<Waiter> {
        let waiting = self.rooms.get_mut(room)?;
        let waiter = waiting.remove(&id);
        if waiting.is_empty() {
            self.rooms.remove(room);
        }
        waiter
    }
}

impl Conference {
    /// Tells those who let people into a room who waits for it now.
    fn tell_waiting(&self, state: &mut State, room: &str) {
        self.metrics.set_waiting(state.waiting.count());
        let Some(open) = state.rooms.get_mut(room) else { return };
        let told = ServerMessage::WaitingList { waiting: state.waiting.list(room) };
        for member in open.people.values_mut().filter(|member| member.lets_in) {
            member.tell(&told);
        }
    }

    /// Has somebody wait who came to a room that has a waiting room; those who let people in are told.
    ///
    /// # Errors
    /// `room-full`, if as many wait as can.
    pub(crate) fn wait(&self, who: Admitted) -> Result<Waiting, ErrorMessage> {
        let mut state = self.state();
        let waiting = state.waiting.add(who)?;
        self.tell_waiting(&mut state, &waiting.who.room);
        tracing::info!(room = %waiting.who.room, waiting = waiting.id, "waits to be let in");
        self.happenings.tell(What::ParticipantWaiting {
            room: waiting.who.room.clone(),
            id: waiting.id,
            name: waiting.who.name.clone(),
        });
        Ok(waiting)
    }

    /// Somebody waits no longer, and is gone.
    pub(crate) fn stop_waiting(&self, waiting: &Waiting) {
        let mut state = self.state();
        if state.waiting.remove(&waiting.who.room, waiting.id).is_some() {
            self.tell_waiting(&mut state, &waiting.who.room);
        }
    }

    /// From now on somebody in a room sees who waits for it, if they are a host or an operator.
    pub(crate) fn show_waiting(&self, id: ParticipantId, is_operator: bool) {
        let mut state = self.state();
        let Ok(name) = state.room_of(id).map(|(name, _)| name.to_owned()) else { return };
        let waiting = state.waiting.list(&name);
        let Ok((_, room)) = state.room_of(id) else { return };
        let Some(member) = room.people.get_mut(&id) else { return };
        let saw =
            std::mem::replace(&mut member.lets_in, is_operator || member.person.role == Role::Host);
        if member.lets_in && !saw && !waiting.is_empty() {
            member.tell(&ServerMessage::WaitingList { waiting });
        }
    }

    /// Lets those in who wait for a room with these numbers, or all, or sends them away. Of numbers some may have left.
    ///
    /// # Errors
    /// `bad-room`; `not-found`, if none of those numbers waits; as of [`Self::join`] `room-full` or `server-full`, before
    /// the first for whom there is no place.
    pub(crate) fn decide(
        &self,
        room: &str,
        ids: Option<&[u64]>,
        admit: bool,
    ) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let mut state = self.state();
        let all: Vec<_> = state.waiting.list(room).into_iter().map(|it| it.id).collect();
        if ids.is_some_and(|ids| !ids.iter().any(|id| all.contains(id))) {
            return Err(nobody_waits(room));
        }
        let (mut done, mut let_in) = (Ok(()), 0);
        for id in ids.unwrap_or(&all) {
            let Some(waiter) = state.waiting.remove(room, *id) else { continue };
            let place = limits::check(&self.running().config, &state, room, false, let_in);
            if let (true, Err(full)) = (admit, place) {
                state.waiting.rooms.entry(room.to_owned()).or_default().insert(*id, waiter);
                done = Err(full);
                break;
            }
            // Who is gone needs no answer.
            let_in += usize::from(waiter.decision.send(admit).is_ok());
        }
        self.tell_waiting(&mut state, room);
        done
    }

    /// Who waits for a room.
    ///
    /// # Errors
    /// `bad-room`.
    pub(crate) fn waiting(&self, room: &str) -> Result<Vec<WaitingPerson>, ErrorMessage> {
        self.chain_of(room)?;
        Ok(self.state().waiting.list(room))
    }

    /// All who wait, by room.
    fn all_waiting(&self) -> Vec<WaitedFor> {
        let state = self.state();
        let rooms = state.waiting.rooms.keys();
        rooms
            .map(|room| WaitedFor { room: room.clone(), waiting: state.waiting.list(room) })
            .collect()
    }
}

/// The routes, for hosts of the room and operators.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_all))
        .routes(routes!(list, admit_all, refuse_all))
        .routes(routes!(admit, refuse))
}

/// Who waits for whatever room
///
/// Rooms by name, those that nobody is in too. For operators.
#[utoipa::path(get, path = "/api/v1/waiting", operation_id = "list_all_waiting", tag = "rooms", security((), ("token" = [])),
    responses((status = 200, body = Vec<WaitedFor>), ForOperators))]
async fn list_all(_: AsOperator, FromApp(app): FromApp<App>) -> Json<Vec<WaitedFor>> {
    Json(app.conference.all_waiting())
}

/// Who waits for a room
///
/// In the order of their coming. For the room's hosts and operators.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/waiting", operation_id = "list_waiting", tag = "rooms", params(OfRoom),
    security((), ("token" = [])), responses((status = 200, body = Vec<WaitingPerson>), ForHosts, OfAnyRoom))]
async fn list(
    _: AsHost,
    FromApp(app): FromApp<App>,
    path: PathOf,
) -> Result<Json<Vec<WaitingPerson>>, HttpError> {
    let (room, ..) = target(path)?;
    Ok(Json(app.conference.waiting(&room)?))
}

/// Let everybody in who waits for a room
///
/// For the room's hosts and operators.
#[utoipa::path(post, path = "/api/v1/rooms/{room}/waiting", tag = "rooms", params(OfRoom), security((), ("token" = [])),
    responses((status = 204, description = "They come in"), ForHosts, OfAnyRoom,
        (status = 409, description = "`room-full`", body = ErrorMessage),
        (status = 503, description = "`server-full`", body = ErrorMessage)))]
async fn admit_all(host: AsHost, app: FromApp<App>, path: PathOf) -> Result<StatusCode, HttpError> {
    admit(host, app, path).await
}

/// Send everybody away who waits for a room
///
/// For the room's hosts and operators.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/waiting", tag = "rooms", params(OfRoom), security((), ("token" = [])),
    responses((status = 204, description = "They are told so"), ForHosts, OfAnyRoom))]
async fn refuse_all(
    host: AsHost,
    app: FromApp<App>,
    path: PathOf,
) -> Result<StatusCode, HttpError> {
    refuse(host, app, path).await
}

/// Let somebody in who waits for a room
///
/// For the room's hosts and operators.
#[utoipa::path(post, path = "/api/v1/rooms/{room}/waiting/{participant}", tag = "rooms", params(OfRoom, OfParticipant),
    security((), ("token" = [])), responses((status = 204, description = "They come in"), ForHosts, OfOpenRoom,
        (status = 409, description = "`room-full`", body = ErrorMessage),
        (status = 503, description = "`server-full`", body = ErrorMessage)))]
async fn admit(
    _: AsHost,
    FromApp(app): FromApp<App>,
    path: PathOf,
) -> Result<StatusCode, HttpError> {
    decide(&app, path, true)
}

/// Send somebody away who waits for a room
///
/// For the room's hosts and operators.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/waiting/{participant}", tag = "rooms", params(OfRoom, OfParticipant),
    security((), ("token" = [])), responses((status = 204, description = "They are told so"), ForHosts, OfOpenRoom))]
async fn refuse(
    _: AsHost,
    FromApp(app): FromApp<App>,
    path: PathOf,
) -> Result<StatusCode, HttpError> {
    decide(&app, path, false)
}

/// One of them, or all.
fn decide(app: &App, path: PathOf, admit: bool) -> Result<StatusCode, HttpError> {
    let (room, id, _) = target(path)?;
    app.conference.decide(&room, id.map(|id| [id.0]).as_ref().map(<[_; 1]>::as_slice), admit)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What whoever comes is told who cannot wait: by HTTP.
pub(crate) fn has_waiting_room() -> ErrorMessage {
    let sentence = "This room has a waiting room, from which a host lets people in: come by the page, or by a host's token.";
    ErrorMessage::new(ErrorCode::WaitingRoom, sentence)
}

/// What whoever waited is told; `None` where nobody decided in time.
pub(crate) fn not_let_in(decision: Option<bool>) -> ErrorMessage {
    let sentence = match decision {
        Some(_) => "A host of this room did not let you in.".to_owned(),
        None => format!("Nobody let you in for {} minutes.", LONGEST_WAIT.as_secs() / 60),
    };
    ErrorMessage::new(ErrorCode::NotAdmitted, sentence)
}

fn nobody_waits(room: &str) -> ErrorMessage {
    let sentence = format!("Nobody of that number waits for the room `{room}`.");
    ErrorMessage::new(ErrorCode::NotFound, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_wait_for_a_room_and_each_for_so_long() {
        let start = Instant::now();
        let mut rooms = WaitingRooms::default();
        let mut waiting: Vec<_> = (0..MOST_WAITING)
            .map(|_| rooms.add(Admitted::of("lobby", "Ann")).expect("there is a place"))
            .collect();
        let full = rooms.add(Admitted::of("lobby", "Bob")).expect_err("it is full");
        assert_eq!(full.code, ErrorCode::RoomFull);
        assert!(rooms.add(Admitted::of("board", "Bob")).is_ok(), "another room");
        assert_eq!(rooms.count(), MOST_WAITING + 1);
        assert!(waiting[0].until >= start + LONGEST_WAIT);
        waiting[0].until = start;
        assert_eq!(waiting[0].decided().await, None, "its time is over");
        rooms.remove("board", MOST_WAITING as u64 + 1).expect("Bob");
        assert!(!rooms.rooms.contains_key("board"), "nothing is kept");
    }
}
