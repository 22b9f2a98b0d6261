//! `/api/v1/rooms/{room}/chain` and the same for one participant: what rooms sound like, and
//! changing it.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::response::Json;
use foldback_room::ParticipantId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::chain_view::ChainView;
use crate::http::{App, HttpError, body_of, check_room};
use crate::message::{ErrorCode, ErrorMessage, StagePatch};
use crate::openapi::{ForInsiders, ForOperators, OfOpenRoom, OfParticipant, OfRoom, OfStage};
use crate::operator::AsOperator;

/// The routes; those that change anything are the operator's.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(show, use_chain, reset))
        .routes(routes!(set_stage))
        .routes(routes!(show_own, use_own_chain, reset_own))
        .routes(routes!(set_own_stage))
}

const BAD_CHAIN: &str = "`bad-room` or `bad-chain`: no room or chain of that name is served, or the chain has other channels than the room";
const BAD_STAGE: &str = "`bad-room`, `bad-stage` or `bad-param`: no such room, stage or parameter, or a value that is not allowed";

/// What a path names, beyond the room.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    room: String,
    participant: Option<String>,
    stage: Option<String>,
}

pub(crate) type PathOf = Result<Path<Target>, PathRejection>;
pub(crate) type Body = Result<Bytes, BytesRejection>;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChainName {
    /// One of the configured chains.
    #[schema(example = "conference")]
    chain: String,
}

/// Other values for a stage: `enabled`, `params` or both.
// As `StagePatch`; over HTTP nothing else may stand beside it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Patch {
    /// Whether it runs; switched off, sound passes by.
    enabled: Option<bool>,
    /// Parameters of the stage by their names; those left out stay.
    #[serde(default)]
    #[schema(example = json!({"ceiling_dbfs": -3}))]
    params: serde_json::Map<String, serde_json::Value>,
}

/// What a room sounds like
///
/// Its chain from top to bottom, with the parameters and readings of each stage. Everybody may know.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/chain", operation_id = "show_chain", tag = "chains", params(OfRoom),
    responses((status = 200, body = ChainView), OfOpenRoom))]
async fn show(State(app): State<App>, path: PathOf) -> Result<Json<ChainView>, HttpError> {
    let (room, id, _) = target(path)?;
    Ok(Json(app.conference.chain_view(&room, id)?))
}

/// What one participant sounds like
///
/// For those who may know that they are there: `own` names the chain that their stages before `mix` are of, if not the room's.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/participants/{participant}/chain", operation_id = "show_own_chain", tag = "chains",
    params(OfRoom, OfParticipant), security((), ("token" = [])),
    responses((status = 200, body = ChainView), ForInsiders, OfOpenRoom))]
async fn show_own(
    State(app): State<App>,
    caller: Caller,
    path: PathOf,
    request: Parts,
) -> Result<Json<ChainView>, HttpError> {
    let (room, id, _) = target(path)?;
    app.conference.chain_of(&room)?;
    app.check_insider(caller, &room, &request)?;
    Ok(Json(app.conference.chain_view(&room, id)?))
}

/// Give a room another chain
///
/// As it is configured: what was changed of it is undone. For operators.
#[utoipa::path(put, path = "/api/v1/rooms/{room}/chain", tag = "chains", params(OfRoom),
    request_body = ChainName, security((), ("token" = [])),
    responses((status = 200, body = ChainView), ForOperators, OfOpenRoom,
        (status = 422, description = BAD_CHAIN, body = ErrorMessage)))]
async fn use_chain(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<Json<ChainView>, HttpError> {
    let (room, id, _) = target(path)?;
    let ChainName { chain } = json(body, "{\"chain\":\"NAME\"}")?;
    let changed = app.blocking(move |conference| {
        conference.use_chain(&room, id, &chain)?;
        conference.chain_view(&room, id)
    });
    Ok(Json(changed.await?))
}

/// Give one participant the stages of another chain
///
/// For operators.
#[utoipa::path(put, path = "/api/v1/rooms/{room}/participants/{participant}/chain", tag = "chains",
    params(OfRoom, OfParticipant), request_body = ChainName, security((), ("token" = [])),
    responses((status = 200, body = ChainView), ForOperators, OfOpenRoom,
        (status = 422, description = BAD_CHAIN, body = ErrorMessage)))]
async fn use_own_chain(
    operator: AsOperator,
    app: State<App>,
    path: PathOf,
    body: Body,
) -> Result<Json<ChainView>, HttpError> {
    use_chain(operator, app, path, body).await
}

/// Change a stage of everybody in the room
///
/// Nobody hears a click. For operators.
#[utoipa::path(patch, path = "/api/v1/rooms/{room}/chain/stages/{stage}", tag = "chains", params(OfRoom, OfStage),
    request_body = Patch, security((), ("token" = [])),
    responses((status = 200, body = ChainView), ForOperators, OfOpenRoom,
        (status = 422, description = BAD_STAGE, body = ErrorMessage)))]
async fn set_stage(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<Json<ChainView>, HttpError> {
    let (room, id, stage) = target(path)?;
    let Patch { enabled, params } = json(body, "{\"enabled\":true,\"params\":{}}")?;
    let changed = app.blocking(move |conference| {
        let patch = StagePatch { enabled, params };
        conference.set_stages(&room, id, &[patch.of(&stage)?])?;
        conference.chain_view(&room, id)
    });
    Ok(Json(changed.await?))
}

/// Change a stage of one participant
///
/// One before `mix`. For operators.
#[utoipa::path(patch, path = "/api/v1/rooms/{room}/participants/{participant}/chain/stages/{stage}", tag = "chains",
    params(OfRoom, OfParticipant, OfStage), request_body = Patch, security((), ("token" = [])),
    responses((status = 200, body = ChainView), ForOperators, OfOpenRoom,
        (status = 422, description = BAD_STAGE, body = ErrorMessage)))]
async fn set_own_stage(
    operator: AsOperator,
    app: State<App>,
    path: PathOf,
    body: Body,
) -> Result<Json<ChainView>, HttpError> {
    set_stage(operator, app, path, body).await
}

/// Bring a room back to the chain that is configured
///
/// And to its values; what is a participant's own stays so. For operators.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/chain", operation_id = "reset_chain", tag = "chains", params(OfRoom),
    security((), ("token" = [])), responses((status = 200, body = ChainView), ForOperators, OfOpenRoom))]
async fn reset(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<Json<ChainView>, HttpError> {
    let (room, id, _) = target(path)?;
    let changed = app.blocking(move |conference| {
        match id {
            Some(id) => conference.use_rooms_chain(&room, id)?,
            None => conference.use_configured_chain(&room)?,
        }
        conference.chain_view(&room, id)
    });
    Ok(Json(changed.await?))
}

/// Bring a participant back to the room's chain
///
/// For operators.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/participants/{participant}/chain", operation_id = "reset_own_chain", tag = "chains",
    params(OfRoom, OfParticipant), security((), ("token" = [])),
    responses((status = 200, body = ChainView), ForOperators, OfOpenRoom))]
async fn reset_own(
    operator: AsOperator,
    app: State<App>,
    path: PathOf,
) -> Result<Json<ChainView>, HttpError> {
    reset(operator, app, path).await
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
