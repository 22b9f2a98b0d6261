//! The HTTP side: page, offers, rooms, metrics, health.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use foldback_metrics::Metrics;
use foldback_room::ParticipantId;
use rust_embed::RustEmbed;
use serde::{Deserialize, Serialize};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Admitted, Caller, Credentials, Door, Key, Wish, check_origin};
use crate::conference::{Conference, Outbox, RoomInfo};
use crate::health::Readiness;
use crate::message::{ErrorCode, ErrorMessage, LeftReason, ServerMessage};
use crate::openapi::{ForInsiders, OfAnyRoom, OfRoom};
use crate::operator::Operator;
use crate::reload::Reloader;
use crate::report::ParticipantInfo;
use crate::returning::{Returning, Way};
use crate::{
    admin_api, config_api, control_api, events_api, groups, moderation, names, openapi,
    playing_api, recording_api, rtp, tap, waiting, websocket, whip,
};

/// The largest body or message taken, in bytes. An SDP offer has a few thousand.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// From the head of a request to the head of its answer: a body that comes slower is not waited for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// When whoever was refused for now may try again: load that is gone is noticed within 5 s.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// What the page may do: only what it was served with. `wasm-unsafe-eval` lets it compile WebAssembly, which it
/// fetches from here too, and no script from text.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; \
    script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: wss:; \
    media-src 'self' blob:; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
    frame-ancestors 'none'";

/// What handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// The rooms.
    pub conference: Arc<Conference>,
    /// The registry that is scraped.
    pub metrics: Metrics,
    /// Who lets people in.
    pub door: Arc<Door>,
    /// Who may change sound.
    pub operator: Arc<Operator>,
    /// Who brings other configurations.
    pub reloader: Arc<Reloader>,
}

impl App {
    /// Lets a caller into a room, if they may.
    ///
    /// # Errors
    /// As [`Door::knock`] and [`Door::admit`].
    pub(crate) fn admit(&self, caller: Caller, wish: Wish<'_>) -> Result<Admitted, ErrorMessage> {
        let running = self.conference.running();
        self.door.knock(&running.config, caller.address)?;
        self.door.admit(&running.config, caller, wish)
    }

    /// Lets somebody join who was in before, by their key.
    ///
    /// # Errors
    /// As [`Door::knock`] and [`Conference::join`].
    pub(crate) fn come_back(
        &self,
        caller: Caller,
        key: Key,
        returning: Returning,
        outbox: Option<Outbox>,
    ) -> Result<(ParticipantId, ServerMessage), ErrorMessage> {
        let knocked = self.door.knock(&self.conference.running().config, caller.address);
        let joined = knocked
            .and_then(|()| self.conference.join(&returning.who, Way::Back(&returning), outbox));
        if joined.is_err() {
            self.conference.give_back(key, returning);
        }
        joined
    }

    /// Does what brings in somebody who joined, with whom it is over if that fails. On a task of its own: a caller that hangs up
    /// drops its handler wherever that stands, and somebody must still let the participant in or go.
    ///
    /// # Errors
    /// As `act`; `internal`, if it panics.
    pub(crate) async fn bring_in<T: Send + 'static>(
        &self,
        id: ParticipantId,
        act: impl Future<Output = Result<T, ErrorMessage>> + Send + 'static,
    ) -> Result<T, ErrorMessage> {
        let conference = Arc::clone(&self.conference);
        let brought = tokio::spawn(async move {
            let brought = tokio::spawn(act).await.unwrap_or_else(|_| Err(ErrorMessage::internal()));
            if brought.is_err() {
                conference.leave(id, LeftReason::Closed);
            }
            brought
        });
        brought.await.unwrap_or_else(|_| Err(ErrorMessage::internal()))
    }

    /// Does what takes its time (building stages, reading and writing files) where that holds nobody up.
    ///
    /// # Errors
    /// As `act`; `internal`, if it panics.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Arc<Conference>) -> Result<T, ErrorMessage> + Send + 'static,
    ) -> Result<T, ErrorMessage> {
        let conference = Arc::clone(&self.conference);
        let done = tokio::task::spawn_blocking(move || act(&conference)).await;
        done.unwrap_or_else(|_| Err(ErrorMessage::internal()))
    }

    /// Whether whoever asks may know who is in a room: an operator, or who may join it.
    ///
    /// # Errors
    /// As [`Door::check`].
    pub(crate) fn check_insider(
        &self,
        caller: Caller,
        room: &str,
        request: &Parts,
    ) -> Result<(), ErrorMessage> {
        if self.operator.check(request).is_ok() {
            return Ok(());
        }
        let config = &self.conference.running().config;
        self.door.check(config, caller, room, &Credentials::of(&request.headers)).map(drop)
    }
}

