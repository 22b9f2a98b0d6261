//! Real WebRTC clients in numbers (ICE, DTLS-SRTP, Opus), and what they measure of a server.
//!
//! [`run`] joins participants to rooms, has some of them talk, and gives a [`Report`]: how fast
//! they joined, what was lost, how long sound took from mouth to ear, where it broke off, and what
//! the server spent on it. [`capacity`](fn@capacity) finds the largest load that a server carries. `docs/load.md` says what each
//! figure means.
//!
//! ```text
//! run        joins the clients one after the other, measures, gathers
//! signalling SDP there and back: the only part that knows what server it is
//! engine     a thread with many clients, each with a socket; woken by datagrams and deadlines
//! client     one str0m session
//! voice      what talkers send: encoded once, shared by all
//! ears       a thread that decodes what some of the clients got, and looks for markers in it
//! ```

mod capacity;
mod client;
mod ears;
mod engine;
mod gather;
mod marker;
mod plan;
mod reception;
mod report;
mod room;
mod run;
mod server;
mod signalling;
mod statistics;
mod system;
mod voice;

pub use capacity::{Bounds, CapacityReport, Carried, Limit, Step, capacity};
pub use plan::{ClientPlan, LoadPlan, Signalling};
pub use report::{Bottleneck, ClientSide, Joining, MouthToEar, Packets, Report, ServerSide};
pub use run::{Moment, Phase, is_ready, run};
pub use statistics::Summary;
