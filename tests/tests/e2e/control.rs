//! What operators change of rooms over HTTP and the WebSocket.

use foldback_tests::Server;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const CHAINS: &str = "[server]\nworkers = 1\n[chain.talk]\nstages = [{ kind = \"gain\" }, \
    { kind = \"mix\" }, { kind = \"limiter\" }]\n[chain.quiet]\nstages = [{ kind = \"gate\" }, \
    { kind = \"mix\" }]\n[[room]]\nname = \"*\"\nchain = \"talk\"\n";

const ROOM: &str = "/api/v1/rooms/lobby/chain";

#[tokio::test]
async fn a_stage_is_changed_for_the_room_and_everybody_in_it_is_told() {
    let server = Server::start(CHAINS).await;
    let mut ann = Client::join(&server, "Ann").await;
    let change = json!({ "enabled": false, "params": { "gain_db": 3 } });
    let (status, chain) = ask(&server, Method::PATCH, &at("/stages/gain"), Some(change)).await;
    assert_eq!(status, 200, "{chain}");
    let gain = stage(&chain, "gain");
    assert_eq!((&gain["part"], &gain["enabled"]), (&json!("input"), &json!(false)), "{chain}");
    let gain_db = &gain["params"][0];
    assert_eq!((&gain_db["value"], &gain_db["default"]), (&json!(3.0), &json!(0.0)), "{chain}");
    assert_eq!((&gain_db["unit"], &gain_db["live"]), (&json!("dB"), &json!(true)), "{chain}");
    assert!(gain_db["min"].is_number() && gain_db["about"].is_string(), "{chain}");

    let told = ann.next("chain-changed").await;
    assert_eq!(stage(&told["chain"], "gain")["enabled"], false, "{told}");
    let bob = Client::join(&server, "Bob").await;
    assert_eq!(stage(&bob.joined["chain"], "gain")["enabled"], false, "{}", bob.joined);
}

#[tokio::test]
async fn a_chain_shows_the_delay_of_each_stage_and_their_sum_for_the_room_and_for_one() {
    let late = CHAINS.replace("kind = \"gate\"", "kind = \"delay\", delay_ms = 30");
    let server = Server::start(&late).await;
    let (_, closed) = ask(&server, Method::GET, ROOM, None).await;
    let ann = Client::join(&server, "Ann").await;
    let (_, open) = ask(&server, Method::GET, ROOM, None).await;
    assert_eq!(open, closed, "a room is as it would be");
    let limiter = stage(&open, "limiter")["delay_ms"].as_f64().expect("a number");
    assert!(limiter > 0.0 && stage(&open, "gain")["delay_ms"] == 0.0, "{open}");
    assert_eq!(open["delay_ms"], limiter, "{open}");
    let own = format!("/api/v1/rooms/lobby/participants/{}/chain", ann.id());
    let late = Some(json!({ "chain": "quiet" }));
    let (_, chain) = ask(&server, Method::PUT, &own, late).await;
    assert_eq!(stage(&chain, "delay")["delay_ms"], 30.0, "{chain}");
    assert_eq!(chain["delay_ms"], 30.0 + limiter, "{chain}");
}

#[tokio::test]
async fn a_reload_keeps_what_was_changed_of_stages_that_are_still_there() {
    let server = Server::start(CHAINS).await;
    let mut ann = Client::join(&server, "Ann").await;
    let change = json!({ "params": { "gain_db": -6 } });
    let (status, _) = ask(&server, Method::PATCH, &at("/stages/gain"), Some(change)).await;
    assert_eq!(status, 200);
    ann.next("chain-changed").await;
    server
        .reload(&CHAINS.replace("{ kind = \"gain\" }", "{ kind = \"gate\" }, { kind = \"gain\" }"));
    ann.next("chain-changed").await;
    let (_, chain) = ask(&server, Method::GET, ROOM, None).await;
    assert_eq!(stage(&chain, "gain")["params"][0]["value"], -6.0, "{chain}");
    assert_eq!(stage(&chain, "gate")["enabled"], true, "{chain}");

    server.reload(&CHAINS.replace("{ kind = \"gain\" }", "{ kind = \"delay\", name = \"gain\" }"));
    ann.next("chain-changed").await;
    let (_, chain) = ask(&server, Method::GET, ROOM, None).await;
    assert_eq!(stage(&chain, "gain")["kind"], "delay", "{chain}");
    assert!(server.log().contains("no longer applies"), "{}", server.log());
}

