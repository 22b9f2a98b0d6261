//! Who may see all rooms, and change what they sound like and who is in them: whoever holds the operator's token,
//! or, where none is set, this machine.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderValue, header};
use subtle::ConstantTimeEq;

use crate::auth::bearer;
use crate::http::{App, HttpError};
use crate::message::{ErrorCode, ErrorMessage};

/// The environment variable that holds the token; it comes before `operator_token_file`.
pub const TOKEN_VARIABLE: &str = "FOLDBACK_OPERATOR_TOKEN";

/// The shortest token that is taken, in bytes: 16 random characters cannot be guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// What an operator is known by.
#[derive(Clone)]
pub struct Operator {
    token: Option<String>,
}

impl Operator {
    /// By the value of [`TOKEN_VARIABLE`], or else by what `file` holds; white space around it is
    /// left out. Without either, this machine is the operator. Reads the file.
    ///
    /// # Errors
    /// A sentence, if the token is empty, too short or no visible ASCII, or the file cannot be
    /// read.
    pub fn new(variable: Option<OsString>, file: Option<&Path>) -> Result<Self, String> {
        let (token, source) = match (variable, file) {
            (Some(token), _) => (token.into_string().ok(), TOKEN_VARIABLE.to_owned()),
            (None, Some(file)) => {
                let source = format!("`operator_token_file` {}", file.display());
                let token = std::fs::read(file);
                let token = token.map_err(|error| format!("{source} cannot be read: {error}"))?;
                (String::from_utf8(token).ok(), source)
            }
            (None, None) => return Ok(Self { token: None }),
        };
        let token = token.unwrap_or_default().trim().to_owned();
        if token.len() < MIN_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "{source} must hold a token of at least {MIN_TOKEN_BYTES} visible ASCII \
                 characters, like the output of `openssl rand -hex 16`"
            ));
        }
        Ok(Self { token: Some(token) })
    }

    /// Lets a request through if it is an operator's.
    ///
    /// # Errors
    /// `unauthorized`, if it lacks the token; `forbidden`, if there is none and it does not come
    /// from this machine.
    pub fn check(&self, request: &Parts) -> Result<(), ErrorMessage> {
        match self.token {
            None if is_from_here(request) => Ok(()),
            _ => self.check_token(bearer(&request.headers).unwrap_or_default()),
        }
    }

    /// Lets whoever says the token through. Takes as long for one wrong token as for another of the
    /// same length.
    ///
    /// # Errors
    /// `unauthorized`; `forbidden`, if there is no token.
    pub fn check_token(&self, said: &str) -> Result<(), ErrorMessage> {
        let Some(known) = &self.token else {
            return Err(ErrorMessage::new(
                ErrorCode::Forbidden,
                format!(
                    "Without an operator token only this machine itself may do this. Start the \
                     server with {TOKEN_VARIABLE} or `operator_token_file`, and send the token."
                ),
            ));
        };
        if bool::from(known.as_bytes().ct_eq(said.as_bytes())) {
            return Ok(());
        }
        let sentence = if said.is_empty() {
            "This is the operator's alone, who shows a token: send `Authorization: Bearer TOKEN`, or \
             over the WebSocket a message of type `operator`."
        } else {
            "This is not the operator token of this server; whoever started it chose one. Check it, and say it again."
        };
        Err(ErrorMessage::new(ErrorCode::Unauthorized, sentence))
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("has_token", &self.token.is_some()).finish()
    }
}

/// Extracted by handlers of what is the operator's: refuses requests that are not an operator's.
#[derive(Clone, Copy, Debug)]
pub struct AsOperator;

impl FromRequestParts<App> for AsOperator {
    type Rejection = HttpError;

    async fn from_request_parts(request: &mut Parts, app: &App) -> Result<Self, HttpError> {
        app.operator.check(request)?;
        Ok(Self)
    }
}

/// Whether a program of this machine sent it of its own accord: by the loopback interface, not
/// through a proxy, under a name that is this machine's (a foreign name may be made to lead here),
/// and not for the page of another site.
pub(crate) fn is_from_here(request: &Parts) -> bool {
    let headers = &request.headers;
    let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
    let direct = peer.is_some_and(|peer| peer.0.ip().to_canonical().is_loopback());
    let by_proxies = ["x-forwarded-for", "forwarded", "via", "x-real-ip"];
    let proxied = by_proxies.iter().any(|name| headers.contains_key(*name));
    let all = |name, is_here: fn(&HeaderValue) -> bool| headers.get_all(name).iter().all(is_here);
    let named = headers.contains_key(header::HOST) || request.uri.authority().is_some();
    direct
        && !proxied
        && named
        && request.uri.authority().is_none_or(is_this_machine)
        && all(header::HOST, |host| {
            Authority::try_from(host.as_bytes()).is_ok_and(|host| is_this_machine(&host))
        })
        && all(header::ORIGIN, |origin| {
            Uri::try_from(origin.as_bytes()).is_ok_and(|origin| {
                origin.scheme().is_some() && origin.authority().is_some_and(is_this_machine)
            })
        })
}

