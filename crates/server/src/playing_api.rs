//! `/api/v1/rooms/{room}/play`: playing a file into a room.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control_api::{Body, PathOf, json, target};
use crate::http::{App, HttpError};
use crate::message::ErrorMessage;
use crate::openapi::{ForOperators, OfOpenRoom, OfRoom};
use crate::operator::AsOperator;
use crate::playing::{PlayingReport, Wanted};

/// The routes, all of them the operator's.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(show, start, stop))
}

/// What plays in a room
///
/// For operators.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/play", operation_id = "show_playing", tag = "sound", params(OfRoom),
    security((), ("token" = [])), responses((status = 200, body = PlayingReport), ForOperators, OfOpenRoom))]
async fn show(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<Json<PlayingReport>, HttpError> {
    let (room, ..) = target(path)?;
    Ok(Json(app.conference.playing(&room)?))
}

/// Play a file into a room
///
/// To everybody in it, from its beginning. For operators.
#[utoipa::path(post, path = "/api/v1/rooms/{room}/play", operation_id = "start_playing", tag = "sound", params(OfRoom),
    request_body = Wanted, security((), ("token" = [])),
    responses((status = 201, body = PlayingReport), ForOperators, OfOpenRoom,
        (status = 404, description = "`not-found`: nobody is in that room, or there is no such file", body = ErrorMessage),
        (status = 409, description = "`already-playing`, or `playing-off`: the configuration has no folder for them", body = ErrorMessage),
        (status = 422, description = "`bad-room`, `no-mix`, or `bad-value`: no sound that can be played", body = ErrorMessage)))]
async fn start(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<(StatusCode, Json<PlayingReport>), HttpError> {
    let (room, ..) = target(path)?;
    let wanted: Wanted = json(body, "{\"file\":\"NAME\",\"gain_db\":0}")?;
    let report = app.blocking(move |conference| conference.play(&room, &wanted)).await?;
    Ok((StatusCode::CREATED, Json(report)))
}

/// End what plays in a room
///
/// Faded out. For operators.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/play", operation_id = "stop_playing", tag = "sound", params(OfRoom),
    security((), ("token" = [])), responses((status = 204, description = "It ends"), ForOperators, OfOpenRoom,
        (status = 409, description = "`not-playing`", body = ErrorMessage)))]
async fn stop(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<StatusCode, HttpError> {
    let (room, ..) = target(path)?;
    app.conference.stop_playing(&room)?;
    Ok(StatusCode::NO_CONTENT)
}