#[tokio::test]
async fn how_many_are_heard_at_once_is_the_rooms_and_changed_while_it_runs() {
    let server = Server::start(CHAINS).await;
    let ann = Client::join(&server, "Ann").await;
    let change = || Some(json!({ "params": { "max_talkers": 3 } }));
    let (status, chain) = ask(&server, Method::PATCH, &at("/stages/mix"), change()).await;
    assert_eq!(status, 200, "{chain}");
    let talkers = &stage(&chain, "mix")["params"][0];
    assert_eq!((&talkers["value"], &talkers["live"]), (&json!(3), &json!(true)), "{chain}");
    let own = format!("/api/v1/rooms/lobby/participants/{}/chain/stages/mix", ann.id());
    let (status, refused) = ask(&server, Method::PATCH, &own, change()).await;
    assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad-stage")));
}

#[tokio::test]
async fn one_participant_gets_stages_of_its_own_and_the_rooms_again() {
    let server = Server::start(CHAINS).await;
    let mut ann = Client::join(&server, "Ann").await;
    let bob = Client::join(&server, "Bob").await;
    let own = format!("/api/v1/rooms/lobby/participants/{}/chain", ann.id());
    let quiet = Some(json!({ "chain": "quiet" }));
    let (status, chain) = ask(&server, Method::PUT, &own, quiet).await;
    assert_eq!((status, &chain["own"]), (StatusCode::OK, &json!("quiet")), "{chain}");
    let names = |chain: &Value| -> Vec<String> {
        let stages = chain["stages"].as_array().expect("stages");
        stages.iter().map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&chain), ["gate", "mix", "limiter"], "{chain}");
    let told = ann.next("chain-changed").await;
    assert_eq!(names(&told["chain"]), ["gate", "mix", "limiter"], "{told}");
    let others = format!("/api/v1/rooms/lobby/participants/{}/chain", bob.id());
    let (_, chain) = ask(&server, Method::GET, &others, None).await;
    assert_eq!(names(&chain), ["gain", "mix", "limiter"], "{chain}");

    let off = Some(json!({ "enabled": false }));
    let limiter = format!("{own}/stages/limiter");
    let (status, refused) = ask(&server, Method::PATCH, &limiter, off).await;
    assert_eq!((status, &refused["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("bad-stage")));

    let (status, chain) = ask(&server, Method::DELETE, &own, None).await;
    assert_eq!(status, 200, "{chain}");
    assert_eq!(names(&chain), ["gain", "mix", "limiter"], "{chain}");
}

#[tokio::test]
async fn a_client_spares_the_server_its_own_denoise_and_nothing_else_without_being_an_operator() {
    let chains = CHAINS.replace("{ kind = \"gain\" }", "{ kind = \"denoise\" }");
    let token = "[server]\noperator_token_file = \"TOKEN\"";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "0123456789abcdef0123").expect("a file");
    let token = token.replace("TOKEN", &file.display().to_string());
    let server = Server::start(&chains.replace("[server]", &token)).await;
    let mut ann = Client::join(&server, "Ann").await;
    let bob = Client::join(&server, "Bob").await;
    let has_denoise = |chain: &Value| {
        let stages = chain["stages"].as_array().expect("stages");
        stages.iter().any(|stage| stage["name"] == "denoise")
    };
    let denoises = async |id: &Value| {
        let path = format!("/api/v1/rooms/lobby/participants/{id}/chain");
        let (_, chain) = ask(&server, Method::GET, &path, None).await;
        has_denoise(&chain)
    };
    ann.say(&json!({ "type": "spare", "kinds": ["denoise"] })).await;
    let told = ann.next("chain-changed").await;
    assert!(!has_denoise(&told["chain"]), "{told}");
    assert_eq!((denoises(ann.id()).await, denoises(bob.id()).await), (false, true));

    // What the room's chain says of it is hers to follow.
    let change = reqwest::Client::new().patch(server.url(&at("/stages/denoise")));
    let change = change.bearer_auth("0123456789abcdef0123").json(&json!({ "enabled": false }));
    assert_eq!(change.send().await.expect("the server answers").status(), 200);
    ann.next("chain-changed").await;

    for mistake in [json!(["limiter"]), json!(["denoise", "gate"])] {
        ann.say(&json!({ "type": "spare", "kinds": mistake })).await;
        let refused = ann.next("error").await;
        assert_eq!(refused["code"], "bad-stage", "{refused}");
    }
    let change = reqwest::Client::new().patch(server.url(&at("/stages/denoise")));
    let change = change.bearer_auth("0123456789abcdef0123").json(&json!({ "enabled": true }));
    assert_eq!(change.send().await.expect("the server answers").status(), 200);
    ann.next("chain-changed").await;
    assert!(!denoises(ann.id()).await, "what was refused changed nothing");
    ann.say(&json!({ "type": "spare", "kinds": [] })).await;
    let told = ann.next("chain-changed").await;
    assert!(has_denoise(&told["chain"]), "{told}");
}

#[tokio::test]
async fn a_room_gets_another_configured_chain_and_keeps_it() {
    let server = Server::start(CHAINS).await;
    let mut ann = Client::join(&server, "Ann").await;
    let (status, chain) = ask(&server, Method::PUT, ROOM, Some(json!({ "chain": "quiet" }))).await;
    assert_eq!((status, &chain["chain"]), (StatusCode::OK, &json!("quiet")), "{chain}");
    assert_eq!(ann.next("chain-changed").await["chain"]["name"], "quiet");
}

#[tokio::test]
async fn a_room_goes_back_to_the_chain_and_the_values_that_are_configured() {
    let server = Server::start(CHAINS).await;
    let mut ann = Client::join(&server, "Ann").await;
    let (_, configured) = ask(&server, Method::GET, ROOM, None).await;
    let own = format!("/api/v1/rooms/lobby/participants/{}/chain", ann.id());
    ask(&server, Method::PUT, &own, Some(json!({ "chain": "quiet" }))).await;
    let change = Some(json!({ "params": { "gain_db": 3 } }));
    ask(&server, Method::PATCH, &at("/stages/gain"), change).await;
    let (status, chain) = ask(&server, Method::DELETE, ROOM, None).await;
    assert_eq!((status, &chain), (StatusCode::OK, &configured));
    ask(&server, Method::PUT, ROOM, Some(json!({ "chain": "quiet" }))).await;
    let (status, chain) = ask(&server, Method::DELETE, ROOM, None).await;
    assert_eq!((status, &chain), (StatusCode::OK, &configured));
    let (_, anns) = ask(&server, Method::GET, &own, None).await;
    assert_eq!(anns["own"], "quiet", "{anns}");
    ann.next("chain-changed").await;

    let empty = "/api/v1/rooms/empty/chain";
    let (status, refused) = ask(&server, Method::DELETE, empty, None).await;
    assert_eq!((status, &refused["code"]), (StatusCode::NOT_FOUND, &json!("not-found")));
}

#[tokio::test]
async fn mistakes_get_a_code_and_a_sentence_with_what_is_allowed_and_change_nothing() {
    let server = Server::start(CHAINS).await;
    let _ann = Client::join(&server, "Ann").await;
    let (_, before) = ask(&server, Method::GET, ROOM, None).await;
    let gain = at("/stages/gain");
    let params = |params: Value| Some(json!({ "params": params }));
    let nobody = "/api/v1/rooms/lobby/participants/99/chain".to_owned();
    let no_number = "/api/v1/rooms/lobby/participants/abc/chain".to_owned();
    let empty = "/api/v1/rooms/empty/chain/stages/gain".to_owned();
    let (patch, put) = (Method::PATCH, Method::PUT);
    let mistakes = [
        (&patch, at("/stages/gian"), params(json!({ "gain_db": 3 })), 422, "bad-stage", "`gain`"),
        (
            &patch,
            at("/stages/mix"),
            params(json!({ "max_talkers": 0 })),
            422,
            "bad-param",
            "must be a whole number",
        ),
        (
            &patch,
            at("/stages/mix"),
            Some(json!({ "enabled": false })),
            422,
            "bad-param",
            "switched off",
        ),
        (&patch, gain.clone(), params(json!({ "gain": 3 })), 422, "bad-param", "`gain_db`"),
        (
            &patch,
            gain.clone(),
            params(json!({ "gain_db": 99 })),
            422,
            "bad-param",
            "must be a number",
        ),
        (
            &patch,
            gain.clone(),
            params(json!({ "gain_db": "3" })),
            422,
            "bad-param",
            "must be a number",
        ),
        (
            &patch,
            gain.clone(),
            params(json!({ "gain_db": null })),
            422,
            "bad-param",
            "must be a number",
        ),
        (&patch, gain.clone(), Some(json!({})), 400, "missing-field", "`enabled`"),
        (&patch, gain.clone(), Some(json!({ "enable": true })), 400, "missing-field", "`enabled`"),
        (&patch, gain.clone(), Some(json!({ "enabled": "no" })), 400, "missing-field", "boolean"),
        (&put, ROOM.to_owned(), Some(json!({ "chain": "quite" })), 422, "bad-chain", "\"quiet\""),
        (&put, nobody.clone(), Some(json!({ "chain": "quiet" })), 404, "not-found", "99"),
        (&Method::GET, nobody, None, 404, "not-found", "99"),
        (&Method::GET, no_number, None, 404, "not-found", "a whole number from 1, not \"abc\""),
        (&patch, empty, params(json!({ "gain_db": 3 })), 404, "not-found", "empty"),
    ];
    for (method, path, body, status, code, says) in mistakes {
        let shown = format!("{method} {path} {body:?}");
        let (found, answer) = ask(&server, method.clone(), &path, body).await;
        assert_eq!((found.as_u16(), &answer["code"]), (status, &json!(code)), "{shown}: {answer}");
        assert!(
            answer["message"].as_str().is_some_and(|it| it.contains(says)),
            "{shown}: {answer}"
        );
    }
    assert_eq!(ask(&server, Method::GET, ROOM, None).await.1, before);
}

#[tokio::test]
async fn only_this_machine_changes_sound_where_there_is_no_token() {
    let server = Server::start(CHAINS).await;
    let _ann = Client::join(&server, "Ann").await;
    let client = reqwest::Client::new();
    for (name, value) in [
        ("origin", "https://elsewhere.example"),
        ("host", "rebound.example"),
        ("forwarded", "for=192.0.2.1"),
    ] {
        let request =
            client.put(server.url(ROOM)).header(name, value).json(&json!({"chain": "quiet"}));
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 403, "{name}: {value}");
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["code"], "forbidden", "{answer}");
    }
}

