//! What the server answers over HTTP.

use foldback_testkit::signal::tone;
use foldback_tests::{Browser, Server};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn offers_that_cannot_be_used_get_their_status_a_code_and_a_sentence() {
    let server = Server::start_with_file("conference.toml").await;
    let offer = |sdp: &str| json!({ "type": "offer", "sdp": sdp }).to_string();
    let large = offer(&"a=x\r\n".repeat(60_000));
    // (query, body, status)
    let mistakes = [
        ("", String::new(), 400),
        ("", "{".to_owned(), 400),
        ("", "[]".to_owned(), 400),
        ("", "{\"type\":\"offer\"}".to_owned(), 400),
        ("", "{\"type\":\"answer\",\"sdp\":\"v=0\"}".to_owned(), 400),
        ("", "\u{0}\u{1}\u{2}".to_owned(), 400),
        ("", offer(""), 422),
        ("", offer("v=0"), 422),
        ("", offer("hello\r\nv=0\r\nm=audio"), 422),
        ("", large, 413),
        ("?room=no%20room&name=Ann", offer("v=0"), 422),
        ("?room=room&name=%07", offer("v=0"), 422),
    ];
    let client = reqwest::Client::new();
    for (query, body, status) in mistakes {
        let shown: String = body.chars().take(60).collect();
        let url = server.url(&format!("/offer{query}"));
        let response = client.post(url).body(body).send().await.expect("the server answers");
        let found = response.status();
        let answer: Value = response
            .json()
            .await
            .unwrap_or_else(|error| panic!("{found} for '{shown}' {query}, not in JSON: {error}"));
        assert_eq!(found, status, "'{shown}' {query}: {answer}");
        assert!(answer["code"].as_str().is_some_and(is_code), "'{shown}' {query}: {answer}");
        assert!(answer["message"].as_str().is_some_and(is_sentence), "'{shown}' {query}: {answer}");
    }
    let rooms = server.metrics().await.total("foldback_rooms", &[]);
    assert_eq!(rooms, 0.0, "offers that failed left rooms behind");
}

#[tokio::test]
async fn health_readiness_and_the_page_answer() {
    let server = Server::start_with_file("clean.toml").await;
    for path in ["/healthz", "/readyz"] {
        let response = reqwest::get(server.url(path)).await.expect("the server answers");
        assert_eq!(response.status(), 200, "{path}");
    }
    let files = [
        ("/", "text/html"),
        ("/r/lobby", "text/html"),
        ("/r/lobby/", "text/html"),
        ("/app.js", "javascript"),
        ("/style.css", "text/css"),
    ];
    for (path, kind) in files {
        let response = reqwest::get(server.url(path)).await.expect("the server answers");
        assert_eq!(response.status(), 200, "{path}");
        let found = response.headers()["content-type"].to_str().expect("text").to_owned();
        assert!(found.contains(kind), "{path} is {found}");
        let policy = response.headers()["content-security-policy"].to_str().expect("text");
        // No script but from files; WebAssembly is none.
        let unsafe_but_wasm = policy.replace("'wasm-unsafe-eval'", "").contains("unsafe");
        assert!(policy.contains("default-src 'self'") && !unsafe_but_wasm, "{policy}");
        let tag = response.headers()["etag"].clone();
        let again = reqwest::Client::new().get(server.url(path)).header("if-none-match", tag);
        let again = again.send().await.expect("the server answers");
        assert_eq!(again.status(), 304, "{path} did not change");
    }
    let missing = reqwest::get(server.url("/nothing")).await.expect("the server answers");
    assert_eq!(missing.status(), 404);
}

#[tokio::test]
async fn the_participants_of_a_room_are_listed_before_they_have_figures() {
    let server = Server::start_with_file("clean.toml").await;
    assert_eq!(participants(&server, "lobby").await, json!([]), "nobody is there");

    let connected = tokio_tungstenite::connect_async(server.websocket_url()).await;
    let (mut socket, _) = connected.expect("the server takes sockets");
    let join = json!({ "type": "join", "room": "lobby", "name": "Ann" }).to_string();
    socket.send(Message::text(join)).await.expect("sends");
    let joined = socket.next().await.expect("an answer").expect("a message");
    let joined: Value = serde_json::from_str(joined.to_text().expect("text")).expect("JSON");
    let expected = json!([{
        "id": joined["participant"], "name": "Ann", "role": "talker", "muted": false, "hand": null,
        "inbound": null, "remoteInbound": null, "foldback": null,
    }]);
    assert_eq!(participants(&server, "lobby").await, expected);
    assert_eq!(participants(&server, "elsewhere").await, json!([]), "Ann is in the lobby");
}

