//! The `foldback` binary once more, line for line: cargo builds a package's own binaries for its
//! tests, and no other package's.

use std::process::ExitCode;

use foldback_allocations::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    foldback_server::cli::main()
}
