//! What is not even TOML, in words for a person.

use std::mem;

use toml::de::{DeTable, Error};

use crate::error::Mistake;

/// The document that `text` holds.
///
/// # Errors
/// Every key that is given twice up to the first other mistake, and that one: what the parser
/// makes of the rest, once it is upset, is guesswork.
pub(crate) fn parse(text: &str) -> Result<DeTable<'_>, Vec<Mistake>> {
    let (root, mut errors) = DeTable::parse_recoverable(text);
    let start = |error: &Error| error.span().map(|span| span.start);
    errors.sort_by_key(start);
    // Of those at one place the last is the cause: the string without an end, and not the list
    // that was left open by it.
    errors.dedup_by(|next, kept| {
        let same = start(next) == start(kept);
        if same {
            mem::swap(next, kept);
        }
        same
    });
    let upset = errors.iter().position(|error| error.message() != DUPLICATE_KEY);
    errors.truncate(upset.map_or(errors.len(), |first| first + 1));
    match errors.is_empty() {
        true => Ok(root.into_inner()),
        false => Err(errors.iter().map(|error| mistake(text, error)).collect()),
    }
}

/// How the parser calls the one mistake that does not upset it.
const DUPLICATE_KEY: &str = "duplicate key";

fn mistake(text: &str, error: &Error) -> Mistake {
    let span = error.span().unwrap_or(text.len()..text.len());
    let line = text[..span.start].rsplit('\n').next().unwrap_or_default().trim();
    let (found, allowed) = match error.message() {
        DUPLICATE_KEY => {
            let key = text.get(span.clone()).unwrap_or_default();
            (format!("`{key}` is given a second time"), "must be given once at most".to_owned())
        }
        message if message.starts_with(UNQUOTED) && matches!(line, "[" | "[[") => (
            "not TOML: a section begins inside a list".to_owned(),
            "the list above must be closed with `]` first".to_owned(),
        ),
        message if message.starts_with(UNQUOTED) => (
            "not TOML: this is no value".to_owned(),
            "must be a number, true, false, a list, or text in double quotes".to_owned(),
        ),
        message if NUMBERS.iter().any(|number| message.starts_with(number)) => (
            "not TOML: this is no number".to_owned(),
            "must be a plain number, or stand in double quotes if it is text".to_owned(),
        ),
        UNENDED => (
            "not TOML: text without an end".to_owned(),
            "must end with `\"` in the line it begins in".to_owned(),
        ),
        message => {
            let (found, allowed) = message.split_once(", ").unwrap_or((message, ""));
            (format!("not TOML: {found}"), allowed.to_owned())
        }
    };
    let allowed = (!allowed.is_empty()).then_some(allowed);
    Mistake { span, found, allowed, help: None }
}

/// What the parser says of a value that it can make nothing of.
const UNQUOTED: &str = "string values must be quoted";

/// What the parser says of text in double quotes whose second quote is missing.
const UNENDED: &str = "invalid basic string, expected `\"`";

/// What the parser says of a value that starts like a number.
const NUMBERS: &[&str] = &["invalid float", "invalid integer", "invalid fraction"];
