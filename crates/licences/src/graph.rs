//! What cargo has resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// What cargo has resolved for a target.
#[derive(Debug, Deserialize)]
pub struct Graph {
    packages: Vec<Package>,
    resolve: Resolve,
}

/// A crate.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an expression of SPDX.
    pub license: Option<String>,
    /// Where it says it is from.
    pub repository: Option<String>,
    /// Where cargo has it from; none of the workspace's own.
    pub source: Option<String>,
    /// Its `Cargo.toml`.
    pub manifest_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    /// `dev` and `build`; none is what ends up in a program.
    kind: Option<String>,
}

impl Graph {
    /// Asks cargo for that of the workspace in `root`, for one target.
    ///
    /// # Errors
    /// What cargo says.
    pub fn of(root: &Path, target: &str) -> Result<Self, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            target,
        ]);
        let output = command.current_dir(root).output();
        let output = output.map_err(|error| format!("cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Self::parse(&output.stdout)
    }

    /// Takes `json` as what cargo said.
    ///
    /// # Errors
    /// If it is not of its form.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| format!("cargo metadata: {error}"))
    }

    /// Of others, those that end up in a program: all that the package of this name depends on, but for its tests and builds.
    #[must_use]
    pub fn shipped_in(&self, name: &str) -> Vec<&Package> {
        let by_id: BTreeMap<_, _> = self.packages.iter().map(|it| (it.id.as_str(), it)).collect();
        let nodes: BTreeMap<_, _> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let root = self.packages.iter().find(|it| it.name == name && it.source.is_none());
        let mut waiting: Vec<_> = root.map(|root| root.id.as_str()).into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if seen.insert(id)
                && let Some(node) = nodes.get(id)
            {
                let shipped = node.deps.iter().filter(|edge| edge.is_shipped());
                waiting.extend(shipped.map(|edge| edge.pkg.as_str()));
            }
        }
        let found = seen.iter().filter_map(|id| by_id.get(id).copied());
        found.filter(|package| package.source.is_some()).collect()
    }
}

impl Edge {
    fn is_shipped(&self) -> bool {
        self.dep_kinds.iter().any(|kind| kind.kind.is_none())
    }
}

impl Package {
    /// The folder that cargo unpacked it into.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new("."))
    }
}
