//! How clients join: the one part that knows what server it is.

mod janus;

use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::task::AbortHandle;
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::plan::Signalling;

/// A participant is in its room as long as this is kept.
#[derive(Debug)]
pub(crate) struct Membership(Option<AbortHandle>);

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(reading) = &self.0 {
            reading.abort();
        }
    }
}

/// What a server answers to an offer.
#[derive(Debug)]
pub(crate) struct Joined {
    /// SDP.
    pub(crate) answer: String,
    /// What keeps the participant in.
    pub(crate) membership: Membership,
}

/// Where a client is to be, and as whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) room: &'a str,
    pub(crate) pin: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) name: &'a str,
}

/// Brings an offer to a server, for one who is to be at `place`. Janus is told neither PIN nor token.
///
/// # Errors
/// Why it did not: the server's own words where it said some.
pub(crate) async fn join(
    signalling: Signalling,
    server: &Url,
    place: Place<'_>,
    offer: &str,
) -> Result<Joined, String> {
    match signalling {
        Signalling::WebSocket => over_websocket(server, place, offer).await,
        Signalling::Offer => by_offer(server, place, offer).await,
        Signalling::Janus => janus::join(server, place.room, place.name, offer).await,
    }
}

/// A message of `docs/signalling.md`, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum FromServer {
    Answer {
        sdp: String,
    },
    Error {
        message: String,
    },
    #[serde(other)]
    Other,
}

async fn over_websocket(server: &Url, place: Place<'_>, offer: &str) -> Result<Joined, String> {
    let mut url = server.join("/ws").map_err(|error| error.to_string())?;
    url.set_scheme("ws").map_err(|()| format!("{url} is no address of a WebSocket"))?;
    let connected = tokio_tungstenite::connect_async(url.as_str()).await;
    let (mut socket, _) = connected.map_err(|error| {
        match &error {
            Error::Http(response) => refusal(response.body().as_deref().unwrap_or_default()),
            _ => None,
        }
        .unwrap_or_else(|| format!("{url}: {error}"))
    })?;
    let Place { room, pin, token, name } = place;
    let join = json!({ "type": "join", "room": room, "name": name, "pin": pin, "token": token });
    let offer = json!({ "type": "offer", "sdp": offer });
    let broken = |error| format!("{url} broke off: {error}");
    for message in [join, offer] {
        socket.send(Message::text(message.to_string())).await.map_err(broken)?;
    }
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message.map_err(broken)? else { continue };
        match serde_json::from_str(&text) {
            Ok(FromServer::Answer { sdp }) => {
                let reading = tokio::spawn(read_on(socket.into_inner()));
                let membership = Membership(Some(reading.abort_handle()));
                return Ok(Joined { answer: sdp, membership });
            }
            Ok(FromServer::Error { message }) => return Err(message),
            Ok(FromServer::Other) => {}
            Err(error) => return Err(format!("{url} says what is no message: {error}")),
        }
    }
    Err(format!("{url} was closed without an answer"))
}

/// Takes all that the server tells, unread: what a browser does with it costs the browser.
async fn read_on(mut stream: MaybeTlsStream<tokio::net::TcpStream>) {
    let mut buffer = vec![0; 1 << 16];
    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}

async fn by_offer(server: &Url, place: Place<'_>, offer: &str) -> Result<Joined, String> {
    #[derive(Deserialize)]
    struct Answer {
        sdp: String,
    }
    let url = server.join("/offer").map_err(|error| error.to_string())?;
    let mut whose = url.clone();
    whose.query_pairs_mut().append_pair("room", place.room).append_pair("name", place.name);
    let offer = json!({ "type": "offer", "sdp": offer });
    let request = reqwest::Client::new().post(whose).json(&offer);
    let request = match place {
        Place { token: Some(token), .. } => request.bearer_auth(token),
        Place { pin: Some(pin), .. } => request.basic_auth("", Some(pin)),
        _ => request,
    };
    let sent = request.send().await;
    // Without the name, so that those who failed alike are counted together.
    let broken = |error: reqwest::Error| format!("{url}: {}", error.without_url());
    let response = sent.map_err(broken)?;
    let status = response.status();
    let body = response.bytes().await.map_err(broken)?;
    if !status.is_success() {
        return Err(refusal(&body).unwrap_or_else(|| format!("{url} answers {status}")));
    }
    let answer = serde_json::from_slice::<Answer>(&body);
    let answer = answer.map_err(|error| format!("{url} answers what is no answer: {error}"))?;
    Ok(Joined { answer: answer.sdp, membership: Membership(None) })
}

/// The sentence in the body of a refusal.
fn refusal(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_slice(body).ok().map(|Refusal { message }| message)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every request with these bytes.
    async fn server(answer: &'static str) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Url::parse(&format!("http://{address}")).expect("a URL")
    }

    async fn refused(signalling: Signalling, answer: &'static str) -> String {
        let server = server(answer).await;
        let place = Place { room: "room", pin: None, token: None, name: "name" };
        let joined = join(signalling, &server, place, "v=0").await;
        let error = joined.expect_err("refused");
        error
            .replace(server.as_str(), "http://server/")
            .replace(&server.as_str().replace("http", "ws"), "ws://server/")
    }

    #[tokio::test]
    async fn who_is_refused_hears_the_reason_of_the_server_whichever_way_they_came() {
        let full = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 39\r\n\
                    Connection: close\r\n\r\n{\"code\":\"full\",\"message\":\"It is full.\"}\n";
        for signalling in [Signalling::WebSocket, Signalling::Offer] {
            assert_eq!(refused(signalling, full).await, "It is full.", "{signalling:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_foldback_is_told_by_what_it_answers() {
        let other = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let error = refused(Signalling::WebSocket, other).await;
        assert_eq!(error, "ws://server/ws: HTTP error: 404 Not Found");
        let error = refused(Signalling::Offer, other).await;
        assert_eq!(error, "http://server/offer answers 404 Not Found");
    }
}