/// Every route of the server.
pub fn router(app: App) -> Router {
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    Router::new()
        .route("/ws", get(websocket::upgrade))
        .route("/offer", post(offer))
        .merge(whip::routes())
        .merge(openapi::described(api()))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/r/{room}", get(room_page))
        .route("/r/{room}/", get(room_page))
        .route("/admin", get(admin_page))
        .fallback(page)
        .layer(DefaultBodyLimit::max(MAX_MESSAGE_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
        .layer(header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(header::REFERRER_POLICY, "no-referrer"))
        .with_state(app)
}

/// Those that say what they take and answer.
fn api() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(room_info))
        .routes(routes!(participants))
        .merge(control_api::routes())
        .merge(admin_api::routes())
        .merge(moderation::routes())
        .merge(waiting::routes())
        .merge(groups::routes())
        .merge(recording_api::routes())
        .merge(playing_api::routes())
        .merge(rtp::routes())
        .merge(tap::routes())
        .merge(config_api::routes())
        .merge(events_api::routes())
}

/// An `RTCSessionDescriptionInit`.
#[derive(Debug, Deserialize, Serialize)]
struct SessionDescription {
    #[serde(rename = "type")]
    kind: String,
    sdp: String,
}

/// Where an offer wants to go; nowhere is the echo test. Both or none must be given.
#[derive(Debug, Deserialize)]
struct OfferQuery {
    room: Option<String>,
    name: Option<String>,
}

async fn offer(
    State(app): State<App>,
    caller: Caller,
    query: Result<Query<OfferQuery>, QueryRejection>,
    request: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<SessionDescription>, HttpError> {
    let running = app.conference.running();
    check_origin(&request, &running.config.auth)?;
    let credentials = Credentials::of(&request.headers);
    let Query(query) = query.map_err(|rejection| {
        HttpError::bad_request(ErrorCode::MissingField, format!("{}.", rejection.body_text()))
    })?;
    let offer: SessionDescription = serde_json::from_slice(&body_of(body)?).map_err(|error| {
        let sentence =
            format!("The body is not {{\"type\":\"offer\",\"sdp\":\"...\"}} in JSON: {error}.");
        let code = if error.is_data() { ErrorCode::MissingField } else { ErrorCode::BadJson };
        HttpError::bad_request(code, sentence)
    })?;
    if offer.kind != "offer" {
        let sentence = format!("`type` is {:?}, must be \"offer\".", short(&offer.kind));
        return Err(HttpError::bad_request(ErrorCode::UnknownType, sentence));
    }
    let id = match (query.room, query.name) {
        (None, None) => {
            app.door.knock(&running.config, caller.address)?;
            let shared = app.door.check_echo(&running.config, caller, &credentials)?;
            app.conference.join_echo(shared)?
        }
        (room, name) => {
            let (room, name) = (room.unwrap_or_default(), name.unwrap_or_default());
            let wish = Wish { room: &room, name: &name, credentials: &credentials };
            app.conference.join(&app.admit(caller, wish)?, Way::Door, None)?.0
        }
    };
    let conference = Arc::clone(&app.conference);
    let sdp = app.bring_in(id, async move { conference.connect(id, offer.sdp).await }).await?;
    Ok(Json(SessionDescription { kind: "answer".to_owned(), sdp }))
}

pub(crate) fn body_of(body: Result<Bytes, BytesRejection>) -> Result<Bytes, HttpError> {
    body.map_err(|rejection| match rejection.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => HttpError {
            status,
            error: ErrorMessage::new(
                ErrorCode::TooLarge,
                format!("A body may have {MAX_MESSAGE_BYTES} bytes at most."),
            ),
        },
        _ => HttpError::bad_request(ErrorCode::BadJson, "The body broke off.".to_owned()),
    })
}

/// What a room is, or would be once somebody joins it
///
/// Everybody may know.
#[utoipa::path(get, path = "/api/v1/rooms/{room}", tag = "rooms", params(OfRoom),
    responses((status = 200, body = RoomInfo), OfAnyRoom))]
async fn room_info(
    State(app): State<App>,
    caller: Caller,
    room: Result<Path<String>, PathRejection>,
) -> Result<Json<RoomInfo>, HttpError> {
    let room = room_of_path(room)?;
    let config = &app.conference.running().config;
    let plainly = app.door.check(config, caller, &room, &Credentials::default());
    let token_required = plainly.is_err_and(|error| error.code == ErrorCode::TokenRequired);
    Ok(Json(app.conference.room_info(&room, token_required)?))
}

/// Who is in a room
///
/// In the order of their coming, with figures of the last second; nobody, if nobody is there. Who may join may know who is
/// there; an operator may anyway.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/participants", tag = "rooms", params(OfRoom),
    security((), ("token" = [])),
    responses((status = 200, body = Vec<ParticipantInfo>), ForInsiders, OfAnyRoom))]
async fn participants(
    State(app): State<App>,
    caller: Caller,
    room: Result<Path<String>, PathRejection>,
    request: Parts,
) -> Result<Json<Vec<ParticipantInfo>>, HttpError> {
    let room = room_of_path(room)?;
    let known = app.conference.participants(&room)?;
    app.check_insider(caller, &room, &request)?;
    Ok(Json(known))
}

