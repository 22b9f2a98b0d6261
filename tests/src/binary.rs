//! Where the binary under test is.

use std::path::{Path, PathBuf};

/// The `foldback` binary: the one that the environment variable `FOLDBACK_BINARY` names, else the
/// one that cargo built together with the running test.
pub fn foldback() -> PathBuf {
    std::env::var_os("FOLDBACK_BINARY").map_or_else(built_with_this_test, PathBuf::from)
}

/// Tests are in `<target>/<profile>/deps`, the binaries of their package right above.
fn built_with_this_test() -> PathBuf {
    let program = std::env::current_exe().expect("a test has an executable");
    let folder = program.parent().and_then(Path::parent).expect("cargo puts tests two deep");
    let binary = folder.join(format!("foldback-under-test{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is not there: build foldback-tests with cargo", binary.display());
    binary
}
