//! `/api/v1/rooms/{room}/recording`: recording a room; and saving its flight.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control_api::{Body, PathOf, json, target};
use crate::flight::SavedFlight;
use crate::http::{App, HttpError};
use crate::message::ErrorMessage;
use crate::openapi::{ForOperators, OfOpenRoom, OfRoom};
use crate::operator::AsOperator;
use crate::recording::{RecordingReport, Wanted};

/// The routes, all of them the operator's.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(show, start, stop)).routes(routes!(save_flight))
}

/// The recording of a room
///
/// The last one since somebody is in it, with its files. For operators.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/recording", operation_id = "show_recording", tag = "sound", params(OfRoom),
    security((), ("token" = [])), responses((status = 200, body = RecordingReport), ForOperators, OfOpenRoom))]
async fn show(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<Json<RecordingReport>, HttpError> {
    let (room, ..) = target(path)?;
    Ok(Json(app.conference.recording(&room)?))
}

/// Record a room
///
/// Mix and voices, unless the body says otherwise. Everybody in it is told. For operators.
#[utoipa::path(post, path = "/api/v1/rooms/{room}/recording", operation_id = "start_recording", tag = "sound", params(OfRoom),
    request_body = Option<Wanted>, security((), ("token" = [])),
    responses((status = 201, body = RecordingReport), ForOperators, OfOpenRoom,
        (status = 409, description = "`already-recording`, or `recording-off`: the configuration has no folder for them", body = ErrorMessage),
        (status = 422, description = "`bad-room`, or `no-mix`: the room has no mix to record", body = ErrorMessage),
        (status = 507, description = "`cannot-record`: nothing can be written there", body = ErrorMessage)))]
async fn start(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<(StatusCode, Json<RecordingReport>), HttpError> {
    let (room, ..) = target(path)?;
    let wanted: Wanted = match &body {
        Ok(bytes) if bytes.is_empty() => Wanted::ALL,
        _ => json(body, "{\"mix\":true,\"tracks\":true}")?,
    };
    let report = app.blocking(move |conference| conference.record(&room, wanted)).await?;
    Ok((StatusCode::CREATED, Json(report)))
}

/// End the recording of a room
///
/// Answers once its files are closed. For operators.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/recording", operation_id = "stop_recording", tag = "sound", params(OfRoom),
    security((), ("token" = [])), responses((status = 200, body = RecordingReport), ForOperators, OfOpenRoom,
        (status = 409, description = "`not-recording`", body = ErrorMessage)))]
async fn stop(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<Json<RecordingReport>, HttpError> {
    let (room, ..) = target(path)?;
    Ok(Json(app.blocking(move |conference| conference.stop_recording(&room)).await?))
}

/// Save what the flight recorder has of a room
///
/// The last of what the room was given, to be run again by `foldback replay`. For operators.
#[utoipa::path(post, path = "/api/v1/rooms/{room}/flight", tag = "sound", params(OfRoom),
    security((), ("token" = [])), responses((status = 201, body = SavedFlight), ForOperators, OfOpenRoom,
        (status = 409, description = "`flight-recorder-off`: nothing is kept of the room", body = ErrorMessage),
        (status = 507, description = "`cannot-record`: nothing can be written there", body = ErrorMessage)))]
async fn save_flight(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<(StatusCode, Json<SavedFlight>), HttpError> {
    let (room, ..) = target(path)?;
    app.conference.chain_of(&room)?;
    // On a task of its own: of a caller who hangs up what was kept is saved all the same.
    let saving = async move { app.conference.save_flight(&room, "on request").await };
    let saved = tokio::spawn(saving).await.unwrap_or_else(|_| Err(ErrorMessage::internal()))?;
    Ok((StatusCode::CREATED, Json(saved)))
}
