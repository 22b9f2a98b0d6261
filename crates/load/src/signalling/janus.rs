//! The HTTP API of Janus, as far as one joins a room of its AudioBridge by it. What takes Janus
//! some time it does not answer, but tells to who asks the session for news; whoever does not ask
//! is let go.

use std::hash::{DefaultHasher, Hash, Hasher};

use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Joined, Membership};

/// `JANUS_AUDIOBRIDGE_ERROR_ROOM_EXISTS` of the plugin: somebody else was the first.
const ROOM_EXISTS: u32 = 486;

pub(super) async fn join(
    server: &Url,
    room: &str,
    name: &str,
    offer: &str,
) -> Result<Joined, String> {
    let session = Session::open(server).await?;
    let number = number_of(room);
    let create = json!({
        "request": "create", "room": number, "description": room, "sampling_rate": 48_000,
    });
    session.message(create, Value::Null).await?;
    let join = json!({ "request": "join", "room": number, "display": name });
    session.message(join, Value::Null).await?;
    session.outcome_of("join").await?;
    let offer = json!({ "type": "offer", "sdp": offer });
    session.message(json!({ "request": "configure" }), offer).await?;
    let answer = session.outcome_of("configure").await?;
    let answer = answer.ok_or_else(|| format!("{server} answers no SDP to an offer"))?;
    // All candidates stand in the offer.
    let completed = json!({ "completed": true });
    session.api.ask(&session.handle, "trickle", json!({ "candidate": completed })).await?;
    let staying = tokio::spawn(session.stay());
    Ok(Joined { answer, membership: Membership(Some(staying.abort_handle())) })
}

/// Janus knows rooms by numbers above 0, unless it is set up for names.
fn number_of(room: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    room.hash(&mut hasher);
    (hasher.finish() as u32).max(1)
}

/// What Janus says, as far as it matters.
#[derive(Debug, Deserialize)]
struct FromJanus {
    /// Of the request that this comes of.
    transaction: Option<String>,
    /// Janus itself refuses.
    error: Option<Refusal>,
    /// What was made.
    data: Option<Made>,
    #[serde(rename = "plugindata")]
    plugin: Option<FromPlugin>,
    jsep: Option<Jsep>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    reason: String,
}

#[derive(Debug, Deserialize)]
struct Made {
    id: u64,
}

#[derive(Debug, Deserialize)]
struct FromPlugin {
    data: PluginData,
}

/// Of the AudioBridge, which refuses by it.
#[derive(Debug, Deserialize)]
struct PluginData {
    error_code: Option<u32>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Jsep {
    sdp: String,
}

impl FromJanus {
    /// Itself, or the reason if it is a refusal.
    fn granted(self) -> Result<Self, String> {
        if let Some(Refusal { reason }) = self.error {
            return Err(reason);
        }
        match &self.plugin {
            Some(FromPlugin { data: PluginData { error: Some(error), error_code } })
                if *error_code != Some(ROOM_EXISTS) =>
            {
                Err(error.clone())
            }
            _ => Ok(self),
        }
    }
}

/// A session with a handle at the AudioBridge.
struct Session {
    api: Api,
    /// Where there are news.
    news: String,
    /// Where the plugin is asked.
    handle: String,
}

impl Session {
    async fn open(server: &Url) -> Result<Self, String> {
        let api = Api { client: Client::new(), server: server.clone() };
        let root = server.as_str().trim_end_matches('/');
        let news = api.make(root, "create", json!({})).await?;
        let plugin = json!({ "plugin": "janus.plugin.audiobridge" });
        let handle = api.make(&news, "attach", plugin).await?;
        Ok(Self { api, news, handle })
    }

    /// Asks the AudioBridge, which may answer later: see [`Self::outcome_of`].
    async fn message(&self, body: Value, jsep: Value) -> Result<FromJanus, String> {
        let mut message = json!({ "transaction": body["request"], "body": body });
        if !jsep.is_null() {
            message["jsep"] = jsep;
        }
        self.api.ask(&self.handle, "message", message).await
    }

    /// Waits for what comes of a message to the AudioBridge. Returns the SDP in it, if there is some.
    async fn outcome_of(&self, request: &str) -> Result<Option<String>, String> {
        loop {
            let mut news = self.news().await?.into_iter();
            let is_of_it = |news: &FromJanus| news.transaction.as_deref() == Some(request);
            if let Some(outcome) = news.find(is_of_it) {
                return Ok(outcome.granted()?.jsep.map(|jsep| jsep.sdp));
            }
        }
    }

    /// Takes all news, unread: what a browser does with them costs the browser.
    async fn stay(self) {
        while self.news().await.is_ok() {}
    }

    /// Waits for the next news, for half a minute at most.
    async fn news(&self) -> Result<Vec<FromJanus>, String> {
        // As many at once as Janus' own client asks for.
        self.api.send(self.api.client.get(format!("{}?maxev=10", self.news))).await
    }
}

/// How Janus is spoken to.
struct Api {
    client: Client,
    server: Url,
}

impl Api {
    /// Has something made, and returns where it is.
    async fn make(&self, place: &str, what: &str, with: Value) -> Result<String, String> {
        let made = self.ask(place, what, with).await?.data;
        let made = made.ok_or_else(|| format!("{} gives no id for '{what}'", self.server))?;
        Ok(format!("{place}/{}", made.id))
    }