#[tokio::test]
async fn where_there_is_a_token_it_is_asked_for_over_http_and_over_the_websocket() {
    const TOKEN: &str = "0123456789abcdef0123";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n")).expect("a file");
    let key = format!("workers = 1\noperator_token_file = {:?}", file.display().to_string());
    let server = Server::start(&CHAINS.replace("workers = 1", &key)).await;
    let mut ann = Client::join(&server, "Ann").await;
    assert_eq!(ann.joined["operator"], false, "{}", ann.joined);
    let (status, answer) = ask(&server, Method::PUT, ROOM, Some(json!({ "chain": "quiet" }))).await;
    assert_eq!((status, &answer["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")));
    let request = reqwest::Client::new().patch(server.url(&at("/stages/gain"))).bearer_auth(TOKEN);
    let response = request.json(&json!({ "params": { "gain_db": 1 } })).send().await;
    assert_eq!(response.expect("the server answers").status(), 200);
    ann.next("chain-changed").await;

    let set = json!({ "type": "set-stage", "stage": "gain", "enabled": false });
    ann.say(&set).await;
    assert_eq!(ann.next("error").await["code"], "unauthorized");
    ann.say(&json!({ "type": "operator", "token": "0123456789abcdef0124" })).await;
    let wrong = ann.next("error").await;
    assert_eq!(wrong["code"], "unauthorized");
    let words = wrong["message"].as_str().expect("text");
    assert!(words.starts_with("This is not the operator token"), "{words}");
    ann.say(&json!({ "type": "operator", "token": TOKEN })).await;
    ann.next("operator").await;
    ann.say(&set).await;
    let told = ann.next("chain-changed").await;
    assert_eq!(stage(&told["chain"], "gain")["enabled"], false, "{told}");
}

