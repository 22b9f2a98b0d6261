//! `/api/v1/rooms/{room}/rtp`: lines of RTP for gateways to telephony, and for tools (docs/rtp.md).

mod line;
mod sdp;
mod wanted;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{self, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use foldback_room::ParticipantId;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Admitted, Caller, Credentials, Wish, check_origin};
use crate::control_api::{Body, json};
use crate::http::{App, HttpError, body_of, check_room};
use crate::message::{ErrorCode, ErrorMessage, LeftReason};
use crate::names;
use crate::openapi::{ForInsiders, OfAnyRoom, OfLine, OfRoom};
use crate::returning::Way;
use line::LineReport;
pub(crate) use line::Lines;
use wanted::Wanted;

const SDP: &str = "application/sdp";
/// Of who says no name.
const NAME: &str = "RTP";
const FORM: &str = "{\"codec\":\"PCMU\",\"remote\":\"192.0.2.7:4000\"}";

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(open)).routes(routes!(show, end))
}

/// What is said beside an offer of SDP.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OpenQuery {
    /// What the participant is called, where the body is an offer.
    name: Option<String>,
    /// Whether it is sent to where the first packet comes from, where the body is an offer.
    #[serde(default)]
    #[param(required = false)]
    latch: bool,
}

/// Open a line of RTP into a room
///
/// As the body says, in JSON or as an offer of SDP (`application/sdp`): docs/rtp.md. For those who may join by WHIP, and operators.
#[utoipa::path(post, path = "/api/v1/rooms/{room}/rtp", operation_id = "open_line", tag = "sound",
    params(OfRoom, OpenQuery), request_body = Wanted, security((), ("token" = [])),
    responses((status = 201, body = LineReport), ForInsiders, OfAnyRoom,
        (status = 409, description = "`rtp-off`: the configuration has no ports for them; `room-full` or `token-in-use`", body = ErrorMessage),
        (status = 403, description = "`forbidden`, `pin-required`, `wrong-pin`, `wrong-room`, `wrong-origin`, `room-locked` or `waiting-room`", body = ErrorMessage),
        (status = 422, description = "`bad-room`, `bad-name`, `bad-value`, `bad-sdp` or `too-many`", body = ErrorMessage),
        (status = 503, description = "`server-full`, `overloaded` or `draining`", body = ErrorMessage)))]
async fn open(
    State(app): State<App>,
    caller: Caller,
    room: Result<Path<String>, PathRejection>,
    query: Result<Query<OpenQuery>, QueryRejection>,
    request: Parts,
    body: Body,
) -> Result<Response, HttpError> {
    let Path(room) = room.map_err(|_| no_such_line())?;
    let room = check_room(&room)?;
    app.conference.chain_of(&room)?;
    check_origin(&request, &app.conference.running().config.auth)?;
    let by_sdp = is_sdp(request.headers.get(header::CONTENT_TYPE));
    let mut wanted: Wanted = match by_sdp {
        false => json(body, FORM)?,
        true => {
            let Query(OpenQuery { name, latch }) = query.map_err(|rejection| {
                ErrorMessage::new(ErrorCode::MissingField, format!("{}.", rejection.body_text()))
            })?;
            let text = String::from_utf8(body_of(body)?.into())
                .map_err(|_| ErrorMessage::new(ErrorCode::BadSdp, "The body is not in UTF-8."))?;
            let offered = sdp::read(&text)
                .map_err(|sentence| ErrorMessage::new(ErrorCode::BadSdp, sentence))?;
            Wanted { name, latch, ..offered }
        }
    };
    let name = wanted.name.take().unwrap_or_else(|| NAME.to_owned());
    let agreed = app.conference.agree_on_line(&wanted)?;
    let by_operator = app.operator.check(&request).is_ok();
    let way = if by_operator { Way::Operator } else { Way::Door };
    let who = admit(&app, caller, &request, by_operator, &room, &name)?;
    let id = app.conference.join_one_way(who, way, agreed.direction.flow())?;
    let conference = Arc::clone(&app.conference);
    let opened = async move { conference.open_line(id, agreed, by_operator, Instant::now()).await };
    let (key, report) = app.bring_in(id, opened).await?;
    let location = format!("/api/v1/rooms/{room}/rtp/{}", key.expose());
    let answer = match by_sdp {
        true => ([(header::CONTENT_TYPE, SDP)], sdp::answer(&report)).into_response(),
        false => Json(&*report).into_response(),
    };
    Ok((StatusCode::CREATED, secret(), [(header::LOCATION, location)], answer).into_response())
}

/// An operator needs no token and no PIN; all others come in as they do by WHIP.
fn admit(
    app: &App,
    caller: Caller,
    request: &Parts,
    by_operator: bool,
    room: &str,
    name: &str,
) -> Result<Admitted, ErrorMessage> {
    if by_operator {
        let name = names::check_person(name);
        let name = name.map_err(|sentence| ErrorMessage::new(ErrorCode::BadName, sentence))?;
        return Ok(Admitted { room: room.to_owned(), name, ..Admitted::default() });
    }
    let credentials = Credentials::of(&request.headers);
    app.admit(caller, Wish { room, name, credentials: &credentials })
}

#[derive(Debug, Deserialize)]
struct LinePath {
    room: String,
    line: String,
}

type LinePathOf = Result<Path<LinePath>, PathRejection>;

/// What was agreed on of a line
///
/// Whoever knows its address may see and end it. With `Accept: application/sdp` it describes what the other side is sent, for tools that receive by that.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/rtp/{line}", operation_id = "show_line", tag = "sound",
    params(OfRoom, OfLine), responses((status = 200, body = LineReport),
        (status = 404, description = "`not-found`: there is no such line, or it has ended", body = ErrorMessage)))]
async fn show(
    State(app): State<App>,
    path: LinePathOf,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let Path(LinePath { room, line }) = path.map_err(|_| no_such_line())?;
    let report: LineReport = app.conference.line(&room, &line)?;
    let answer = match is_sdp(headers.get(header::ACCEPT)) {
        true => ([(header::CONTENT_TYPE, SDP)], sdp::receiver(&report)).into_response(),
        false => Json(&report).into_response(),
    };
    Ok((secret(), answer).into_response())
}

/// End a line
///
/// Its participant leaves.
#[utoipa::path(delete, path = "/api/v1/rooms/{room}/rtp/{line}", operation_id = "end_line", tag = "sound",
    params(OfRoom, OfLine), responses((status = 204, description = "It has ended"),
        (status = 404, description = "`not-found`: there is no such line, or it has ended", body = ErrorMessage)))]
async fn end(State(app): State<App>, path: LinePathOf) -> Result<StatusCode, HttpError> {
    let Path(LinePath { room, line }) = path.map_err(|_| no_such_line())?;
    let LineReport { participant, .. } = app.conference.line(&room, &line)?;
    app.conference.leave(ParticipantId(participant), LeftReason::Left);
    Ok(StatusCode::NO_CONTENT)
}

fn is_sdp(value: Option<&HeaderValue>) -> bool {
    let kind = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split([';', ',']).next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SDP))
}

/// There may be a key in it.
fn secret() -> [(header::HeaderName, &'static str); 1] {
    [(header::CACHE_CONTROL, "no-store")]
}

fn no_such_line() -> ErrorMessage {
    ErrorMessage::new(ErrorCode::NotFound, "There is no such line, or it has ended.")
}
