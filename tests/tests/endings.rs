//! How sessions end that nobody ended properly.

use std::time::{Duration, Instant};

use foldback_tests::Server;
use futures_util::{SinkExt, StreamExt};
use str0m::Rtc;
use str0m::media::{Direction, MediaKind};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

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
        let close = loop {
            match socket.next().await.expect("a close frame").expect("a message") {
                Message::Close(frame) => break frame.expect("a code"),
                _ => continue,
            }
        };
        assert_eq!(u16::from(close.code), 1001);
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
