//! What a plain client of HTTP is answered (RFC 9725; draft-ietf-wish-whep).

use std::time::{Duration, Instant};

use foldback_tests::Server;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use str0m::Rtc;
use str0m::media::{Direction, MediaKind};

const CHAIN: &str = "[server]\nworkers = 1\n[chain.talk]\nstages = [{ kind = \"mix\" }]\n";
const SDP: &str = "application/sdp";
/// All that there is to log.
const LOG: (&str, &str) = ("RUST_LOG", "trace");
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const CANDIDATE: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
    a=candidate:1 1 udp 2122260223 192.0.2.9 61764 typ host\r\na=end-of-candidates\r\n";

#[tokio::test]
async fn a_session_is_opened_changed_and_ended_and_then_there_is_none() {
    let server = Server::start(CHAIN).await;
    for (way, name, direction) in
        [("whip", "Desk", Direction::SendRecv), ("whep", "Ear", Direction::RecvOnly)]
    {
        let offer = offer(direction);
        let session = Session::open(&server, &format!("/{way}/lobby?name={name}"), &offer).await;
        let answer = if way == "whip" { "a=recvonly" } else { "a=sendonly" };
        assert!(session.answer.contains(answer), "{}", session.answer);
        assert!(session.answer.contains("a=ice-lite"), "{}", session.answer);
        let people = people(&server).await;
        let listens = people[0]["role"] == "listener";
        let muted = people[0]["muted"] == true;
        assert_eq!((people[0]["name"].as_str(), people.len()), (Some(name), 1), "{people:?}");
        assert_eq!((listens, muted), (way == "whep", way == "whep"), "{people:?}");

        let tag = session.tag.as_str();
        let trickled = session.patch(&[("if-match", tag)], CANDIDATE).await;
        assert_eq!(trickled.status(), 204);
        assert!(!trickled.headers().contains_key("etag"));
        // What it cannot use it passes over.
        let odd = "m=audio 9 X 0\r\na=mid:0\r\na=candidate:nonsense\r\n\
            a=candidate:1 1 udp 1 0f1c.local 5 typ host\r\n";
        assert_eq!(session.patch(&[("if-match", tag)], odd).await.status(), 204);

        let restarted = session.patch(&[("if-match", "*")], &start("anew")).await;
        assert_eq!(restarted.status(), 200);
        assert_eq!(restarted.headers()[CONTENT_TYPE], FRAGMENT);
        let fresh = restarted.headers()["etag"].to_str().expect("text").to_owned();
        assert!(fresh != tag && fresh.starts_with('"'), "{fresh} after {tag}");
        let fragment = restarted.text().await.expect("text");
        for line in ["a=ice-lite", "a=ice-ufrag:", "a=ice-pwd:", "a=mid:", "a=candidate:"] {
            assert!(fragment.contains(line), "{fragment}");
        }
        assert_ne!(line_of(&fragment, "a=ice-ufrag:"), line_of(&session.answer, "a=ice-ufrag:"));
        assert_eq!(session.patch(&[("if-match", tag)], CANDIDATE).await.status(), 412);
        let listed = format!("\"other\", {fresh}");
        assert_eq!(session.patch(&[("if-match", &listed)], CANDIDATE).await.status(), 204);

        assert_eq!(session.get().await.status(), 204);
        // A tag says nothing of who ends it.
        let ended = session.send(Method::DELETE, &[("if-match", "\"old\"")], "").await;
        assert_eq!(ended.status(), 200);
        assert_eq!(self::people(&server).await, Vec::<Value>::new());
        for method in [Method::GET, Method::DELETE, Method::PATCH] {
            let gone = session.send(method.clone(), &[("if-match", &fresh)], CANDIDATE).await;
            assert_eq!(gone.status(), 404, "{method}");
            let error: Value = gone.json().await.expect("JSON");
            assert_eq!(error["code"], "not-found", "{error}");
        }
    }
}