    async fn ask(&self, place: &str, what: &str, mut with: Value) -> Result<FromJanus, String> {
        with["janus"] = what.into();
        if with["transaction"].is_null() {
            with["transaction"] = what.into();
        }
        let answer: FromJanus = self.send(self.client.post(place).json(&with)).await?;
        answer.granted()
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, String> {
        let server = &self.server;
        // Without the numbers, so that those who failed alike are counted together.
        let broken = |error: reqwest::Error| format!("{server}: {}", error.without_url());
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("{server} answers {status}"));
        }
        let body = response.bytes().await.map_err(broken)?;
        let said = serde_json::from_slice(&body);
        said.map_err(|error| format!("{server} says what Janus does not say: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// What each request is answered with, by what it asks for; news are asked for by `GET`.
    type Answers = fn(&str) -> Option<Value>;

    /// A Janus of these answers, and what it was asked for.
    async fn janus(answers: Answers) -> (Url, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (path, what) = request(&mut stream).await;
                let answer = answers(&what).map(|answer| answer.to_string());
                heard.lock().expect("no panic").push(format!("{what} {path}"));
                let (status, body) = match answer {
                    Some(answer) => ("200 OK", answer),
                    None => ("404 Not Found", String::new()),
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        (Url::parse(&format!("http://{address}/janus")).expect("a URL"), asked)
    }

    /// The path of a request, and what it asks for.
    async fn request(stream: &mut TcpStream) -> (String, String) {
        let mut bytes = Vec::new();
        loop {
            stream.read_buf(&mut bytes).await.expect("a request");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            if head.starts_with("GET") {
                return (path, "news".to_owned());
            }
            let Ok(body) = serde_json::from_str::<Value>(body) else { continue };
            let what = body.pointer("/body/request").unwrap_or(&body["janus"]);
            return (path, what.as_str().unwrap_or_default().to_owned());
        }
    }

    /// As Janus 1.1.2 answers one who is not the first in a room.
    fn as_janus(what: &str) -> Option<Value> {
        let of_plugin = |data| json!({ "plugin": "janus.plugin.audiobridge", "data": data });
        let exists =
            json!({ "audiobridge": "event", "error_code": 486, "error": "Room 1 already exists" });
        let joined = json!({ "audiobridge": "joined", "room": 1, "id": 5, "participants": [] });
        let configured = json!({ "audiobridge": "event", "result": "ok" });
        let answer = json!({ "type": "answer", "sdp": "v=0 of Janus" });
        Some(match what {
            "create" | "attach" => json!({
                "janus": "success", "transaction": what, "data": { "id": 7 },
                "plugindata": of_plugin(exists),
            }),
            "news" => json!([
                { "janus": "webrtcup", "sender": 7 },
                { "janus": "event", "transaction": "join", "plugindata": of_plugin(joined) },
                {
                    "janus": "event", "transaction": "configure",
                    "plugindata": of_plugin(configured), "jsep": answer,
                },
            ]),
            _ => json!({ "janus": "ack", "transaction": what }),
        })
    }

    async fn refused(answers: Answers) -> String {
        let (server, _) = janus(answers).await;
        let error = join(&server, "room", "name", "v=0").await.expect_err("refused");
        error.replace(server.as_str(), "http://janus")
    }

    #[tokio::test]
    async fn who_is_not_the_first_in_a_room_joins_it_and_asks_on_for_news() {
        let (server, asked) = janus(as_janus).await;
        let joined = join(&server, "room", "name", "v=0").await.expect("joined");
        assert_eq!(joined.answer, "v=0 of Janus");
        let expected = [
            "create /janus",
            "attach /janus/7",
            "create /janus/7/7",
            "join /janus/7/7",
            "news /janus/7?maxev=10",
            "configure /janus/7/7",
            "news /janus/7?maxev=10",
            "trickle /janus/7/7",
            "news /janus/7?maxev=10",
        ];
        while asked.lock().expect("no panic").len() < expected.len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(asked.lock().expect("no panic")[..expected.len()], expected);
    }

    #[tokio::test]
    async fn a_refusal_of_janus_and_one_of_its_plugin_are_told_in_their_words() {
        let no_plugin = refused(|what| match what {
            "attach" => Some(json!({
                "janus": "error", "error": { "code": 460, "reason": "No such plugin" },
            })),
            _ => as_janus(what),
        });
        assert_eq!(no_plugin.await, "No such plugin");
        let no_room = refused(|what| match what {
            "news" => Some(json!([{
                "janus": "event", "transaction": "join",
                "plugindata": { "data": { "error_code": 485, "error": "No such room (1)" } },
            }])),
            _ => as_janus(what),
        });
        assert_eq!(no_room.await, "No such room (1)");
    }

    #[tokio::test]
    async fn what_is_no_janus_or_ends_the_session_is_told_by_what_it_answers() {
        assert_eq!(refused(|_| None).await, "http://janus answers 404 Not Found");
        let ended = refused(|what| as_janus(what).filter(|_| what != "news"));
        assert_eq!(ended.await, "http://janus answers 404 Not Found");
        let other = refused(|_| Some(json!("hello"))).await;
        assert!(other.starts_with("http://janus says what Janus does not say: "), "{other}");
        let idle = refused(|_| Some(json!({ "janus": "ack" }))).await;
        assert_eq!(idle, "http://janus gives no id for 'create'");
    }

    #[test]
    fn a_room_has_one_number_and_another_room_another() {
        assert_eq!(number_of("load-1"), number_of("load-1"));
        assert_ne!(number_of("load-1"), number_of("load-2"));
    }
}
