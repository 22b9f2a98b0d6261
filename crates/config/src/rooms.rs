//! Which room gets which chain.

use std::fmt;
use std::sync::Arc;

use foldback_chain::ChainSpec;
use foldback_stage::ParamSpec;
use toml::de::{DeTable, DeValue};

use crate::chains::{Chains, ECHO};
use crate::names;
use crate::reader::{Reader, Value};
use crate::secret::{self, Secret};

/// The declaration of `name`: a [`RoomPattern`].
pub(crate) const NAME: ParamSpec = ParamSpec::text(
    "name",
    "",
    "A room, or a pattern in which `*` stands for any run of characters. The first match wins.",
);

/// The declaration of `chain`.
pub(crate) const CHAIN: ParamSpec = ParamSpec::text("chain", "", "The chain that it gets.");

/// The declaration of `max_participants`.
pub(crate) const MAX_PARTICIPANTS: ParamSpec = ParamSpec::int(
    "max_participants",
    "",
    0,
    100_000,
    0,
    "Most people in such a room, in the place of `participants_per_room`; 0: as many as come.",
);

/// The declaration of `record`.
pub(crate) const RECORD: ParamSpec = ParamSpec::bool(
    "record",
    false,
    "Whether such a room is recorded, mix and voices, from the first person in it on; needs a `directory` in [recording].",
);

/// The declaration of `chime`.
pub(crate) const CHIME: ParamSpec = ParamSpec::bool(
    "chime",
    false,
    "Whether everybody in such a room hears a chime when somebody comes in.",
);

/// The declaration of `waiting_room`.
pub(crate) const WAITING_ROOM: ParamSpec = ParamSpec::bool(
    "waiting_room",
    false,
    "Whether whoever comes to such a room waits until a host or an operator lets them in.",
);

/// One `[[room]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomRule {
    /// The rooms it is for.
    pub pattern: RoomPattern,
    /// What they get.
    pub chain: Arc<ChainSpec>,
    /// What whoever joins must say.
    pub pin: Option<Secret>,
    /// Most people in each of them, 0 for as many as come; `None`: as `[limits]` has it.
    pub max_participants: Option<usize>,
    /// Each of them is recorded from the first person in it on.
    pub record: bool,
    /// Everybody in one hears a chime when somebody comes in.
    pub chime: bool,
    /// Whoever comes to one waits until a host lets them in.
    pub waiting_room: bool,
}

/// The name of a room, or a pattern for many: `*` stands for any run of characters, also none.
/// Upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomPattern(String);

