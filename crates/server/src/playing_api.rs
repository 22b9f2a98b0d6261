//! `/api/v1/rooms/{room}/play`: playing a file into a room.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::get;

use crate::control_api::{Body, PathOf, json, target};
use crate::http::{App, HttpError};
use crate::operator::AsOperator;
use crate::playing::{PlayingReport, Wanted};
use crate::recording_api::blocking;

/// The routes, all of them the operator's.
pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/v1/rooms/{room}/play", get(show).post(start).delete(stop))
}

async fn show(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<Json<PlayingReport>, HttpError> {
    let (room, ..) = target(path)?;
    Ok(Json(app.conference.playing(&room)?))
}

async fn start(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
    body: Body,
) -> Result<(StatusCode, Json<PlayingReport>), HttpError> {
    let (room, ..) = target(path)?;
    let wanted: Wanted = json(body, "{\"file\":\"NAME\",\"gain_db\":0}")?;
    let report = blocking(app, move |conference| conference.play(&room, &wanted)).await?;
    Ok((StatusCode::CREATED, Json(report)))
}

async fn stop(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
) -> Result<StatusCode, HttpError> {
    let (room, ..) = target(path)?;
    app.conference.stop_playing(&room)?;
    Ok(StatusCode::NO_CONTENT)
}
