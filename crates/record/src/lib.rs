//! What is heard in a room to files: Opus packets in Ogg (RFC 7845), one for the mix and one for each voice.
//!
//! The media side has a [`Feed`], a bounded ring that takes packets without allocating, locking or waiting; what does not
//! fit is counted and left out. The other end, an [`Intake`], is read by whoever wants the packets: here by the thread of a
//! [`Recording`], which writes files. Nothing is encoded anew.
//!
//! All files of a recording begin at the same moment and keep to the same time, so that they can be laid beside each
//! other. A page is written at least each [`PAGE`], so that a file plays to within a second of the end of
//! a process that was killed.

mod feed;
mod ogg_opus;
mod opus;
mod recording;
mod track;

pub use feed::{Feed, Intake, MAX_PACKET_BYTES, Missed, MixPacket, VoicePacket, ring};
pub use ogg_opus::PAGE;
pub use opus::samples_of;
pub use recording::{Ended, FileInfo, Names, Plan, Recording, StartError, free_bytes};
