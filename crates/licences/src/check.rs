//! Whether dependencies may be what they are.

use std::collections::BTreeSet;

use spdx::{Expression, ParseMode};

use crate::{Graph, Package, Policy};

/// As cargo names it, here and in `Cargo.lock`.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What of the graph the policy does not allow: a sentence for each.
#[must_use]
pub fn mistakes(graph: &Graph, policy: &Policy) -> BTreeSet<String> {
    let (others, own): (Vec<_>, Vec<_>) = graph.packages().partition(|it| it.source.is_some());
    let mut found: BTreeSet<_> =
        others.into_iter().flat_map(|package| of_another(package, policy)).collect();
    for package in own {
        for dependency in &package.dependencies {
            if dependency.req == "*" && dependency.path.is_none() {
                let (package, name) = (&package.name, &dependency.name);
                found.insert(format!(
                    "{package} takes {name} in any version: expected one to begin from"
                ));
            }
        }
    }
    found
}

fn of_another(package: &Package, policy: &Policy) -> Vec<String> {
    let Package { name, version, source, .. } = package;
    let mut found = Vec::new();
    if source.as_deref() != Some(REGISTRY) {
        let source = source.as_deref().unwrap_or("nowhere");
        found.push(format!("{name} {version} is from {source}: only the registry is allowed"));
    }
    match expression(package, policy) {
        Err(sentence) => found.push(sentence),
        Ok(expression) if !expression.evaluate(|licence| policy.allows(licence)) => found.push(
            format!("{name} {version} has the licence {expression}, which [licenses] of deny.toml does not allow"),
        ),
        Ok(_) => {}
    }
    found
}

/// The licence of a crate.
pub(crate) fn expression(package: &Package, policy: &Policy) -> Result<Expression, String> {
    let Package { name, version, license, .. } = package;
    let Some(text) = license.as_deref().or_else(|| policy.clarified(name)) else {
        return Err(format!(
            "{name} {version} tells no licence: look it up, and say it by [[licenses.clarify]] in deny.toml"
        ));
    };
    // Old crates write `MIT/Apache-2.0`.
    let lax = ParseMode { allow_slash_as_or_operator: true, ..ParseMode::STRICT };
    Expression::parse_mode(text, lax).map_err(|error| {
        format!("{name} {version} has a licence that is none: '{text}': {}", error.reason)
    })
}
