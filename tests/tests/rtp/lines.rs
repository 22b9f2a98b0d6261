//! What requests are answered with, and what becomes of packets.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use foldback_tests::{RtcClient, Server};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use super::{people, server};

const LINES: &str = "/api/v1/rooms/lobby/rtp";

/// A tool on a line, in µ-law.
struct Tool {
    socket: UdpSocket,
    server: SocketAddr,
    location: String,
    told: Value,
    seq: u16,
    ssrc: u32,
}

impl Tool {
    async fn open(server: &Server, mut wanted: Value) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(1))).expect("not zero");
        if wanted["latch"] != true {
            wanted["remote"] = socket.local_addr().expect("bound").to_string().into();
        }
        let answer = send(server, Method::POST, LINES, &wanted.to_string()).await;
        assert_eq!(answer.status(), 201, "{wanted}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let location = answer.headers()["location"].to_str().expect("text").to_owned();
        let told: Value = answer.json().await.expect("JSON");
        let server = told["local"].as_str().expect("text").parse().expect("an address");
        Self { socket, server, location, told, seq: 65_500, ssrc: 7 }
    }

    fn packet(&mut self, payload_type: u8) -> Vec<u8> {
        self.seq = self.seq.wrapping_add(1);
        let time = u32::from(self.seq) * 160;
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.seq.to_be_bytes());
        packet.extend(time.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        // A square wave of 500 Hz.
        packet.extend((0..160).map(|i| if i / 8 % 2 == 0 { 0x9f } else { 0x1f }));
        packet
    }

    fn send(&mut self) {
        let packet = self.packet(0);
        self.socket.send_to(&packet, self.server).expect("sent");
    }

    /// Sends for so long, and returns what comes.
    async fn talk(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let mut came = Vec::new();
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.send();
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.read(&mut came);
        }
        came
    }

    fn read(&self, into: &mut Vec<Vec<u8>>) {
        let mut buffer = [0; 2000];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            assert_eq!(from, self.server, "from where it is sent to");
            into.push(buffer[..length].to_vec());
        }
    }
}

fn is_rtcp(packet: &[u8]) -> bool {
    (192..=223).contains(&packet[1])
}

async fn send(server: &Server, method: Method, path: &str, body: &str) -> Response {
    let request = Client::new().request(method, server.url(path)).body(body.to_owned());
    request.send().await.expect("an answer")
}

