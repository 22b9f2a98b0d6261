//! A client of the signalling socket without audio.

use std::time::Duration;

use foldback_tests::Server;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A signalling socket.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::with_headers(server, &[]).await.expect("the server takes sockets")
    }

    /// Connects with these headers.
    pub(crate) async fn with_headers(
        server: &Server,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut request = server.websocket_url().into_client_request().expect("a URL");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        Ok(Self(tokio_tungstenite::connect_async(request).await?.0))
    }

    /// Says `message` and returns what comes of it: `joined` or `error`.
    pub(crate) async fn join(&mut self, message: Value) -> Value {
        self.say(Message::text(message.to_string())).await;
        loop {
            let answer = self.message().await;
            if ["joined", "error"].iter().any(|kind| answer["type"] == *kind) {
                return answer;
            }
        }
    }

    pub(crate) async fn say(&mut self, message: Message) {
        self.0.send(message).await.expect("the socket is open");
    }

    /// The next message of this type.
    pub(crate) async fn next(&mut self, kind: &str) -> Value {
        loop {
            let message = self.message().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The next message, whatever it is.
    pub(crate) async fn message(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.receive().await.expect("the socket stays open") {
                return serde_json::from_str(&text).expect("the server speaks JSON");
            }
        }
    }

    /// The code with which the server closes; `None` where it just ends.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
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
