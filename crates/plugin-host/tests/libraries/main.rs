//! Real libraries, in Rust and in C: what is taken, what is refused, and what they do in a chain.

mod loaded;
mod refused;

use std::path::PathBuf;

use foldback_stage_testkit::libraries;
use tempfile::TempDir;

foldback_stage_testkit::guard_allocations!();

/// The library of a file in C, in a folder that goes with it.
fn compiled(source: &str, options: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = folder.path().join("library.so");
    libraries::compile(source, options, &library);
    (folder, library)
}
