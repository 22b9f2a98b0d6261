//! TOML text to a validated configuration.
//!
//! A file is read whole: every mistake in it is found in one go, and each is told with file,
//! line, column, what was found, what is allowed and, for a typo, the name that was probably
//! meant. What a stage takes is not written down here: it comes from the declarations of the
//! kinds in the [`Registry`], so a new plugin needs no change in this crate.
//!
//! ```
//! use foldback_chain::Registry;
//! use foldback_config::Config;
//!
//! let registry = Registry::new(&[]);
//! let text = "[chain.plain]\nstages = [{ kind = \"mix\", max_talkers = 99 }]\n";
//! let errors = Config::parse(text, "my.toml", &registry).expect_err("99 is too many");
//! assert!(errors.to_string().starts_with(
//!     "my.toml:2:41: `max_talkers` is 99, must be a whole number from 1 to 32"
//! ));
//! ```

mod auth;
mod chains;
mod describe;
mod environment;
mod error;
mod flight;
mod ice;
mod include;
mod limits;
mod log;
mod names;
mod overrides;
mod plugins;
mod reader;
mod recording;
mod rooms;
mod rtp;
mod schema;
mod secret;
mod sections;
mod settings;
mod syntax;
mod tls;
mod webhooks;

use std::sync::Arc;

use foldback_chain::{ChainSpec, Registry};
use foldback_stage::StageFormat;

use crate::chains::{Chains, ECHO};
use crate::reader::Reader;

pub use auth::AuthConfig;
pub use describe::{describe_chain, describe_kinds};
pub use environment::{Variable, environment_variables, unknown_variables};
pub use error::{ConfigError, ConfigErrors};
pub use flight::FlightRecorderConfig;
pub use ice::{IceConfig, IceServer, TurnSecret};
pub use limits::LimitsConfig;
pub use log::{LogConfig, LogFormat, check_log_level};
pub use overrides::{Overrides, RefusedOverride};
pub use plugins::kinds_of;
pub use recording::{PlayingConfig, RecordingConfig};
pub use rooms::{RoomPattern, RoomRule};
pub use rtp::RtpConfig;
pub use schema::json_schema;
pub use secret::{PIN_CHARS, Secret, without_secrets};
pub use sections::{
    LatencyMode, MetricsConfig, OpusApplication, OpusConfig, ServerConfig, check_listen,
    check_public_address,
};
pub use tls::{CertificateSource, TlsConfig};
pub use webhooks::{EVENTS, Webhook};

/// A checked configuration: everything in it is in range, and every stage has been built once.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Section `[server]`.
    pub server: ServerConfig,
    /// Section `[opus]`.
    pub opus: OpusConfig,
    /// Section `[latency]`.
    pub latency: LatencyMode,
    /// Section `[log]`.
    pub log: LogConfig,
    /// Section `[tls]`.
    pub tls: TlsConfig,
    /// Section `[metrics]`.
    pub metrics: MetricsConfig,
    /// Section `[limits]`.
    pub limits: LimitsConfig,
    /// Section `[recording]`.
    pub recording: RecordingConfig,
    /// Section `[playing]`.
    pub playing: PlayingConfig,
    /// Section `[flight_recorder]`.
    pub flight_recorder: FlightRecorderConfig,
    /// Section `[rtp]`.
    pub rtp: RtpConfig,
    /// Section `[auth]`.
    pub auth: AuthConfig,
    /// Section `[ice]`.
    pub ice: IceConfig,
    /// Every `[[webhook]]`.
    pub webhooks: Vec<Webhook>,
    /// Every `[chain.NAME]`, in the order of the file. At least one.
    pub chains: Vec<Arc<ChainSpec>>,
    /// Every `[[room]]`, in the order of the file; the first that matches wins.
    pub rooms: Vec<RoomRule>,
    echo: Arc<ChainSpec>,
}

