//! What happens, as server-sent events (WHATWG HTML, section 9.2).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::AsHost;
use crate::control_api::{PathOf, target};
use crate::happenings::{Follow, Happening};
use crate::http::{App, HttpError};
use crate::openapi::{ForHosts, ForOperators, OfAnyRoom, OfRoom};
use crate::operator::AsOperator;

/// Proxies end what is silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(all)).routes(routes!(of_room))
}

/// What happens on the server, as it happens
///
/// Server-sent events until either side ends them: `event` is the `type`, `data` is that in JSON, `id` its number. With
/// the header `Last-Event-ID` it begins after that one. An event `gap` says that some were missed: ask anew for what they
/// were about. For operators.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "follow_all", tag = "events", security((), ("token" = [])),
    params(("Last-Event-ID" = Option<String>, Header, description = "The last one that was heard")),
    responses((status = 200, body = Happening, content_type = "text/event-stream"), ForOperators))]
async fn all(
    _: AsOperator,
    State(app): State<App>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    told(&app, &headers, None)
}

/// What happens in a room, as it happens
///
/// As for all rooms. For the room's hosts and operators.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/events", operation_id = "follow_room", tag = "events", security((), ("token" = [])),
    params(OfRoom, ("Last-Event-ID" = Option<String>, Header, description = "The last one that was heard")),
    responses((status = 200, body = Happening, content_type = "text/event-stream"), ForHosts, OfAnyRoom))]
async fn of_room(
    _: AsHost,
    State(app): State<App>,
    path: PathOf,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, HttpError> {
    let (room, ..) = target(path)?;
    app.conference.chain_of(&room)?;
    Ok(told(&app, &headers, Some(room)))
}

fn told(
    app: &App,
    headers: &HeaderMap,
    room: Option<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<>> {
    let last = headers.get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    let Follow { missed, has_gap, live } = app.conference.happenings.follow(last);
    let telling = Telling { room, missed, has_gap, live };
    let events = stream::unfold(telling, async |mut telling| {
        let event = telling.next().await?;
        Some((Ok(event), telling))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// To one who follows.
struct Telling {
    /// The only room that it is about.
    room: Option<String>,
    missed: VecDeque<Arc<Happening>>,
    has_gap: bool,
    live: broadcast::Receiver<Arc<Happening>>,
}

impl Telling {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if std::mem::take(&mut self.has_gap) {
                return Some(Event::default().event("gap").data("{}"));
            }
            let happening = match self.missed.pop_front() {
                Some(happening) => happening,
                None => match self.live.recv().await {
                    Ok(happening) => happening,
                    Err(RecvError::Lagged(_)) => {
                        self.has_gap = true;
                        continue;
                    }
                    Err(RecvError::Closed) => return None,
                },
            };
            if self.room.is_none() || self.room.as_deref() == happening.what.room() {
                return Some(event(&happening));
            }
        }
    }
}

fn event(happening: &Happening) -> Event {
    // Strings and numbers always serialise, and a line of JSON has no line feed.
    let data = serde_json::to_string(happening).unwrap_or_default();
    Event::default().id(&happening.id).event(happening.what.name()).data(data)
}
