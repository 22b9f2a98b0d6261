//! The sections `[recording]`, where recordings of rooms go, and `[playing]`, where what is played into them comes from.

use std::path::{Path, PathBuf};

use foldback_stage::{ParamSpec, Params};
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::sections::set_int;
use crate::settings::{Section, Setting};

/// Section `[recording]`. All of it counts at once when the file is read again, for recordings that begin from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingConfig {
    /// The folder of their files. `None`: nothing can be recorded.
    pub directory: Option<PathBuf>,
    /// A recording ends, and none begins, while less than so many MiB are free there. Default 500.
    pub min_free_mb: u32,
    /// Whether the beginning of a recording is told by a sound. Default true.
    pub chime: bool,
}

impl RecordingConfig {
    /// The declaration of `directory`.
    pub const DIRECTORY: ParamSpec = ParamSpec::text(
        "directory",
        "",
        "The folder that recordings of rooms go to, as a path from the folder of this file; without one nothing can be \
         recorded.",
    );

    /// The declaration of `min_free_mb`.
    pub const MIN_FREE_MB: ParamSpec = ParamSpec::int(
        "min_free_mb",
        "MiB",
        0,
        100_000_000,
        500,
        "A recording ends, and none begins, while less than this is free there.",
    );

    /// The declaration of `chime`.
    pub const CHIME: ParamSpec = ParamSpec::bool(
        "chime",
        true,
        "Whether everybody in a room hears a chime when a recording of it begins.",
    );

    const PARAMS: &'static [ParamSpec] = &[Self::MIN_FREE_MB, Self::CHIME];

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "recording",
        about: "Where recordings of rooms go.",
        settings: &[
            Setting::one(Self::DIRECTORY, |a, b| a.recording.directory != b.recording.directory),
            Setting::one(Self::MIN_FREE_MB, |a, b| {
                a.recording.min_free_mb != b.recording.min_free_mb
            }),
            Setting::one(Self::CHIME, |a, b| a.recording.chime != b.recording.chime),
        ],
    };

    fn set(&mut self, given: &Params) {
        set_int(&mut self.min_free_mb, given, &Self::MIN_FREE_MB);
        if given.iter().any(|(name, _)| name == Self::CHIME.name) {
            self.chime = given.bool(&Self::CHIME);
        }
    }
}

impl Default for RecordingConfig {
    fn default() -> Self {
        let mut recording = Self { directory: None, min_free_mb: 0, chime: true };
        recording.set(&Params::defaults(Self::PARAMS));
        recording
    }
}

/// Section `[playing]`. It counts at once when the file is read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlayingConfig {
    /// The folder of the files that can be played into rooms. `None`: none can.
    pub directory: Option<PathBuf>,
}

impl PlayingConfig {
    /// The declaration of `directory`.
    pub const DIRECTORY: ParamSpec = ParamSpec::text(
        "directory",
        "",
        "The folder of the files that operators may play into rooms, as a path from the folder of this file; without one \
         nothing can be played.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "playing",
        about: "Where what is played into rooms comes from.",
        settings: &[Setting::one(Self::DIRECTORY, |a, b| {
            a.playing.directory != b.playing.directory
        })],
    };
}

/// Reads `[playing]` of `file`; what it does not give stays in `playing`.
pub(crate) fn read_playing(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    file: &str,
    playing: &mut PlayingConfig,
) {
    let Some(table) = PlayingConfig::SECTION.read(reader, root) else { return };
    if let Some(value) = table.get(PlayingConfig::DIRECTORY.name) {
        playing.directory = read_directory(reader, value, file);
    }
}

/// Reads `[recording]` of `file`; what it does not give stays in `recording`.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    file: &str,
    recording: &mut RecordingConfig,
) {
    let Some(table) = RecordingConfig::SECTION.read(reader, root) else { return };
    recording.set(&reader.given(table, RecordingConfig::PARAMS));
    if let Some(value) = table.get(RecordingConfig::DIRECTORY.name) {
        recording.directory = read_directory(reader, value, file);
    }
}

/// A folder that is there, as a path from that of `file`.
pub(crate) fn read_directory(
    reader: &mut Reader<'_>,
    value: &Value<'_>,
    file: &str,
) -> Option<PathBuf> {
    let path = reader.text("directory", value, "must be a path")?;
    let path = Path::new(file).parent().unwrap_or(Path::new("")).join(path);
    if path.is_dir() {
        return Some(path);
    }
    let found = format!("`directory` is {}, where no folder is", path.display());
    reader.refuse(value.span(), found, "must be a folder that is there", None);
    None
}
