//! `/api/v1/rooms/{room}/chain` and the same for one participant: what rooms sound like, and
//! changing it.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::Json;
use axum::routing::{get, patch};
use foldback_room::ParticipantId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::auth::Caller;
use crate::chain_view::ChainView;
use crate::http::{App, HttpError, body_of, check_room};
use crate::message::{ErrorCode, ErrorMessage, StagePatch};
use crate::operator::AsOperator;

/// The routes; those that change anything are the operator's.
pub(crate) fn routes() -> Router<App> {
    let room = "/api/v1/rooms/{room}";
    let one = format!("{room}/participants/{{participant}}/chain");
    Router::new()
        .route(&format!("{room}/chain"), get(show).put(use_chain).delete(reset))
        .route(&format!("{room}/chain/stages/{{stage}}"), patch(set_stage))
        .route(&one, get(show).put(use_chain).delete(reset))
        .route(&format!("{one}/stages/{{stage}}"), patch(set_stage))
}

/// What a path names, beyond the room.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    room: String,
    participant: Option<String>,
    stage: Option<String>,
}

pub(crate) type PathOf = Result<Path<Target>, PathRejection>;
pub(crate) type Body = Result<Bytes, BytesRejection>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainName {
    chain: String,
}

/// As [`StagePatch`]; over HTTP nothing else may stand beside it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    enabled: Option<bool>,
    #[serde(default)]
    params: serde_json::Map<String, serde_json::Value>,
}

/// What a room is set to everybody may know, and of a person those who may know that they are there.
async fn show(
    State(app): State<App>,
    caller: Caller,
    path: PathOf,
    request: Parts,
) -> Result<Json<ChainView>, HttpError> {
    let (room, id, _) = target(path)?;
    if id.is_some() {
        app.conference.chain_of(&room)?;
        app.check_insider(caller, &room, &request)?;
    }
    Ok(Json(app.conference.chain_view(&room, id)?))
}

async fn use_chain(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<Json<ChainView>, HttpError> {
    let (room, id, _) = target(path)?;
    let ChainName { chain } = json(body, "{\"chain\":\"NAME\"}")?;
    changed(app, move |app| {
        app.conference.use_chain(&room, id, &chain)?;
        app.conference.chain_view(&room, id)
    })
    .await
}

async fn set_stage(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<Json<ChainView>, HttpError> {
    let (room, id, stage) = target(path)?;
    let Patch { enabled, params } = json(body, "{\"enabled\":true,\"params\":{}}")?;
    changed(app, move |app| {
        let patch = StagePatch { enabled, params };
        app.conference.set_stages(&room, id, &[patch.of(&stage)?])?;
        app.conference.chain_view(&room, id)
    })
    .await
}

/// A room back to what is configured, a participant back to what is the room's.
async fn reset(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<Json<ChainView>, HttpError> {
    let (room, id, _) = target(path)?;
    changed(app, move |app| {
        match id {
            Some(id) => app.conference.use_rooms_chain(&room, id)?,
            None => app.conference.use_configured_chain(&room)?,
        }
        app.conference.chain_view(&room, id)
    })
    .await
}

/// Building stages takes some milliseconds of computing.
async fn changed(
    app: App,
    change: impl FnOnce(&App) -> Result<ChainView, ErrorMessage> + Send + 'static,
) -> Result<Json<ChainView>, HttpError> {
    let done = tokio::task::spawn_blocking(move || change(&app)).await;
    Ok(Json(done.unwrap_or_else(|_| Err(ErrorMessage::internal()))?))
}

pub(crate) fn target(
    path: PathOf,
) -> Result<(String, Option<ParticipantId>, String), ErrorMessage> {
    let Path(Target { room, participant, stage }) = path.map_err(|rejection| {
        ErrorMessage::new(ErrorCode::NotFound, format!("{}.", rejection.body_text()))
    })?;
    let id = participant.map(|id| participant_of_path(&id)).transpose()?;
    Ok((check_room(&room)?, id, stage.unwrap_or_default()))
}

fn participant_of_path(id: &str) -> Result<ParticipantId, ErrorMessage> {
    id.parse().map(ParticipantId).map_err(|_| {
        let sentence = format!("A participant is a whole number from 1, not {id:?}.");
        ErrorMessage::new(ErrorCode::NotFound, sentence)
    })
}

pub(crate) fn json<T: DeserializeOwned>(body: Body, form: &str) -> Result<T, HttpError> {
    serde_json::from_slice(&body_of(body)?).map_err(|error| {
        let code = if error.is_data() { ErrorCode::MissingField } else { ErrorCode::BadJson };
        ErrorMessage::new(code, format!("The body is not {form} in JSON: {error}.")).into()
    })
}
