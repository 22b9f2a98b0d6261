//! What the HTTP API takes and answers, as OpenAPI at `/api/openapi.json`, and a page to read it at `/api/docs/`.
//!
//! Each handler says it of itself, beside its route; what any request may be answered with is added here.

use std::collections::BTreeMap;

use axum::Router;
use axum::http::header::{self, HeaderValue};
use axum::response::Json;
use axum::routing::get;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::http::App;
use crate::message::ErrorMessage;

const PATH: &str = "/api/openapi.json";

/// The page has its own styles, and icons in them; scripts it has none but the server's.
const POLICY_OF_DOCS: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The name of the scheme by which operators, hosts and guests show their tokens.
const TOKEN: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "foldback",
        description = "Rooms, who is in them and what they sound like. A mistake is answered with a `code` for programs and \
                       a `message` for people. Without an operator's token only the machine that the server runs on may \
                       do what is the operator's.",
    ),
    components(schemas(ErrorMessage)),
    modifiers(&Token),
    tags(
        (name = "rooms", description = "Rooms and who is in them"),
        (name = "chains", description = "What rooms sound like, and changing it"),
        (name = "sound", description = "Recording, playing and tapping rooms"),
        (name = "events", description = "What happens, as it happens"),
        (name = "server", description = "Workers and the configuration"),
    ),
)]
struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        api.components.get_or_insert_default().add_security_scheme(TOKEN, bearer);
    }
}

/// The routes that say what they are, and two more: for programs to read that, and for people.
pub(crate) fn described(routes: OpenApiRouter<App>) -> Router<App> {
    let (routes, mut api) =
        OpenApiRouter::with_openapi(Api::openapi()).merge(routes).split_for_parts();
    complete(&mut api);
    let policy = HeaderValue::from_static(POLICY_OF_DOCS);
    let docs =
        Router::from(SwaggerUi::new("/api/docs").config(Config::from(PATH).validator_url("none")))
            .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy));
    routes.route(PATH, get(async || Json(api))).merge(docs)
}

/// Adds what the layers around all routes, and the reading of paths and bodies, may answer.
fn complete(api: &mut utoipa::openapi::OpenApi) {
    for item in api.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let answers = &mut operation.responses.responses;
            let slow = ResponseBuilder::new().description("The request came too slowly").build();
            answers.entry("408".to_owned()).or_insert(RefOr::T(slow));
            let fault = error("`internal`: the server's own fault");
            answers.entry("500".to_owned()).or_insert(fault);
            for answer in answers.values_mut() {
                if let RefOr::T(Response { description, .. }) = answer
                    && description.is_empty()
                {
                    *description = "What was asked for".to_owned();
                }
            }
            if operation.request_body.is_some() {
                answers.extend(BadBody::responses());
            }
        }
    }
}

/// The path of a room.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it is what is documented; `Target` is what is read")]
pub(crate) struct OfRoom {
    /// The room's name.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._-]+$", example = "lobby")]
    room: String,
}

/// The path of a participant, beyond the room.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct OfParticipant {
    /// The participant's number.
    #[param(minimum = 1, example = 7)]
    participant: u64,
}

/// The path of a line of RTP, beyond the room.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct OfLine {
    /// What its `Location` ended with.
    #[param(min_length = 1)]
    line: String,
}

/// The path of a stage, beyond what has it.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "as above")]
pub(crate) struct OfStage {
    /// The stage's name in its chain.
    #[param(min_length = 1, example = "limiter")]
    stage: String,
}

/// Statuses of errors, with what they mean; the body is an [`ErrorMessage`].
macro_rules! errors {
    ($($(#[$about:meta])* $name:ident { $($status:literal: $when:literal),+ $(,)? })+) => {$(
        $(#[$about])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                BTreeMap::from([$(($status.to_owned(), error($when))),+])
            }
        }
    )+};
}

errors! {
    /// What is the operator's.
    ForOperators {
        "401": "`unauthorized`: there is an operator's token, and the request lacks it",
        "403": "`forbidden`: there is none, and the request is not this machine's",
    }
    /// What a room's hosts may do too.
    ForHosts {
        "401": "`unauthorized`, `bad-token` or `token-expired`: no operator's or host's token that counts",
        "403": "`forbidden` or `wrong-room`: not from a host of this room, nor from the operator",
    }
    /// What those may know who may join.
    ForInsiders {
        "401": "`token-required`, `bad-token` or `token-expired`",
        "403": "`pin-required`, `wrong-pin` or `wrong-room`",
        "429": "`too-fast`: so many wrong PINs came from that address that none is looked at",
    }
    /// A room that may be closed.
    OfAnyRoom {
        "404": "`not-found`: the path is no UTF-8",
        "422": "`bad-room`: no room of that name is served",
    }
    /// A room that somebody must be in.
    OfOpenRoom {
        "404": "`not-found`: nobody is in that room, or nobody of that number",
        "422": "`bad-room`: no room of that name is served",
    }
    /// A version of the configuration.
    OfVersion {
        "404": "`no-such-version`",
    }
    /// What is read as JSON.
    BadBody {
        "400": "`bad-json` or `missing-field`: the body is not as described",
        "413": "`too-large`",
    }
}

fn error(when: &str) -> RefOr<Response> {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorMessage"))).build();
    RefOr::T(ResponseBuilder::new().description(when).content("application/json", content).build())
}
