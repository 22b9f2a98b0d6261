//! What the server answers over its signalling socket, without a browser.

use std::time::Duration;

use foldback_tests::Server;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

#[tokio::test]
async fn malformed_messages_get_an_error_and_the_socket_stays_usable() {
    let server = Server::start_with_file("clean.toml").await;
    let mut socket = Socket::connect(&server).await;
    let long_name = "x".repeat(65);
    // (message, code)
    let mistakes = [
        ("".to_owned(), "bad-json"),
        ("{".to_owned(), "bad-json"),
        ("[1]".to_owned(), "bad-json"),
        ("{}".to_owned(), "missing-field"),
        (json!({ "type": "jion" }).to_string(), "unknown-type"),
        (json!({ "type": "join", "room": "r" }).to_string(), "missing-field"),
        (json!({ "type": "join", "room": "no room", "name": "Ann" }).to_string(), "bad-room"),
        (json!({ "type": "join", "room": "r", "name": "  " }).to_string(), "bad-name"),
        (json!({ "type": "join", "room": "r", "name": long_name }).to_string(), "bad-name"),
        (json!({ "type": "offer", "sdp": "v=0" }).to_string(), "not-joined"),
        (json!({ "type": "mute", "muted": true }).to_string(), "not-joined"),
        (json!({ "type": "spare", "kinds": [] }).to_string(), "not-joined"),
    ];
    for (message, code) in mistakes {
        socket.say(Message::text(message.as_str())).await;
        let answer = socket.next("error").await;
        assert_eq!(answer["code"], code, "{message}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|text| text.len() > 10), "{answer}");
    }
    socket.say(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(socket.next("error").await["code"], "bad-json");

    socket
        .say(Message::text(json!({ "type": "join", "room": "r", "name": "Ann" }).to_string()))
        .await;
    let joined = socket.next("joined").await;
    assert_eq!(joined["participants"][0]["name"], "Ann", "{joined}");
    assert_eq!(joined["chain"]["name"], "clean", "{joined}");

    // (message, code), now from within the room
    let mistakes = [
        (json!({ "type": "join", "room": "r", "name": "Ann" }), "already-joined"),
        (json!({ "type": "offer", "sdp": "v=0" }), "bad-sdp"),
        (json!({ "type": "candidate" }), "missing-field"),
        (json!({ "type": "mute" }), "missing-field"),
        (json!({ "type": "mute", "muted": "yes" }), "bad-json"),
        (json!({ "type": "spare" }), "missing-field"),
        (json!({ "type": "spare", "kinds": ["mix"] }), "bad-stage"),
    ];
    for (message, code) in mistakes {
        socket.say(Message::text(message.to_string())).await;
        let answer = socket.next("error").await;
        assert_eq!(answer["code"], code, "{message}: {answer}");
    }
    socket.say(Message::text(json!({ "type": "leave" }).to_string())).await;
    assert_eq!(socket.close_code().await, Some(1000));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_told_and_ends_the_socket() {
    let server = Server::start_with_file("clean.toml").await;
    let mut socket = Socket::connect(&server).await;
    let sdp = "x".repeat(300 * 1024);
    socket.say(Message::text(json!({ "type": "offer", "sdp": sdp }).to_string())).await;
    assert_eq!(socket.next("error").await["code"], "too-large");
    assert_eq!(socket.close_code().await, Some(1009));
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn connect(server: &Server) -> Self {
        let connected = tokio_tungstenite::connect_async(server.websocket_url()).await;
        Self(connected.expect("the server takes sockets").0)
    }

    async fn say(&mut self, message: Message) {
        self.0.send(message).await.expect("the socket is open");
    }

    /// The next message of this type.
    async fn next(&mut self, kind: &str) -> Value {
        loop {
            let message = self.receive().await.unwrap_or_else(|| panic!("closed before {kind}"));
            if let Message::Text(text) = message {
                let value: Value = serde_json::from_str(&text).expect("the server speaks JSON");
                if value["type"] == kind {
                    return value;
                }
            }
        }
    }

    /// The code with which the server closes; `None` where it just ends.
    async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.receive().await? {
                Message::Close(frame) => return frame.map(|frame| frame.code.into()),
                _ => continue,
            }
        }
    }

    async fn receive(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(Duration::from_secs(5), self.0.next()).await;
        next.expect("a message within 5 s")?.ok()
    }
}
