//! The running configuration over HTTP: read it again, look at its versions, go back to one.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Json};
use axum::routing::{get, post};
use foldback_config::without_secrets;

use crate::http::{App, HttpError};
use crate::message::{ErrorCode, ErrorMessage};
use crate::operator::AsOperator;
use crate::reload::{ConfigInfo, Origin, ReloadError, Reloaded, Reloader, VersionInfo};

/// What this module answers.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/config", get(info))
        .route("/api/v1/config/versions", get(versions))
        .route("/api/v1/config/versions/{version}", get(text))
        .route("/api/v1/config/versions/{version}/restore", post(restore))
}

async fn reload(_: AsOperator, State(app): State<App>) -> Result<Json<Reloaded>, HttpError> {
    aside(app, |reloader| reloader.reload(Origin::Api)).await
}

async fn restore(
    _: AsOperator,
    State(app): State<App>,
    version: Result<Path<u32>, PathRejection>,
) -> Result<Json<Reloaded>, HttpError> {
    let version = version_of_path(version)?;
    aside(app, move |reloader| reloader.restore(version)).await
}

async fn info(_: AsOperator, State(app): State<App>) -> Json<ConfigInfo> {
    Json(app.reloader.info())
}

async fn versions(State(app): State<App>) -> Json<Vec<VersionInfo>> {
    Json(app.reloader.versions())
}

async fn text(
    _: AsOperator,
    State(app): State<App>,
    version: Result<Path<u32>, PathRejection>,
) -> Result<impl IntoResponse, HttpError> {
    let text = app.reloader.text(version_of_path(version)?).map_err(told)?;
    Ok(([(header::CONTENT_TYPE, "application/toml; charset=utf-8")], without_secrets(&text)))
}

/// On a thread that may wait: files are read and stages are built.
async fn aside(
    app: App,
    change: impl FnOnce(&Reloader) -> Result<Reloaded, ReloadError> + Send + 'static,
) -> Result<Json<Reloaded>, HttpError> {
    let reloader = Arc::clone(&app.reloader);
    let changed = tokio::task::spawn_blocking(move || change(&reloader)).await;
    let changed = changed.map_err(|_| ErrorMessage::internal())?;
    Ok(Json(changed.map_err(told)?))
}

fn version_of_path(version: Result<Path<u32>, PathRejection>) -> Result<u32, ErrorMessage> {
    let not_a_number =
        |_| ErrorMessage::new(ErrorCode::NoSuchVersion, "A version is a whole number from 1.");
    version.map(|Path(version)| version).map_err(not_a_number)
}

fn told(error: ReloadError) -> ErrorMessage {
    let code = match error {
        ReloadError::NoFile => ErrorCode::NoConfigFile,
        ReloadError::NoVersion(_) => ErrorCode::NoSuchVersion,
        ReloadError::Mistakes(_) => ErrorCode::BadConfig,
    };
    ErrorMessage::new(code, error.to_string())
}
