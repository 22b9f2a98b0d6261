//! The section `[log]`.

use std::ffi::OsString;

use foldback_stage::ParamSpec;
use toml::de::DeTable;

use crate::reader::Reader;
use crate::settings::{Section, Setting};
use crate::{BYTE_ORDER_MARK, environment};

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// Section `[log]`: what the server says of what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How. Default: for people.
    pub format: LogFormat,
    /// What: [`check_log_level`]. Default `info`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl LogConfig {
    /// The declaration of `format`.
    pub const FORMAT: ParamSpec = ParamSpec::choice(
        "format",
        &["text", "json"],
        "text",
        "How lines of the log are written: for people, or as one JSON object each.",
    );

    /// The declaration of `level`: [`check_log_level`].
    pub const LEVEL: ParamSpec = ParamSpec::text(
        "level",
        "info",
        "From which level on lines are written (error, warn, info, debug, trace, off); of single crates by \
         foldback_worker=debug, with commas in between.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "log",
        about: "What the server says of what it does.",
        settings: &[
            Setting::one(Self::FORMAT, |a, b| a.log.format != b.log.format),
            Setting::one(Self::LEVEL, |a, b| a.log.level != b.log.level),
        ],
    };

    /// What a file says of the log, and `variable`s of the environment above it. To be known before
    /// the file is read as a whole, which tells its mistakes; here they count for nothing.
    pub fn peek(bytes: &[u8], variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let mut log = Self::default();
        log.take(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
        for setting in Self::SECTION.settings {
            if let Some(value) = variable(&environment::name(Self::SECTION.name, setting)) {
                log.take(&environment::document(Self::SECTION.name, setting, &value));
            }
        }
        log
    }

    fn take(&mut self, text: &str) {
        let mut reader = Reader::new(text);
        let root = reader.document().unwrap_or_default();
        read(&mut reader, &root, self);
    }
}

/// Takes `text` as what is written to the log.
///
/// # Errors
/// What is allowed instead: `must be ...`.
pub fn check_log_level(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_crate = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
        !name.is_empty() && name.bytes().all(allowed)
    };
    let is_good = |entry: &str| match entry.split_once('=') {
        Some((name, level)) => is_crate(name) && LEVELS.contains(&level),
        None => LEVELS.contains(&entry),
    };
    if text.split(',').all(|entry| is_good(entry.trim())) {
        return Ok(());
    }
    Err("must be error, warn, info, debug, trace or off, or such of single crates, like \
         \"info,foldback_worker=debug\""
        .to_owned())
}

/// Reads `[log]`; what it does not give stays in `log`.
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, log: &mut LogConfig) {
    let Some(table) = LogConfig::SECTION.read(reader, root) else { return };
    let given = reader.given(table, &[LogConfig::FORMAT]);
    if given.iter().next().is_some() {
        log.format = match given.choice(&LogConfig::FORMAT) {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        };
    }
    if let Some(value) = table.get(LogConfig::LEVEL.name) {
        let text = value.get_ref().as_str().unwrap_or_default();
        match check_log_level(text) {
            Ok(()) => log.level = text.to_owned(),
            Err(allowed) => reader.refuse_value(LogConfig::LEVEL.name, value, allowed, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_and_of_crates_too() {
        for good in ["info", "off", "warn,foldback_worker=debug", "info, str0m::ice=trace"] {
            assert_eq!(check_log_level(good), Ok(()), "{good}");
        }
        for bad in ["", "loud", "info,", "foldback_worker", "foldback worker=debug", "=info", "a=b"]
        {
            assert!(check_log_level(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_log_is_known_before_the_rest_and_in_spite_of_its_mistakes() {
        let text = b"[log]\nformat = \"json\"\nlevel = \"debug\"\n[server]\nlisten = 7\n";
        let log = LogConfig::peek(text, |_| None);
        assert_eq!(log, LogConfig { format: LogFormat::Json, level: "debug".to_owned() });
        let above = |name: &str| (name == "FOLDBACK_LOG_LEVEL").then(|| OsString::from("off"));
        let log = LogConfig::peek(text, above);
        assert_eq!(log, LogConfig { format: LogFormat::Json, level: "off".to_owned() });
        assert_eq!(LogConfig::peek(b"[log", |_| None), LogConfig::default());
    }
}
