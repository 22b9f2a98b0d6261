//! One conference room, sans-IO: encoded frames in, encoded mixes out, every 10 ms.
//!
//! * [`Receiver`]: one participant's packets to a gapless stream of 480-sample blocks (reordering,
//!   decoding, forward error correction, concealment, adaptive delay).
//! * [`Room`]: all participants' receivers and chains, the mixer, the encoders. [`Room::tick`] is
//!   called every 10 ms of an absolute clock; each second call closes a 20 ms packet per distinct
//!   mix, which [`Room::packets`] then hands out.
//!
//! The crate reads no clock (every method that needs the time is told it), opens no socket and is
//! deterministic: the same calls give the same samples. What costs time or memory (decoders,
//! encoders, stages) is built beforehand, as an [`Admission`]; **`Room::tick` never allocates,
//! locks, logs, blocks or panics.**

mod codec;
mod delay;
mod fifo;
mod mix;
mod participant;
mod receiver;
mod room;
mod talkers;

pub use codec::{CodecError, OpusSettings};
pub use participant::{Admission, AdmissionError, Departed, ParticipantId};
pub use receiver::{EncodedFrame, Pulled, Receiver, ReceiverStats};
pub use room::{Level, MixPacket, Room, RoomSpec, TICK};

use foldback_stage::BLOCK_SAMPLES;

/// Blocks in one outgoing packet.
pub const BLOCKS_PER_PACKET: usize = 2;

/// Samples in one outgoing packet: 20 ms.
pub const PACKET_SAMPLES: usize = BLOCKS_PER_PACKET * BLOCK_SAMPLES;
