//! What is not taken.

use std::path::Path;

use foldback_licences::{Graph, Policy, document};
use serde_json::json;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
const POLICY: &str = "[licenses]\nclarify = [{ crate = \"shy\", expression = \"MIT\" }]\n";

/// A workspace with one crate of its own that depends on another.
fn graph(other: serde_json::Value) -> Graph {
    let mut package = json!({
        "id": "other", "name": "other", "version": "1.2.3", "license": "MIT", "source": REGISTRY,
        "manifest_path": "/nowhere/Cargo.toml",
    });
    for (key, value) in other.as_object().expect("an object") {
        package[key] = value.clone();
    }
    let own = json!({
        "id": "own", "name": "own", "version": "0.1.0", "source": null, "manifest_path": "/own/Cargo.toml",
    });
    let nodes = json!([
        { "id": "own", "deps": [{ "pkg": "other", "dep_kinds": [{ "kind": null }] }] },
        { "id": "other", "deps": [] },
    ]);
    let metadata = json!({ "packages": [own, package], "resolve": { "nodes": nodes } });
    Graph::parse(metadata.to_string().as_bytes()).expect("of cargo's form")
}

#[test]
fn a_crate_whose_licence_or_text_is_missing_is_not_left_out_in_silence() {
    let folder = std::env::temp_dir().join(format!("foldback-licences-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("vendored/lib")).expect("a folder");
    let policy = Policy::parse(POLICY).expect("a policy");
    let written_as = |mut other: serde_json::Value| {
        other["manifest_path"] = json!(folder.join("Cargo.toml"));
        document(&graph(other).shipped_in("own"), &policy, "The text of Apache-2.0")
    };
    let written = |licence: &str| written_as(json!({ "license": licence }));
    let missing = written("MIT").expect_err("no text");
    let missing: Vec<_> = missing.into_iter().collect();
    assert_eq!(missing, ["other 1.2.3 (MIT) carries no text of its licence"]);
    let taken = written("MIT OR Apache-2.0").expect("Apache-2.0 is the same for all");
    assert!(taken.contains("other 1.2.3\n-") || taken.contains("\nother 1.2.3\n"), "{taken}");

    let untold = written_as(json!({ "license": null }));
    let sentence =
        "other 1.2.3 tells no licence: look it up, and say it by [[licenses.clarify]] in deny.toml";
    assert_eq!(Vec::from_iter(untold.expect_err("no licence")), [sentence]);
    let clarified =
        Vec::from_iter(written_as(json!({ "license": null, "name": "shy" })).expect_err("no text"));
    assert_eq!(clarified, ["shy 1.2.3 (MIT) carries no text of its licence"]);
    let none = written_as(json!({ "license": "as you like" })).expect_err("no expression");
    assert!(none.iter().all(|it| it.contains("'as you like'")), "{none:?}");

    // That of a library it carries is not its own.
    let put = |path: &Path, text: &str| std::fs::write(path, text).expect("a file");
    put(&folder.join("vendored/lib/COPYING"), "That of a library");
    written("MIT").expect_err("still no text");
    put(&folder.join("LICENSE"), "Its own");
    let taken = written("MIT").expect("both");
    assert!(
        taken.contains("\nIts own\n") && taken.contains("other 1.2.3 (vendored/lib/COPYING)"),
        "{taken}"
    );
    std::fs::remove_dir_all(&folder).expect("it was there");
}
