//! WHIP (RFC 9725) to speak into a room, and WHEP (draft-ietf-wish-whep) to listen: WebRTC for programs that know HTTP
//! alone.

mod fragment;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use foldback_peer::Flow;
use serde::Deserialize;
use tokio::sync::OwnedMutexGuard;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::auth::{Caller, Credentials, Wish, check_origin};
use crate::http::{App, HttpError, body_of, check_room};
use crate::ice_servers::IceServer;
use crate::message::{ErrorCode, ErrorMessage};
use crate::returning::Way;
use fragment::Fragment;
pub(crate) use session::Sessions;
use session::{Ice, Protocol, Session};

const SDP: &str = "application/sdp";
const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

impl Protocol {
    const fn path(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }

    const fn flow(self) -> Flow {
        match self {
            Self::Whip => Flow::FromClient,
            Self::Whep => Flow::ToClient,
        }
    }

    /// Of whoever says no name.
    const fn name(self) -> &'static str {
        match self {
            Self::Whip => "WHIP",
            Self::Whep => "WHEP",
        }
    }
}

/// The routes of both.
pub(crate) fn routes() -> Router<App> {
    routes_of(Protocol::Whip).merge(routes_of(Protocol::Whep))
}

fn routes_of(protocol: Protocol) -> Router<App> {
    let endpoint = format!("/{}/{{room}}", protocol.path());
    let session = format!("{endpoint}/sessions/{{session}}");
    let header =
        |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    // Pages of other origins may come too, with what they were told: no cookie lets anybody in.
    Router::new()
        .route(&endpoint, post(create).get(endpoint_is_there).options(about_endpoint))
        .route(&session, get(session_is_there).patch(change).delete(end).options(about_session))
        .layer(Extension(protocol))
        .layer(header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .layer(header(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, WWW-Authenticate",
        ))
}

#[derive(Debug, Deserialize)]
struct CreateQuery {
    name: Option<String>,
}

/// Brings whoever asks into the room, by the offer that is the body.
async fn create(
    State(app): State<App>,
    Extension(protocol): Extension<Protocol>,
    caller: Caller,
    room: Result<Path<String>, PathRejection>,
    query: Result<Query<CreateQuery>, QueryRejection>,
    request: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let headers = &request.headers;
    let room = room_of(&app, room)?;
    check_content_type(headers, SDP)?;
    check_accept(headers, SDP)?;
    let credentials = Credentials::of(headers);
    let Query(CreateQuery { name }) = query.map_err(|rejection| {
        ErrorMessage::new(ErrorCode::BadName, format!("{}.", rejection.body_text()))
    })?;
    let offer = text_of(body, ErrorCode::BadSdp)?;
    if offer.lines().filter(|line| line.starts_with("m=audio ")).count() > 1 {
        let sentence = "The offer has several lines of audio; one is taken.";
        return Err(ErrorMessage::new(ErrorCode::NotAcceptable, sentence).into());
    }
    let name = name.as_deref().unwrap_or(protocol.name());
    let admitted = app.admit(caller, Wish { room: &room, name, credentials: &credentials })?;
    // Whoever was let in for what they know was not led here by a page unawares.
    let config = &app.conference.running().config;
    let has_pin = config.rule_for_room(&room).is_some_and(|rule| rule.pin.is_some());
    if credentials.token().is_none() && !has_pin {
        check_origin(&request, &config.auth)?;
    }
    let id = app.conference.join_one_way(admitted, Way::Door, protocol.flow())?;
    let servers = app.conference.ice_servers(&id.to_string());
    let conference = Arc::clone(&app.conference);
    let opened = async move {
        let answer = conference.connect(id, offer.clone()).await?;
        let ice = Ice::new(offer, &answer);
        let tag = ice.tag.clone();
        let key = conference.open_session(id, protocol, ice)?;
        Ok((answer, tag, key))
    };
    let (answer, tag, key) = app.bring_in(id, opened).await?;
    let location = format!("/{}/{}/sessions/{}", protocol.path(), room, key.expose());
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (header::ETAG, tag),
        (ACCEPT_PATCH, SDP_FRAGMENT.to_owned()),
    ];
    let mut response = (StatusCode::CREATED, headers, answer).into_response();
    for link in servers.iter().flat_map(IceServer::links) {
        response.headers_mut().append(header::LINK, link);
    }
    Ok(response)
}

