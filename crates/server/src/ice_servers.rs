//! STUN and TURN servers as clients are told of them, with credentials that are good for a while.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use axum::http::HeaderValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use foldback_config::{IceConfig, Secret, TurnSecret};
use serde::{Serialize, Serializer};

/// An `RTCIceServer` (W3C WebRTC, section 4.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IceServer {
    /// Where it is.
    pub urls: Vec<String>,
    /// What a TURN server is shown.
    #[serde(flatten)]
    pub credentials: Option<Credentials>,
}

/// Credentials for a TURN server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// Until when they are good, in seconds since 1970, and for whom.
    pub username: String,
    /// The password.
    #[serde(serialize_with = "expose")]
    pub credential: Secret,
}

/// The servers of a configuration for a client that they know as `name`, from `now` on.
#[must_use]
pub fn ice_servers(config: &IceConfig, name: &str, now: SystemTime) -> Vec<IceServer> {
    let servers = config.servers.iter().map(|server| {
        let credentials = server.turn.as_ref().map(|turn| Credentials::new(turn, name, now));
        IceServer { urls: server.urls.clone(), credentials }
    });
    servers.collect()
}

impl IceServer {
    /// As `Link`s of an HTTP response (RFC 9725, section 4.6), one for each address; what no header can have is left out.
    pub(crate) fn links(&self) -> impl Iterator<Item = HeaderValue> {
        let login = self.credentials.as_ref().map(|Credentials { username, credential }| {
            let [username, credential] = [username, credential.expose()].map(quoted);
            format!("; username={username}; credential={credential}; credential-type=\"password\"")
        });
        self.urls.iter().filter_map(move |url| {
            let more = login.as_deref().unwrap_or_default();
            let mut link =
                HeaderValue::try_from(format!("<{url}>; rel=\"ice-server\"{more}")).ok()?;
            link.set_sensitive(login.is_some());
            Some(link)
        })
    }
}

/// A quoted string (RFC 9110, section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Credentials {
    /// As TURN servers check them that have the same secret: coturn with `use-auth-secret`
    /// (draft-uberti-behave-turn-rest-00, section 2.2).
    fn new(turn: &TurnSecret, name: &str, now: SystemTime) -> Self {
        let until = now + Duration::from_secs(turn.ttl_seconds.into());
        let seconds = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let username = format!("{seconds}:{name}");
        let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, turn.secret.expose().as_bytes());
        let credential = BASE64_STANDARD.encode(sign(&key, username.as_bytes())).into();
        Self { username, credential }
    }
}

fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[cfg(test)]
mod tests {
    use foldback_config::IceServer as Configured;
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_those_of_the_rest_scheme_and_show_themselves_to_the_client_alone() {
        let turn = TurnSecret { secret: "north".to_owned().into(), ttl_seconds: 600 };
        let config = IceConfig {
            servers: vec![
                Configured { urls: vec!["stun:a.example".into()], turn: None },
                Configured { urls: vec!["turn:b.example".into()], turn: Some(turn) },
            ],
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let servers = ice_servers(&config, "7", now);
        // printf 1800000600:7 | openssl dgst -sha1 -hmac north -binary | base64
        let credential = "Ym/Q30dsF8CLlyOFI/XdNGeWmrE=";
        let expected = json!([
            { "urls": ["stun:a.example"] },
            { "urls": ["turn:b.example"], "username": "1800000600:7", "credential": credential },
        ]);
        assert_eq!(serde_json::to_value(&servers).expect("JSON"), expected);
        assert!(!format!("{servers:?}").contains(credential), "{servers:?}");
    }

    #[test]
    fn servers_are_links_with_what_they_ask_for() {
        let stun = IceServer { urls: vec!["stun:stun.example.net".to_owned()], credentials: None };
        let links: Vec<_> = stun.links().collect();
        assert_eq!(links, ["<stun:stun.example.net>; rel=\"ice-server\""]);
        let (username, credential) = ("17:ann".to_owned(), Secret::from("a\"b\\c".to_owned()));
        let urls = ["turn:t.example?transport=udp", "turns:t.example"].map(str::to_owned).to_vec();
        let turn = IceServer { urls, credentials: Some(Credentials { username, credential }) };
        let links: Vec<_> = turn.links().collect();
        let login = "username=\"17:ann\"; credential=\"a\\\"b\\\\c\"; credential-type=\"password\"";
        assert_eq!(
            links,
            [
                format!("<turn:t.example?transport=udp>; rel=\"ice-server\"; {login}"),
                format!("<turns:t.example>; rel=\"ice-server\"; {login}"),
            ]
        );
        assert!(!format!("{links:?}").contains("17:ann"), "it is not to be logged");
    }
}