fn room_of_path(room: Result<Path<String>, PathRejection>) -> Result<String, ErrorMessage> {
    let Path(room) = room.map_err(|rejection| {
        ErrorMessage::new(ErrorCode::BadRoom, format!("{}.", rejection.body_text()))
    })?;
    check_room(&room)
}

pub(crate) fn check_room(room: &str) -> Result<String, ErrorMessage> {
    names::check_room(room).map_err(|sentence| ErrorMessage::new(ErrorCode::BadRoom, sentence))
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let figures = app.conference.participant_figures();
    let text = app.metrics.encode(&app.conference.stage_readings(), figures.as_ref());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn ready(State(app): State<App>) -> impl IntoResponse {
    let readiness = app.conference.readiness();
    let status = match readiness {
        Readiness::Ready => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", readiness.about()))
}

/// The browser client as `make web` builds it, inside the binary (read from the folder in debug builds).
#[derive(RustEmbed)]
#[folder = "../../web/dist/"]
struct Web;

/// The chain for browsers, where `scripts/wasm.sh` has built it: the page does without.
#[derive(RustEmbed)]
#[folder = "../../web/wasm/"]
#[include = "*.wasm"]
struct Wasm;

/// The link to a room: the page reads its name from the address.
async fn room_page(headers: HeaderMap) -> Response {
    file("index.html", &headers)
}

/// The operator's page; what it shows asks for the token.
async fn admin_page(headers: HeaderMap) -> Response {
    file("admin.html", &headers)
}

async fn page(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    file(if path.is_empty() { "index.html" } else { path }, &headers)
}

/// The names of files stay from version to version, so browsers ask each time whether they changed.
fn file(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Web::get(path).or_else(|| Wasm::get(path)) else {
        return (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response();
    };
    let hash = file.metadata.sha256_hash();
    let tag: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{tag}\"");
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value == tag.as_str());
    let caching = [(header::CACHE_CONTROL, "no-cache".to_owned()), (header::ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = file.metadata.mimetype().to_owned();
    (caching, [(header::CONTENT_TYPE, kind)], file.data).into_response()
}

/// An [`ErrorMessage`] with its status.
#[derive(Debug)]
pub struct HttpError {
    status: StatusCode,
    error: ErrorMessage,
}

impl HttpError {
    fn bad_request(code: ErrorCode, sentence: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error: ErrorMessage::new(code, sentence) }
    }

    /// For where the code alone does not say it.
    pub(crate) fn with_status(status: StatusCode, error: ErrorMessage) -> Self {
        Self { status, error }
    }
}

impl From<ErrorMessage> for HttpError {
    fn from(error: ErrorMessage) -> Self {
        let status = match error.code {
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::Unauthorized
            | ErrorCode::TokenRequired
            | ErrorCode::BadToken
            | ErrorCode::TokenExpired => StatusCode::UNAUTHORIZED,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Forbidden
            | ErrorCode::PinRequired
            | ErrorCode::WrongPin
            | ErrorCode::WrongRoom
            | ErrorCode::RoomLocked
            | ErrorCode::WaitingRoom
            | ErrorCode::NotAdmitted
            | ErrorCode::WrongOrigin => StatusCode::FORBIDDEN,
            ErrorCode::NoSuchVersion => StatusCode::NOT_FOUND,
            ErrorCode::NoConfigFile
            | ErrorCode::MutedByThemselves
            | ErrorCode::RoomFull
            | ErrorCode::TokenInUse
            | ErrorCode::AlreadyRecording
            | ErrorCode::AlreadyPlaying
            | ErrorCode::NotPlaying
            | ErrorCode::PlayingOff
            | ErrorCode::RtpOff
            | ErrorCode::NotRecording
            | ErrorCode::RecordingOff
            | ErrorCode::FlightRecorderOff => StatusCode::CONFLICT,
            ErrorCode::CannotRecord => StatusCode::INSUFFICIENT_STORAGE,
            ErrorCode::TooFast => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Overloaded | ErrorCode::ServerFull | ErrorCode::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::BadContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            ErrorCode::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            ErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            ErrorCode::BadJson
            | ErrorCode::MissingField
            | ErrorCode::UnknownType
            | ErrorCode::BadFragment => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self { status, error }
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let challenge = (self.status == StatusCode::UNAUTHORIZED)
            .then_some([(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))]);
        let later =
            matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
                .then_some([(header::RETRY_AFTER, RETRY_AFTER_SECONDS)]);
        // What is left of the body is not read, so nothing else can come on this connection.
        let last = (self.status == StatusCode::PAYLOAD_TOO_LARGE)
            .then_some([(header::CONNECTION, HeaderValue::from_static("close"))]);
        (self.status, challenge, later, last, Json(self.error)).into_response()
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
