//! One conference room, sans-IO: encoded frames in, encoded mixes out, every 10 ms.
//!
//! * [`Receiver`]: one participant's packets to a gapless stream of 480-sample blocks (reordering,
//!   decoding, forward error correction, concealment, adaptive delay).
//! * [`Room`]: all participants' receivers and chains, the mixer, the encoders. [`Room::tick`] is
//!   called every 10 ms of an absolute clock; each call (with 20 ms packets each second one) closes
//!   a packet per distinct mix, which [`Room::packets`] then hands out.
//!
//! The crate reads no clock (every method that needs the time is told it), opens no socket and is
//! deterministic: the same calls give the same samples. What costs time or memory (decoders,
//! encoders, stages) is built beforehand, as an [`Admission`]; **`Room::tick` never allocates,
//! locks, logs, blocks or panics.**

mod bus;
mod change;
mod codec;
mod comfort;
mod delay;
mod fifo;
mod flight;
mod fork_join;
mod hearing;
mod loopback;
mod mix;
mod mixes;
mod outbox;
mod output_class;
mod packets;
mod participant;
mod planes;
mod player;
mod playout;
mod probe;
mod readings;
mod receiver;
mod resample;
mod room;
mod sender_clock;
mod shedding;
mod stretch;
mod talkers;

pub use bus::MixBus;
pub use change::{ChainChange, InputChange};
pub use codec::{
    Application, Codec, CodecError, MixSound, OpusSettings, PcmEncoder, PcmFormat, PcmSamples,
};
pub use delay::LatencyProfile;
pub use flight::{Beginning, ChainChanged, Flight, Input, Person};
pub use fork_join::{ForkJoin, Sequential};
pub use hearing::HeardAs;
pub use mix::{Contributor, MAX_CONTRIBUTORS};
pub use mixes::MOST_OWN_MIXES;
pub use packets::{CaptureTime, EncodedFrame};
pub use participant::{Admission, AdmissionError, Departed, ParticipantId, Spare};
pub use player::{Player, PlayerFeed};
pub use probe::{Clock, NoClock, RoomProbe, StageTime};
pub use readings::ChainReadings;
pub use receiver::{Pulled, Receiver, ReceiverStats};
pub use room::{Economies, Level, MixPacket, PlayedPacket, Room, RoomSpec, TICK};
pub use shedding::Shedding;

use foldback_stage::BLOCK_SAMPLES;

/// Samples in the longest outgoing packet: 20 ms.
pub(crate) const MAX_PACKET_SAMPLES_OUT: usize = 2 * BLOCK_SAMPLES;