impl Config {
    /// Checks `text`, the contents of `file`, which is used in messages and to find libraries.
    ///
    /// Builds every stage once, so that what a plugin refuses is found here too: may allocate,
    /// may take milliseconds per stage. Has `registry` load the libraries of `[plugins]`, and reads
    /// what `pin_file`, `secret_file` and keys of `[auth]` name; paths are relative to the folder of `file`.
    ///
    /// # Errors
    /// Every mistake of the file, in the order of their position. Where the text is not TOML
    /// these are the errors of syntax alone.
    pub fn parse(text: &str, file: &str, registry: &Registry) -> Result<Self, ConfigErrors> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let mut reader = Reader::new(text);
        let config = read(&mut reader, file, registry);
        match (config, reader.into_errors(file)) {
            (Some(config), None) => Ok(config),
            (_, Some(errors)) => Err(errors),
            (None, None) => unreachable!("a configuration is only missing after an error"),
        }
    }

    /// As [`Self::parse`], for the bytes of a file as they were read.
    ///
    /// # Errors
    /// As [`Self::parse`], or the place of the first byte that is not UTF-8.
    pub fn parse_bytes(
        bytes: &[u8],
        file: &str,
        registry: &Registry,
    ) -> Result<Self, ConfigErrors> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text, file, registry),
            Err(error) => Err(error::not_utf8(bytes, error.valid_up_to(), file)),
        }
    }

    /// The configuration that serves when no file is given: `config/conference.toml`, as it was
    /// when the binary was built.
    ///
    /// # Panics
    /// If `registry` lacks a kind of stage that the file names (a bug in the plugin list).
    #[must_use]
    pub fn built_in(registry: &Registry) -> Self {
        let config = Self::parse(Self::BUILT_IN_TEXT, Self::BUILT_IN_FILE, registry);
        config.unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// How [`Self::built_in`] is called in messages.
    pub const BUILT_IN_FILE: &str = "config/conference.toml";

    /// The text of [`Self::built_in`].
    pub const BUILT_IN_TEXT: &str = include_str!("../../../config/conference.toml");

    /// The chain of a room called `room`: that of the first rule that matches, or `None` where
    /// the file serves no such room.
    #[must_use]
    pub fn chain_for_room(&self, room: &str) -> Option<&Arc<ChainSpec>> {
        self.rule_for_room(room).map(|rule| &rule.chain)
    }

    /// The first rule that matches a room called `room`.
    #[must_use]
    pub fn rule_for_room(&self, room: &str) -> Option<&RoomRule> {
        self.rooms.iter().find(|rule| rule.pattern.matches(room))
    }

    /// The chain called `name`.
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<&Arc<ChainSpec>> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// The chain called `name`; without a name, the only one.
    ///
    /// # Errors
    /// A sentence with the names there are.
    pub fn pick_chain(&self, name: Option<&str>) -> Result<&Arc<ChainSpec>, String> {
        let known = || self.chains.iter().map(|chain| chain.name.as_str());
        let listed = names::list(known(), '"', "and");
        match (name, self.chains.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(format!("there are the chains {listed}: name one of them")),
            (Some(name), _) => self.chain(name).ok_or_else(|| {
                let meant = names::did_you_mean(name, known(), '"');
                let meant = meant.map_or(String::new(), |meant| format!(": {meant}"));
                format!("there is no chain {name:?}, only {listed}{meant}")
            }),
        }
    }

    /// The chain for callers who join no room and hear themselves: the file's chain `echo`, else
    /// that of `config/echo.toml` as it was when the binary was built. Never has a `mix`.
    ///
    /// Where the registry lacks a kind of that file, it has no stages: a plain loop.
    #[must_use]
    pub fn echo_chain(&self) -> &Arc<ChainSpec> {
        &self.echo
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads the whole document. `None` only after an error.
fn read(reader: &mut Reader<'_>, file: &str, registry: &Registry) -> Option<Config> {
    let root = reader.document()?;
    let settings = settings::ALL.map(|section| section.name);
    reader.known_keys(
        "the file",
        &root,
        &[&settings[..], &["ice", "webhook", "chain", "room"]].concat(),
    );
    let registry = &plugins::read(reader, &root, file, registry);
    let (mut server, mut opus, mut latency, mut log, mut metrics) = Default::default();
    let (mut limits, mut auth) = Default::default();
    sections::read_server(reader, &root, file, &mut server);
    sections::read_opus(reader, &root, &mut opus);
    sections::read_latency(reader, &root, &mut latency);
    log::read(reader, &root, &mut log);
    let mut tls = TlsConfig::default();
    let before = reader.mistakes();
    tls::read(reader, &root, file, &mut tls);
    if reader.mistakes() == before {
        tls::check(reader, &root, &tls);
    }
    sections::read_metrics(reader, &root, &mut metrics);
    limits::read(reader, &root, &mut limits);
    let mut recording = RecordingConfig::default();
    recording::read(reader, &root, file, &mut recording);
    let mut playing = PlayingConfig::default();
    recording::read_playing(reader, &root, file, &mut playing);
    let flight_recorder = flight::read(reader, &root, file);
    let mut rtp = RtpConfig::default();
    rtp::read(reader, &root, &mut rtp);
    auth::read(reader, &root, file, &mut auth);
    let ice = ice::read(reader, &root, file);
    let webhooks = webhooks::read(reader, &root, file);
    let chains = chains::read(reader, &root, registry);
    let rooms = rooms::read(reader, &root, file, &chains, recording.directory.is_some());
    let Chains { specs: chains, .. } = chains;
    let echo = chains.iter().find(|chain| chain.name == ECHO);
    let echo = echo.map_or_else(|| built_in_echo(registry), Arc::clone);
    Some(Config {
        server,
        opus,
        latency,
        log,
        tls,
        metrics,
        limits,
        auth,
        recording,
        playing,
        flight_recorder,
        rtp,
        ice,
        webhooks,
        chains,
        rooms,
        echo,
    })
}

fn built_in_echo(registry: &Registry) -> Arc<ChainSpec> {
    let mut reader = Reader::new(include_str!("../../../config/echo.toml"));
    let root = reader.document();
    let chains = root.map(|root| chains::read(&mut reader, &root, registry));
    let known = chains.filter(|_| !reader.has_errors());
    known.and_then(|chains| chains.specs.into_iter().next()).unwrap_or_else(|| {
        let name = ECHO.to_owned();
        Arc::new(ChainSpec {
            name,
            format: StageFormat::MONO,
            input: Vec::new(),
            mix: None,
            output: Vec::new(),
        })
    })
}

#[cfg(test)]
mod tests;
