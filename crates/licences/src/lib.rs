//! The licences of dependencies, as texts for whoever gets foldback.
//!
//! Whether they are allowed `cargo deny` tells, by the same `deny.toml`.

mod collect;
mod graph;
mod policy;
mod workspace;

pub use collect::document;
pub use graph::{Graph, Package};
pub use policy::Policy;
pub use workspace::document_of;
