//! What only operators may know beside changing sound: all rooms and workers; and what hosts of a room may do too: muting people in
//! it, and taking them out.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{delete, get, put};
use foldback_room::ParticipantId;
use serde::Deserialize;

use crate::auth::AsHost;
use crate::control_api::{Body, PathOf, json, target};
use crate::http::{App, HttpError};
use crate::message::{ErrorCode, ErrorMessage};
use crate::operator::AsOperator;
use crate::overview::{RoomOverview, WorkerOverview};

/// The routes.
pub(crate) fn routes() -> Router<App> {
    let one = "/api/v1/rooms/{room}/participants/{participant}";
    Router::new()
        .route("/api/v1/rooms", get(rooms))
        .route("/api/v1/workers", get(workers))
        .route(one, delete(kick))
        .route(&format!("{one}/mute"), put(mute))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mute {
    pub(crate) muted: bool,
}

async fn rooms(_: AsOperator, State(app): State<App>) -> Json<Vec<RoomOverview>> {
    Json(app.conference.rooms_overview())
}

async fn workers(_: AsOperator, State(app): State<App>) -> Json<Vec<WorkerOverview>> {
    Json(app.conference.workers_overview())
}

async fn kick(_: AsHost, State(app): State<App>, path: PathOf) -> Result<StatusCode, HttpError> {
    let (room, id) = participant(path)?;
    app.conference.kick(&room, id)?;
    Ok(StatusCode::NO_CONTENT)
}

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

fn participant(path: PathOf) -> Result<(String, ParticipantId), ErrorMessage> {
    let (room, id, _) = target(path)?;
    let nobody = || ErrorMessage::new(ErrorCode::NotFound, "The path names no participant.");
    Ok((room, id.ok_or_else(nobody)?))
}