#[tokio::test]
async fn whoever_cannot_be_taken_is_told_by_status_and_leaves_nothing_behind() {
    let board = "[auth]\nopen = true\n[[room]]\nname = \"board\"\nchain = \"talk\"\npin = \"471100\"\n\
        [[room]]\nname = \"pair\"\nchain = \"talk\"\nmax_participants = 1\n\
        [[room]]\nname = \"lobby\"\nchain = \"talk\"\n";
    let server = Server::start_with(&format!("{CHAIN}{board}"), &[LOG]).await;
    let good = offer(Direction::SendRecv);
    let listens = offer(Direction::RecvOnly);
    let speaks = offer(Direction::SendOnly);
    let video = of_media(&[(MediaKind::Video, Direction::SendOnly)]);
    let two = of_media(&[(MediaKind::Audio, Direction::SendOnly); 2]);
    let no_opus = good.replace("opus/48000/2", "X-none/48000/2");
    let large = "a=x\r\n".repeat(60_000);
    let with_sdp = |more: &[(&'static str, &'static str)]| {
        let mut headers = vec![("content-type", SDP)];
        headers.extend_from_slice(more);
        headers
    };
    // (path, headers, body, status, code)
    let mistakes = [
        ("/whip/lobby", vec![], &*good, 415, "bad-content-type"),
        ("/whip/lobby", vec![("content-type", "application/json")], &good, 415, "bad-content-type"),
        ("/whip/lobby", with_sdp(&[("accept", "text/html")]), &good, 406, "not-acceptable"),
        (
            "/whip/lobby",
            with_sdp(&[("accept", "application/sdp;q=0, */*")]),
            &good,
            406,
            "not-acceptable",
        ),
        ("/whip/lobby", with_sdp(&[]), &listens, 406, "not-acceptable"),
        ("/whep/lobby", with_sdp(&[]), &speaks, 406, "not-acceptable"),
        ("/whip/lobby", with_sdp(&[]), &video, 406, "not-acceptable"),
        ("/whip/lobby", with_sdp(&[]), &two, 406, "not-acceptable"),
        ("/whip/lobby", with_sdp(&[]), &no_opus, 406, "not-acceptable"),
        ("/whip/lobby", with_sdp(&[]), "", 422, "bad-sdp"),
        ("/whip/lobby", with_sdp(&[]), "v=0", 422, "bad-sdp"),
        ("/whep/lobby", with_sdp(&[]), "hello", 422, "bad-sdp"),
        ("/whip/lobby", with_sdp(&[]), &large, 413, "too-large"),
        ("/whip/lobby?name=%07", with_sdp(&[]), &good, 422, "bad-name"),
        ("/whip/nowhere", with_sdp(&[]), &good, 404, "bad-room"),
        ("/whip/no%20room", with_sdp(&[]), &good, 404, "bad-room"),
        (
            "/whep/lobby",
            with_sdp(&[("origin", "https://evil.example"), ("authorization", "Bearer x")]),
            &good,
            403,
            "wrong-origin",
        ),
        ("/whip/board", with_sdp(&[]), &good, 401, "pin-required"),
        (
            "/whip/board",
            with_sdp(&[(
                "authorization",
                "Bearer a-forged-token-whose-header-is-none.which-is-longer-than-any-pin.can-be",
            )]),
            &good,
            401,
            "bad-token",
        ),
        (
            "/whep/board",
            with_sdp(&[("authorization", "Bearer guessed-pin")]),
            &good,
            401,
            "wrong-pin",
        ),
    ];
    for (path, headers, body, status, code) in mistakes {
        let answer = send(&server, Method::POST, path, &headers, body).await;
        let shown = format!("{path} {headers:?} {}", &body[..body.len().min(20)]);
        assert_eq!(answer.status(), status, "{shown}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "{shown}");
        let challenge = answer.headers().get("www-authenticate").cloned();
        assert_eq!(challenge.is_some_and(|it| it == "Bearer"), status == 401, "{shown}");
        let error: Value = answer.json().await.expect("JSON");
        assert_eq!(error["code"], code, "{shown}: {error}");
    }
    assert_eq!(server.metrics().await.total("foldback_rooms", &[]), 0.0);

    let bearer = with_sdp(&[("authorization", "bearer 471100")]);
    assert_eq!(send(&server, Method::POST, "/whip/board", &bearer, &good).await.status(), 201);
    let accepts = with_sdp(&[("accept", "text/plain, application/sdp;q=0.5")]);
    assert_eq!(send(&server, Method::POST, "/whip/pair", &accepts, &good).await.status(), 201);
    let full = send(&server, Method::POST, "/whep/pair", &with_sdp(&[]), &listens).await;
    assert_eq!(full.status(), 409);
    assert_eq!(full.json::<Value>().await.expect("JSON")["code"], "room-full");
    let log = server.log();
    assert!(!log.contains("471100") && !log.contains("guessed-pin"), "the log has a secret");
}

#[tokio::test]
async fn a_change_says_what_it_is_meant_for_and_what_it_is() {
    let server = Server::start_with(CHAIN, &[LOG]).await;
    let session = Session::open(&server, "/whip/lobby", &offer(Direction::SendRecv)).await;
    let tag = session.tag.as_str();
    let many = "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n".repeat(65);
    let large = "a=x\r\n".repeat(60_000);
    let fragment = ("content-type", FRAGMENT);
    // (headers, body, status, code)
    let mistakes = [
        (vec![fragment], CANDIDATE, 428, "precondition-required"),
        (vec![fragment, ("if-match", "\"other\"")], CANDIDATE, 412, "precondition-failed"),
        (vec![fragment, ("if-match", "W/\"other\"")], CANDIDATE, 412, "precondition-failed"),
        (vec![("content-type", SDP), ("if-match", tag)], CANDIDATE, 415, "bad-content-type"),
        (vec![("if-match", tag)], CANDIDATE, 415, "bad-content-type"),
        (vec![fragment, ("if-match", tag)], "", 400, "bad-fragment"),
        (vec![fragment, ("if-match", tag)], "hello", 400, "bad-fragment"),
        (vec![fragment, ("if-match", tag)], &many, 400, "bad-fragment"),
        (vec![fragment, ("if-match", "*")], "a=ice-ufrag:anew\r\n", 400, "bad-fragment"),
        (vec![fragment, ("if-match", tag)], &large, 413, "too-large"),
    ];
    for (headers, body, status, code) in mistakes {
        let shown = format!("{headers:?} {}", &body[..body.len().min(20)]);
        let answer = session.send_as(Method::PATCH, &headers, body).await;
        assert_eq!(answer.status(), status, "{shown}");
        let error: Value = answer.json().await.expect("JSON");
        assert_eq!(error["code"], code, "{shown}: {error}");
    }
    // Neither is found under another room or the other protocol.
    for path in [
        session.path.replace("/lobby/", "/other/"),
        session.path.replace("/whip/", "/whep/"),
        format!("{}0", session.path),
    ] {
        let answer = send(&server, Method::DELETE, &path, &[], "").await;
        assert_eq!(answer.status(), 404, "{path}");
    }
    let known = format!(
        "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n{CANDIDATE}",
        line_of(&session.offer, "a=ice-ufrag:"),
        line_of(&session.offer, "a=ice-pwd:")
    );
    assert_eq!(session.patch(&[], &known).await.status(), 428, "WHIP asks for a tag");
    assert_eq!(session.patch(&[("if-match", "*")], &known).await.status(), 204, "no new start");
    // Clients of WHEP that remember none say by their name which start of ICE they mean.
    let listener = Session::open(&server, "/whep/lobby", &session.offer).await;
    assert_eq!(listener.patch(&[], &known).await.status(), 204);
    assert_eq!(listener.patch(&[], CANDIDATE).await.status(), 428);
    assert_eq!(listener.patch(&[], &start("anew")).await.status(), 428);

    for number in 0..5 {
        let restarted = session.patch(&[("if-match", "*")], &start(&format!("new{number}"))).await;
        assert_eq!(restarted.status(), 200);
    }
    let refused = session.patch(&[("if-match", "*")], &start("again")).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(session.get().await.status(), 204, "it goes on");
    let key = session.path.rsplit('/').next().expect("a path");
    let log = server.log();
    assert!(key.len() >= 32 && !log.contains(key), "the log has a session's key");
    for side in [&session.offer, &session.answer] {
        let password = line_of(side, "a=ice-pwd:");
        assert!(password.len() >= 22 && !log.contains(password), "the log has a password of ICE");
    }
    assert!(!log.contains("IceCreds"), "the log has passwords of ICE");
}

#[tokio::test]
async fn of_sound_and_a_picture_the_sound_is_taken() {
    let server = Server::start(CHAIN).await;
    let [sound, picture] = [MediaKind::Audio, MediaKind::Video].map(|it| (it, Direction::SendOnly));
    for lines in [[sound, picture], [picture, sound]] {
        let session = Session::open(&server, "/whip/lobby", &of_media(&lines)).await;
        let sections: Vec<_> = session.answer.split("\r\nm=").skip(1).collect();
        assert_eq!(sections.len(), 2, "{}", session.answer);
        for section in sections {
            let is_sound = section.starts_with("audio 9 ");
            assert!(is_sound || section.starts_with("video 0 "), "{}", session.answer);
            assert_eq!(section.contains("a=candidate:"), is_sound, "{}", session.answer);
        }
        let restarted = session.patch(&[("if-match", "*")], &start("anew")).await;
        assert_eq!(restarted.status(), 200);
        let fragment = restarted.text().await.expect("text");
        assert!(fragment.contains("m=audio 9 ") && fragment.contains("a=candidate:"), "{fragment}");
    }
}

#[tokio::test]
async fn other_methods_are_refused_and_pages_of_other_origins_may_ask() {
    let server = Server::start(CHAIN).await;
    let session = Session::open(&server, "/whip/lobby", &offer(Direction::SendOnly)).await;
    let (endpoint, session) = ("/whip/lobby", session.path.as_str());
    for (path, methods) in [
        (endpoint, vec![Method::PUT, Method::DELETE, Method::PATCH]),
        (session, vec![Method::PUT, Method::POST]),
    ] {
        for method in methods {
            let answer = send(&server, method.clone(), path, &[("content-type", SDP)], "").await;
            assert_eq!(answer.status(), 405, "{method} {path}");
            assert!(answer.headers().contains_key("allow"), "{method} {path}");
        }
        for method in [Method::GET, Method::HEAD] {
            let answer = send(&server, method, path, &[], "").await;
            assert_eq!(answer.status(), 204, "{path}");
        }
    }
    assert_eq!(send(&server, Method::GET, "/whip/no%20room", &[], "").await.status(), 404);
    let asks = [("origin", "https://elsewhere.example"), ("access-control-request-method", "POST")];
    for (path, allowed, accepts) in
        [(endpoint, "POST", ("accept-post", SDP)), (session, "PATCH", ("accept-patch", FRAGMENT))]
    {
        let answer = send(&server, Method::OPTIONS, path, &asks, "").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(header(&answer, accepts.0), accepts.1);
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        assert!(header(&answer, "access-control-allow-methods").contains(allowed));
        let taken = header(&answer, "access-control-allow-headers").to_lowercase();
        for name in ["authorization", "content-type", "if-match"] {
            assert!(taken.contains(name), "{taken}");
        }
    }
}

#[tokio::test]
async fn who_is_kicked_or_never_connects_loses_the_session_and_who_drains_takes_nobody() {
    let server = Server::start_with(CHAIN, &[("FOLDBACK_SERVER_DRAIN_SECONDS", "60")]).await;
    let offer = offer(Direction::SendOnly);
    let kicked = Session::open(&server, "/whip/lobby?name=Kicked", &offer).await;
    let id = people(&server).await[0]["id"].clone();
    let path = format!("/api/v1/rooms/lobby/participants/{id}");
    assert_eq!(send(&server, Method::DELETE, &path, &[], "").await.status(), 204);
    assert_eq!(kicked.get().await.status(), 404);
    assert_eq!(kicked.patch(&[("if-match", "*")], &start("anew")).await.status(), 404);

    let waits = Session::open(&server, "/whip/lobby?name=Waits", &offer).await;
    server.terminate();
    let deadline = Instant::now() + Duration::from_secs(10);
    let refused = loop {
        let answer = send(&server, Method::POST, "/whip/lobby", &[("content-type", SDP)], &offer);
        let answer = answer.await;
        if answer.status() == 503 {
            break answer;
        }
        assert!(Instant::now() < deadline, "it does not drain");
    };
    assert_eq!(header(&refused, "retry-after"), "5");
    assert_eq!(refused.json::<Value>().await.expect("JSON")["code"], "draining");
    // Nobody ever connects by it: then its time is over.
    let deadline = Instant::now() + Duration::from_secs(30);
    while waits.is_there().await {
        assert!(Instant::now() < deadline, "the session outlives its participant");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A session as its client knows it.
struct Session {
    root: String,
    path: String,
    tag: String,
    offer: String,
    answer: String,
}

impl Session {
    async fn open(server: &Server, path: &str, offer: &str) -> Self {
        let opened = send(server, Method::POST, path, &[("content-type", SDP)], offer).await;
        assert_eq!(opened.status(), 201, "{path}");
        assert_eq!(header(&opened, "content-type"), SDP);
        assert_eq!(header(&opened, "accept-patch"), FRAGMENT);
        let exposed = header(&opened, "access-control-expose-headers").to_lowercase();
        assert!(["location", "etag", "link"].iter().all(|it| exposed.contains(it)), "{exposed}");
        let endpoint = path.split('?').next().unwrap_or_default();
        let (path, tag) = (header(&opened, "location"), header(&opened, "etag"));
        assert!(path.starts_with(&format!("{endpoint}/sessions/")), "{path}");
        assert!(tag.len() > 4 && tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let (root, offer) = (server.url(""), offer.to_owned());
        Self { root, path, tag, offer, answer: opened.text().await.expect("text") }
    }

    async fn patch(&self, headers: &[(&'static str, &str)], body: &str) -> Response {
        self.send(Method::PATCH, headers, body).await
    }

    async fn send(&self, method: Method, headers: &[(&'static str, &str)], body: &str) -> Response {
        let mut all = vec![("content-type", FRAGMENT)];
        all.extend_from_slice(headers);
        self.send_as(method, &all, body).await
    }

    async fn send_as(
        &self,
        method: Method,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Response {
        request(&format!("{}{}", self.root, self.path), method, headers, body).await
    }

    async fn get(&self) -> Response {
        self.send_as(Method::GET, &[], "").await
    }

    /// False once the server has ended, too.
    async fn is_there(&self) -> bool {
        let answer = reqwest::get(format!("{}{}", self.root, self.path)).await;
        answer.is_ok_and(|answer| answer.status() == 204)
    }
}

async fn send(
    server: &Server,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Response {
    request(&server.url(path), method, headers, body).await
}

async fn request(
    url: &str,
    method: Method,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Response {
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        all.append(*name, value.parse().expect("a header"));
    }
    let request = Client::new().request(method, url).headers(all).body(body.to_owned());
    request.send().await.expect("the server answers")
}

fn header(answer: &Response, name: &str) -> String {
    let value = answer.headers().get(name).unwrap_or_else(|| panic!("no `{name}`: {answer:?}"));
    value.to_str().expect("text").to_owned()
}

async fn people(server: &Server) -> Vec<Value> {
    let url = server.url("/api/v1/rooms/lobby/participants");
    let people: Value = reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
    people.as_array().cloned().unwrap_or_else(|| panic!("{}", json!(people)))
}

/// A fragment with which ICE starts anew.
fn start(ufrag: &str) -> String {
    format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n")
}

fn line_of<'a>(text: &'a str, start: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    line.unwrap_or_else(|| panic!("no `{start}` in {text}"))
}

fn offer(direction: Direction) -> String {
    of_media(&[(MediaKind::Audio, direction)])
}

fn of_media(lines: &[(MediaKind, Direction)]) -> String {
    foldback_peer::install_crypto(Instant::now());
    let mut rtc = Rtc::builder().build(Instant::now());
    let mut api = rtc.sdp_api();
    for (kind, direction) in lines {
        api.add_media(*kind, *direction, None, None, None);
    }
    api.apply().expect("something was added").0.to_sdp_string()
}
