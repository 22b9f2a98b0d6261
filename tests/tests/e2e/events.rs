//! What happens on a server, by server-sent events and by webhooks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use foldback_tests::Server;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::socket::Socket;
use crate::tokens::{SECRET, guarded, token};

const TALK: &str =
    "[server]\nworkers = 1\n[chain.talk]\nstages = [{ kind = \"gain\" }, { kind = \"mix\" }]\n";
const DRAINING: &[(&str, &str)] = &[("FOLDBACK_SERVER_DRAIN_SECONDS", "20")];
const PATIENCE: Duration = Duration::from_secs(10);

/// A stream of server-sent events.
struct Events {
    body: futures_util::stream::BoxStream<'static, Vec<u8>>,
    read: String,
}

#[derive(Debug)]
struct Told {
    id: String,
    event: String,
    data: Value,
}

impl Events {
    async fn follow(server: &Server, path: &str, last: Option<&str>) -> Self {
        let mut request = reqwest::Client::new().get(server.url(path));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let chunks = futures_util::stream::unfold(response, async |mut response| {
            let chunk = response.chunk().await.ok()??;
            Some((chunk.to_vec(), response))
        });
        Self { body: chunks.boxed(), read: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.read.split_once("\n\n") {
                let field = |name| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().trim_start().to_owned()
                };
                let (id, name, data) = (field("id:"), field("event:"), field("data:"));
                self.read = rest.to_owned();
                if !data.is_empty() {
                    let data = serde_json::from_str(&data).expect("JSON");
                    return Some(Told { id, event: name, data });
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await;
            let chunk = chunk.expect("an event within 10 s")?;
            self.read.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    async fn next_of(&mut self, event: &str) -> Told {
        let told = self.next().await.unwrap_or_else(|| panic!("the end instead of {event}"));
        assert_eq!(told.event, event, "{told:?}");
        assert_eq!(told.data["type"], event, "{told:?}");
        assert_eq!(told.data["id"].as_str(), Some(told.id.as_str()));
        told
    }
}

async fn join(server: &Server, room: &str, name: &str) -> (Socket, u64) {
    let mut socket = Socket::connect(server).await;
    let joined = socket.join(json!({ "type": "join", "room": room, "name": name })).await;
    let id = joined["participant"].as_u64().unwrap_or_else(|| panic!("{joined}"));
    (socket, id)
}

#[tokio::test]
async fn who_follows_is_told_who_comes_and_goes_and_what_is_changed_and_ended() {
    let server = Server::start(TALK).await;
    let mut all = Events::follow(&server, "/api/v1/events", None).await;
    let mut other = Events::follow(&server, "/api/v1/rooms/other/events", None).await;
    let (ann, id) = join(&server, "lobby", "Ann").await;
    assert_eq!(all.next_of("room-opened").await.data["chain"], "talk");
    let joined = all.next_of("participant-joined").await;
    assert_eq!(joined.data["room"], "lobby");
    assert_eq!(joined.data["participant"]["id"], id);
    assert_eq!(joined.data["participant"]["name"], "Ann");

    let client = reqwest::Client::new();
    let one = server.url(&format!("/api/v1/rooms/lobby/participants/{id}"));
    let muted = client.put(format!("{one}/mute")).body("{\"muted\":true}").send().await;
    assert_eq!(muted.expect("an answer").status(), 204);
    let muted = all.next_of("participant-muted").await.data;
    assert_eq!(
        (&muted["participant"]["muted"], &muted["by_operator"]),
        (&json!(true), &json!(true))
    );
    let stage = server.url("/api/v1/rooms/lobby/chain/stages/gain");
    let changed = client.patch(stage).body("{\"params\":{\"gain_db\":3}}").send().await;
    assert_eq!(changed.expect("an answer").status(), 200);
    assert!(all.next_of("chain-changed").await.data.get("participant").is_none());
    let stage = format!("{one}/chain/stages/gain");
    let changed = client.patch(stage).body("{\"params\":{\"gain_db\":6}}").send().await;
    assert_eq!(changed.expect("an answer").status(), 200);
    assert_eq!(all.next_of("chain-changed").await.data["participant"], id);
    server.write_config("[chain.talk");
    let refused = client.post(server.url("/api/v1/reload")).send().await.expect("an answer");
    assert_eq!(refused.status(), 422);
    // The server may have read the file by itself as well.
    assert!(
        all.next_of("config-refused").await.data["why"].as_str().is_some_and(|it| !it.is_empty())
    );

    drop(ann);
    loop {
        let told = all.next().await.expect("more");
        match told.event.as_str() {
            "config-refused" => {}
            "participant-left" => {
                assert_eq!(
                    (&told.data["participant"]["id"], &told.data["reason"]),
                    (&json!(id), &json!("closed"))
                );
                break;
            }
            other => panic!("{other}"),
        }
    }
    all.next_of("room-closed").await;

    // Of the other room: nothing of that, and the first that is of it.
    let _bob = join(&server, "other", "Bob").await;
    assert_eq!(other.next_of("room-opened").await.data["room"], "other");
}

#[tokio::test]
async fn who_comes_back_is_told_what_they_missed_and_whoever_follows_hears_of_the_end() {
    let mut server = Server::start_with(TALK, DRAINING).await;
    let mut first = Events::follow(&server, "/api/v1/events", None).await;
    let _ann = join(&server, "lobby", "Ann").await;
    let last = first.next_of("room-opened").await.id;
    drop(first);
    let mut again = Events::follow(&server, "/api/v1/events", Some(&last)).await;
    again.next_of("participant-joined").await;
    let mut stranger = Events::follow(&server, "/api/v1/events", Some("0-1")).await;
    assert_eq!(stranger.next().await.expect("an event").event, "gap");
    stranger.next_of("room-opened").await;

    server.terminate();
    again.next_of("draining").await;
    server.terminate();
    assert!(server.ended(PATIENCE).await.success());
    while again.next().await.is_some() {}
}

#[tokio::test]
async fn hosts_follow_their_room_and_nobody_else_does() {
    let (server, folder) = guarded().await;
    let ask = |path: &'static str, token: Option<String>| {
        let mut request = reqwest::Client::new().get(server.url(path));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        async { request.send().await.expect("an answer").status().as_u16() }
    };
    let host = token(&folder, &["--room", "lobby", "--role", "host"]);
    let talker = token(&folder, &["--room", "lobby"]);
    assert_eq!(ask("/api/v1/rooms/lobby/events", Some(host.clone())).await, 200);
    assert_eq!(ask("/api/v1/rooms/other/events", Some(host.clone())).await, 403);
    assert_eq!(ask("/api/v1/events", Some(host)).await, 401);
    assert_eq!(ask("/api/v1/rooms/lobby/events", Some(talker)).await, 403);
    assert_eq!(ask("/api/v1/rooms/lobby/events", None).await, 401);
    assert_eq!(ask("/api/v1/events", None).await, 401);
    assert_eq!(ask("/api/v1/events", Some("0123456789abcdef".to_owned())).await, 200);
}

/// A program that is told by a webhook, and takes it once it has refused as often as it was to.
struct Receiver {
    url: String,
    told: UnboundedReceiver<(HeaderMap, String)>,
}

struct Desk {
    refusals: Mutex<Vec<StatusCode>>,
    told: UnboundedSender<(HeaderMap, String)>,
}

impl Receiver {
    async fn start(refusals: Vec<StatusCode>) -> Self {
        let (tell, told) = unbounded_channel();
        let desk = Arc::new(Desk { refusals: Mutex::new(refusals), told: tell });
        let take = async |State(desk): State<Arc<Desk>>, headers: HeaderMap, body: String| {
            let _ = desk.told.send((headers, body));
            desk.refusals.lock().expect("no panic").pop().unwrap_or(StatusCode::NO_CONTENT)
        };
        let router = Router::new().route("/in", post(take)).with_state(desk);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/in", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, told }
    }

    async fn next(&mut self) -> (HeaderMap, String) {
        let told = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        told.expect("something within 10 s").expect("the receiver runs")
    }
}

fn hook(url: &str, more: &str) -> String {
    format!("{TALK}[[webhook]]\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n{more}\n")
}

#[tokio::test]
async fn a_webhook_is_told_signed_and_in_order_and_again_until_it_takes_it() {
    let refusals = vec![StatusCode::SERVICE_UNAVAILABLE, StatusCode::INTERNAL_SERVER_ERROR];
    let mut receiver = Receiver::start(refusals).await;
    let mut server = Server::start_with(&hook(&receiver.url, ""), DRAINING).await;
    let _ann = join(&server, "lobby", "Ann").await;
    let mut ids = Vec::new();
    for expected in ["room-opened", "room-opened", "room-opened", "participant-joined"] {
        let (headers, body) = receiver.next().await;
        let told: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(told["type"], expected, "{told}");
        let header = |name| headers[name].to_str().expect("ASCII");
        assert_eq!(told["id"], header("webhook-id"));
        assert_eq!(header("content-type"), "application/json");
        let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
        let signature = header("webhook-signature").strip_prefix("v1,").expect("version 1");
        let signature = BASE64_STANDARD.decode(signature).expect("Base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        hmac::verify(&key, signed.as_bytes(), &signature).expect("signed with the secret");
        ids.push(told["id"].clone());
    }
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    let metrics = server.metrics().await;
    assert_eq!(metrics.total("foldback_webhook_failures_total", &[]), 2.0);
    assert_eq!(metrics.total("foldback_webhook_events_total", &[("outcome", "told")]), 1.0 + 1.0);

    // Another one from the next reload on; what was there is told no more.
    let mut second = Receiver::start(Vec::new()).await;
    server.write_config(&hook(&second.url, "events = [\"participant-left\", \"draining\"]"));
    let reloaded = reqwest::Client::new().post(server.url("/api/v1/reload")).send().await;
    assert_eq!(reloaded.expect("an answer").status(), 200);
    let (bob, id) = join(&server, "lobby", "Bob").await;
    drop(bob);
    let (_, body) = second.next().await;
    let told: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&told["type"], &told["participant"]["id"]),
        (&json!("participant-left"), &json!(id))
    );
    // At the end what is left is told.
    server.terminate();
    let (_, body) = second.next().await;
    assert!(body.contains("\"type\":\"draining\""), "{body}");
    server.terminate();
    assert!(server.ended(PATIENCE).await.success());
    assert!(receiver.told.try_recv().is_err(), "told no more");
    assert!(!server.log().contains(SECRET));
}

#[tokio::test]
async fn a_webhook_that_is_gone_is_told_no_more() {
    let mut receiver = Receiver::start(vec![StatusCode::GONE]).await;
    let mut other = Receiver::start(Vec::new()).await;
    let second = hook(&other.url, "").replace(TALK, "");
    let server = Server::start(&format!("{}{second}", hook(&receiver.url, ""))).await;
    let _ann = join(&server, "lobby", "Ann").await;
    receiver.next().await;
    let outcome = async |outcome: &str| {
        server.metrics().await.total("foldback_webhook_events_total", &[("outcome", outcome)])
    };
    let given_up = async { while outcome("given-up").await < 1.0 {} };
    tokio::time::timeout(PATIENCE, given_up).await.expect("it is given up");
    let _bob = join(&server, "lobby", "Bob").await;
    // What the other is told now the first one would have been told too.
    while !other.next().await.1.contains("Bob") {}
    assert!(receiver.told.try_recv().is_err(), "told no more");
    assert_eq!(outcome("dropped").await, 0.0);
}
