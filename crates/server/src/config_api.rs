//! The running configuration over HTTP: read it again, look at its versions, go back to one.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Json};
use foldback_config::without_secrets;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::{App, HttpError};
use crate::message::{ErrorCode, ErrorMessage};
use crate::openapi::{ForOperators, OfVersion};
use crate::operator::AsOperator;
use crate::reload::{ConfigInfo, Origin, ReloadError, Reloaded, Reloader, VersionInfo};

/// What this module answers.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(reload))
        .routes(routes!(info))
        .routes(routes!(versions))
        .routes(routes!(text))
        .routes(routes!(restore))
}

/// The path of a version.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is what is documented")]
struct AtVersion {
    /// The version's number.
    #[param(minimum = 1)]
    version: u32,
}

/// Read the configuration again
///
/// Rooms go on with it; with a mistake in it everything stays as it is. For operators.
#[utoipa::path(post, path = "/api/v1/reload", tag = "server", security((), ("token" = [])),
    responses((status = 200, body = Reloaded), ForOperators,
        (status = 409, description = "`no-config-file`: there is no file to read again", body = ErrorMessage),
        (status = 422, description = "`bad-config`: every mistake of the file", body = ErrorMessage)))]
async fn reload(_: AsOperator, State(app): State<App>) -> Result<Json<Reloaded>, HttpError> {
    aside(app, |reloader| reloader.reload(Origin::Api)).await
}

/// Go back to an earlier version of the configuration
///
/// The file stays as it is. For operators.
#[utoipa::path(post, path = "/api/v1/config/versions/{version}/restore", operation_id = "restore_version", tag = "server", params(AtVersion),
    security((), ("token" = [])),
    responses((status = 200, body = Reloaded), ForOperators, OfVersion,
        (status = 422, description = "`bad-config`: what it needs is gone", body = ErrorMessage)))]
async fn restore(
    _: AsOperator,
    State(app): State<App>,
    version: Result<Path<u32>, PathRejection>,
) -> Result<Json<Reloaded>, HttpError> {
    let version = version_of_path(version)?;
    aside(app, move |reloader| reloader.restore(version)).await
}

/// What configuration runs
///
/// And what came of the last attempt at another one. For operators.
#[utoipa::path(get, path = "/api/v1/config", operation_id = "show_config", tag = "server", security((), ("token" = [])),
    responses((status = 200, body = ConfigInfo), ForOperators))]
async fn info(_: AsOperator, State(app): State<App>) -> Json<ConfigInfo> {
    Json(app.reloader.info())
}

/// The versions of the configuration that ran
///
/// The last 32, the running one last, without their texts.
#[utoipa::path(get, path = "/api/v1/config/versions", operation_id = "list_versions", tag = "server",
    responses((status = 200, body = Vec<VersionInfo>)))]
async fn versions(State(app): State<App>) -> Json<Vec<VersionInfo>> {
    Json(app.reloader.versions())
}

/// The text of a version of the configuration
///
/// Secrets are left out. For operators.
#[utoipa::path(get, path = "/api/v1/config/versions/{version}", operation_id = "show_version", tag = "server", params(AtVersion),
    security((), ("token" = [])),
    responses((status = 200, body = String, content_type = "application/toml"), ForOperators, OfVersion))]
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
