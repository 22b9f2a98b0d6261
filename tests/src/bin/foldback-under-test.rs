//! The `foldback` binary once more, line for line: cargo builds a package's own binaries for its
//! tests, and no other package's.

use std::process::ExitCode;

fn main() -> ExitCode {
    foldback_server::cli::main()
}
