//! Join tokens: signed words that somebody may come in (JWT, RFC 7519).

use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use foldback_config::{AuthConfig, RoomPattern, Secret};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::message::{ErrorCode, ErrorMessage};

/// What somebody may do in a room.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Talk and listen.
    #[default]
    Talker,
    /// Listen alone.
    Listener,
    /// Talk, listen, mute others in their room and take them out.
    Host,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// A room, or a pattern as in `[[room]]`.
    pub(crate) room: String,
    /// What its holder is called; left out, as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// What its holder may.
    #[serde(default)]
    pub(crate) role: Role,
    /// How many may be in by it at a time; left out, as many as come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<usize>,
    /// In s since 1970: until when it may be used to come in.
    #[serde(deserialize_with = "whole_seconds")]
    pub(crate) exp: u64,
    /// When it was made.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some_whole_seconds"
    )]
    pub(crate) iat: Option<u64>,
}

/// A NumericDate, which may have a fraction (RFC 7519, section 2).
fn whole_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Ok(f64::deserialize(from)?.max(0.0) as u64)
}

fn some_whole_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.map(|seconds| seconds.max(0.0) as u64))
}

impl Claims {
    /// Whether it is for that room.
    pub(crate) fn opens(&self, room: &str) -> bool {
        RoomPattern::new(&self.room).is_ok_and(|pattern| pattern.matches(room))
    }
}

/// Reads a token that one of the keys signed.
///
/// # Errors
/// `bad-token` or `token-expired`.
pub(crate) fn read(token: &str, auth: &AuthConfig) -> Result<Claims, ErrorMessage> {
    let bad = |sentence: &str| ErrorMessage::new(ErrorCode::BadToken, sentence);
    if !auth.has_keys() {
        return Err(bad("This server takes no tokens: it has no key for them. Join without one."));
    }
    let header = jsonwebtoken::decode_header(token);
    let header = header.map_err(|error| match error.kind() {
        ErrorKind::InvalidAlgorithmName | ErrorKind::UnsupportedAlgorithm => {
            bad("The token is signed in a way that is not taken; HS256 and EdDSA are.")
        }
        _ => bad("This is no token: a JWT has three parts with dots in between."),
    })?;
    let keys = match header.alg {
        Algorithm::HS256 => secrets(auth),
        Algorithm::EdDSA => public_keys(auth).map_err(|sentence| bad(&sentence))?,
        other => {
            let sentence = format!("The token is signed by {other:?}; HS256 and EdDSA are taken.");
            return Err(bad(&sentence));
        }
    };
    let mut validation = Validation::new(header.alg);
    validation.leeway = auth.token_leeway_s;
    validation.validate_nbf = true;
    validation.validate_aud = false;
    // Below, to tell since when.
    validation.validate_exp = false;
    for key in keys {
        match jsonwebtoken::decode::<Claims>(token, &key, &validation) {
            Ok(read) if read.claims.max == Some(0) => {
                return Err(bad("The token lets nobody in: its `max` is 0, must be 1 or more."));
            }
            Ok(read) => {
                let since = now().saturating_sub(read.claims.exp);
                return if since > auth.token_leeway_s {
                    Err(expired(since))
                } else {
                    Ok(read.claims)
                };
            }
            Err(error) => match error.kind() {
                // Another key may fit.
                ErrorKind::InvalidSignature => {}
                ErrorKind::ImmatureSignature => {
                    return Err(bad("The token is not valid yet; its `nbf` is in the future."));
                }
                ErrorKind::MissingRequiredClaim(claim) => {
                    return Err(bad(&format!("The token has no `{claim}`, which it needs.")));
                }
                _ => return Err(bad(&format!("The token cannot be read: {error}."))),
            },
        }
    }
    Err(bad("The token is signed with a key that this server does not know."))
}

fn expired(since: u64) -> ErrorMessage {
    let ago = match since {
        0..120 => format!("{since} s"),
        120..7200 => format!("{} min", since / 60),
        7200..172_800 => format!("{} h", since / 3600),
        _ => format!("{} days", since / 86_400),
    };
    let sentence =
        format!("The token expired {ago} ago; ask whoever gave it to you for a new one.");
    ErrorMessage::new(ErrorCode::TokenExpired, sentence)
}

/// Checks that all keys are such.
///
/// # Errors
/// Which one is none.
pub(crate) fn check_keys(auth: &AuthConfig) -> Result<(), String> {
    public_keys(auth).map(drop)
}

fn secrets(auth: &AuthConfig) -> Vec<DecodingKey> {
    let secrets = auth.token_secrets.iter();
    secrets.filter_map(|it| DecodingKey::from_secret(it.expose().as_bytes()).ok()).collect()
}

fn public_keys(auth: &AuthConfig) -> Result<Vec<DecodingKey>, String> {
    let key = |(file, pem): &(String, String)| {
        DecodingKey::from_ed_pem(pem.as_bytes()).map_err(|error| {
            format!(
                "{file} holds no Ed25519 public key in PEM, like the output of `openssl pkey -in \
                 private.pem -pubout`: {error}"
            )
        })
    };
    auth.token_public_keys.iter().map(key).collect()
}

/// What a token is signed with.
pub(crate) enum Signer {
    Secret(Secret),
    /// An Ed25519 private key in PEM.
    PrivateKey(Secret),
}

