//! Every `[[webhook]]`: who is told by HTTP what happens.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use foldback_stage::ParamSpec;
use toml::de::{DeTable, DeValue};
use url::Url;

use crate::ice::{SECRET, SECRET_FILE, read_secret};
use crate::names;
use crate::reader::{Reader, Value};
use crate::rooms::RoomPattern;
use crate::secret::Secret;

/// What can be told, by its words.
pub const EVENTS: [&str; 16] = [
    "room-opened",
    "room-closed",
    "room-locked",
    "participant-waiting",
    "participant-joined",
    "participant-left",
    "participant-muted",
    "chain-changed",
    "recording-started",
    "recording-ended",
    "playing-started",
    "playing-ended",
    "config-changed",
    "config-refused",
    "load-shed",
    "draining",
];

/// One `[[webhook]]`. It counts at once when the file is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is told: `http` or `https`. It may hold what is for nobody else.
    pub url: Secret,
    /// What it is signed with.
    pub secret: Secret,
    /// What is told, of [`EVENTS`]. Empty: all of it.
    pub events: Vec<String>,
    /// Of which rooms; what is about none is told where it is of all rooms.
    pub rooms: RoomPattern,
}

impl Webhook {
    /// The key of its signatures: behind `whsec_` it stands in Base64, as Standard Webhooks has it;
    /// else it is the secret's bytes.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let secret = self.secret.expose();
        let decoded = secret.strip_prefix(PREFIX).and_then(|it| BASE64_STANDARD.decode(it).ok());
        decoded.unwrap_or_else(|| secret.as_bytes().to_vec())
    }

    /// Whether it is told of an event of that name, in that room if it is in one. Allocates nothing.
    #[must_use]
    pub fn wants(&self, event: &str, room: Option<&str>) -> bool {
        let is_named = self.events.is_empty() || self.events.iter().any(|it| it == event);
        is_named && room.map_or_else(|| self.rooms.is_for_all(), |room| self.rooms.matches(room))
    }
}

const PREFIX: &str = "whsec_";

/// The declaration of `url`.
pub(crate) const URL: ParamSpec =
    ParamSpec::text("url", "", "Where it is told, by POST: like \"https://example.org/foldback\".");

/// The declaration of an entry of `events`.
pub(crate) const OF_EVENTS: ParamSpec =
    ParamSpec::text("events", "", "What is told; left out, everything.");

/// The declaration of `rooms`: a [`RoomPattern`].
pub(crate) const ROOMS: ParamSpec = ParamSpec::text(
    "rooms",
    "*",
    "Of which rooms it is told: a name, or a pattern in which `*` stands for any run of characters.",
);

/// Reads every `[[webhook]]` of `file`.
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, file: &str) -> Vec<Webhook> {
    let Some(value) = root.get("webhook") else { return Vec::new() };
    let allowed = "must be `[[webhook]]`, with two brackets, once for each";
    let entries = reader.list("webhook", value, allowed).into_iter().flatten();
    entries.filter_map(|entry| read_one(reader, entry, file)).collect()
}

fn read_one(reader: &mut Reader<'_>, entry: &Value<'_>, file: &str) -> Option<Webhook> {
    let DeValue::Table(table) = entry.get_ref() else {
        reader.refuse_value("webhook", entry, "must be `[[webhook]]`, once for each", None);
        return None;
    };
    let keys = [URL, SECRET, SECRET_FILE, OF_EVENTS, ROOMS].map(|it| it.name);
    reader.known_keys("`[[webhook]]`", table, &keys);
    let before = reader.mistakes();
    let url = read_url(reader, entry, table);
    let secret = read_secret(reader, table, file);
    match table.get(SECRET.name).or_else(|| table.get(SECRET_FILE.name)) {
        None => {
            let found = "this `[[webhook]]` has no secret";
            let allowed = "must have `secret` or `secret_file`, by which it knows who tells";
            reader.refuse(entry.span(), found, allowed, None);
        }
        Some(value) => {
            let encoded = secret.as_ref().and_then(|it| it.expose().strip_prefix(PREFIX));
            if encoded.is_some_and(|encoded| BASE64_STANDARD.decode(encoded).is_err()) {
                let found = "behind `whsec_` this secret has what is no Base64";
                reader.refuse(value.span(), found, "must be Base64 with its padding", None);
            }
        }
    }
    let events = table.get(OF_EVENTS.name).map(|value| read_events(reader, value));
    let rooms = table.get(ROOMS.name).map_or(Ok(RoomPattern::all()), |value| {
        let pattern = RoomPattern::new(value.get_ref().as_str().unwrap_or_default());
        pattern.map_err(|allowed| reader.refuse_value(ROOMS.name, value, allowed, None))
    });
    let (url, secret, rooms) = (url?, secret?, rooms.ok()?);
    let webhook = Webhook { url, secret, events: events.unwrap_or_default(), rooms };
    (reader.mistakes() == before).then_some(webhook)
}

fn read_url(reader: &mut Reader<'_>, entry: &Value<'_>, table: &DeTable<'_>) -> Option<Secret> {
    let Some(value) = table.get(URL.name) else {
        let allowed = "which must say where it is told";
        reader.refuse(entry.span(), "this `[[webhook]]` has no `url`", allowed, None);
        return None;
    };
    let allowed = "must be like \"https://example.org/foldback\"";
    let text = reader.text(URL.name, value, allowed)?;
    let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match Url::parse(text) {
        Ok(url) if is_http(&url) && url.username().is_empty() && url.password().is_none() => {
            Some(Secret::from(text.to_owned()))
        }
        // It may hold a secret, which no message shows.
        Ok(url) if is_http(&url) => {
            let found = "`url` has a name or a password in it";
            let allowed = "must have none: whoever is told knows by the signature who tells";
            reader.refuse(value.span(), found, allowed, None);
            None
        }
        _ => {
            reader.refuse(value.span(), "`url` leads nowhere", allowed, None);
            None
        }
    }
}

fn read_events(reader: &mut Reader<'_>, value: &Value<'_>) -> Vec<String> {
    let allowed = format!("must be {}", names::list(EVENTS.into_iter(), '"', "or"));
    let in_list = format!("must be a list, each of which {allowed}");
    let Some(items) = reader.list(OF_EVENTS.name, value, &in_list) else { return Vec::new() };
    if items.is_empty() {
        let allowed = "must name one at least; left out, everything is told";
        reader.refuse(value.span(), "`events` is empty", allowed, None);
    }
    let mut events = Vec::new();
    for item in items {
        let text = item.get_ref().as_str().unwrap_or_default();
        if EVENTS.contains(&text) {
            events.push(text.to_owned());
        } else {
            let found = format!("one of `events` is {}", reader.shown(item));
            let help = names::did_you_mean(text, EVENTS, '"');
            reader.refuse(item.span(), found, allowed.clone(), help);
        }
    }
    events
}
