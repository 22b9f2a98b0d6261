//! `foldback-licences FILE`: writes the licences of all that is in the binary, for packages.

use std::path::Path;
use std::process::ExitCode;

use foldback_licences::document_of;

const USAGE: &str = "usage: foldback-licences FILE";

#[allow(clippy::print_stderr, reason = "this is the command line")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let done = match arguments[..] {
        [file] => document_of(&root).and_then(|text| {
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
