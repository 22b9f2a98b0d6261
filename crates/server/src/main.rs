//! The `foldback` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    foldback_server::cli::main()
}
