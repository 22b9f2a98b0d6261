//! The section `[flight_recorder]`.

use std::path::PathBuf;

use foldback_stage::{ParamSpec, Params};
use toml::de::DeTable;

use crate::reader::Reader;
use crate::recording::read_directory;
use crate::sections::set_int;
use crate::settings::{Section, Setting};

/// Section `[flight_recorder]`: what is kept of rooms, to look into what went wrong. For rooms that are opened once the file
/// is read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlightRecorderConfig {
    /// Where flights are saved. `None`: nothing is kept.
    pub directory: Option<PathBuf>,
    /// So much is kept of each room, in s: 5 to 300. Default 30.
    pub seconds: u32,
}

impl FlightRecorderConfig {
    /// The declaration of `directory`.
    pub const DIRECTORY: ParamSpec = ParamSpec::text(
        "directory",
        "",
        "The folder that the last of what a room was given is saved in, on request and after a fault, as a path from the \
         folder of this file; without one nothing is kept.",
    );

    /// The declaration of `seconds`.
    pub const SECONDS: ParamSpec =
        ParamSpec::int("seconds", "s", 5, 300, 30, "How much of it is kept, in memory.");

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "flight_recorder",
        about: "What is kept of rooms, to look into what went wrong.",
        settings: &[
            Setting::one(Self::DIRECTORY, |a, b| {
                a.flight_recorder.directory != b.flight_recorder.directory
            }),
            Setting::one(Self::SECONDS, |a, b| {
                a.flight_recorder.seconds != b.flight_recorder.seconds
            }),
        ],
    };

    const PARAMS: &'static [ParamSpec] = &[Self::SECONDS];
}

impl Default for FlightRecorderConfig {
    fn default() -> Self {
        let mut recorder = Self { directory: None, seconds: 0 };
        set_int(&mut recorder.seconds, &Params::defaults(Self::PARAMS), &Self::SECONDS);
        recorder
    }
}

/// Reads `[flight_recorder]` of `file`.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    file: &str,
) -> FlightRecorderConfig {
    let mut recorder = FlightRecorderConfig::default();
    let Some(table) = FlightRecorderConfig::SECTION.read(reader, root) else { return recorder };
    let given = reader.given(table, FlightRecorderConfig::PARAMS);
    set_int(&mut recorder.seconds, &given, &FlightRecorderConfig::SECONDS);
    if let Some(value) = table.get(FlightRecorderConfig::DIRECTORY.name) {
        recorder.directory = read_directory(reader, value, file);
    }
    recorder
}