async fn wait_for_people(server: &Server, count: usize, patience: Duration) -> Duration {
    let begun = Instant::now();
    while people(server).await.len() != count {
        assert!(begun.elapsed() < patience, "not {count} after {patience:?}: {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

async fn received_of(server: &Server, name: &str) -> u64 {
    // The figures are of the last second.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let people = people(server).await;
    let person = people.iter().find(|person| person["name"] == name);
    person.and_then(|person| person["inbound"]["packetsReceived"].as_u64()).unwrap_or_default()
}

async fn dropped(server: &Server, cause: &str) -> f64 {
    server.metrics().await.total("foldback_rtp_datagrams_dropped_total", &[("cause", cause)])
}

#[tokio::test]
async fn a_line_is_opened_shown_and_ended_and_then_there_is_none() {
    let server = server("").await;
    let mut tool = Tool::open(&server, json!({ "codec": "PCMU", "name": "Gate" })).await;
    let came = tool.talk(Duration::from_millis(400)).await;
    let voice: Vec<_> = came.iter().filter(|it| !is_rtcp(it)).collect();
    assert!(voice.len() > 10, "{} packets", voice.len());
    let ssrc = u32::try_from(tool.told["ssrc"].as_u64().expect("a number")).expect("32 bits");
    for pair in voice.windows(2) {
        let of = |packet: &[u8], from: usize| -> u32 {
            packet[from..from + 4].iter().fold(0, |all, byte| all << 8 | u32::from(*byte))
        };
        assert_eq!((pair[0].len(), pair[0][1] & 0x7f, of(pair[0], 8)), (172, 0, ssrc));
        assert_eq!(of(pair[1], 4).wrapping_sub(of(pair[0], 4)), 160);
        assert_eq!((of(pair[1], 0) as u16).wrapping_sub(of(pair[0], 0) as u16), 1);
    }
    assert_eq!(people(&server).await[0]["name"], "Gate");
    let shown: Value =
        send(&server, Method::GET, &tool.location, "").await.json().await.expect("JSON");
    assert_eq!(shown, tool.told);
    let request = Client::new().get(server.url(&tool.location)).header("accept", "application/sdp");
    let described = request.send().await.expect("an answer").text().await.expect("text");
    let port = tool.socket.local_addr().expect("bound").port();
    assert!(described.contains(&format!("m=audio {port} RTP/AVP 0\r\n")), "{described}");

    assert_eq!(send(&server, Method::DELETE, &tool.location, "").await.status(), 204);
    wait_for_people(&server, 0, Duration::from_secs(2)).await;
    let mut last = Vec::new();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tool.read(&mut last);
    let goodbye = last.last().expect("a goodbye");
    assert!(is_rtcp(goodbye) && goodbye.contains(&203), "{goodbye:?}");
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(send(&server, method, &tool.location, "").await.status(), 404);
    }
    let key = tool.location.rsplit('/').next().expect("a path");
    assert!(key.len() == 48 && !server.log().contains(key), "the log has the key of a line");
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_and_leaves_nobody_behind() {
    let rest = "[auth]\nopen = true\n[[room]]\nname = \"board\"\nchain = \"talk\"\npin = \"471100\"\n\
        [[room]]\nname = \"lobby\"\nchain = \"talk\"\n";
    let server = server(rest).await;
    for (path, body, status, code) in [
        (LINES, "hello", 400, "bad-json"),
        (LINES, r#"{"codec":"G729","latch":true}"#, 400, "missing-field"),
        (LINES, r#"{"codec":"PCMU"}"#, 422, "bad-value"),
        (LINES, r#"{"codec":"PCMU","remote":"203.0.113.7:9000"}"#, 403, "forbidden"),
        (LINES, r#"{"codec":"PCMU","latch":true,"name":"\u0007"}"#, 422, "bad-name"),
        ("/api/v1/rooms/no%20room/rtp", r#"{"codec":"PCMU","latch":true}"#, 422, "bad-room"),
        ("/api/v1/rooms/hall/rtp", r#"{"codec":"PCMU","latch":true}"#, 422, "bad-room"),
    ] {
        let answer = send(&server, Method::POST, path, body).await;
        assert_eq!(answer.status(), status, "{body}");
        let error: Value = answer.json().await.expect("JSON");
        assert_eq!(error["code"], code, "{body}: {error}");
    }
    // A name in front that is not this machine's: whoever comes so is no operator.
    for (shown, status) in [(None, 403), (Some("Bearer 0000"), 403), (Some("Bearer 471100"), 201)] {
        let body = r#"{"codec":"PCMU","latch":true}"#;
        let mut request = Client::new().post(server.url("/api/v1/rooms/board/rtp")).body(body);
        request = request.header("x-forwarded-for", "192.0.2.9");
        if let Some(shown) = shown {
            request = request.header("authorization", shown);
        }
        assert_eq!(request.send().await.expect("an answer").status(), status, "{shown:?}");
    }
    let page = Client::new().post(server.url(LINES)).header("origin", "https://evil.example");
    let page = page.body(r#"{"codec":"PCMU","latch":true}"#).send().await.expect("an answer");
    assert_eq!(page.status(), 403);
    assert_eq!(people(&server).await, Vec::<Value>::new());
    let off = Server::start("[chain.talk]\nstages = [{ kind = \"mix\" }]\n").await;
    let answer = send(&off, Method::POST, LINES, r#"{"codec":"PCMU","latch":true}"#).await;
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.json::<Value>().await.expect("JSON")["code"], "rtp-off");
}

#[tokio::test]
async fn as_many_lines_are_open_as_there_are_ports_and_one_that_ended_makes_room() {
    let server = server("").await;
    let mut tools = Vec::new();
    for _ in 0..8 {
        let body = r#"{"codec":"PCMU","latch":true}"#;
        let answer = send(&server, Method::POST, LINES, body).await;
        if answer.status() == 503 {
            break;
        }
        tools.push(answer.headers()["location"].to_str().expect("text").to_owned());
    }
    assert!(tools.len() > 1, "some ports were free");
    let full = send(&server, Method::POST, LINES, r#"{"codec":"PCMU","latch":true}"#).await;
    assert_eq!(full.status(), 503);
    assert_eq!(full.json::<Value>().await.expect("JSON")["code"], "server-full");
    assert_eq!(people(&server).await.len(), tools.len(), "who found no port is not there");
    assert_eq!(send(&server, Method::DELETE, &tools[0], "").await.status(), 204);
    tokio::time::sleep(Duration::from_millis(100)).await;
    Tool::open(&server, json!({ "codec": "PCMU" })).await;
}

#[tokio::test]
async fn junk_and_strangers_take_nobodys_place_and_are_counted() {
    let server = server("").await;
    for wanted in [
        json!({ "codec": "PCMU", "name": "Gate" }),
        json!({ "codec": "PCMU", "name": "Gate", "latch": true }),
    ] {
        let mut tool = Tool::open(&server, wanted).await;
        let _ = tool.talk(Duration::from_millis(200)).await;
        let (foreign, malformed) =
            (dropped(&server, "foreign").await, dropped(&server, "malformed").await);
        let before = received_of(&server, "Gate").await;
        assert!(before > 5, "{before}");
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let mut came = Vec::new();
        for round in 0..50_u8 {
            let mut forged = tool.packet(0);
            forged[3] = forged[3].wrapping_add(100);
            for junk in [
                &forged[..],
                &[],
                &[0x80],
                &[round; 700],
                b"\x00\x01\x00\x00!\x12\xa4\x42aaaaaaaaaaaa",
            ] {
                stranger.send_to(junk, tool.server).expect("sent");
            }
            // From the right place too.
            for junk in [&[0x80, 0, 1][..], &[0xff; 300], &[0x80, 200, 0, 6, 1, 2, 3, 4]] {
                tool.socket.send_to(junk, tool.server).expect("sent");
            }
            came.extend(tool.talk(Duration::from_millis(20)).await);
        }
        let after = received_of(&server, "Gate").await;
        assert!((45..=60).contains(&(after - before)), "{before} {after}");
        assert!(dropped(&server, "foreign").await - foreign >= 190.0);
        assert!(dropped(&server, "malformed").await - malformed >= 100.0);
        assert!(came.len() > 40, "{}", came.len());
        let mut none = [0; 100];
        stranger.set_nonblocking(true).expect("a socket");
        assert!(stranger.recv_from(&mut none).is_err(), "nothing goes to a stranger");
        send(&server, Method::DELETE, &tool.location, "").await;
        wait_for_people(&server, 0, Duration::from_secs(2)).await;
    }
    assert!(!server.log().contains("panic"), "{}", server.log());
}

#[tokio::test]
async fn another_stream_another_count_and_keys_of_a_telephone_do_not_end_a_call() {
    let server = server("").await;
    let mut tool = Tool::open(&server, json!({ "codec": "PCMU", "name": "Gate" })).await;
    // It begins before its count wraps.
    let _ = tool.talk(Duration::from_millis(1_000)).await;
    let first = received_of(&server, "Gate").await;
    tool.ssrc = 8;
    tool.seq = 31_000;
    let _ = tool.talk(Duration::from_millis(600)).await;
    let second = received_of(&server, "Gate").await;
    assert!(second > first + 10, "{first} {second}");
    tool.seq = 2_000;
    let _ = tool.talk(Duration::from_millis(600)).await;
    let third = received_of(&server, "Gate").await;
    assert!(third > second + 10, "{second} {third}");
    for payload_type in [101, 13] {
        let packet = tool.packet(payload_type);
        tool.socket.send_to(&packet, tool.server).expect("sent");
    }
    let _ = tool.talk(Duration::from_millis(200)).await;
    assert!(received_of(&server, "Gate").await > third);
    assert_eq!(dropped(&server, "payload_type").await, 2.0);
}

#[tokio::test]
async fn a_goodbye_or_a_silence_ends_a_line() {
    let server = server("timeout_seconds = 3\n").await;
    let mut tool = Tool::open(&server, json!({ "codec": "PCMU", "latch": true })).await;
    let _ = tool.talk(Duration::from_millis(300)).await;
    tool.socket
        .send_to(&[0x80, 201, 0, 1, 0, 0, 0, 7, 0x81, 203, 0, 1, 0, 0, 0, 7], tool.server)
        .expect("sent");
    let took = wait_for_people(&server, 0, Duration::from_secs(10)).await;
    assert!(took > Duration::from_millis(1_000), "another stream could have followed: {took:?}");
    let mut tool = Tool::open(&server, json!({ "codec": "PCMU" })).await;
    let _ = tool.talk(Duration::from_millis(300)).await;
    let took = wait_for_people(&server, 0, Duration::from_secs(10)).await;
    assert!(took > Duration::from_millis(2_000), "{took:?}");
    assert_eq!(send(&server, Method::GET, &tool.location, "").await.status(), 404);
    // Who only listens is not missed.
    let tool = Tool::open(&server, json!({ "codec": "PCMU", "direction": "recvonly" })).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(people(&server).await[0]["role"], "listener");
    let mut came = Vec::new();
    tool.read(&mut came);
    assert!(came.len() > 100, "{}", came.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_muted_by_an_operator_is_not_heard_on_the_line_any_more() {
    let server = server("").await;
    let (mut talker, id) = RtcClient::join(&server, "lobby", "Ann", None).await;
    let tool = Tool::open(&server, json!({ "codec": "PCMU", "direction": "recvonly" })).await;
    let loudness = async |talker: &mut RtcClient| {
        tokio::task::block_in_place(|| talker.talk_for(Duration::from_secs(1)));
        let mut came = Vec::new();
        tool.read(&mut came);
        let voice = came.iter().filter(|it| !is_rtcp(it)).rev().take(25).flat_map(|it| &it[12..]);
        // Of µ-law what is no silence has a segment of its own.
        voice.filter(|byte| !**byte >> 4 & 7 > 2).count()
    };
    assert!(loudness(&mut talker).await > 200);
    let path = format!("/api/v1/rooms/lobby/participants/{id}/mute");
    let muted = send(&server, Method::PUT, &path, "{\"muted\":true}").await;
    assert!(muted.status().is_success(), "{}", muted.status());
    let _ = loudness(&mut talker).await;
    assert_eq!(loudness(&mut talker).await, 0);
}
