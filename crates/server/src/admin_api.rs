//! What only operators may know beside changing sound: all rooms and workers; and what hosts of a room may do too: muting people in
//! it, turning them up or down, and taking them out.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use foldback_room::ParticipantId;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::AsHost;
use crate::control_api::{Body, PathOf, json, target};
use crate::http::{App, HttpError};
use crate::message::{ErrorCode, ErrorMessage};
use crate::openapi::{ForHosts, ForOperators, OfOpenRoom, OfParticipant, OfRoom};
use crate::operator::AsOperator;
use crate::overview::{RoomOverview, WorkerOverview};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(rooms))
        .routes(routes!(workers))
        .routes(routes!(kick))
        .routes(routes!(mute))
        .routes(routes!(gain))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mute {
    /// Whether they are to be muted.
    pub(crate) muted: bool,
}

/// All rooms that somebody is in
///
/// With everybody in them, how loud they are and how their sound arrives. For operators.
#[utoipa::path(get, path = "/api/v1/rooms", operation_id = "list_rooms", tag = "rooms", security((), ("token" = [])),
    responses((status = 200, body = Vec<RoomOverview>), ForOperators))]
async fn rooms(_: AsOperator, State(app): State<App>) -> Json<Vec<RoomOverview>> {
    Json(app.conference.rooms_overview())
}

/// The media threads
///
/// How busy they are, and what of their load they shed. For operators.
#[utoipa::path(get, path = "/api/v1/workers", operation_id = "list_workers", tag = "server", security((), ("token" = [])),
    responses((status = 200, body = Vec<WorkerOverview>), ForOperators))]
async fn workers(_: AsOperator, State(app): State<App>) -> Json<Vec<WorkerOverview>> {
    Json(app.conference.workers_overview())
}

/// Take somebody out of a room
///
/// They and the others are told so. For the room's hosts and operators.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/participants/{participant}", tag = "rooms",
    params(OfRoom, OfParticipant), security((), ("token" = [])),
    responses((status = 204, description = "They are out"), ForHosts, OfOpenRoom))]
async fn kick(_: AsHost, State(app): State<App>, path: PathOf) -> Result<StatusCode, HttpError> {
    let (room, id) = participant(path)?;
    app.conference.kick(&room, id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Mute somebody, or unmute whom an operator or host muted
///
/// Who is muted so may unmute themselves. For the room's hosts and operators.
#[utoipa::path(put, path = "/api/v1/rooms/{room}/participants/{participant}/mute", tag = "rooms",
    params(OfRoom, OfParticipant), request_body = Mute, security((), ("token" = [])),
    responses((status = 204, description = "They are as was asked for"), ForHosts, OfOpenRoom,
        (status = 409, description = "`muted-by-themselves`: only they can unmute", body = ErrorMessage)))]
async fn mute(
    host: AsHost,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<StatusCode, HttpError> {
    let (room, id) = participant(path)?;
    let Mute { muted } = json(body, "{\"muted\":true}")?;
    app.conference.mute_by_operator(&room, id, muted, host.name)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Gain {
    /// By how much louder; 0 is as they come out of their chain.
    #[schema(minimum = -60, maximum = 12, example = -6)]
    gain_db: f64,
}

/// Have everybody hear somebody louder or softer
///
/// After their chain, so that no stage undoes it. For the room's hosts and operators.
#[utoipa::path(put, path = "/api/v1/rooms/{room}/participants/{participant}/gain", tag = "rooms",
    params(OfRoom, OfParticipant), request_body = Gain, security((), ("token" = [])),
    responses((status = 204, description = "They are as loud as was asked for"), ForHosts, OfOpenRoom,
        (status = 422, description = "`bad-room`, `bad-value`, or `no-mix`: nobody hears anybody there", body = ErrorMessage)))]
async fn gain(
    _: AsHost,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<StatusCode, HttpError> {
    let (room, id) = participant(path)?;
    let Gain { gain_db } = json(body, "{\"gain_db\":-6}")?;
    app.conference.set_gain(&room, id, gain_db)?;
    Ok(StatusCode::NO_CONTENT)
}

fn participant(path: PathOf) -> Result<(String, ParticipantId), ErrorMessage> {
    let (room, id, _) = target(path)?;
    let nobody = || ErrorMessage::new(ErrorCode::NotFound, "The path names no participant.");
    Ok((room, id.ok_or_else(nobody)?))
}
