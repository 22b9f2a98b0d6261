//! One participant's packets to a gapless stream of blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, CaptureTimeline, SAMPLE_RATE_HZ};

use crate::codec::{CodecError, MAX_PACKET_SAMPLES, OpusDecoder, packet_samples};
use crate::delay::DelayEstimator;
use crate::fifo::SampleFifo;

/// Packets kept, by sequence number: 1.28 s of 20 ms packets.
const SLOTS: usize = 64;
/// A longer hole in RTP time is a restart, not loss.
const MAX_CONCEALED_LOSS: u64 = 9_600;
/// When packets stop, sound is made up for so long (libopus fades it), then there is silence.
const MAX_UNDERRUN_SAMPLES: usize = 4_800;
/// The last of that fades to nothing.
const UNDERRUN_FADE_SAMPLES: usize = 2_400;
/// A sender is idle once its claimed level was this low for this long (RFC 6464: 127 is silence).
const IDLE_LEVEL_MINUS_DBOV: u8 = 80;
const IDLE_AFTER_SAMPLES: u32 = 24_000;
/// Delay is shortened when even its least value in this time was above the target...
const LEVEL_WINDOW_BLOCKS: u32 = 50;
/// ...by more than this.
const LEVEL_SLACK_SAMPLES: usize = 240;
/// When much is to be taken out, or a place did not suit, so many blocks pass until the next try.
const RETRY_BLOCKS: u32 = 5;
/// Mean square below which a place is silent enough to be cut anywhere: -60 dBFS.
const QUIET_ENERGY: f32 = 1e-6;

/// Extended sequence numbers and times do not come near this in a century; what lies beyond was
/// extended backwards past zero.
const FAR_BEYOND: u64 = 1 << 60;

/// One Opus packet from the network, as it came: unordered, maybe twice.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
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
}

/// What [`Receiver::pull`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing to hear: no packets, or the sender says that it is silent. The block is zero.
    Idle,
    /// The participant's audio (some of it maybe concealed).
    Audio,
}

/// Counters since the receiver was made. Packets are counted once each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStats {
    /// Packets taken.
    pub received: u64,
    /// Packets that did not come before they were due.
    pub lost: u64,
    /// Packets that came after they were due, or twice, and were thrown away.
    pub late: u64,
    /// Packets that were no Opus, or too far from what was expected.
    pub invalid: u64,
    /// Lost packets that were rebuilt from the next one's FEC (or concealed by libopus where it
    /// carried none).
    pub recovered: u64,
    /// Samples made up because their packet was not there.
    pub concealed_samples: u64,
    /// Samples taken out to shorten the delay.
    pub removed_samples: u64,
}

/// A participant's jitter buffer, decoder and decoded audio.
///
/// Packets go in as they come; every 10 ms of the room's clock 480 samples come out. `pull` never
/// allocates and never fails: what is not there is rebuilt or concealed.
pub struct Receiver {
    decoder: OpusDecoder,
    slots: [Option<Slot>; SLOTS],
    fifo: SampleFifo,
    delay: DelayEstimator,
    state: State,
    /// Nothing came yet, or the sender began anew: there is no sequence to go on with.
    fresh: bool,
    /// What is to be decoded next.
    next_seq: u64,
    next_rtp: u64,
    /// End of the latest packet, in RTP time.
    latest_end: u64,
    packet_samples: usize,
    /// Samples made up since the last decoded packet while nothing at all was there.
    underrun: usize,
    silent_for: u32,
    least_level: usize,
    level_age: u32,
    shift: i32,
    jitter_buffer_ms: f32,
    stats: ReceiverStats,
}

struct Slot {
    frame: EncodedFrame,
    samples: usize,
    /// The payload is kept until the next packet takes the place, so that nothing is freed
    /// within the tick.
    used: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No packet that is to be played.
    Empty,
    /// Packets come in, playout has not begun; since when.
    Filling(Instant),
    Playing,
}

