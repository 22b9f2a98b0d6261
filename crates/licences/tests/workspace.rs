//! What foldback itself is made with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use foldback_licences::document_of;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_licences_name_every_crate_in_the_binary_and_what_is_in_no_crate() {
    let document = document_of(&root()).expect("each has a licence and its text");
    let crates =
        crates_in("foldback-server", std::env::consts::ARCH.to_owned() + "-unknown-linux-gnu");
    assert!(crates.len() > 200, "{crates:?}");
    for name in crates.union(&crates_in("foldback-wasm", "wasm32-unknown-unknown".to_owned())) {
        let listed = document.lines().any(|line| line.starts_with(&format!("{name}: ")));
        let own = |line: &str| line == name || line.starts_with(&format!("{name} ("));
        assert!(listed, "{name} is not in the list");
        assert!(document.lines().any(own), "{name} has no text");
    }
    // Libraries in C and C++ that crates carry, or the set-up brings.
    for other in
        ["third_party/rnnoise/COPYING", "third_party/pffft/LICENSE", "aws-lc/LICENSE", "abseil"]
    {
        assert!(document.contains(other), "{other}");
    }
}

/// As another command of cargo tells them: `NAME VERSION`.
fn crates_in(package: &str, target: String) -> BTreeSet<String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
    command.args(["--package", package, "--target", &target, "--format", "{p}"]);
    let output = command.current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // `serde v1.0.0`, `serde v1.0.0 (*)`; those of the workspace with their folder.
    let others = text.lines().filter(|line| !line.contains("(/"));
    let named = others.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("{} {}", words.next()?, words.next()?.trim_start_matches('v')))
    });
    named.collect()
}
