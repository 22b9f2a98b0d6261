//! Ordered DSP stages: what an operator wrote as one list, running.
//!
//! A [`ChainSpec`] is the checked list. It knows where `mix` stands: the stages before it run once
//! per participant, those after it once per distinct mix. [`Chain::build`] makes the running
//! stages of one side; [`Chain::process`] takes a block through them, times each with a counter
//! that the caller injects (this crate reads no clock), and takes a stage that panics or yields
//! non-finite samples out of the chain instead of letting it take down the participant.
//!
//! A [`Change`] puts other stages in the place of running ones without a click;
//! [`Chain::rest_optional`] spares those that can be done without.
//!
//! `process`, `idle`, `change` and `rest_optional` allocate nothing and never panic.

mod change;
mod delay;
mod optional;
mod registry;
mod running;
mod spec;

pub use change::Change;
pub use registry::{LoadKinds, Registry};
pub use running::{Chain, ChainBuildError, Fault, MAX_CHANGES, NoProbe, Probe};
pub use spec::{ChainSpec, MIX_KIND, MixSpec, StageSpec};
