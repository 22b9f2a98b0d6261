//! Packets that wait to be decoded, by sequence number.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most packets that wait: 10 s even of 10 ms packets, longer than any stall that a session
/// survives, after which all of it may come at once.
pub(crate) const MOST_PACKETS: usize = 1024;
/// Packets that there is room for at first: over a second of those of 20 ms. Who never stalls for
/// longer needs no more.
const FIRST_SLOTS: usize = 64;

/// One Opus packet from the network, as it came: unordered, maybe twice.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// Which stream of the sender it belongs to (RFC 3550); another one is a restart.
    pub ssrc: u32,
    /// RTP sequence number, extended so that it does not wrap.
    pub seq: u64,
    /// RTP time of its first sample at 48 kHz, extended so that it does not wrap.
    pub rtp_time: u64,
    /// The sender's own claim of its level in -dBov, 0 (loudest) to 127, if it makes one.
    pub level_minus_dbov: Option<u8>,
    /// The Opus packet.
    pub payload: Arc<[u8]>,
    /// When it came.
    pub arrival: Instant,
    /// When its first sample was captured, if the sender says so.
    pub captured: Option<CaptureTime>,
    /// 0 for the packet itself; n for a copy that the n-th packet after it carried (RFC 2198),
    /// which fills a hole and tells nothing of how long packets take.
    pub copy_distance: u8,
}

impl EncodedFrame {
    /// Whether it is a copy that a later packet carried.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.copy_distance > 0
    }
}

/// When something was captured, as in the RTP header extension abs-capture-time
/// (<http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureTime {
    /// On the wall clock of who captured it, since the Unix epoch.
    pub since_epoch: Duration,
    /// How far that clock is ahead of this server's, in ns, if known.
    pub clock_offset_ns: Option<i64>,
}

pub(crate) struct Slot {
    pub(crate) frame: EncodedFrame,
    pub(crate) samples: usize,
    /// The payload is kept until the next packet takes the place, so that nothing is freed
    /// within the tick.
    used: bool,
}

pub(crate) struct PacketBuffer {
    /// A power of two of them, of which each packet has one by its number.
    slots: Box<[Option<Slot>]>,
    /// Behind the highest number that was put in.
    end: u64,
}

impl PacketBuffer {
    /// Has room for one packet until the first comes.
    pub(crate) fn new() -> Self {
        Self { slots: empty(1), end: 0 }
    }

    /// Whether a packet of that number is or was here lately.
    pub(crate) fn knows(&self, seq: u64) -> bool {
        self.slots[self.slot_of(seq)].as_ref().is_some_and(|slot| slot.frame.seq == seq)
    }

    /// Whether what was played under that number was a copy.
    pub(crate) fn was_copy(&self, seq: u64) -> bool {
        let slot = self.slots[self.slot_of(seq)].as_ref();
        slot.is_some_and(|slot| slot.frame.seq == seq && slot.used && slot.frame.is_copy())
    }

    /// Whether what waits under that number is a copy.
    pub(crate) fn is_copy_waiting(&self, seq: u64) -> bool {
        self.get(seq).is_some_and(|slot| slot.frame.is_copy())
    }

    /// Takes a packet; may free one that was here before. Allocates for the first, and if more wait
    /// than ever did.
    pub(crate) fn insert(&mut self, frame: EncodedFrame, samples: usize) {
        if self.slots.len() < FIRST_SLOTS {
            self.slots = empty(FIRST_SLOTS);
        }
        while self.slots.len() < MOST_PACKETS && self.is_taken(frame.seq) {
            self.grow();
        }
        let index = self.slot_of(frame.seq);
        self.end = self.end.max(frame.seq + 1);
        self.slots[index] = Some(Slot { frame, samples, used: false });
    }

    /// The packet of that number, if it waits.
    pub(crate) fn get(&self, seq: u64) -> Option<&Slot> {
        self.slots[self.slot_of(seq)].as_ref().filter(|slot| slot.frame.seq == seq && !slot.used)
    }

    /// The waiting packet with the smallest number from `seq` on.
    pub(crate) fn next_from(&self, seq: u64) -> Option<&Slot> {
        (seq..self.end.min(seq + MOST_PACKETS as u64)).find_map(|seq| self.get(seq))
    }

    /// The packet of that number was decoded.
    pub(crate) fn mark_used(&mut self, seq: u64) {
        let index = self.slot_of(seq);
        if let Some(slot) = self.slots[index].as_mut().filter(|s| s.frame.seq == seq) {
            slot.used = true;
        }
    }

    /// Forgets all. Frees memory.
    pub(crate) fn clear(&mut self) {
        self.slots.fill_with(|| None);
        self.end = 0;
    }

    /// Whether another packet waits in the place for that number.
    fn is_taken(&self, seq: u64) -> bool {
        let slot = self.slots[self.slot_of(seq)].as_ref();
        slot.is_some_and(|slot| slot.frame.seq != seq && !slot.used)
    }

    fn grow(&mut self) {
        let more = empty(2 * self.slots.len());
        for slot in std::mem::replace(&mut self.slots, more).into_iter().flatten() {
            let index = self.slot_of(slot.frame.seq);
            self.slots[index] = Some(slot);
        }
    }

    fn slot_of(&self, seq: u64) -> usize {
        (seq % self.slots.len() as u64) as usize
    }
}

fn empty(slots: usize) -> Box<[Option<Slot>]> {
    std::iter::repeat_with(|| None).take(slots).collect()
}
