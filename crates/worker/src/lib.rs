//! The IO shell of the media: one thread, one UDP port, its rooms, the clock.
//!
//! A worker owns its rooms and the sessions in them; everything there is reached through `&mut`,
//! so the media path takes no lock. The control side reaches it by a bounded queue of
//! [`Command`]s and hears from it by a bounded queue of [`Event`]s; whatever is costly to build or
//! to free is built and freed over there.
//!
//! The worker is the only place of the media that reads a clock: ticks have absolute deadlines
//! (start + n * 10 ms). A late tick catches up, up to a bound, beyond which ticks are skipped and
//! counted.

mod allowance;
mod batch;
mod commands;
mod control;
mod crew;
mod demux;
mod ears;
mod figures;
mod frames;
mod framing;
mod lines;
mod load;
mod media;
mod member;
mod messages;
mod outbox;
mod poller;
mod priority;
mod recycle;
mod sessions;
mod socket;
mod stage_times;
#[cfg(test)]
mod steady;
mod streams;
mod timers;

pub use allowance::Allowance;
pub use control::{
    Answer, Command, Connection, Event, Figures, Join, LeaveReason, Load, MessageRefused,
    ParticipantStats, QueueFull, Readings, Remains, RoomKey, Ticks, WorkerHandle,
};
pub use crew::Crew;
pub use ears::{Ear, EarRemains};
pub use frames::{Fanout, encoded};
pub use framing::{Deframer, FrameTooLong};
pub use lines::Line;
pub use media::{WorkerConfig, spawn};
pub use outbox::Outbox;
pub use priority::try_real_time;
pub use recycle::Recycled;
pub use socket::{
    BindError, KERNEL_BUFFER_BYTES, LineSocket, MediaSocket, Read, Ready, ReceiveBuffers,
    candidate_for,
};
pub use stage_times::Took;
pub use streams::MediaStream;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: foldback_allocations::CountingAllocator = foldback_allocations::CountingAllocator;
