//! Stages as shared libraries: the C ABI between a plugin and foldback.
//!
//! The structures of this crate are the ABI; `include/foldback_plugin.h` is generated from them and
//! has the same documentation. A plugin in C includes that header. A plugin in Rust writes ordinary
//! [`StageKind`](foldback_stage::StageKind)s and one line, [`export!`], in a crate of type `cdylib`;
//! it needs no `unsafe` of its own, and a panic in it does not leave it: it becomes a fault, for
//! which the chain bypasses the stage.
//!
//! ```
//! # use foldback_stage::*;
//! # const KIND: StageKind =
//! #     StageKind { name: "hiss", about: "Hisses.", params: &[], build: &|_, _| Err(BuildError::new("")) };
//! foldback_plugin_abi::export!(KIND);
//! # fn main() {}
//! ```
//!
//! An ABI has one number, [`FOLDBACK_PLUGIN_ABI_VERSION`], and plugins of another are refused.

#[doc(hidden)]
pub mod export;
mod ffi;

pub use ffi::*;