#[tokio::test]
async fn participants_of_what_cannot_be_a_room_are_refused_as_the_room_is() {
    let server = Server::start_with_file("clean.toml").await;
    for path in ["/api/v1/rooms/no%20room", "/api/v1/rooms/no%20room/participants"] {
        let response = reqwest::get(server.url(path)).await.expect("the server answers");
        assert_eq!(response.status(), 422, "{path}");
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["code"], "bad-room", "{path}: {answer}");
        assert!(answer["message"].as_str().is_some_and(is_sentence), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_of_a_browser_show_in_its_page_and_in_the_list_of_its_room() {
    let server = Server::start_with_file("clean.toml").await;
    let browser = Browser::with_microphone(tone(440.0, -20.0, 60.0)).await;
    browser.join(&server, "lobby", "Ann").await;
    let known = "
        const open = { server: ['packetsLost', 'jitter', 'jitterBufferDelay', 'concealedSamples',
            'insertedSamplesForDeceleration', 'removedSamplesForAcceleration', 'roundTripTime'],
          browser: ['packetsLost', 'jitter', 'jitterBufferDelay', 'concealedSamples'] };
        return Object.entries(open).every(([by, names]) => names.every(name => document
          .querySelector(`[data-figure=${name}] [data-by=${by}]`).textContent !== '–'));";
    browser.wait_until("the figures are known", known).await;

    let listed = participants(&server, "lobby").await;
    let ann = &listed[0];
    assert_eq!((&ann["name"], &ann["muted"]), (&json!("Ann"), &json!(false)), "{listed}");
    // Sent are 50 packets of 960 samples each second, and the figures are a second old at most.
    let inbound = |name: &str| ann["inbound"][name].as_f64().expect(name);
    let packets = inbound("packetsReceived");
    assert!(packets >= 25.0, "{listed}");
    assert!(inbound("totalSamplesReceived") >= packets * 960.0 * 0.8, "{listed}");
    let waited = inbound("jitterBufferDelay") / inbound("jitterBufferEmittedCount");
    assert!((0.001..0.5).contains(&waited), "waits {waited} s: {listed}");
    assert!(inbound("concealedSamples") < inbound("totalSamplesReceived") * 0.5, "{listed}");
    let round_trip = ann["remoteInbound"]["roundTripTime"].as_f64().expect("the page shows it");
    assert!((0.0..0.5).contains(&round_trip), "{round_trip} s there and back: {listed}");
}

#[tokio::test]
async fn in_low_latency_a_browser_sends_packets_of_ten_milliseconds() {
    let config = "[latency]\nmode = \"low\"\n[chain.clean]\nstages = [{ kind = \"mix\" }]\n";
    let server = Server::start(config).await;
    let browser = Browser::with_microphone(tone(440.0, -20.0, 60.0)).await;
    browser.join(&server, "lobby", "Ann").await;
    let mut last = 0.0;
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let listed = participants(&server, "lobby").await;
        let packets = listed[0]["inbound"]["packetsReceived"].as_f64().unwrap_or(0.0);
        // 100 in a second rather than 50; once may be a second in which figures came twice.
        if last > 0.0 && (85.0..115.0).contains(&(packets - last)) {
            return;
        }
        last = packets;
    }
    panic!("never 100 packets in a second: {last} in all");
}

async fn participants(server: &Server, room: &str) -> Value {
    let url = server.url(&format!("/api/v1/rooms/{room}/participants"));
    let response = reqwest::get(url).await.expect("the server answers");
    assert_eq!(response.status(), 200, "participants of {room}");
    response.json().await.expect("JSON")
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

fn is_sentence(text: &str) -> bool {
    text.split_whitespace().count() >= 3
}
