//! Who may come into which room, and how often they may ask.

mod caller;
mod door;
mod per_address;

pub(crate) use caller::Caller;
pub use door::Door;
pub(crate) use door::{Admitted, Wish};
