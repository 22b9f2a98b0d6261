//! `foldback new-stage`: lays out the crate of a stage that is to be loaded from a library.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};

use foldback_chain::MIX_KIND;
use foldback_stage::is_words;

use crate::plugins;

#[derive(Debug, clap::Args)]
pub(crate) struct NewStageOptions {
    /// What operators will write after `kind =`: lower-case words joined by hyphens.
    name: String,
    /// The folder to make; without it, NAME in the folder where you are.
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// A checkout of foldback, whose crates the new one is built with.
    ///
    /// Of the version that is to load the library. The default is the folder where you are.
    #[arg(long, value_name = "PATH", default_value = ".")]
    foldback: PathBuf,
}

/// The files of a new crate; in each what stands in `{{}}` is filled in.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/src/lib.rs.in")),
    ("tests/stage.rs", include_str!("template/tests/stage.rs.in")),
    ("foldback.toml", include_str!("template/foldback.toml.in")),
    ("README.md", include_str!("template/README.md.in")),
    (".gitignore", include_str!("template/gitignore.in")),
];

/// Runs the command.
///
/// # Errors
/// A sentence for the operator.
#[allow(clippy::print_stdout, reason = "this is the command line")]
pub(crate) fn run(options: &NewStageOptions) -> Result<(), String> {
    let name = &options.name;
    check_name(name)?;
    let foldback = checkout(&options.foldback)?;
    let folder = options.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    let shown = folder.display();
    if folder.exists() {
        return Err(format!("{shown} is there already: nothing is overwritten"));
    }
    let crate_name = format!("{}_plugin", name.replace('-', "_"));
    let library = format!("{DLL_PREFIX}{crate_name}{DLL_SUFFIX}");
    for (file, template) in FILES {
        let text = template
            .replace("{{name}}", name)
            .replace("{{crate}}", &crate_name)
            .replace("{{library}}", &library)
            .replace("{{foldback}}", &foldback);
        write(&folder.join(file), &text)?;
    }
    println!("{shown} has the stage `{name}`; {shown}/README.md says how to build and hear it");
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    if !is_words(name, '-') {
        return Err(format!("{name:?} must be lower-case words joined by hyphens, like soft-clip"));
    }
    if name == MIX_KIND || plugins::registry().get(name).is_some() {
        return Err(format!("there is a kind of stage `{name}` already: choose another name"));
    }
    Ok(())
}

/// The whole path of a checkout, as it stands between quotes in TOML.
fn checkout(path: &Path) -> Result<String, String> {
    let shown = path.display();
    if !path.join("crates/plugin-abi/Cargo.toml").exists() {
        return Err(format!(
            "{shown} is no checkout of foldback: say where there is one with --foldback PATH"
        ));
    }
    let path = fs::canonicalize(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    match path.to_str() {
        Some(path) if !path.contains(['"', '\\']) && !path.contains(char::is_control) => {
            Ok(path.to_owned())
        }
        _ => Err(format!("the path of {shown} has characters that cannot stand in a Cargo.toml")),
    }
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(file, text));
    written.map_err(|error| format!("cannot write {}: {error}", file.display()))
}
