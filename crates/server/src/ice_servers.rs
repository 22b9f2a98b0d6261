//! STUN and TURN servers as clients are told of them, with credentials that are good for a while.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
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
}