fn is_this_machine(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn request(peer: &str, headers: &[(&str, &str)]) -> Parts {
        let peer: SocketAddr = peer.parse().expect("an address");
        let mut request = Request::builder().uri("/api").extension(ConnectInfo(peer));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    fn with_token() -> Operator {
        Operator::new(Some(TOKEN.into()), None).expect("a token")
    }

    fn without_token() -> Operator {
        Operator::new(None, None).expect("no token")
    }

    fn refused(operator: &Operator, request: &Parts) -> Option<ErrorCode> {
        operator.check(request).err().map(|error| error.code)
    }

    #[test]
    fn without_a_token_this_machine_may_change_sound() {
        for (peer, host) in [
            ("127.0.0.1:5", "localhost:8080"),
            ("127.0.0.1:5", "LocalHost"),
            ("127.0.0.2:5", "127.0.0.1:8080"),
            ("[::1]:5", "[::1]:8080"),
            ("[::ffff:127.0.0.1]:5", "localhost"),
        ] {
            assert_eq!(
                refused(&without_token(), &request(peer, &[("host", host)])),
                None,
                "{host}"
            );
        }
        let page =
            request("127.0.0.1:5", &[("host", "localhost"), ("origin", "http://localhost:8080")]);
        assert_eq!(refused(&without_token(), &page), None, "the server's own page");
    }

    #[test]
    fn without_a_token_nobody_else_may_not_through_a_proxy_nor_by_a_page_of_another_site() {
        let host = ("host", "localhost:8080");
        let others: [(&str, &[(&str, &str)]); 11] = [
            ("192.0.2.1:5", &[host]),
            ("127.0.0.1:5", &[]),
            ("127.0.0.1:5", &[("host", "rebound.example:8080")]),
            ("127.0.0.1:5", &[("host", "localhost.rebound.example")]),
            ("127.0.0.1:5", &[host, ("host", "rebound.example")]),
            ("127.0.0.1:5", &[host, ("x-forwarded-for", "192.0.2.1")]),
            ("127.0.0.1:5", &[host, ("forwarded", "for=192.0.2.1")]),
            ("127.0.0.1:5", &[host, ("via", "1.1 proxy")]),
            ("127.0.0.1:5", &[host, ("x-real-ip", "192.0.2.1")]),
            ("127.0.0.1:5", &[host, ("origin", "https://elsewhere.example")]),
            ("127.0.0.1:5", &[host, ("origin", "null")]),
        ];
        for (peer, headers) in others {
            let code = refused(&without_token(), &request(peer, headers));
            assert_eq!(code, Some(ErrorCode::Forbidden), "{peer} {headers:?}");
        }
    }

    #[test]
    fn a_request_whose_peer_is_not_known_comes_from_elsewhere() {
        let request = Request::builder().header("host", "localhost").body(()).expect("a request");
        let code = refused(&without_token(), &request.into_parts().0);
        assert_eq!(code, Some(ErrorCode::Forbidden));
    }

    #[test]
    fn with_a_token_it_alone_counts_for_this_machine_too() {
        let authorised = |value: &str| {
            let here = request("127.0.0.1:5", &[("host", "localhost"), ("authorization", value)]);
            refused(&with_token(), &here)
        };
        assert_eq!(authorised(&format!("Bearer {TOKEN}")), None);
        assert_eq!(authorised(&format!("bearer {TOKEN}")), None);
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Bearer 0123456789abcdef0", TOKEN]
        {
            assert_eq!(authorised(wrong), Some(ErrorCode::Unauthorized), "{wrong:?}");
        }
        let elsewhere = request("192.0.2.1:5", &[("authorization", &format!("Bearer {TOKEN}"))]);
        assert_eq!(refused(&with_token(), &elsewhere), None);
    }

    #[test]
    fn where_no_token_is_set_none_is_right() {
        assert!(without_token().check_token("").is_err());
    }

    #[test]
    fn a_token_comes_from_the_variable_or_else_from_the_file_without_white_space_around() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("token");
        std::fs::write(&file, "  fedcba9876543210\n").expect("a file");
        let by_file = Operator::new(None, Some(&file)).expect("a token");
        assert!(by_file.check_token("fedcba9876543210").is_ok());
        let by_variable = Operator::new(Some(TOKEN.into()), Some(&file)).expect("a token");
        assert!(by_variable.check_token(TOKEN).is_ok());
        assert!(by_variable.check_token("fedcba9876543210").is_err());
    }

    #[test]
    fn a_token_that_protects_nothing_or_cannot_be_sent_is_refused_at_the_start() {
        for bad in ["", "  \n", "0123456789abcde", "0123 456789abcdef", "ä123456789abcdef"] {
            let refused = Operator::new(Some(bad.into()), None).expect_err(bad);
            assert!(refused.starts_with("FOLDBACK_OPERATOR_TOKEN must hold"), "{refused}");
        }
        let missing = Operator::new(None, Some(Path::new("/no/such/token"))).expect_err("no file");
        assert!(
            missing.starts_with("`operator_token_file` /no/such/token cannot be read: "),
            "{missing}"
        );
    }

    #[test]
    fn a_token_is_not_shown_where_the_operator_is() {
        assert!(!format!("{:?}", with_token()).contains(TOKEN));
    }
}
