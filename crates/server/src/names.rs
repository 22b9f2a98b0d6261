//! Names that people give to rooms and to themselves.

/// The longest name, in characters.
const MAX_CHARS: usize = 64;

/// Takes the name of a room.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_room(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    // A URL's path cannot carry the names of "here" and "above".
    let in_path = name != "." && name != "..";
    if (1..=MAX_CHARS).contains(&name.len()) && name.chars().all(allowed) && in_path {
        return Ok(name.to_owned());
    }
    Err(format!(
        "A room's name has 1 to {MAX_CHARS} characters out of letters a to z, digits, `.`, `_` \
         and `-` (not `.` or `..` alone); got {}.",
        quote(name)
    ))
}

/// Takes the name of a person, trimmed.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_person(name: &str) -> Result<String, String> {
    let name = name.trim();
    let chars = name.chars().count();
    if (1..=MAX_CHARS).contains(&chars) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "A person's name has 1 to {MAX_CHARS} characters, none of them control characters; got {}.",
        quote(name)
    ))
}

/// The longest text of a message, in characters.
const MAX_TEXT_CHARS: usize = 2000;

/// Takes what a person writes to the others, trimmed.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_text(text: &str) -> Result<String, String> {
    let text = text.trim();
    let chars = text.chars().count();
    let is_odd = |c: char| c.is_control() && c != '\n';
    if (1..=MAX_TEXT_CHARS).contains(&chars) && !text.contains(is_odd) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "A message has 1 to {MAX_TEXT_CHARS} characters, none of them control characters but line \
         feeds; got {chars}: {}.",
        quote(text)
    ))
}

fn quote(name: &str) -> String {
    let mut shown: String = name.chars().take(MAX_CHARS).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_taken_and_trimmed() {
        assert_eq!(check_room("stand-up_2.b"), Ok("stand-up_2.b".to_owned()));
        assert_eq!(check_person("  Zoë 🎧 "), Ok("Zoë 🎧".to_owned()));
    }

    #[test]
    fn a_text_has_lines_and_an_end() {
        assert_eq!(check_text(" two\nlines \n"), Ok("two\nlines".to_owned()));
        for bad in ["", " \n ", "a\u{7}", &"x".repeat(2001)] {
            assert!(check_text(bad).expect_err(bad).contains("1 to 2000"), "{bad}");
        }
    }

    #[test]
    fn empty_long_and_odd_names_are_refused_with_what_is_allowed() {
        for bad in ["", "a/b", "ä", "..", &"x".repeat(65)] {
            assert!(check_room(bad).expect_err(bad).contains("1 to 64"), "{bad}");
        }
        for bad in ["", "   ", "a\nb", &"x".repeat(65)] {
            assert!(check_person(bad).expect_err(bad).contains("1 to 64"), "{bad}");
        }
    }
}
