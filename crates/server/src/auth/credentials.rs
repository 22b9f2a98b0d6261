//! What a request shows for being let in.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use foldback_config::{PIN_CHARS, Secret};

/// The PIN or the token of a request, from its header `Authorization`: in an address they would be in the logs of proxies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) pin: Option<Secret>,
    pub(crate) token: Option<Secret>,
}

impl Credentials {
    /// A PIN is the password of Basic authentication (RFC 7617), whoever it says it is, or what comes with Bearer (RFC 6750)
    /// and is no JWT; a JWT, which has two dots and is longer than any PIN, is a token.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if let Some(shown) = bearer(headers).filter(|shown| !shown.is_empty()) {
            let is_token = shown.matches('.').count() == 2 && shown.len() > *PIN_CHARS.end();
            let shown = Some(Secret::from(shown.to_owned()));
            return match is_token {
                true => Self { token: shown, pin: None },
                false => Self { pin: shown, token: None },
            };
        }
        Self { pin: password(headers), token: None }
    }

    pub(crate) fn pin(&self) -> Option<&str> {
        self.pin.as_ref().map(Secret::expose)
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(Secret::expose)
    }
}

/// What a request shows by `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    by_scheme(headers, "bearer")
}

fn password(headers: &HeaderMap) -> Option<Secret> {
    let shown = BASE64_STANDARD.decode(by_scheme(headers, "basic")?).ok()?;
    let shown = String::from_utf8(shown).ok()?;
    shown.split_once(':').map(|(_, password)| Secret::from(password.to_owned()))
}

fn by_scheme<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, shown) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then(|| shown.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> (Option<String>, Option<String>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
        let shown = Credentials::of(&headers);
        (shown.pin().map(str::to_owned), shown.token().map(str::to_owned))
    }

    #[test]
    fn a_pin_is_a_password_or_what_is_no_token_which_is_long_and_has_two_dots() {
        let pin = (Some("471100".to_owned()), None);
        assert_eq!(shown("Basic OjQ3MTEwMA=="), pin);
        assert_eq!(shown("basic YW5uOjQ3MTEwMA=="), pin);
        assert_eq!(shown("Bearer 471100"), pin);
        assert_eq!(shown("Bearer 4.7.11"), (Some("4.7.11".to_owned()), None));
        let token = format!("{0}.{0}.{0}", "abcdefghijklmnopqrstuvwxyz");
        assert_eq!(shown(&format!("bearer  {token} ")), (None, Some(token)));
        for nothing in
            ["Bearer ", "Bearer", "Basic ???", "Basic NDcxMTAw", "Digest a.b.c", "471100"]
        {
            assert_eq!(shown(nothing), (None, None), "{nothing}");
        }
    }
}
