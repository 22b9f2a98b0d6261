//! The licences of dependencies: whether `deny.toml` allows them, and their texts for whoever gets foldback.
//!
//! `cargo deny` reads the same `deny.toml`, and tells of mistakes with their places; this is for the texts, and finds the
//! same mistakes where only cargo is at hand.

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
