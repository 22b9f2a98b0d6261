//! The configuration file.

use std::path::Path;
use std::sync::Arc;

use foldback_chain::{ChainSpec, Registry};
use foldback_config::Config;

use crate::plugins;

/// The chain called `name` of a file or of the built-in configuration; without a name its only one.
pub(crate) fn chain_of(file: Option<&Path>, name: Option<&str>) -> Result<Arc<ChainSpec>, String> {
    let config = read_or_built_in(file)?;
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
    config.map_err(|errors| errors.to_string())
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
