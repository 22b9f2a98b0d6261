//! The configuration file.

use std::path::Path;

use foldback_config::Config;

use crate::plugins;

/// Reads and checks a file; the error is for the person who wrote it.
pub(crate) fn read(file: &Path) -> Result<Config, String> {
    let shown = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let config = Config::parse_bytes(&bytes, &shown, &plugins::registry());
    config.map_err(|errors| errors.to_string())
}
