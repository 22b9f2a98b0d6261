//! What is not taken.

use std::path::Path;

use foldback_licences::{Graph, Policy, document, mistakes};
use serde_json::json;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
const POLICY: &str = "[graph]\ntargets = []\n[licenses]\nallow = [\"MIT\", \"Apache-2.0\"]\n\
    clarify = [{ crate = \"shy\", expression = \"MIT\" }]\n";

/// A workspace with one crate of its own that depends on another.
fn graph(other: serde_json::Value) -> Graph {
    let mut package = json!({
        "id": "other", "name": "other", "version": "1.2.3", "license": "MIT", "source": REGISTRY,
        "manifest_path": "/nowhere/Cargo.toml", "dependencies": [],
    });
    for (key, value) in other.as_object().expect("an object") {
        package[key] = value.clone();
    }
    let own = json!({
        "id": "own", "name": "own", "version": "0.1.0", "source": null, "manifest_path": "/own/Cargo.toml",
        "dependencies": [{ "name": "other", "req": "^1.2", "path": null }],
    });
    let nodes = json!([
        { "id": "own", "deps": [{ "pkg": "other", "dep_kinds": [{ "kind": null }] }] },
        { "id": "other", "deps": [] },
    ]);
    let metadata = json!({ "packages": [own, package], "resolve": { "nodes": nodes } });
    Graph::parse(metadata.to_string().as_bytes()).expect("of cargo's form")
}

fn refused(other: serde_json::Value) -> Vec<String> {
    let policy = Policy::parse(POLICY).expect("a policy");
    mistakes(&graph(other), &policy).into_iter().collect()
}

#[test]
fn licences_are_weighed_as_the_expressions_that_they_are() {
    for good in ["MIT", "MIT/Apache-2.0", "GPL-3.0-only OR MIT", "MIT AND (Apache-2.0 OR ISC)"] {
        assert_eq!(refused(json!({ "license": good })), Vec::<String>::new(), "{good}");
    }
    assert_eq!(
        refused(json!({ "license": "MIT AND GPL-3.0-only" })),
        [
            "other 1.2.3 has the licence MIT AND GPL-3.0-only, which [licenses] of deny.toml does not allow"
        ]
    );
    assert_eq!(refused(json!({ "license": "as you like" })).len(), 1);
    assert_eq!(
        refused(json!({ "license": null })),
        [
            "other 1.2.3 tells no licence: look it up, and say it by [[licenses.clarify]] in deny.toml"
        ]
    );
    assert_eq!(refused(json!({ "license": null, "name": "shy" })), Vec::<String>::new());
}

#[test]
fn crates_come_from_the_registry_and_by_version() {
    let from_git = refused(json!({ "source": "git+https://example.org/other#1" }));
    assert_eq!(
        from_git,
        ["other 1.2.3 is from git+https://example.org/other#1: only the registry is allowed"]
    );
    let any = json!([{ "name": "more", "req": "*", "path": null }]);
    let taken = refused(json!({ "source": null, "dependencies": any }));
    assert_eq!(taken, ["other takes more in any version: expected one to begin from"]);
}

#[test]
fn a_crate_whose_text_is_missing_is_not_left_out_in_silence() {
    let folder = std::env::temp_dir().join(format!("foldback-licences-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("vendored/lib")).expect("a folder");
    let policy = Policy::parse(POLICY).expect("a policy");
    let written = |licence: &str| {
        let graph =
            graph(json!({ "license": licence, "manifest_path": folder.join("Cargo.toml") }));
        document(&graph.shipped_in("own"), &policy, "The text of Apache-2.0")
    };
    let missing = written("MIT").expect_err("no text");
    let missing: Vec<_> = missing.into_iter().collect();
    assert_eq!(missing, ["other 1.2.3 (MIT) carries no text of its licence"]);
    let taken = written("MIT OR Apache-2.0").expect("Apache-2.0 is the same for all");
    assert!(taken.contains("other 1.2.3\n-") || taken.contains("\nother 1.2.3\n"), "{taken}");

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
