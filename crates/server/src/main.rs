//! The `foldback` binary.

use std::process::ExitCode;

use foldback_allocations::CountingAllocator;

// For `foldback bench`. It costs an addition to a number of the thread's own.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    foldback_server::cli::main()
}
