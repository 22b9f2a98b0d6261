//! The configuration file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldback_chain::{ChainSpec, Registry};
use foldback_config::Config;

use crate::auth::{check_exposure, check_keys};
use crate::{plugins, tls};

/// The chain called `name` of a file or of the built-in configuration, the one that callers of no
/// room hear themselves through included; without a name its only one.
pub(crate) fn chain_of(file: Option<&Path>, name: Option<&str>) -> Result<Arc<ChainSpec>, String> {
    let config = read_or_built_in(file)?;
    if name.is_some_and(|name| name == config.echo_chain().name) {
        return Ok(Arc::clone(config.echo_chain()));
    }
    let chain = config.pick_chain(name).map_err(|sentence| match file {
        Some(file) => format!("{}: {sentence}", file.display()),
        None => format!("the built-in configuration: {sentence}"),
    });
    chain.map(Arc::clone)
}

/// The file, or, where there is none, what is built into the binary.
pub(crate) fn read_or_built_in(file: Option<&Path>) -> Result<Config, String> {
    file.map_or_else(|| Ok(Config::built_in(&plugins::registry())), read)
}

/// Reads and checks a file; the error is for the person who wrote it.
pub(crate) fn read(file: &Path) -> Result<Config, String> {
    let bytes = bytes_of(file)?;
    let config = Config::parse_bytes(&bytes, &file.display().to_string(), &plugins::registry());
    let config = config.map_err(|errors| errors.to_string())?;
    check_beyond(&config)?;
    Ok(config)
}

/// Checks what cannot be told by looking at one key of the file alone.
fn check_beyond(config: &Config) -> Result<(), String> {
    config
        .server
        .check_ports()
        .map_err(|allowed| format!("`media_port` is {}, {allowed}", config.server.media_port))?;
    check_keys(&config.auth)?;
    tls::check(&config.tls)?;
    Ok(())
}

/// The kinds of stage that chains of a file can name; without one, those that are built in.
pub(crate) fn kinds(file: Option<&Path>) -> Result<Registry, String> {
    let Some(file) = file else { return Ok(plugins::registry()) };
    let bytes = bytes_of(file)?;
    let kinds =
        foldback_config::kinds_of(&bytes, &file.display().to_string(), &plugins::registry());
    kinds.map_err(|errors| errors.to_string())
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// Sets what stands above the file: environment and command line.
type Override = dyn Fn(&mut Config) -> Result<(), String> + Send + Sync;

/// Where a server has its configuration from, again and again.
pub struct ConfigSource {
    file: Option<PathBuf>,
    above: Box<Override>,
}

/// A configuration and the text that says it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// As the file had it.
    pub text: Arc<str>,
}

impl ConfigSource {
    /// `file`, or what is built in, and `above` it what environment and command line say.
    pub fn new(
        file: Option<PathBuf>,
        above: impl Fn(&mut Config) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { file, above: Box::new(above) }
    }

    /// The file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads the file, or what is built in.
    ///
    /// # Errors
    /// Every mistake of the file, or that it cannot be read, or what stands above it wrongly.
    pub fn read(&self) -> Result<Loaded, String> {
        match &self.file {
            Some(file) => self.check(&bytes_of(file)?),
            None => self.check(Config::BUILT_IN_TEXT.as_bytes()),
        }
    }

    /// Takes `bytes` as what the file has.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn check(&self, bytes: &[u8]) -> Result<Loaded, String> {
        let name = self.file.as_deref().unwrap_or(Path::new(Config::BUILT_IN_FILE));
        let config = Config::parse_bytes(bytes, &name.display().to_string(), &plugins::registry());
        let mut config = config.map_err(|errors| errors.to_string())?;
        (self.above)(&mut config)?;
        check_beyond(&config)?;
        check_exposure(&config)?;
        Ok(Loaded { config, text: String::from_utf8_lossy(bytes).into() })
    }
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource").field("file", &self.file).finish_non_exhaustive()
    }
}
