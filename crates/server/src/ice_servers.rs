//! The STUN and TURN servers that clients are told of.

use std::fmt::Write as _;

use axum::http::HeaderValue;
use foldback_config::Config;

/// A STUN or TURN server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IceServer {
    /// As `stun:` (RFC 7064) or `turn:` (RFC 7065) URI.
    pub(crate) uri: String,
    /// What a TURN server asks for.
    pub(crate) login: Option<IceLogin>,
}

/// A long-term credential (RFC 8489, section 9.2).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IceLogin {
    pub(crate) username: String,
    pub(crate) credential: String,
}

/// Those for a client that comes now, in the order of preference. There are none to configure: media sockets are reached directly.
pub(crate) fn for_client(_: &Config) -> Vec<IceServer> {
    Vec::new()
}

impl IceServer {
    /// As a `Link` of an HTTP response (RFC 9725, section 4.6). `None` if it has what no header can.
    pub(crate) fn link(&self) -> Option<HeaderValue> {
        let mut link = format!("<{}>; rel=\"ice-server\"", self.uri);
        if let Some(IceLogin { username, credential }) = &self.login {
            let [username, credential] = [username, credential].map(|it| quoted(it));
            let _ = write!(
                link,
                "; username={username}; credential={credential}; credential-type=\"password\""
            );
        }
        let mut link = HeaderValue::try_from(link).ok()?;
        link.set_sensitive(self.login.is_some());
        Some(link)
    }
}

/// A quoted string (RFC 9110, section 5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_links_with_what_they_ask_for() {
        let stun = IceServer { uri: "stun:stun.example.net".to_owned(), login: None };
        let link = stun.link().expect("a header");
        assert_eq!(link, "<stun:stun.example.net>; rel=\"ice-server\"");
        let login = IceLogin { username: "17:ann".to_owned(), credential: "a\"b\\c".to_owned() };
        let turn =
            IceServer { uri: "turn:turn.example.net?transport=udp".to_owned(), login: Some(login) };
        let link = turn.link().expect("a header");
        assert_eq!(
            link,
            "<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"17:ann\"; \
             credential=\"a\\\"b\\\\c\"; credential-type=\"password\""
        );
        assert!(!format!("{link:?}").contains("17:ann"), "it is not to be logged");
    }
}
