//! The licences of dependencies: whether `deny.toml` allows them, and their texts for whoever gets foldback.
//!
//! `cargo deny` reads the same `deny.toml`, and looks at more than this does, but takes minutes to build: this is
//! what every test run can do.

mod check;
mod collect;
mod graph;
mod policy;
mod workspace;

pub use check::mistakes;
pub use collect::document;
pub use graph::{Graph, Package};
pub use policy::Policy;
pub use workspace::{document_of, mistakes_of};
