//! The chain for browsers: the server's own stages, those of them that need no C++, no file and no
//! thread, as one WebAssembly module for an `AudioWorklet`.
//!
//! [`Session`] is a chain with its block of sound; [`abi`] exports one of them as plain functions over
//! numbers and memory, so that the page needs no generated glue. What goes in and out as text is
//! JSON: a [`Request`] is what `GET /api/v1/rooms/{room}/chain` answers, with `channels`.
//!
//! The same samples come out as on the server: the crates are the same, and so are blocks and order
//! (`tests/tests/e2e/browser/preview.rs`).

pub mod abi;
mod kinds;
mod request;
mod session;

pub use request::{Part, Request, WantedParam, WantedStage};
pub use session::{Report, Session, Taken, TakenStage};
