//! Shared libraries with stages in them.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library that cargo made of a package which the running test's package depends on: it lies
/// beside the test.
///
/// # Panics
/// If it does not.
#[must_use]
pub fn built_by_cargo(package: &str) -> PathBuf {
    let program = std::env::current_exe().expect("a test has an executable");
    let name = package.replace('-', "_");
    let library = program.with_file_name(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
    assert!(library.exists(), "{} is not there", library.display());
    library
}

/// Compiles a plugin in C, a file of the repository by its path from the root, into the shared
/// library `library`. Warnings are mistakes.
///
/// # Panics
/// With what the compiler says.
pub fn compile(source: &str, options: &[&str], library: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let compiler = Command::new("cc")
        .args(["-std=c11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"])
        .arg("-I")
        .arg(root.join("crates/plugin-abi/include"))
        .args(options)
        .arg("-o")
        .arg(library)
        .arg(root.join(source))
        .arg("-lm")
        .output()
        .expect("there is a C compiler");
    assert!(compiler.status.success(), "{}", String::from_utf8_lossy(&compiler.stderr));
}
