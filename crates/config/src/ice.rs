//! The section `[ice]`: servers that help clients to reach this one.

use foldback_stage::ParamSpec;
use toml::de::{DeTable, DeValue};

use crate::reader::{Reader, Value};
use crate::secret::Secret;
use crate::sections::set_int;

/// Section `[ice]`. All of it counts at once when the file is read again, for whoever joins from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceConfig {
    /// STUN and TURN servers that clients are told of.
    pub servers: Vec<IceServer>,
}

/// Servers that clients may use alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:`, `stuns:` (RFC 7064), `turn:` or `turns:` (RFC 7065).
    pub urls: Vec<String>,
    /// What the credentials of TURN are made with; `None` where all are STUN.
    pub turn: Option<TurnSecret>,
}

/// What time-limited credentials are made with: what this server shares with a TURN server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnSecret {
    /// The secret.
    pub secret: Secret,
    /// How long credentials are good for, in s: 60 to 2592000 (30 days). Default 86400.
    pub ttl_seconds: u32,
}

/// The declaration of `servers`.
pub(crate) const SERVERS: ParamSpec = ParamSpec::text(
    "servers",
    "",
    "STUN and TURN servers, by which clients find a way to this one.",
);

/// The declaration of an entry of `urls`: [`check_url`].
pub(crate) const URLS: ParamSpec = ParamSpec::text(
    "urls",
    "",
    "Where they are: \"stun:HOST:PORT\", \"turn:HOST:PORT?transport=udp\", or with stuns: or turns: over TLS.",
);

/// The declaration of `secret`.
pub(crate) const SECRET: ParamSpec = ParamSpec::text(
    "secret",
    "",
    "What this server shares with a TURN server (coturn: static-auth-secret), to make credentials of.",
);

/// The declaration of `secret_file`.
pub(crate) const SECRET_FILE: ParamSpec = ParamSpec::text(
    "secret_file",
    "",
    "A file with the secret, as a path from the folder of this file, in the place of `secret`.",
);

/// The declaration of `ttl_seconds`.
pub(crate) const TTL_SECONDS: ParamSpec = ParamSpec::int(
    "ttl_seconds",
    "s",
    60,
    2_592_000,
    86_400,
    "How long credentials are good for: longer than any stay in a room.",
);

/// What a secret has at least.
pub(crate) const SECRET_CHARS: std::ops::RangeInclusive<usize> = 8..=256;

const URL: &str =
    "must be like \"stun:stun.example.org:3478\" or \"turn:turn.example.org:3478?transport=udp\"";

/// Takes `text` as where a STUN or TURN server is; says whether it is one of TURN.
///
/// # Errors
/// What is allowed instead: `must be ...`.
pub(crate) fn check_url(text: &str) -> Result<bool, String> {
    let refuse = |why: &str| Err(format!("{URL}{why}"));
    let Some((scheme, rest)) = text.split_once(':') else { return refuse("") };
    let is_turn = match scheme {
        "stun" | "stuns" => false,
        "turn" | "turns" => true,
        _ => return refuse("; before the first colon stands stun, stuns, turn or turns"),
    };
    if rest.starts_with("//") {
        return refuse("; there are no slashes");
    }
    let (place, query) = rest.split_once('?').map_or((rest, None), |(a, b)| (a, Some(b)));
    match query {
        None | Some("transport=udp" | "transport=tcp") if is_turn || query.is_none() => {}
        Some(_) if is_turn => return refuse("; behind `?` stands transport=udp or transport=tcp"),
        _ => return refuse("; only turn and turns have `?transport=`"),
    }
    // An address of IPv6 stands in brackets, and has colons itself.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return refuse("; a port is a number from 1 to 65535");
    }
    let is_v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match is_v6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            !host.is_empty() && host.chars().all(allowed)
        }
    };
    if is_host { Ok(is_turn) } else { refuse("; the host is a name or an address") }
}

/// Reads `[ice]` of `file`.
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, file: &str) -> IceConfig {
    let Some(table) = reader.section(root, "ice") else { return IceConfig::default() };
    reader.known_keys("`[ice]`", table, &[SERVERS.name]);
    let Some(value) = table.get(SERVERS.name) else { return IceConfig::default() };
    let allowed = "must be a list of tables, like [{ urls = [\"stun:stun.example.org:3478\"] }]";
    let servers = reader.list(SERVERS.name, value, allowed).into_iter().flatten();
    IceConfig { servers: servers.filter_map(|entry| read_server(reader, entry, file)).collect() }
}

