//! `foldback-licences check`, for tests; `foldback-licences write FILE`, for packages.

use std::path::Path;
use std::process::ExitCode;

use foldback_licences::{document_of, mistakes_of};

const USAGE: &str = "usage: foldback-licences check | foldback-licences write FILE";

#[allow(clippy::print_stderr, reason = "this is the command line")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let done = match arguments[..] {
        ["check"] => mistakes_of(&root).and_then(|found| match found.is_empty() {
            true => Ok(()),
            false => Err(found.into_iter().collect::<Vec<_>>().join("\n")),
        }),
        ["write", file] => document_of(&root).and_then(|text| {
            std::fs::write(file, text).map_err(|error| format!("cannot write {file}: {error}"))
        }),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentences) => {
            eprintln!("{sentences}");
            ExitCode::FAILURE
        }
    }
}