impl Receiver {
    /// An empty receiver. Allocates about 90 KiB with its decoder.
    ///
    /// # Errors
    /// When libopus refuses to make a decoder (out of memory).
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self {
            decoder: OpusDecoder::new()?,
            slots: [const { None }; SLOTS],
            fifo: SampleFifo::new(),
            delay: DelayEstimator::new(),
            state: State::Empty,
            fresh: true,
            next_seq: 0,
            next_rtp: 0,
            latest_end: 0,
            packet_samples: 960,
            underrun: 0,
            silent_for: 0,
            least_level: usize::MAX,
            level_age: 0,
            shift: 0,
            jitter_buffer_ms: 0.0,
            stats: ReceiverStats::default(),
        })
    }

    /// Takes a packet. May free the packet that had its place before.
    pub fn push(&mut self, frame: EncodedFrame) {
        let sane = frame.seq < FAR_BEYOND && frame.rtp_time < FAR_BEYOND;
        let Some(samples) = packet_samples(&frame.payload).filter(|_| sane) else {
            self.stats.invalid += 1;
            return;
        };
        if self.is_restart(&frame) {
            self.restart();
        }
        if self.state == State::Empty && !self.begin(&frame) {
            self.stats.late += 1;
            return;
        }
        self.delay.packet(frame.rtp_time, frame.arrival);
        if frame.seq < self.next_seq {
            let before_start = matches!(self.state, State::Filling(_));
            if !before_start {
                self.stats.late += 1;
                return;
            }
            // Reordering at the very start: begin with the earlier one.
            self.next_seq = frame.seq;
            self.next_rtp = frame.rtp_time;
        }
        let slot = &mut self.slots[slot_of(frame.seq)];
        if slot.as_ref().is_some_and(|s| s.frame.seq == frame.seq) {
            self.stats.late += 1;
            return;
        }
        self.latest_end = self.latest_end.max(frame.rtp_time + samples as u64);
        self.stats.received += 1;
        *slot = Some(Slot { frame, samples, used: false });
    }

    /// Writes the next 10 ms, mono, to `out`.
    pub fn pull(&mut self, now: Instant, out: &mut AudioBuffer) -> Pulled {
        self.shift = 0;
        if let State::Filling(since) = self.state
            && self.may_begin(now, since)
        {
            self.state = State::Playing;
            self.reset_level();
        }
        if self.state != State::Playing {
            return self.idle(out);
        }
        while self.fifo.len() < BLOCK_SAMPLES {
            if !self.fill() {
                return self.idle(out);
            }
        }
        self.adapt();
        self.fifo.pop(out.plane_mut(0));
        if self.silent_for >= IDLE_AFTER_SAMPLES { self.idle(out) } else { Pulled::Audio }
    }

    /// The next packet whose last sample has been pulled `delay_samples` samples ago or longer,
    /// by its arrival; each is told once. Also what [`Self::jitter_buffer_ms`] is measured with.
    pub fn next_played(&mut self, now: Instant, delay_samples: u64) -> Option<Instant> {
        let position = self.fifo.position().saturating_sub(delay_samples);
        let arrival = self.fifo.next_arrival_before(position)?;
        let told_late_ms = delay_samples as f32 * 1e3 / SAMPLE_RATE_HZ as f32;
        let since_ms = now.saturating_duration_since(arrival).as_secs_f32() * 1e3;
        let waited_ms = (since_ms - told_late_ms).max(0.0);
        self.jitter_buffer_ms += 0.05 * (waited_ms - self.jitter_buffer_ms);
        Some(arrival)
    }

    /// Time from a packet's arrival until its last sample was played, in ms, smoothed.
    #[must_use]
    pub fn jitter_buffer_ms(&self) -> f32 {
        self.jitter_buffer_ms
    }

    /// The delay that playout aims for beyond the fastest packet.
    #[must_use]
    pub fn target(&self) -> Duration {
        self.delay.target()
    }

    /// Where the block pulled last lies on the sender's clock.
    #[must_use]
    pub fn timeline(&self) -> CaptureTimeline {
        CaptureTimeline { position_samples: self.fifo.position(), shift_samples: self.shift }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.stats
    }

    /// Begins to play with `frame`; false if it belongs to what was played before a pause.
    fn begin(&mut self, frame: &EncodedFrame) -> bool {
        if self.fresh {
            self.fresh = false;
        } else if frame.seq < self.next_seq {
            return false;
        } else {
            // A pause of the sender leaves no hole in the sequence; an outage does.
            self.stats.lost += frame.seq - self.next_seq;
        }
        self.next_seq = frame.seq;
        self.next_rtp = frame.rtp_time;
        self.latest_end = frame.rtp_time;
        self.state = State::Filling(frame.arrival);
        true
    }

    fn is_restart(&self, frame: &EncodedFrame) -> bool {
        if self.fresh {
            return false;
        }
        if self.state == State::Empty {
            return frame.seq.abs_diff(self.next_seq) >= 500;
        }
        const SECOND: u64 = SAMPLE_RATE_HZ as u64;
        let far_in_time = frame.rtp_time > self.latest_end + 60 * SECOND
            || frame.rtp_time + 10 * SECOND < self.next_rtp;
        let far_in_seq =
            frame.seq >= self.next_seq + SLOTS as u64 || frame.seq + 500 < self.next_seq;
        far_in_time || far_in_seq
    }

    fn restart(&mut self) {
        self.state = State::Empty;
        self.fresh = true;
        self.delay.reset();
        self.fifo.clear();
        self.slots = [const { None }; SLOTS];
        self.underrun = 0;
    }

    fn idle(&mut self, out: &mut AudioBuffer) -> Pulled {
        out.clear();
        Pulled::Idle
    }

    fn may_begin(&self, now: Instant, since: Instant) -> bool {
        let target = self.delay.target();
        let enough = self.buffered() >= BLOCK_SAMPLES + samples_in(target);
        enough || now.saturating_duration_since(since) >= target + Duration::from_millis(20)
    }

    /// Samples between what was pulled last and the end of the latest packet.
    fn buffered(&self) -> usize {
        let ahead = self.latest_end.saturating_sub(self.next_rtp);
        self.fifo.len() + usize::try_from(ahead).unwrap_or(0)
    }

    /// Puts the next stretch of sound into the queue: a decoded packet, a rebuilt one, or a
    /// made-up one. False when there is nothing, and playout pauses.
    fn fill(&mut self) -> bool {
        let Some(next) = self.next_slot() else { return self.fill_underrun() };
        let Some((seq, rtp_time, samples)) = self.slots[next]
            .as_ref()
            .map(|slot| (slot.frame.seq, slot.frame.rtp_time, slot.samples))
        else {
            return false;
        };
        let missing = rtp_time.saturating_sub(self.next_rtp);
        if missing == 0 {
            self.count_lost(seq);
            self.decode(next);
            return true;
        }
        if missing > MAX_CONCEALED_LOSS {
            // A pause of the sender (DTX, mute) or a restart: begin anew with this packet.
            let pause = seq == self.next_seq;
            if !pause {
                self.count_lost(seq);
            }
            self.next_seq = seq;
            self.next_rtp = rtp_time;
            self.underrun = 0;
            self.fifo.clear();
            self.state = State::Filling(self.arrival_of(next));
            return false;
        }
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        // What was already made up while nothing was there has taken the place of the gap.
        let covered = self.underrun.min(missing);
        if covered > 0 {
            self.underrun -= covered;
            self.next_rtp += covered as u64;
            return true;
        }
        // libopus rebuilds and conceals multiples of 2.5 ms.
        let whole = missing.is_multiple_of(120);
        if seq > self.next_seq && whole && missing <= samples.max(self.packet_samples) {
            self.rebuild_before(next, missing);
        } else {
            self.conceal(missing.min(self.packet_samples));
            self.next_rtp += missing.min(self.packet_samples) as u64;
            // The rest is treated the same way the next time; loss is counted at its end.
        }
        true
    }

    /// Nothing is there to play.
    fn fill_underrun(&mut self) -> bool {
        if self.underrun >= MAX_UNDERRUN_SAMPLES {
            self.state = State::Empty;
            self.underrun = 0;
            self.fifo.clear();
            self.silent_for = 0;
            return false;
        }
        self.conceal(BLOCK_SAMPLES);
        // libopus lets a voice fade in this time, but not a tone: the end must be silent.
        for sample in self.fifo.newest_mut(BLOCK_SAMPLES) {
            self.underrun += 1;
            let left = MAX_UNDERRUN_SAMPLES.saturating_sub(self.underrun) as f32;
            *sample *= (left / UNDERRUN_FADE_SAMPLES as f32).min(1.0);
        }
        true
    }

    /// The unused packet with the smallest sequence number from the next on.
    fn next_slot(&self) -> Option<usize> {
        (self.next_seq..self.next_seq + SLOTS as u64).map(|seq| (seq, slot_of(seq))).find_map(
            |(seq, index)| {
                let slot = self.slots[index].as_ref()?;
                (slot.frame.seq == seq && !slot.used).then_some(index)
            },
        )
    }

    fn arrival_of(&self, slot: usize) -> Instant {
        let slot = self.slots[slot].as_ref().expect("the caller found a packet there");
        slot.frame.arrival
    }

    fn count_lost(&mut self, seq: u64) {
        self.stats.lost += seq.saturating_sub(self.next_seq);
        self.next_seq = seq;
    }

    fn decode(&mut self, index: usize) {
        let Some(slot) = self.slots[index].as_mut() else { return };
        slot.used = true;
        let samples = slot.samples;
        let silent = slot.frame.level_minus_dbov.is_some_and(|l| l >= IDLE_LEVEL_MINUS_DBOV);
        self.silent_for = if silent { self.silent_for.saturating_add(samples as u32) } else { 0 };
        if let Some(space) = self.fifo.push_space(samples) {
            // The claim of silence spares the decoding; the zeros are there already.
            if self.silent_for < IDLE_AFTER_SAMPLES {
                match self.decoder.decode(&slot.frame.payload, space) {
                    Some(decoded) => self.fifo.unpush(samples - decoded.min(samples)),
                    None => {
                        self.stats.invalid += 1;
                        let _ = self.decoder.conceal(space);
                    }
                }
            }
            self.fifo.mark_arrival(slot.frame.arrival);
        }
        self.next_seq += 1;
        self.next_rtp = slot.frame.rtp_time + samples as u64;
        self.packet_samples = samples;
        self.underrun = 0;
    }

    /// The packet in `next` is there, the one before it is not.
    fn rebuild_before(&mut self, next: usize, missing: usize) {
        let Some(slot) = self.slots[next].as_ref() else { return };
        if let Some(space) = self.fifo.push_space(missing) {
            let _ = self.decoder.decode_fec(&slot.frame.payload, space);
        }
        self.stats.recovered += 1;
        self.stats.concealed_samples += missing as u64;
        self.next_rtp += missing as u64;
    }

    fn conceal(&mut self, samples: usize) {
        let whole = samples.next_multiple_of(120).min(MAX_PACKET_SAMPLES);
        if let Some(space) = self.fifo.push_space(whole) {
            if self.silent_for < IDLE_AFTER_SAMPLES {
                let _ = self.decoder.conceal(space);
            }
            self.fifo.unpush(whole.saturating_sub(samples));
        }
        self.stats.concealed_samples += samples as u64;
    }

    /// Follows the least level of a while, and takes a pitch period out when it stays above the
    /// target.
    fn adapt(&mut self) {
        let after = self.buffered().saturating_sub(BLOCK_SAMPLES);
        self.least_level = self.least_level.min(after);
        self.level_age += 1;
        if self.level_age < LEVEL_WINDOW_BLOCKS {
            return;
        }
        let wanted = samples_in(self.delay.target()) + LEVEL_SLACK_SAMPLES;
        if self.least_level <= wanted || self.underrun > 0 {
            self.reset_level();
            return;
        }
        while self.fifo.len() < SampleFifo::SHORTEN_NEEDS + BLOCK_SAMPLES {
            let in_order = self.slots[slot_of(self.next_seq)].as_ref().is_some_and(|slot| {
                !slot.used
                    && slot.frame.seq == self.next_seq
                    && slot.frame.rtp_time == self.next_rtp
            });
            if !in_order {
                return;
            }
            self.decode(slot_of(self.next_seq));
        }
        let removed = self.fifo.shorten(QUIET_ENERGY);
        if removed == 0 {
            // The search is not cheap; another place is tried a little later.
            self.level_age = LEVEL_WINDOW_BLOCKS - RETRY_BLOCKS;
        } else {
            self.stats.removed_samples += removed as u64;
            self.shift -= removed as i32;
            self.least_level -= removed.min(self.least_level);
            // More is taken out soon when there is much too much.
            let far_above = self.least_level > 2 * wanted;
            self.level_age = if far_above { LEVEL_WINDOW_BLOCKS - RETRY_BLOCKS } else { 0 };
            if !far_above {
                self.least_level = usize::MAX;
            }
        }
    }

    fn reset_level(&mut self) {
        self.least_level = usize::MAX;
        self.level_age = 0;
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("state", &self.state)
            .field("buffered_samples", &self.buffered())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

fn slot_of(seq: u64) -> usize {
    (seq % SLOTS as u64) as usize
}

fn samples_in(time: Duration) -> usize {
    (time.as_secs_f64() * f64::from(SAMPLE_RATE_HZ)) as usize
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]
mod tests;
