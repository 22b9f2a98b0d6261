//! `foldback manual`: what packages install beside the binary, made from the command line itself.

use std::fs;
use std::path::PathBuf;

use clap::Command;
use clap_complete::{Shell, generate_to};

#[derive(Debug, clap::Args)]
pub(crate) struct ManualOptions {
    /// The folder that pages (`*.1`) and completions go to; it is made if it is not there.
    folder: PathBuf,
}

/// Writes a manual page for each command, and completions for bash, zsh and fish.
///
/// # Errors
/// Why a file could not be written.
pub(crate) fn run(options: &ManualOptions, command: Command) -> Result<(), String> {
    let folder = &options.folder;
    let failed = |error: std::io::Error| format!("cannot write to {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(command.clone(), folder).map_err(failed)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command.clone(), "foldback", folder).map_err(failed)?;
    }
    Ok(())
}
