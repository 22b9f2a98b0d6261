//! RTP and SRTP without WebRTC (RFC 3550, 3551, 3711, 7714), sans-IO: one session with a gateway or a tool, whose
//! addresses, payload type and keys were told otherwise.
//!
//! A [`Session`] takes datagrams and gives the frames in them, writes those that are to be sent, and reports by RTCP on the
//! same port (RFC 5761). It opens no socket, reads no clock and knows nothing of rooms: a frame's payload is opaque to it.
//!
//! Whose datagrams it takes is told in [`Source`]: an address is all that plain RTP has to tell them by.

mod reports;
mod sequence;
mod session;
mod source;
mod srtp;

pub use session::{Dropped, Options, Received, Session};
pub use source::{Reach, Source};
pub use srtp::{Keys, Secrets, SrtpError, Suite};
