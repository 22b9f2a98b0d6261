//! The ring between the media thread and whoever takes packets out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rtrb::{Consumer, Producer, RingBuffer};

/// The longest Opus packet that an encoder of ours gives.
pub const MAX_PACKET_BYTES: usize = 1275;
/// Packets of a mix that may wait: 5 s at least.
const MIX_PACKETS: usize = 512;
/// Packets of voices that may wait: over a second of a hundred talkers.
const VOICE_PACKETS: usize = 8192;

/// A packet of the mix that those hear who do not talk.
#[derive(Clone, Debug)]
pub struct MixPacket {
    /// When the tick was due that closed it.
    pub at: Instant,
    /// RTP time of its first sample at 48 kHz; wraps.
    pub rtp_time: u32,
    len: u16,
    bytes: [u8; MAX_PACKET_BYTES],
}

impl MixPacket {
    /// The Opus packet.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A packet as it came from a participant: maybe late, twice, or not the next.
#[derive(Clone, Debug)]
pub struct VoicePacket {
    /// Whose.
    pub participant: u64,
    /// Which stream of theirs (RFC 3550); another one is a new beginning.
    pub ssrc: u32,
    /// RTP sequence number, extended so that it does not wrap.
    pub seq: u64,
    /// RTP time of its first sample at 48 kHz, extended so that it does not wrap.
    pub rtp_time: u64,
    /// When it came.
    pub arrival: Instant,
    /// The Opus packet.
    pub payload: Arc<[u8]>,
}

/// How many packets found the ring full.
#[derive(Clone, Debug, Default)]
pub struct Missed(Arc<AtomicU64>);

impl Missed {
    /// Since the beginning.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The end of the media thread. Never allocates, locks or waits; dropped, the other end knows that no more comes.
#[derive(Debug)]
pub struct Feed {
    mix: Option<Producer<MixPacket>>,
    voices: Option<Producer<VoicePacket>>,
    only: Option<u64>,
    missed: Missed,
}

/// The end of whoever takes packets out.
#[derive(Debug)]
pub struct Intake {
    mix: Option<Consumer<MixPacket>>,
    voices: Option<Consumer<VoicePacket>>,
    missed: Missed,
}

/// A ring for the mix, for voices, or both; for the voice of one participant where `only` names one. Allocates.
#[must_use]
pub fn ring(mix: bool, voices: bool, only: Option<u64>) -> (Feed, Intake) {
    let (mix_in, mix_out) = mix.then(|| RingBuffer::new(MIX_PACKETS)).unzip();
    let (voices_in, voices_out) = voices.then(|| RingBuffer::new(VOICE_PACKETS)).unzip();
    let missed = Missed::default();
    let feed = Feed { mix: mix_in, voices: voices_in, only, missed: missed.clone() };
    (feed, Intake { mix: mix_out, voices: voices_out, missed })
}

impl Feed {
    /// Takes a packet of the mix, if that is wanted and there is room.
    pub fn mix(&mut self, at: Instant, rtp_time: u32, payload: &[u8]) {
        let Some(mix) = &mut self.mix else { return };
        let room = mix.write_chunk_uninit(1).ok().filter(|_| payload.len() <= MAX_PACKET_BYTES);
        let Some(room) = room else { return self.miss() };
        let mut bytes = [0; MAX_PACKET_BYTES];
        bytes[..payload.len()].copy_from_slice(payload);
        let len = payload.len() as u16;
        room.fill_from_iter([MixPacket { at, rtp_time, len, bytes }]);
    }

    /// Whether it takes packets of that participant.
    #[must_use]
    pub fn wants(&self, participant: u64) -> bool {
        self.voices.is_some() && self.only.is_none_or(|only| only == participant)
    }

    /// Takes a packet of somebody's voice, if that is wanted and there is room.
    pub fn voice(&mut self, packet: VoicePacket) {
        if let Some(voices) = &mut self.voices
            && voices.push(packet).is_err()
        {
            self.miss();
        }
    }

    fn miss(&self) {
        self.missed.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Intake {
    /// The next packet of the mix.
    pub fn next_mix(&mut self) -> Option<MixPacket> {
        self.mix.as_mut()?.pop().ok()
    }

    /// The next packet of anybody's voice.
    pub fn next_voice(&mut self) -> Option<VoicePacket> {
        self.voices.as_mut()?.pop().ok()
    }

    /// Whether no more comes, once what is there was taken.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let mix = self.mix.as_ref().is_none_or(Consumer::is_abandoned);
        mix && self.voices.as_ref().is_none_or(Consumer::is_abandoned)
    }

    /// How many packets did not fit.
    #[must_use]
    pub fn missed(&self) -> &Missed {
        &self.missed
    }
}

#[cfg(test)]
mod tests {
    use foldback_allocations::of_this_thread;

    use super::*;

    #[test]
    fn the_media_side_allocates_nothing_and_what_does_not_fit_is_counted() {
        let (mut feed, mut intake) = ring(true, true, Some(7));
        assert!(feed.wants(7) && !feed.wants(8));
        let (now, payload) = (Instant::now(), Arc::from([1_u8; 80]));
        let before = of_this_thread();
        for n in 0..MIX_PACKETS + 3 {
            feed.mix(now, n as u32 * 960, &[n as u8; 200]);
        }
        for seq in 0..VOICE_PACKETS as u64 + 2 {
            let (ssrc, rtp_time, payload) = (1, seq * 960, Arc::clone(&payload));
            let packet = VoicePacket { participant: 7, ssrc, seq, rtp_time, arrival: now, payload };
            feed.voice(packet);
        }
        assert_eq!(of_this_thread() - before, 0);
        assert_eq!(intake.missed().count(), 5);
        let first = intake.next_mix().expect("it holds them");
        assert_eq!((first.rtp_time, first.payload()), (0, &[0; 200][..]));
        assert!(!intake.is_over());
        drop(feed);
        assert!(intake.is_over());
        assert_eq!(std::iter::from_fn(|| intake.next_mix()).count(), MIX_PACKETS - 1);
        assert_eq!(std::iter::from_fn(|| intake.next_voice()).count(), VOICE_PACKETS);
    }
}