#[tokio::test]
async fn several_stages_are_changed_in_one_step_or_none_of_them() {
    let server = Server::start(CHAINS).await;
    let mut ann = Client::join(&server, "Ann").await;
    assert_eq!(ann.joined["operator"], true, "{}", ann.joined);
    let (_, before) = ask(&server, Method::GET, ROOM, None).await;
    let set = |ceiling_dbfs: f64| {
        let limiter = json!({ "params": { "ceiling_dbfs": ceiling_dbfs } });
        let stages = json!({ "gain": { "enabled": false }, "limiter": limiter });
        json!({ "type": "set-stages", "stages": stages })
    };
    ann.say(&set(99.0)).await;
    let refused = ann.next("error").await;
    assert_eq!(refused["code"], "bad-param", "{refused}");
    assert_eq!(ask(&server, Method::GET, ROOM, None).await.1, before);

    ann.say(&set(-6.0)).await;
    let told = ann.next("chain-changed").await;
    assert_eq!(stage(&told["chain"], "gain")["enabled"], false, "{told}");
    let (_, chain) = ask(&server, Method::GET, ROOM, None).await;
    let params = stage(&chain, "limiter")["params"].as_array().expect("parameters").clone();
    let ceiling = params.iter().find(|it| it["name"] == "ceiling_dbfs").expect("it has one");
    assert_eq!(ceiling["value"], -6.0, "{chain}");

    let own = json!({ "gain": { "enabled": true }, "limiter": { "enabled": false } });
    let own = json!({ "type": "set-stages", "participant": ann.id(), "stages": own });
    ann.say(&own).await;
    assert_eq!(ann.next("error").await["code"], "bad-stage", "the limiter is the room's");
}

