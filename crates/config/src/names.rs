//! Names: which are allowed, and which was meant.

/// What [`is_label`] takes, in words.
pub(crate) const LABEL: &str =
    "must be 1 to 64 letters, digits, dots, hyphens or underscores (it becomes a metric's label)";

/// What [`is_label`] takes, as a regular expression.
pub(crate) const LABEL_PATTERN: &str = "^[A-Za-z0-9._-]{1,64}$";

/// Whether `name` can name a chain or a stage.
pub(crate) fn is_label(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// The one of `names` that was probably meant by `found`, if any is near enough.
pub(crate) fn nearest<'n>(
    found: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let found = found.to_lowercase();
    let near = names.into_iter().filter_map(|name| {
        let lower = name.to_lowercase();
        let edits = strsim::damerau_levenshtein(&found, &lower);
        let allowed = found.chars().count().max(lower.chars().count()) / 3;
        // `ceiling` for `ceiling_dbfs`: far in edits, but the unit alone is what was forgotten.
        let is_start = found.len() >= 3 && lower.starts_with(&found);
        (edits <= allowed.max(1) || is_start).then_some((edits, name))
    });
    near.min_by_key(|(edits, _)| *edits).map(|(_, name)| name)
}

/// `did you mean ...?` for the nearest name.
pub(crate) fn did_you_mean<'n>(
    found: &str,
    names: impl IntoIterator<Item = &'n str>,
    quote: char,
) -> Option<String> {
    nearest(found, names).map(|name| format!("did you mean {quote}{name}{quote}?"))
}

/// That `what` has no `name`, what is allowed instead, and what was probably meant.
pub(crate) fn unknown_key<'n>(
    what: &str,
    name: &str,
    allowed: impl Iterator<Item = &'n str> + Clone,
) -> (String, String, Option<String>) {
    (
        format!("{what} has no `{name}`"),
        format!("allowed here: {}", list(allowed.clone(), '`', "and")),
        did_you_mean(name, allowed, '`'),
    )
}

/// ``must be "a", "b" or "c"``: `names` in `quote`s, the last after `join`.
pub(crate) fn list<'n>(
    names: impl IntoIterator<Item = &'n str>,
    quote: char,
    join: &str,
) -> String {
    let mut names: Vec<_> = names.into_iter().map(|name| format!("{quote}{name}{quote}")).collect();
    match names.pop() {
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} {join} {last}", names.join(", ")),
        None => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_the_name_meant() {
        let kinds = ["high-pass", "echo-cancel", "noise-suppress", "gain", "auto-gain"];
        for (typo, meant) in [
            ("highpass", "high-pass"),
            ("High-Pass", "high-pass"),
            ("echo-cancle", "echo-cancel"),
            ("noise-suppression", "noise-suppress"),
            ("gian", "gain"),
            ("autogain", "auto-gain"),
        ] {
            assert_eq!(nearest(typo, kinds), Some(meant), "{typo}");
        }
    }

    #[test]
    fn a_parameter_without_its_unit_finds_the_one_with_it() {
        assert_eq!(nearest("ceiling", ["lookahead_ms", "ceiling_dbfs"]), Some("ceiling_dbfs"));
    }

    #[test]
    fn a_name_unlike_any_finds_none() {
        assert_eq!(nearest("reverb", ["high-pass", "gain", "limiter"]), None);
        assert_eq!(nearest("x", ["mix"]), None);
    }

    #[test]
    fn labels_are_what_metrics_can_carry() {
        for good in ["a", "noise-suppress_2.b", &"x".repeat(64)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "zwei Worte", "höhen", "a\"b", "a\nb", &"x".repeat(65)] {
            assert!(!is_label(bad), "{bad}");
        }
    }
}
