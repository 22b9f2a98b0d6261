//! The workspace in a folder.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Graph, Policy, document};

/// The licences of what is in the binary: the server, and the chain for browsers that it embeds.
///
/// # Errors
/// Which of them are not to be found, each in a line.
pub fn document_of(root: &Path) -> Result<String, String> {
    let policy = Policy::read(root)?;
    let apache = root.join("LICENSE-APACHE");
    let apache = std::fs::read_to_string(&apache)
        .map_err(|error| format!("cannot read {}: {error}", apache.display()))?;
    let server = Graph::of(root, &format!("{}-unknown-linux-gnu", std::env::consts::ARCH))?;
    let browser = Graph::of(root, "wasm32-unknown-unknown")?;
    let shipped = server.shipped_in("foldback-server").into_iter();
    let shipped = shipped.chain(browser.shipped_in("foldback-wasm"));
    let once: BTreeMap<_, _> = shipped.map(|it| ((&it.name, &it.version), it)).collect();
    let packages: Vec<_> = once.into_values().collect();
    document(&packages, &policy, &apache)
        .map_err(|found| found.into_iter().collect::<Vec<_>>().join("\n"))
}