fn at(path: &str) -> String {
    format!("{ROOM}{path}")
}

fn stage<'c>(chain: &'c Value, name: &str) -> &'c Value {
    let stages = chain["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["name"] == name).unwrap_or_else(|| panic!("{name}: {chain}"))
}

pub(crate) async fn ask(
    server: &Server,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let mut request = reqwest::Client::new().request(method, server.url(path));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.expect("the server answers");
    let (status, body) = (response.status(), response.text().await.expect("text"));
    let nothing = status == StatusCode::NO_CONTENT && body.is_empty();
    (status, if nothing { Value::Null } else { serde_json::from_str(&body).expect("JSON") })
}

/// Somebody in the room `lobby`, without audio.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    joined: Value,
}

impl Client {
    pub(crate) async fn join(server: &Server, name: &str) -> Self {
        let connected = tokio_tungstenite::connect_async(server.websocket_url()).await;
        let (socket, _) = connected.expect("the server takes sockets");
        let mut client = Self { socket, joined: Value::Null };
        client.say(&json!({ "type": "join", "room": "lobby", "name": name })).await;
        client.joined = client.next("joined").await;
        client
    }

    pub(crate) fn id(&self) -> &Value {
        &self.joined["participant"]
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.expect("sends");
    }

    /// The code that the server closes with, after whatever it still says.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Close(frame) => return frame.map(|frame| frame.code.into()),
                _ => continue,
            }
        }
    }

    /// The next message of that type; others are left out.
    pub(crate) async fn next(&mut self, kind: &str) -> Value {
        loop {
            let message = self.socket.next().await.expect("a message").expect("a message");
            let message: Value =
                serde_json::from_str(message.to_text().expect("text")).expect("JSON");
            if message["type"] == kind {
                return message;
            }
        }
    }
}
