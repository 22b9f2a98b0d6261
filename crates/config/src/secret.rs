//! What must be shown to nobody, and the PIN of a room.

use std::fmt;

use foldback_stage::ParamSpec;
use serde::Deserialize;
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::{ice, webhooks};

/// Text that no message and no log shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text, for whoever compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The declaration of `pin`.
pub(crate) const PIN: ParamSpec = ParamSpec::text(
    "pin",
    "",
    "What whoever joins must say: 4 to 64 characters; without it anybody may.",
);

/// The declaration of `pin_file`.
pub(crate) const PIN_FILE: ParamSpec = ParamSpec::text(
    "pin_file",
    "",
    "A file with the PIN, as a path from the folder of this file, in the place of `pin`.",
);

/// How many characters a PIN has.
pub const PIN_CHARS: std::ops::RangeInclusive<usize> = 4..=64;

const PIN_ALLOWED: &str =
    "must be text of 4 to 64 characters in double quotes, like \"4711\", without spaces around it";

/// The PIN of a `[[room]]` in `file`: what stands there, or what the file that is named there holds. No mistake shows it.
pub(crate) fn read_pin(reader: &mut Reader<'_>, table: &DeTable<'_>, file: &str) -> Option<Secret> {
    let (here, elsewhere) = (table.get(PIN.name), table.get(PIN_FILE.name));
    match (here, elsewhere) {
        (Some(_), Some(path)) => {
            let found = "this `[[room]]` has a `pin` and a `pin_file`";
            reader.refuse(path.span(), found, "must have one of them at most", None);
            None
        }
        (Some(value), None) => {
            let pin = value.get_ref().as_str();
            let checked = pin.and_then(check);
            if checked.is_none() {
                let found = match pin {
                    Some(pin) => format!("`pin` has {}", characters(pin)),
                    None => "`pin` is no text".to_owned(),
                };
                reader.refuse(value.span(), found, PIN_ALLOWED, None);
            }
            checked
        }
        (None, Some(path)) => read_pin_file(reader, path, file),
        (None, None) => None,
    }
}

/// The first line of the file, since editors end it with a line feed.
fn read_pin_file(reader: &mut Reader<'_>, value: &Value<'_>, file: &str) -> Option<Secret> {
    let (shown, text) = reader.file(PIN_FILE.name, value, file)?;
    let pin = check(text.trim());
    if pin.is_none() {
        let found = format!("{shown} has {}", characters(text.trim()));
        let allowed = "must hold a PIN of 4 to 64 characters in one line";
        reader.refuse(value.span(), found, allowed, None);
    }
    pin
}

/// Whether `line`, which stands after `before`, may show a PIN or another secret: whatever is wrong with it or with the file, so by what a
/// person would see, and not by what TOML makes of it. Rather once too often.
pub(crate) fn may_hold_secret(before: &str, line: &str) -> bool {
    // A name and a password may stand before the host.
    let is_in_url = line.split("://").skip(1).any(|rest| rest.contains('@'));
    names_a_secret(line) || is_in_url || is_in_long_text_of_a_secret(before)
}

