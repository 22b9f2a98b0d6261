//! What is wrong in a file, told to a person.

use std::fmt;
use std::ops::Range;

use crate::secret::may_hold_secret;

/// Every mistake of a file, by position. Displays as what `foldback check` prints, without the
/// last line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The mistakes, the first of the file first. At least one.
    #[must_use]
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{error}")?;
        }
        match self.0.as_slice() {
            [first, _, ..] => write!(f, "\n\n{}: {} errors", first.file, self.0.len()),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// One mistake. Displays as a line that says it all, the place in the file, and help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named by the caller.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What stands there: `` `cutoff_hz` is 5 ``.
    pub found: String,
    /// What may stand there instead: `must be a number from 20 to 1000 Hz`. `None` where
    /// [`Self::found`] says it.
    pub allowed: Option<String>,
    /// What was probably meant, or what to do about it.
    pub help: Option<String>,
    /// `None` where it could show a secret.
    excerpt: Option<Excerpt>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.found)?;
        if let Some(allowed) = &self.allowed {
            write!(f, ", {allowed}")?;
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        if let Some(Excerpt { text, indent, carets }) = &self.excerpt {
            write!(f, "\n{margin} |\n{number} |")?;
            if !text.is_empty() {
                write!(f, " {text}")?;
            }
            write!(f, "\n{margin} | {indent}{}", "^".repeat(*carets))?;
        }
        match &self.help {
            Some(help) => write!(f, "\n{margin} = help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A mistake before it knows its line: bytes `span` of the text.
#[derive(Debug)]
pub(crate) struct Mistake {
    pub(crate) span: Range<usize>,
    pub(crate) found: String,
    pub(crate) allowed: Option<String>,
    pub(crate) help: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [Some(&self.found), self.allowed.as_ref(), self.help.as_ref()];
        let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        f.write_str(&parts.join(", "))
    }
}

/// The mistakes as errors of `file`, in the order of their position. `None` if there are none.
pub(crate) fn locate(mut mistakes: Vec<Mistake>, text: &str, file: &str) -> Option<ConfigErrors> {
    mistakes.sort_by_key(|mistake| (mistake.span.start, mistake.span.end));
    let errors: Vec<_> = mistakes.into_iter().map(|m| m.locate(text, file)).collect();
    (!errors.is_empty()).then_some(ConfigErrors(errors))
}

/// The error of a file whose byte at `offset` is not UTF-8.
pub(crate) fn not_utf8(bytes: &[u8], offset: usize, file: &str) -> ConfigErrors {
    let text = String::from_utf8_lossy(bytes);
    let mistake = Mistake {
        span: offset..offset + char::REPLACEMENT_CHARACTER.len_utf8(),
        found: format!("the byte 0x{:02x} is not UTF-8", bytes[offset]),
        allowed: Some("the file must be UTF-8 text".to_owned()),
        help: None,
    };
    ConfigErrors(vec![mistake.locate(&text, file)])
}

/// The line, from 1, that byte `offset` of `text` stands in.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count()
}

impl Mistake {
    fn locate(self, text: &str, file: &str) -> ConfigError {
        let start = floor_char_boundary(text, self.span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line = text[line_start..].split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let before = text[line_start..start].chars().count();
        let end = floor_char_boundary(text, self.span.end)
            .clamp(start, line_start + line.len().max(start - line_start));
        let marked = text[start..end].chars().count();
        ConfigError {
            file: file.to_owned(),
            line: line_of(text, start),
            column: before + 1,
            found: self.found,
            allowed: self.allowed,
            help: self.help,
            excerpt: (!may_hold_secret(&text[..line_start], line))
                .then(|| Excerpt::new(line, before, marked)),
        }
    }
}

fn floor_char_boundary(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// The line of a mistake as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    /// What to put under the text before the carets: keeps tabs, so that any tab width fits.
    indent: String,
    carets: usize,
}

impl Excerpt {
    const MAX_CHARS: usize = 100;
    const CUT: char = '…';

    /// `line` with `marked` characters after the first `before` to be pointed at.
    fn new(line: &str, before: usize, marked: usize) -> Self {
        let chars: Vec<char> = line.chars().map(printable).collect();
        let from = match before + marked.min(Self::MAX_CHARS / 2) > Self::MAX_CHARS {
            true => before.saturating_sub(Self::MAX_CHARS / 2),
            false => 0,
        };
        let to = chars.len().min(from + Self::MAX_CHARS);
        let head = (from > 0).then_some(Self::CUT);
        let tail = (to < chars.len()).then_some(Self::CUT);
        let shown = chars[from.min(to)..to].iter().copied();
        let indent = head.into_iter().chain(shown.clone().take(before - from));
        Self {
            indent: indent.map(|c| if c == '\t' { '\t' } else { ' ' }).collect(),
            text: head.into_iter().chain(shown).chain(tail).collect(),
            carets: marked.min(to.saturating_sub(before)).max(1),
        }
    }
}

/// A terminal must not obey what a file holds.
fn printable(c: char) -> char {
    if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn display(text: &str, span: Range<usize>) -> String {
        let (found, allowed) = ("`x` is 5".to_owned(), Some("must be 6".to_owned()));
        let mistake = Mistake { span, found, allowed, help: Some("try 6".to_owned()) };
        locate(vec![mistake], text, "f.toml").expect("one error").to_string()
    }

    #[test]
    fn an_error_shows_its_line_and_points_at_its_place() {
        let expected =
            "f.toml:2:5: `x` is 5, must be 6\n  |\n2 | x = 55\n  |     ^^\n  = help: try 6";
        assert_eq!(display("\nx = 55\ny = 6\n", 5..7), expected);
    }

    #[test]
    fn columns_and_carets_count_characters_not_bytes() {
        let text = "ä = \"öö\"";
        let shown = display(text, text.find('"').expect("a quote")..text.len());
        assert!(shown.starts_with("f.toml:1:5: "), "{shown}");
        assert!(shown.contains("\n  |     ^^^^\n"), "{shown}");
    }

    #[test]
    fn carets_keep_to_the_first_line_and_stand_under_it_behind_tabs() {
        let shown = display("\tx = [\n1,\n]\n", 5..11);
        assert!(shown.contains("\n1 | \tx = [\n  | \t    ^\n"), "{shown}");
    }

    #[test]
    fn the_end_of_the_file_is_a_place() {
        assert!(display("", 0..0).contains("f.toml:1:1: "));
        assert!(display("x = 1\n", 6..6).contains("f.toml:2:1: "));
        assert!(display("x = 1", 90..99).contains("f.toml:1:6: "));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}x = 5{}", "a".repeat(500), "b".repeat(500));
        let shown = display(&text, 504..505);
        let lines: Vec<_> = shown.lines().collect();
        let caret = lines[3].chars().position(|c| c == '^').expect("a caret");
        assert_eq!(lines[2].chars().nth(caret), Some('5'), "{shown}");
        assert!(lines[2].chars().count() < 110, "{shown}");
        assert!(shown.starts_with("f.toml:1:505: "), "{shown}");
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        assert!(!display("x = \"\u{1b}[2J\"", 0..1).contains('\u{1b}'));
    }

    #[test]
    fn several_errors_stand_apart_and_are_counted() {
        let mistake = |start| {
            let found = format!("mistake at {start}");
            Mistake { span: start..start + 1, found, allowed: None, help: None }
        };
        let errors = locate(vec![mistake(2), mistake(0)], "a\nb\n", "f.toml").expect("two errors");
        let expected = "f.toml:1:1: mistake at 0\n  |\n1 | a\n  | ^\n\n\
                        f.toml:2:1: mistake at 2\n  |\n2 | b\n  | ^\n\nf.toml: 2 errors";
        assert_eq!(errors.to_string(), expected);
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_found() {
        let errors = not_utf8(b"a\nb\xffc\n", 3, "f.toml");
        let error = &errors.as_slice()[0];
        assert_eq!((error.line, error.column), (2, 2));
        assert_eq!(error.found, "the byte 0xff is not UTF-8");
    }
}
