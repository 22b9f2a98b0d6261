//! How sessions end that nobody ended properly.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use foldback_tests::{Server, foldback};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use str0m::Rtc;
use str0m::media::{Direction, MediaKind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_hang_up_while_they_are_answered_leave_no_rooms_behind() {
    let server = Server::start_with_file("clean.toml").await;
    let body = serde_json::json!({ "type": "offer", "sdp": audio_offer() }).to_string();
    let address = server.url("/").replace("http://", "").replace('/', "");
    for number in 0..40 {
        let path = if number % 2 == 0 { "/offer" } else { "/offer?room=ghosts&name=g" };
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut caller = TcpStream::connect(&address).await.expect("the server listens");
        caller.write_all(request.as_bytes()).await.expect("sends");
        // Sooner or later: somewhere between these the answer is being made.
        tokio::time::sleep(Duration::from_millis(number / 4)).await;
    }
    // None of them ever connects: they are let go when their time to do so is over.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let metrics = server.metrics().await;
        let left =
            metrics.total("foldback_rooms", &[]) + metrics.total("foldback_participants", &[]);
        let (joined, gone) = (count(&server, "joined"), count(&server, "left"));
        if left == 0.0 && joined == gone && joined > 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{gone} of {joined} are gone, {left} are counted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn count(server: &Server, word: &str) -> usize {
    server.log().matches(word).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_tells_every_socket() {
    let server = Server::start_with_file("clean.toml").await;
    let connect = || tokio_tungstenite::connect_async(server.websocket_url());
    let (mut idle, _) = connect().await.expect("connects");
    let (mut joined, _) = connect().await.expect("connects");
    let join = r#"{"type":"join","room":"r","name":"Ann"}"#;
    joined.send(Message::text(join)).await.expect("sends");
    joined.next().await.expect("an answer").expect("a message");
    server.terminate();
    for socket in [&mut idle, &mut joined] {
        assert_eq!(close_code(socket).await, 1001);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_asked_to_end_tells_twenty_in_three_rooms_and_lets_them_talk_until_its_deadline() {
    const PATIENCE: Duration = Duration::from_secs(4);
    let mut server = draining("4").await;
    let url = server.url("/");
    let load = Command::new(foldback())
        .args(["load", "--url", &url, "--rooms", "2", "--participants", "7", "--talkers", "2"])
        .args(["--room", "room", "--ramp", "100", "--seconds", "8", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.metrics().await.total("foldback_participants", &[]) < 14.0 {
        assert!(Instant::now() < deadline, "not all join");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut sockets = Vec::new();
    for room in ["room-1", "room-2", "room-3"] {
        for name in ["Ann", "Bob"] {
            sockets.push(joined(&server, room, name).await);
        }
    }

    let start = Instant::now();
    server.terminate();
    for socket in &mut sockets {
        let told = next_of(socket, "draining").await;
        assert_eq!(told["seconds_left"], 4, "{told}");
    }
    let ready = reqwest::get(server.url("/readyz")).await.expect("it answers");
    assert_eq!(ready.status(), 503);
    assert_eq!(ready.text().await.expect("a text"), "draining\n");
    let (mut late, _) =
        tokio_tungstenite::connect_async(server.websocket_url()).await.expect("connects");
    let join = r#"{"type":"join","room":"room-1","name":"Cleo"}"#;
    late.send(Message::text(join)).await.expect("sends");
    assert_eq!(next_of(&mut late, "error").await["code"], "draining");
    let offer = serde_json::json!({ "type": "offer", "sdp": audio_offer() });
    let offer = reqwest::Client::new().post(server.url("/offer?room=r&name=n")).json(&offer);
    let refused = offer.send().await.expect("it answers");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"), "{:?}", refused.headers());

    let mixed = async || server.metrics().await.total("foldback_datagrams_sent_total", &[]);
    let before = mixed().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let sent = mixed().await - before;
    assert!(sent > 14.0 * 50.0, "the rooms go on: {sent} packets in 2 s");

    for socket in sockets.iter_mut().chain([&mut late]) {
        assert_eq!(close_code(socket).await, 1001);
    }
    assert!(start.elapsed() >= PATIENCE, "not before its time: {:?}", start.elapsed());
    let status = server.ended(Duration::from_secs(3)).await;
    assert!(status.success(), "{status}");
    let took = start.elapsed();
    assert!(took < PATIENCE + Duration::from_secs(2), "{took:?}");
    assert!(!server.log().contains("panicked"), "{}", server.log());

    let load = load.wait_with_output().expect("it ends");
    let report: Value = serde_json::from_slice(&load.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&load.stderr));
    });
    assert_eq!(report["joining"]["broken_off"], 14, "media was told too: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_asked_to_end_does_so_once_everybody_has_left() {
    let mut server = draining("60").await;
    let mut ann = joined(&server, "room", "Ann").await;
    server.terminate();
    next_of(&mut ann, "draining").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    ann.send(Message::text(r#"{"type":"leave"}"#)).await.expect("sends");
    assert_eq!(close_code(&mut ann).await, 1000);
    let status = server.ended(Duration::from_secs(3)).await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_asked_to_end_twice_waits_no_more() {
    let mut server = draining("60").await;
    let mut ann = joined(&server, "room", "Ann").await;
    server.terminate();
    next_of(&mut ann, "draining").await;
    server.terminate();
    assert_eq!(close_code(&mut ann).await, 1001);
    let status = server.ended(Duration::from_secs(3)).await;
    assert!(status.success(), "{status}");
}

async fn draining(seconds: &str) -> Server {
    let config = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n";
    Server::start_with(config, &[("FOLDBACK_SERVER_DRAIN_SECONDS", seconds)]).await
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn joined(server: &Server, room: &str, name: &str) -> Socket {
    let (mut socket, _) =
        tokio_tungstenite::connect_async(server.websocket_url()).await.expect("connects");
    let join = serde_json::json!({ "type": "join", "room": room, "name": name });
    socket.send(Message::text(join.to_string())).await.expect("sends");
    next_of(&mut socket, "joined").await;
    socket
}

/// The next message of that type; others are passed over.
async fn next_of(socket: &mut Socket, kind: &str) -> Value {
    let found = async {
        loop {
            let message = socket.next().await.expect("a message").expect("a message");
            let Message::Text(text) = message else { panic!("{message:?} instead of {kind}") };
            let message: Value = serde_json::from_str(&text).expect("JSON");
            if message["type"] == kind {
                return message;
            }
        }
    };
    timeout(Duration::from_secs(5), found).await.unwrap_or_else(|_| panic!("no {kind}"))
}

async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        match socket.next().await.expect("a close frame").expect("a message") {
            Message::Close(frame) => return frame.expect("a code").code.into(),
            _ => continue,
        }
    }
}

fn audio_offer() -> String {
    let now = Instant::now();
    foldback_peer::install_crypto(now);
    let mut rtc = Rtc::builder().build(now);
    let mut api = rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
    api.apply().expect("a line was added").0.to_sdp_string()
}