/// Signs `claims`.
///
/// # Errors
/// A sentence, if the key is none.
pub(crate) fn sign(claims: &Claims, signer: &Signer) -> Result<String, String> {
    let (algorithm, key) = match signer {
        Signer::Secret(secret) => {
            (Algorithm::HS256, EncodingKey::from_secret(secret.expose().as_bytes()))
        }
        Signer::PrivateKey(pem) => {
            (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem.expose().as_bytes()))
        }
    };
    let key = key.map_err(|error| {
        format!(
            "this is no Ed25519 private key in PEM, like the output of `openssl genpkey -algorithm \
             ed25519`: {error}"
        )
    })?;
    let token = jsonwebtoken::encode(&Header::new(algorithm), claims, &key);
    token.map_err(|error| format!("the token cannot be signed: {error}"))
}

/// In s since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ED25519};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";
    fn key_pair() -> KeyPair {
        KeyPair::generate_for(&PKCS_ED25519).expect("a key pair")
    }

    fn auth_with(keys: &KeyPair) -> AuthConfig {
        AuthConfig {
            token_secrets: [OTHER, SECRET].map(|it| Secret::from(it.to_owned())).to_vec(),
            token_public_keys: vec![("tokens.pem".to_owned(), keys.public_key_pem())],
            ..AuthConfig::default()
        }
    }

    fn auth() -> AuthConfig {
        auth_with(&key_pair())
    }

    fn claims(exp: u64) -> Claims {
        let room = "lobby".to_owned();
        Claims { room, name: None, role: Role::Host, max: None, exp, iat: None }
    }

    fn by_secret(secret: &str, claims: &Claims) -> String {
        sign(claims, &Signer::Secret(Secret::from(secret.to_owned()))).expect("signed")
    }

    fn refused(token: &str, auth: &AuthConfig) -> (ErrorCode, String) {
        let ErrorMessage { code, message } = read(token, auth).expect_err(token);
        (code, message)
    }

    #[test]
    fn tokens_of_each_known_key_are_taken_as_they_were_made() {
        let claims = claims(now() + 60);
        let keys = key_pair();
        let by_key = sign(&claims, &Signer::PrivateKey(Secret::from(keys.serialize_pem())));
        for token in
            [by_secret(SECRET, &claims), by_secret(OTHER, &claims), by_key.expect("signed")]
        {
            assert_eq!(read(&token, &auth_with(&keys)), Ok(claims.clone()));
        }
    }

    #[test]
    fn no_other_token_is() {
        let good = claims(now() + 60);
        let stranger = by_secret("a stranger's secret, which is long enough", &good);
        assert_eq!(refused(&stranger, &auth()).0, ErrorCode::BadToken);
        let made = by_secret(SECRET, &good);
        let (signed, signature) = made.rsplit_once('.').expect("three parts");
        let (header, _) = signed.split_once('.').expect("three parts");
        let other = by_secret(SECRET, &Claims { room: "*".to_owned(), ..good.clone() });
        let (others, _) = other.rsplit_once('.').expect("three parts");
        for forged in [
            format!("{others}.{signature}"),
            format!("{signed}."),
            format!("{header}.e30.{signature}"),
            // {"alg":"none"}
            format!("eyJhbGciOiJub25lIn0.{}.", signed.split_once('.').expect("parts").1),
            "a.b.c".to_owned(),
            String::new(),
        ] {
            assert_eq!(refused(&forged, &auth()).0, ErrorCode::BadToken, "{forged}");
        }
        // The public key taken for a secret, which everybody may know.
        let keys = key_pair();
        let confused = by_secret(&keys.public_key_pem(), &good);
        assert_eq!(refused(&confused, &auth_with(&keys)).0, ErrorCode::BadToken);
        let without_keys = refused(&made, &AuthConfig::default());
        assert!(
            without_keys.0 == ErrorCode::BadToken && without_keys.1.contains("takes no tokens")
        );
    }

    #[test]
    fn a_token_is_good_until_its_time_is_over_and_the_clocks_may_be_off_a_little() {
        let ask = |exp| {
            read(&by_secret(SECRET, &claims(exp)), &auth()).map_err(|it| (it.code, it.message))
        };
        assert!(ask(now() - 20).is_ok());
        let (code, message) = ask(now() - 600).expect_err("over");
        assert_eq!(code, ErrorCode::TokenExpired);
        assert!(message.contains("expired 10 min ago"), "{message}");
    }

    #[test]
    fn times_may_have_fractions_and_a_token_for_nobody_is_none() {
        let key = EncodingKey::from_secret(SECRET.as_bytes()).expect("a key");
        let ask = |more: &str| {
            let claims = format!("{{\"room\":\"lobby\",\"exp\":{}.75{more}}}", now() + 60);
            let claims: serde_json::Value = serde_json::from_str(&claims).expect("JSON");
            let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("signed");
            read(&token, &auth())
        };
        assert!(ask(",\"iat\":12.5").is_ok_and(|it| it.iat == Some(12)));
        assert!(ask(",\"iat\":null").is_ok_and(|it| it.iat.is_none()));
        assert_eq!(ask(",\"exp\":\"soon\"").expect_err("no time").code, ErrorCode::BadToken);
        let nobody = ask(",\"max\":0").expect_err("for nobody");
        assert!(nobody.message.contains("must be 1 or more"), "{}", nobody.message);
    }

    #[test]
    fn a_key_that_is_none_is_told_with_its_file() {
        let wrong = vec![("keys/x.pem".to_owned(), "no key".to_owned())];
        let wrong = AuthConfig { token_public_keys: wrong, ..AuthConfig::default() };
        assert!(check_keys(&wrong).expect_err("no key").starts_with("keys/x.pem holds no Ed25519"));
        assert_eq!(check_keys(&auth()), Ok(()));
    }
}