fn read_server(reader: &mut Reader<'_>, entry: &Value<'_>, file: &str) -> Option<IceServer> {
    let DeValue::Table(table) = entry.get_ref() else {
        let found = format!("an entry of `servers` is {}", reader.shown(entry));
        let allowed = "must be a table, like { urls = [\"stun:stun.example.org:3478\"] }";
        reader.refuse(entry.span(), found, allowed, None);
        return None;
    };
    let keys = [URLS, SECRET, SECRET_FILE, TTL_SECONDS].map(|it| it.name);
    reader.known_keys("an entry of `servers`", table, &keys);
    let Some(list) = table.get(URLS.name) else {
        let allowed = "which must say where the servers are";
        reader.refuse(entry.span(), "this entry of `servers` has no `urls`", allowed, None);
        return None;
    };
    let before = reader.mistakes();
    let allowed = format!("must be a list, each of which {URL}");
    let items = reader.list(URLS.name, list, &allowed)?;
    let (mut urls, mut has_turn) = (Vec::new(), false);
    for item in items {
        let text = item.get_ref().as_str().unwrap_or_default();
        match check_url(text) {
            Ok(is_turn) => {
                has_turn |= is_turn;
                urls.push(text.to_owned());
            }
            Err(allowed) => {
                let found = format!("one of `urls` is {}", reader.shown(item));
                reader.refuse(item.span(), found, allowed, None);
            }
        }
    }
    if reader.mistakes() == before && urls.is_empty() {
        reader.refuse(list.span(), "`urls` is empty", "must name a server at least", None);
    }
    let given = reader.given(table, &[TTL_SECONDS]);
    let mut ttl_seconds = 86_400;
    set_int(&mut ttl_seconds, &given, &TTL_SECONDS);
    let secret = read_secret(reader, table, file);
    let has_secret = table.get(SECRET.name).or_else(|| table.get(SECRET_FILE.name));
    if reader.mistakes() == before {
        match has_secret {
            None if has_turn => {
                let found = "this entry of `servers` has a TURN server and no secret";
                let allowed = "must have `secret` or `secret_file`";
                reader.refuse(entry.span(), found, allowed, None);
            }
            Some(value) if !has_turn => {
                let found = "none of `urls` is a TURN server's";
                reader.refuse(value.span(), found, "must have no secret then", None);
            }
            _ => {}
        }
    }
    let turn = secret.map(|secret| TurnSecret { secret, ttl_seconds });
    (reader.mistakes() == before).then_some(IceServer { urls, turn })
}

/// What stands there, or what the file that is named there holds. No mistake shows it.
pub(crate) fn read_secret(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    file: &str,
) -> Option<Secret> {
    let allowed = "must be text of 8 to 256 characters without spaces around it";
    let (value, text) = match (table.get(SECRET.name), table.get(SECRET_FILE.name)) {
        (Some(_), Some(path)) => {
            let found = "there are a `secret` and a `secret_file`";
            reader.refuse(path.span(), found, "must be one of them at most", None);
            return None;
        }
        (Some(value), None) => {
            let Some(text) = value.get_ref().as_str() else {
                reader.refuse(value.span(), "`secret` is no text", allowed, None);
                return None;
            };
            (value, text.to_owned())
        }
        (None, Some(value)) => {
            let (_, text) = reader.file(SECRET_FILE.name, value, file)?;
            // Editors end a file with a line feed.
            (value, text.trim().to_owned())
        }
        (None, None) => return None,
    };
    let characters = text.chars().count();
    let is_plain = text.trim() == text && !text.contains(char::is_control);
    if !is_plain || !SECRET_CHARS.contains(&characters) {
        let spaces = if is_plain { "" } else { ", spaces or control characters among them" };
        let found = format!("the secret has {characters} characters{spaces}");
        reader.refuse(value.span(), found, allowed, None);
        return None;
    }
    Some(Secret::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_of_rfc_7064_and_7065_are_taken_and_no_others() {
        for (good, is_turn) in [
            ("stun:example.org", false),
            ("stuns:192.0.2.1:5349", false),
            ("turn:turn.example.org:3478?transport=udp", true),
            ("turn:[2001:db8::1]:3478?transport=tcp", true),
            ("turns:[2001:db8::1]", true),
        ] {
            assert_eq!(check_url(good), Ok(is_turn), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "http://example.org",
            "turn://example.org",
            "turn:",
            "turn::3478",
            "turn:example.org:0",
            "turn:example.org:port",
            "turn:example.org?transport=sctp",
            "stun:example.org?transport=udp",
            "turn:user@example.org",
            "turn:2001:db8::1",
            "turn:[example.org]",
            "turn:a b",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
