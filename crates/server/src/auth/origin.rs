//! Whether the page that a browser acts for may use this server.

use axum::http::request::Parts;
use axum::http::uri::{Authority, Uri};
use axum::http::{HeaderValue, header};
use foldback_config::AuthConfig;

use crate::message::{ErrorCode, ErrorMessage};

/// Lets a request through that comes for a page of this server, for one that is allowed, or for none: browsers let any page open a
/// WebSocket anywhere, and tell whose it is (RFC 6455, section 10.2); other programs tell what they like.
///
/// # Errors
/// `wrong-origin`.
pub(crate) fn check(request: &Parts, auth: &AuthConfig) -> Result<(), ErrorMessage> {
    let host = host_of(request);
    let mut origins = request.headers.get_all(header::ORIGIN).iter();
    match origins.find(|origin| !is_allowed(origin, host.as_ref(), auth)) {
        None => Ok(()),
        Some(origin) => {
            let shown: String =
                String::from_utf8_lossy(origin.as_bytes()).chars().take(80).collect();
            Err(ErrorMessage::new(
                ErrorCode::WrongOrigin,
                format!(
                    "A page from {shown} may not use this server; whoever runs it can let it by `allowed_origins` in [auth]."
                ),
            ))
        }
    }
}

fn is_allowed(origin: &HeaderValue, host: Option<&Authority>, auth: &AuthConfig) -> bool {
    let Ok(text) = origin.to_str() else { return false };
    if auth.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(text)) {
        return true;
    }
    let origin = Uri::try_from(text).ok();
    let own = origin.as_ref().filter(|origin| origin.scheme().is_some()).and_then(Uri::authority);
    // Whether by TLS or not is for whatever stands in front to know.
    own.is_some_and(|own| host.is_some_and(|host| own.as_str().eq_ignore_ascii_case(host.as_str())))
}

/// What this server was called: by HTTP/2 in the address, else by the header.
fn host_of(request: &Parts) -> Option<Authority> {
    let named = request.headers.get(header::HOST);
    let named = named.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    request.uri.authority().cloned().or(named)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn is_let(host: &str, origins: &[&str]) -> bool {
        let mut request = Request::builder().uri("/ws").header(header::HOST, host);
        for origin in origins {
            request = request.header(header::ORIGIN, *origin);
        }
        let request = request.body(()).expect("a request").into_parts().0;
        let allowed_origins = vec!["https://app.example".to_owned()];
        let auth = AuthConfig { allowed_origins, ..AuthConfig::default() };
        check(&request, &auth).is_ok()
    }

    #[test]
    fn pages_of_this_server_and_of_those_that_are_named_may_and_no_others() {
        assert!(is_let("talk.example:8443", &[]), "a program");
        assert!(is_let("talk.example:8443", &["https://talk.example:8443"]));
        assert!(is_let("talk.example", &["https://Talk.example"]));
        assert!(is_let("talk.example", &["https://app.example"]));
        for other in [
            "https://talk.example:8443",
            "https://app.example:444",
            "http://app.example",
            "https://talk.example.evil.example",
            "https://eviltalk.example",
            "null",
            "talk.example",
            "",
            "file://",
        ] {
            assert!(!is_let("talk.example", &[other]), "{other:?}");
        }
        assert!(!is_let("talk.example", &["https://talk.example", "https://evil.example"]));
    }
}