impl RoomPattern {
    /// Takes `text` as a pattern.
    ///
    /// # Errors
    /// What is allowed instead: `must be ...`.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let plain = text.trim() == text && !text.contains(char::is_control);
        if plain && (1..=MAX_CHARS).contains(&text.chars().count()) {
            return Ok(Self(text.to_owned()));
        }
        Err("must be a room's name or a pattern like \"team-*\", of 1 to 64 characters without \
             spaces around it")
    }

    /// The pattern for every room.
    pub(crate) fn all() -> Self {
        Self("*".to_owned())
    }

    /// Whether it is for every room. Allocates nothing.
    pub(crate) fn is_for_all(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether it is for a room called `room`. Allocates nothing.
    #[must_use]
    pub fn matches(&self, room: &str) -> bool {
        let Some((start, pattern)) = self.0.split_once('*') else { return self.0 == room };
        let Some(mut rest) = room.strip_prefix(start) else { return false };
        let (middle, end) = pattern.rsplit_once('*').unwrap_or(("", pattern));
        for part in middle.split('*') {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(end)
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest pattern.
pub(crate) const MAX_CHARS: usize = 64;

/// Reads every `[[room]]`, or makes the one rule that a file need not write. Whether rooms `can_record` is for the rest of the file to say.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    file: &str,
    chains: &Chains,
    can_record: bool,
) -> Vec<RoomRule> {
    let Some(rooms) = root.get("room") else {
        return implied(reader, chains).into_iter().collect();
    };
    let allowed = "must be `[[room]]`, with two brackets, once for each rule";
    let Some(rooms) = reader.list("room", rooms, allowed) else { return Vec::new() };
    let mut rules = Vec::new();
    let mut earlier = Vec::new();
    for room in rooms {
        rules.extend(read_rule(reader, room, file, (chains, can_record), &mut earlier));
    }
    rules
}

/// Where there is one chain for rooms, it is for every room. A chain `echo` beside others is for
/// those who join no room, and one that others include is for these.
fn implied(reader: &mut Reader<'_>, chains: &Chains) -> Option<RoomRule> {
    let is_for_rooms = |name: &String| name != ECHO && !chains.included.contains(name);
    let for_rooms = || chains.declared.iter().filter(|(name, _)| is_for_rooms(name));
    // An include that leads nowhere may have meant one of them.
    let is_known = |name: &String| chains.declared.iter().any(|(declared, _)| declared == name);
    if chains.included.iter().all(is_known)
        && let (count @ 2.., Some((name, _)), Some((_, span))) =
            (for_rooms().count(), for_rooms().next(), for_rooms().nth(1))
    {
        let found = format!("the file has {count} chains for rooms and no `[[room]]`");
        let allowed = "must say which rooms get which";
        let rule = format!("`[[room]]` with `name = \"*\"` and `chain = \"{name}\"`");
        let help = format!("for `{name}` in every room, add {rule}");
        reader.refuse(span.clone(), found, allowed, Some(help));
    }
    let mut specs = chains.specs.iter();
    let first = specs.clone().next();
    let chain = specs.find(|chain| is_for_rooms(&chain.name)).or(first)?;
    Some(RoomRule {
        pattern: RoomPattern::all(),
        chain: Arc::clone(chain),
        pin: None,
        max_participants: None,
        record: false,
        chime: false,
        waiting_room: false,
    })
}

fn read_rule(
    reader: &mut Reader<'_>,
    room: &Value<'_>,
    file: &str,
    (chains, can_record): (&Chains, bool),
    earlier: &mut Vec<(RoomPattern, usize)>,
) -> Option<RoomRule> {
    let DeValue::Table(table) = room.get_ref() else {
        reader.refuse_value("room", room, "must be `[[room]]`, once for each rule", None);
        return None;
    };
    let keys =
        [NAME, CHAIN, secret::PIN, secret::PIN_FILE, MAX_PARTICIPANTS, RECORD, CHIME, WAITING_ROOM]
            .map(|it| it.name);
    reader.known_keys("`[[room]]`", table, &keys);
    let pattern = read_pattern(reader, room, table);
    if let Some((pattern, value)) = &pattern {
        check_reached(reader, pattern, value, earlier);
        earlier.push((pattern.clone(), reader.line_of(value.span().start)));
    }
    let chain = read_chain(reader, room, table, chains);
    let pin = secret::read_pin(reader, table, file);
    let given = reader.given(table, &[MAX_PARTICIPANTS]);
    let is_given = given.iter().next().is_some();
    let most = is_given.then(|| usize::try_from(given.int(&MAX_PARTICIPANTS)).unwrap_or_default());
    let given = reader.given(table, &[RECORD, CHIME, WAITING_ROOM]);
    let (record, chime) = (given.bool(&RECORD), given.bool(&CHIME));
    let waiting_room = given.bool(&WAITING_ROOM);
    if record
        && !can_record
        && let Some(value) = table.get(RECORD.name)
    {
        let found = "this room is to be recorded, and the file has no `directory` in [recording]";
        reader.refuse(value.span(), found, "which must be the folder for it", None);
    }
    let (pattern, chain) = (pattern?.0, chain?);
    Some(RoomRule { pattern, chain, pin, max_participants: most, record, chime, waiting_room })
}

fn read_pattern<'v, 'd>(
    reader: &mut Reader<'_>,
    room: &Value<'_>,
    table: &'v DeTable<'d>,
) -> Option<(RoomPattern, &'v Value<'d>)> {
    let Some(value) = table.get("name") else {
        let allowed = "which must be a room's name, a pattern like \"team-*\", or \"*\" for all";
        reader.refuse(room.span(), "this `[[room]]` has no `name`", allowed, None);
        return None;
    };
    match RoomPattern::new(value.get_ref().as_str().unwrap_or_default()) {
        Ok(pattern) => Some((pattern, value)),
        Err(allowed) => {
            reader.refuse_value("name", value, allowed, None);
            None
        }
    }
}

/// The first match wins, so a rule under one that takes all of its rooms is never reached.
fn check_reached(
    reader: &mut Reader<'_>,
    pattern: &RoomPattern,
    value: &Value<'_>,
    earlier: &[(RoomPattern, usize)],
) {
    // A `*` of the earlier pattern that takes in the text of this one, stars and all, takes in
    // everything that those stars can stand for.
    let Some((first, line)) = earlier.iter().find(|(first, _)| first.matches(&pattern.0)) else {
        return;
    };
    reader.refuse(
        value.span(),
        format!("no room gets to the rule for \"{pattern}\""),
        format!(
            "must stand above the rule for \"{first}\" in line {line}, as the first match wins"
        ),
        None,
    );
}

fn read_chain(
    reader: &mut Reader<'_>,
    room: &Value<'_>,
    table: &DeTable<'_>,
    chains: &Chains,
) -> Option<Arc<ChainSpec>> {
    let declared = || chains.declared.iter().map(|(name, _)| name.as_str());
    let allowed = match chains.declared.is_empty() {
        true => "must name a chain, of which the file has none".to_owned(),
        false => format!("must be {}", names::list(declared(), '"', "or")),
    };
    let Some(value) = table.get("chain") else {
        let allowed = format!("which {allowed}");
        reader.refuse(room.span(), "this `[[room]]` has no `chain`", allowed, None);
        return None;
    };
    let name = reader.text("chain", value, &allowed)?;
    if !declared().any(|declared| declared == name) {
        reader.refuse_value("chain", value, allowed, names::did_you_mean(name, declared(), '"'));
        return None;
    }
    chains.specs.iter().find(|chain| chain.name == name).map(Arc::clone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, room: &str) -> bool {
        RoomPattern::new(pattern).expect("a pattern").matches(room)
    }

    #[test]
    fn a_name_without_a_star_is_for_that_room_alone() {
        assert!(matches("lobby", "lobby"));
        assert!(!matches("lobby", "lobby2"));
        assert!(!matches("lobby", "Lobby"));
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters_also_none() {
        for room in ["", "a", "any room"] {
            assert!(matches("*", room), "{room}");
        }
        assert!(matches("team-*", "team-"));
        assert!(matches("team-*", "team-ä"));
        assert!(!matches("team-*", "my team-a"));
        assert!(matches("*-music", "choir-music"));
        assert!(!matches("*-music", "choir-music-2"));
    }

    #[test]
    fn several_stars_match_their_parts_in_order_and_never_overlap() {
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("a*b*c", "a-c-b"));
        assert!(!matches("ab*ba", "aba"));
        assert!(!matches("*ab*ba", "aba"));
        assert!(matches("**", ""));
    }

    #[test]
    fn a_pattern_that_no_person_means_is_refused() {
        for bad in ["", " lobby", "lobby ", "a\nb", &"x".repeat(65)] {
            assert!(RoomPattern::new(bad).is_err(), "{bad:?}");
        }
    }
}
