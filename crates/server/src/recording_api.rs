//! `/api/v1/rooms/{room}/recording`: recording a room.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::get;

use crate::conference::Conference;
use crate::control_api::{Body, PathOf, json, target};
use crate::http::{App, HttpError};
use crate::message::ErrorMessage;
use crate::operator::AsOperator;
use crate::recording::{RecordingReport, Wanted};

/// The routes, all of them the operator's.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/v1/rooms/{room}/recording", get(show).post(start).delete(stop))
}

async fn show(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<Json<RecordingReport>, HttpError> {
    let (room, ..) = target(path)?;
    Ok(Json(app.conference.recording(&room)?))
}

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
    let report = blocking(app, move |conference| conference.record(&room, wanted)).await?;
    Ok((StatusCode::CREATED, Json(report)))
}

async fn stop(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<Json<RecordingReport>, HttpError> {
    let (room, ..) = target(path)?;
    Ok(Json(blocking(app, move |conference| conference.stop_recording(&room)).await?))
}

/// Disks take their time.
pub(crate) async fn blocking<T: Send + 'static>(
    app: App,
    act: impl FnOnce(&Arc<Conference>) -> Result<T, ErrorMessage> + Send + 'static,
) -> Result<T, ErrorMessage> {
    let done = tokio::task::spawn_blocking(move || act(&app.conference)).await;
    done.unwrap_or_else(|_| Err(ErrorMessage::internal()))
}