#[derive(Debug, Deserialize)]
struct SessionPath {
    room: String,
    session: String,
}

/// Takes candidates of a client, or has ICE start anew for it.
async fn change(
    State(app): State<App>,
    Extension(protocol): Extension<Protocol>,
    path: Result<Path<SessionPath>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let session = session_of(&app, protocol, path)?;
    check_content_type(&headers, SDP_FRAGMENT)?;
    let text = text_of(body, ErrorCode::BadFragment)?;
    let fragment = Fragment::parse(&text)
        .map_err(|sentence| ErrorMessage::new(ErrorCode::BadFragment, sentence))?;
    let mut ice = session.ice.clone().lock_owned().await;
    let is_known = fragment.credentials.is_some() && fragment.credentials == ice.credentials();
    check_match(&headers, &ice.tag, protocol == Protocol::Whep && is_known)?;
    if !ice.takes(fragment.candidates.len()) {
        let sentence = "So many candidates came in a short time that these are left out.";
        return Err(ErrorMessage::new(ErrorCode::TooFast, sentence).into());
    }
    if fragment.credentials.is_none() || is_known {
        tell_candidates(&app, &session, &fragment);
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // On a task of its own, whoever hangs up meanwhile: what is known of the session must follow what it is.
    let restarted = tokio::spawn(async move {
        let Ok(fragment) = Fragment::parse(&text) else { return Err(ErrorMessage::internal()) };
        restart(&app, &session, &mut ice, &fragment).await
    });
    let (tag, answer) = restarted.await.unwrap_or_else(|_| Err(ErrorMessage::internal()))?;
    let headers = [(header::CONTENT_TYPE, SDP_FRAGMENT.to_owned()), (header::ETAG, tag)];
    Ok((headers, answer).into_response())
}

/// Has ICE start anew with the credentials of the fragment; returns the new tag and the answering fragment.
async fn restart(
    app: &App,
    session: &Session,
    ice: &mut OwnedMutexGuard<Ice>,
    fragment: &Fragment<'_>,
) -> Result<(String, String), ErrorMessage> {
    let Some(credentials) = fragment.credentials else { return Err(ErrorMessage::internal()) };
    let offer = fragment::renewed(ice.offer(), credentials);
    let answer = app.conference.connect(session.participant, offer.clone()).await?;
    ice.restarted(offer, &answer);
    tell_candidates(app, session, fragment);
    Ok((ice.tag.clone(), fragment::of_answer(&answer)))
}

/// Those that cannot be used are passed over (RFC 9725, section 4.3.2).
fn tell_candidates(app: &App, session: &Session, fragment: &Fragment<'_>) {
    for candidate in &fragment.candidates {
        let told = app.conference.candidate(session.participant, candidate);
        if let Err(error) = told {
            tracing::debug!(id = %session.participant, code = ?error.code, "candidate passed over");
        }
    }
}

/// Lets a participant go.
async fn end(
    State(app): State<App>,
    Extension(protocol): Extension<Protocol>,
    path: Result<Path<SessionPath>, PathRejection>,
) -> Result<StatusCode, Refused> {
    let session = session_of(&app, protocol, path)?;
    app.conference.end_session(&session);
    Ok(StatusCode::OK)
}

/// There is nothing to see (RFC 9725, section 4.1).
async fn endpoint_is_there(
    State(app): State<App>,
    room: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Refused> {
    room_of(&app, room)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn session_is_there(
    State(app): State<App>,
    Extension(protocol): Extension<Protocol>,
    path: Result<Path<SessionPath>, PathRejection>,
) -> Result<StatusCode, Refused> {
    session_of(&app, protocol, path)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a browser asks first for a page of another origin. Servers of ICE are not told here: who asks has shown nothing.
async fn about_endpoint() -> impl IntoResponse {
    (preflight("POST, GET, HEAD, OPTIONS"), [(ACCEPT_POST, SDP)])
}

async fn about_session() -> impl IntoResponse {
    (preflight("PATCH, DELETE, GET, HEAD, OPTIONS"), [(ACCEPT_PATCH, SDP_FRAGMENT)])
}

fn preflight(methods: &'static str) -> [(HeaderName, &'static str); 4] {
    [
        (header::ALLOW, methods),
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, If-Match"),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ]
}

fn room_of(app: &App, room: Result<Path<String>, PathRejection>) -> Result<String, ErrorMessage> {
    let Path(room) = room.map_err(|_| no_such_path())?;
    let room = check_room(&room)?;
    app.conference.chain_of(&room)?;
    Ok(room)
}

fn session_of(
    app: &App,
    protocol: Protocol,
    path: Result<Path<SessionPath>, PathRejection>,
) -> Result<Session, ErrorMessage> {
    let Path(SessionPath { room, session }) = path.map_err(|_| no_such_path())?;
    app.conference.session(protocol, &room, &session)
}

fn no_such_path() -> ErrorMessage {
    ErrorMessage::new(ErrorCode::NotFound, "The path is not in UTF-8.")
}

fn text_of(body: Result<Bytes, BytesRejection>, code: ErrorCode) -> Result<String, Refused> {
    let body = body_of(body).map_err(Refused)?;
    String::from_utf8(body.into())
        .map_err(|_| ErrorMessage::new(code, "The body is not in UTF-8.").into())
}

fn check_content_type(headers: &HeaderMap, wanted: &str) -> Result<(), ErrorMessage> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = found.and_then(|found| found.split(';').next()).unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let sentence = format!("The body must be of `Content-Type: {wanted}`.");
    Err(ErrorMessage::new(ErrorCode::BadContentType, sentence))
}

fn check_accept(headers: &HeaderMap, offered: &str) -> Result<(), ErrorMessage> {
    let all: Vec<_> = headers.get_all(header::ACCEPT).iter().collect();
    let ranges = all.iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
    // What is said of the type itself counts before what is said of all types (RFC 9110, section 12.5.1).
    let (mut of_it, mut of_all) = (None, false);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        // By a weight of 0 it is not wanted (section 12.4.2).
        let is_wanted = !parts.any(|part| {
            let weight = part.strip_prefix("q=").or(part.strip_prefix("Q="));
            weight.and_then(|it| it.parse::<f32>().ok()) == Some(0.0)
        });
        if kind.eq_ignore_ascii_case(offered) {
            of_it = Some(is_wanted);
        } else if matches!(kind, "*/*" | "application/*") {
            of_all |= is_wanted;
        }
    }
    if all.is_empty() || of_it.unwrap_or(of_all) {
        return Ok(());
    }
    let sentence = format!("The answer is of `{offered}`, which `Accept` leaves out.");
    Err(ErrorMessage::new(ErrorCode::NotAcceptable, sentence))
}

/// Whether a change is meant for the ICE that runs (RFC 9725, section 4.3.1). `is_known`: that it is shows otherwise, for
/// clients of WHEP that remember no tag.
fn check_match(headers: &HeaderMap, tag: &str, is_known: bool) -> Result<(), ErrorMessage> {
    let mut all = headers.get_all(header::IF_MATCH).iter().peekable();
    if all.peek().is_none() {
        if is_known {
            return Ok(());
        }
        let sentence = "Say with `If-Match` which start of ICE is meant: the `ETag` of the last answer, or `*` for \
                        another start.";
        return Err(ErrorMessage::new(ErrorCode::PreconditionRequired, sentence));
    }
    let meant = |value: &HeaderValue| {
        let mut tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.any(|one| one == "*" || one == tag)
    };
    if all.any(meant) {
        return Ok(());
    }
    let sentence = "ICE has started anew since: this is not the `ETag` of the last answer.";
    Err(ErrorMessage::new(ErrorCode::PreconditionFailed, sentence))
}

/// An error with the status that these protocols have for it.
struct Refused(HttpError);

impl From<ErrorMessage> for Refused {
    fn from(error: ErrorMessage) -> Self {
        let status = match error.code {
            ErrorCode::PinRequired | ErrorCode::WrongPin => StatusCode::UNAUTHORIZED,
            ErrorCode::BadRoom | ErrorCode::NotJoined => StatusCode::NOT_FOUND,
            ErrorCode::AlreadyConnected => StatusCode::CONFLICT,
            _ => return Self(error.into()),
        };
        Self(HttpError::with_status(status, error))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