/// Also misspelt, as `Pin`, `pins` or `pni`; paths, as in `pin_file`, are none.
fn names_a_secret(text: &str) -> bool {
    let mut keys = text.split('=');
    keys.next_back();
    keys.any(|before| {
        let key = before.trim_end().trim_end_matches(['"', '\'']);
        let key =
            key.rsplit(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.')).next();
        let key = key.unwrap_or_default().to_lowercase();
        let is_near = |name| key.contains(name) || strsim::osa_distance(&key, name) == 1;
        let is_secret = [PIN.name, ice::SECRET.name].into_iter().any(is_near);
        (is_secret && !key.ends_with("_file")) || key == webhooks::URL.name
    })
}

/// Text in three quotes goes on in the next lines.
fn is_in_long_text_of_a_secret(before: &str) -> bool {
    ["\"\"\"", "'''"].iter().any(|quotes| {
        let is_open = before.matches(quotes).count() % 2 == 1;
        let line = before.rfind(quotes).map(|at| before[..at].rsplit('\n').next());
        is_open && line.flatten().is_some_and(names_a_secret)
    })
}

/// The text of a file that is valid, with `"..."`, which is none, in the place of each PIN and other
/// secret.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let text = text.strip_prefix(crate::BYTE_ORDER_MARK).unwrap_or(text);
    let Ok(root) = crate::syntax::parse(text) else { return String::new() };
    let servers = root.get("ice").and_then(|ice| ice.get_ref().as_table()?.get(ice::SERVERS.name));
    let lists = [
        (root.get("room"), PIN.name),
        (servers, ice::SECRET.name),
        (root.get("webhook"), ice::SECRET.name),
        (root.get("webhook"), webhooks::URL.name),
    ];
    let entries = lists.into_iter().flat_map(|(list, key)| {
        let entries = list.and_then(|list| list.get_ref().as_array()).into_iter().flatten();
        entries.filter_map(move |entry| Some(entry.get_ref().as_table()?.get(key)?.span()))
    });
    let mut spans: Vec<_> = entries.collect();
    spans.sort_by_key(|span| span.start);
    let mut shown = text.to_owned();
    for span in spans.into_iter().rev() {
        shown.replace_range(span, "\"...\"");
    }
    shown
}

fn check(pin: &str) -> Option<Secret> {
    let plain = pin.trim() == pin && !pin.contains(char::is_control);
    (plain && PIN_CHARS.contains(&pin.chars().count())).then(|| Secret(pin.to_owned()))
}

fn characters(pin: &str) -> String {
    match pin.chars().count() {
        1 => "1 character".to_owned(),
        count if pin.trim() != pin => format!("{count} characters with spaces around them"),
        count if pin.contains(char::is_control) => {
            format!("{count} characters with control characters among them")
        }
        count => format!("{count} characters"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_may_show_a_pin_is_known_however_it_is_written() {
        for line in [
            "pin = \"471100\"",
            "  pin=471100",
            "\"pin\" = '471100'",
            "Pin = \"471100\"",
            "pni = \"471100\"",
            "pins = [\"471100\"]",
            "room_pin = 471100",
            "room = [{ chain = \"talk\", pin = \"471100\", name = \"board\" }]",
            "room.pin = \"471100",
            "servers = [{ urls = [\"turn:a\"], secret = \"0123456789\" }]",
            "  { secert = \"0123456789\", urls = [] },",
        ] {
            assert!(may_hold_secret("", line), "{line}");
        }
        for line in [
            "pin_file = \"pin.txt\"",
            "secret_file = \"turn\"",
            "name = \"pin\"",
            "# a pin",
            "chain = \"talk\"",
            "[[room]]",
        ] {
            assert!(!may_hold_secret("[[room]]\npin = \"4711\"\n", line), "{line}");
        }
        for quotes in ["\"\"\"", "'''"] {
            let before = format!("[[room]]\npin = {quotes}\n47\n");
            assert!(may_hold_secret(&before, "11"));
            assert!(!may_hold_secret(&format!("{before}11{quotes}\n"), "chain = 5"));
            assert!(!may_hold_secret(&format!("name = {quotes}\n"), "47"));
        }
    }

    #[test]
    fn a_file_is_shown_without_its_pins_and_is_none_that_could_be_taken_by_mistake() {
        let text = "# pin = \"1\"\n[[room]]\nname = \"a\" # 4711 is not it\npin = \"471100\" # secret\n\
                    [[room]]\npin_file = \"b\"\n[[room]]\npin = '''\n081500'''\n[ice]\nservers = [{ urls = [\"turn:a\"], \
                    secret = \"0123456789\" }]\n";
        let shown = without_secrets(text);
        assert_eq!(
            shown,
            text.replace("\"471100\"", "\"...\"")
                .replace("'''\n081500'''", "\"...\"")
                .replace("\"0123456789\"", "\"...\"")
        );
        assert_eq!(check("..."), None);
    }
}
