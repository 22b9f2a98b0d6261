//! One participant's packets to a gapless stream of blocks.

use std::time::{Duration, Instant};

use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, CaptureTimeline, SAMPLE_RATE_HZ, StageFormat};

use crate::codec::{Codec, MAX_PACKET_SAMPLES};
use crate::delay::{DelayTarget, LatencyProfile};
use crate::fifo::HISTORY;
use crate::packets::{CaptureTime, EncodedFrame, MOST_PACKETS, PacketBuffer};
use crate::planes::to_left_and_right;
use crate::playout::{Playout, Situation};
use crate::resample::{DriftResampler, LOOKAHEAD};
use crate::room::Economies;
use crate::sender_clock::SenderClock;
use crate::stretch::{self, Licence};

mod stats;
mod voice;

pub use stats::ReceiverStats;
use voice::Voice;

/// A longer hole in RTP time is a pause or a restart, not loss.
const MAX_CONCEALED_LOSS: u64 = 9_600;
/// At the start of playout packets up to this much earlier than the first are begun with: 100 ms.
const REORDERED_AT_START: u64 = 4_800;
/// By so much more than RTP time must wall time have moved in a pause for it to be the clock's.
const PAUSED_CLOCK_MS: u128 = 500;

/// Extended sequence numbers and times do not come near this in a century; what lies beyond was
/// extended backwards past zero.
const FAR_BEYOND: u64 = 1 << 60;

/// What [`Receiver::pull`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Nothing to hear: no packets, or the sender says that it is silent. The block is zero.
    Idle,
    /// The participant's audio (some of it maybe concealed).
    Audio,
}

/// A participant's jitter buffer, decoder and decoded audio.
///
/// Packets go in as they come; every 10 ms of the room's clock 480 samples come out. `pull` never
/// allocates and never fails: what is not there is rebuilt or concealed.
pub struct Receiver {
    packets: PacketBuffer,
    voice: Voice,
    clock: SenderClock,
    target: DelayTarget,
    playout: Playout,
    resampler: DriftResampler,
    state: State,
    /// Whether anybody hears what is pulled.
    heard: bool,
    /// The stream that is played; none yet, or the sender began anew.
    ssrc: Option<u32>,
    /// What is to be decoded next.
    next_seq: u64,
    next_rtp: u64,
    /// End of the latest packet, in RTP time.
    latest_end: u64,
    packet_samples: usize,
    /// Samples of RTP time for which no packet came since the last one decoded.
    hole: u64,
    shift: i32,
    jitter_buffer_ms: f32,
    transit: Option<(Instant, u64)>,
    /// When the sample of that RTP time was captured.
    capture: Option<(u64, CaptureTime)>,
    /// RTP time of the first sample of the packet out that is being filled.
    given_from: u64,
    stats: ReceiverStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No packet that is to be played.
    Empty,
    /// Packets come in, playout has not begun.
    Filling,
    Playing,
}

impl Receiver {
    /// An empty receiver for a mono room. Allocates next to nothing.
    #[must_use]
    pub fn new(profile: LatencyProfile) -> Self {
        Self::with(profile, StageFormat::MONO, Codec::Opus, Economies::default())
    }

    /// An empty receiver for a mono room, of packets of that codec. Allocates next to nothing.
    #[must_use]
    pub fn of(codec: Codec, profile: LatencyProfile) -> Self {
        Self::with(profile, StageFormat::MONO, codec, Economies::default())
    }

    pub(crate) fn with(
        profile: LatencyProfile,
        format: StageFormat,
        codec: Codec,
        economies: Economies,
    ) -> Self {
        Self {
            packets: PacketBuffer::new(),
            voice: Voice::new(format, codec, economies.skip_silence),
            clock: SenderClock::new(),
            target: DelayTarget::new(profile),
            playout: Playout::new(profile.blocks_per_packet()),
            resampler: DriftResampler::new(format),
            state: State::Empty,
            heard: true,
            ssrc: None,
            next_seq: 0,
            next_rtp: 0,
            latest_end: 0,
            packet_samples: 960,
            hole: 0,
            shift: 0,
            jitter_buffer_ms: 0.0,
            transit: None,
            capture: None,
            given_from: 0,
            stats: ReceiverStats::default(),
        }
    }

    /// Takes a packet. May free the packet that had its place before. Allocates for the first that
    /// holds more than silence (decoder, resampler and room for packets and sound: 70 KiB, in stereo
    /// over twice as much), if more wait than ever did, as after a stall of over a second, and if it
    /// is longer than any before, and than 20 ms.
    pub fn push(&mut self, frame: EncodedFrame) {
        let sane = frame.seq < FAR_BEYOND && frame.rtp_time < FAR_BEYOND;
        let samples = self.voice.codec.packet_samples(&frame.payload);
        let Some(samples) = samples.filter(|_| sane) else {
            self.stats.packets_invalid += 1;
            return;
        };
        if frame.is_copy() {
            return self.push_copy(frame, samples);
        }
        if self.is_restart(&frame) {
            self.restart();
        }
        if self.has_paused_clock(&frame) {
            self.clock.restart();
        }
        if self.state == State::Empty && !self.begin(&frame, samples) {
            self.stats.packets_discarded += 1;
            return;
        }
        if self.voice.has_yet_to_begin(&frame) {
            return self.let_pass(&frame, samples);
        }
        if self.packets.knows(frame.seq) && !self.packets.is_copy_waiting(frame.seq) {
            if self.packets.was_copy(frame.seq) {
                // It was late, and its copy was there.
                self.learn_arrival(&frame, samples);
                self.playout.not_lost_but_late();
            }
            self.stats.packets_discarded += 1;
            return;
        }
        self.learn_arrival(&frame, samples);
        if frame.seq < self.next_seq {
            let just_before = frame.rtp_time + REORDERED_AT_START >= self.next_rtp;
            if self.state != State::Filling || !just_before {
                self.stats.packets_discarded += 1;
                self.playout.not_lost_but_late();
                return;
            }
            // Reordering at the very start: begin with the earlier one.
            self.next_seq = frame.seq;
            self.next_rtp = frame.rtp_time;
        }
        self.playout.reaches_back(usize::from(self.voice.codec.has_fec(&frame.payload)));
        self.latest_end = self.latest_end.max(frame.rtp_time + samples as u64);
        self.stats.packets_received += 1;
        self.insert(frame, samples);
    }

    /// Whether anybody hears what is pulled, as is taken to be so at first. Where nobody does, gaps
    /// are not filled: between the packets by which a silent sender says that it is still there (DTX),
    /// nothing is to be done.
    pub fn set_heard(&mut self, heard: bool) {
        self.heard = heard;
    }

    /// Writes the next 10 ms to `out`, which has the channels of the room. `now` is the nominal time of
    /// the tick that closes an outgoing packet: the same for each of its blocks.
    pub fn pull(&mut self, now: Instant, out: &mut AudioBuffer) -> Pulled {
        let pulled = self.pull_planes(now, out);
        to_left_and_right(out);
        pulled
    }

    fn pull_planes(&mut self, now: Instant, out: &mut AudioBuffer) -> Pulled {
        self.shift = 0;
        let first_of_packet = self.playout.next_block();
        // What another stream played last is faded out first.
        if self.state == State::Filling && first_of_packet && !self.voice.is_sounding() {
            self.may_begin(now);
        }
        if self.state != State::Playing {
            return self.idle(out);
        }
        while self.voice.fifo.len() < self.resampler.needs() {
            if !self.fill() {
                return self.idle(out);
            }
        }
        if first_of_packet {
            self.steer(now);
        }
        self.stretch();
        // Stretching leaves at least what the block needs, and engaging takes a little.
        while self.voice.fifo.len() < self.resampler.needs() {
            if !self.fill() {
                return self.idle(out);
            }
        }
        self.resampler.pull(&mut self.voice.fifo, &mut out.block());
        if self.voice.claims_silence() {
            return self.voice.fall_silent(out);
        }
        self.voice.sounds();
        self.stats.total_samples_received += BLOCK_SAMPLES as u64;
        Pulled::Audio
    }

    /// The next packet whose last sample has been pulled `delay_samples` samples ago or longer,
    /// by its arrival; each is told once. Also what [`Self::jitter_buffer_ms`] is measured with.
    pub fn next_played(&mut self, now: Instant, delay_samples: u64) -> Option<Instant> {
        let held = delay_samples + self.resampler.holds() as u64;
        let position = self.voice.fifo.position().saturating_sub(held);
        let arrival = self.voice.fifo.next_arrival_before(position)?;
        let told_late_ms = delay_samples as f32 * 1e3 / SAMPLE_RATE_HZ as f32;
        let since_ms = now.saturating_duration_since(arrival).as_secs_f32() * 1e3;
        let waited_ms = (since_ms - told_late_ms).max(0.0);
        self.jitter_buffer_ms += 0.05 * (waited_ms - self.jitter_buffer_ms);
        let samples = self.packet_samples as f64;
        self.stats.jitter_buffer_delay += f64::from(waited_ms) / 1e3 * samples;
        self.stats.jitter_buffer_target_delay += self.playout.target_ms() / 1e3 * samples;
        self.stats.jitter_buffer_emitted_count += self.packet_samples as u64;
        Some(arrival)
    }

    /// Time from a packet's arrival until its last sample was played, in ms, smoothed.
    #[must_use]
    pub fn jitter_buffer_ms(&self) -> f32 {
        self.jitter_buffer_ms
    }

    /// How late a packet may be against the fastest and still be played, waiting for the copy or
    /// FEC in later ones included.
    #[must_use]
    pub fn tolerance(&self, now: Instant) -> Duration {
        Duration::from_secs_f64(self.tolerance_ms(now) / 1e3)
    }

    /// Time from the arrival of the fastest packet to the playing of its last sample: the delay that
    /// this receiver adds to every sample, as of the last packet out.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_secs_f64(self.playout.delay_ms().max(0.0) / 1e3)
    }

    /// By how much the sender's clock is fast, in parts per million, once that is known.
    #[must_use]
    pub fn drift_ppm(&self) -> Option<f64> {
        Some(self.clock.drift()?.rate * 1e6)
    }

    /// When the first sample was captured of those that the last packet out takes from here, if
    /// the sender says such things.
    #[must_use]
    pub fn captured(&self) -> Option<CaptureTime> {
        let (rtp_time, capture) = self.capture.filter(|_| self.state == State::Playing)?;
        let rate = f64::from(SAMPLE_RATE_HZ);
        let since = (self.given_from as f64 - rtp_time as f64) / rate;
        let since_epoch = capture.since_epoch.as_secs_f64() + since;
        let since_epoch = Duration::try_from_secs_f64(since_epoch).ok()?;
        Some(CaptureTime { since_epoch, ..capture })
    }

    /// Where the block pulled last lies on the sender's clock.
    #[must_use]
    pub fn timeline(&self) -> CaptureTimeline {
        CaptureTimeline { position_samples: self.voice.fifo.position(), shift_samples: self.shift }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.stats
    }

    /// Whether there was anything to decode.
    #[cfg(test)]
    fn has_decoded(&self) -> bool {
        self.voice.has_decoder()
    }

    /// Goes on behind a packet of silence, of one who has said nothing yet.
    fn let_pass(&mut self, frame: &EncodedFrame, samples: usize) {
        self.learn_arrival(frame, samples);
        self.stats.packets_received += 1;
        self.next_seq = frame.seq + 1;
        self.next_rtp = frame.rtp_time + samples as u64;
        self.latest_end = self.next_rtp;
        self.state = State::Empty;
    }

    fn insert(&mut self, frame: EncodedFrame, samples: usize) {
        self.voice.expect(samples);
        self.resampler.make_ready();
        self.packets.insert(frame, samples);
    }

    /// A copy that came in a later packet fills a hole, and is nothing else.
    fn push_copy(&mut self, frame: EncodedFrame, samples: usize) {
        // The copy's own FEC reaches one packet further.
        let fec = usize::from(self.voice.codec.has_fec(&frame.payload));
        self.playout.reaches_back(usize::from(frame.copy_distance) + fec);
        let due = self.state != State::Empty
            && self.ssrc == Some(frame.ssrc)
            && (self.next_seq..self.next_seq + MOST_PACKETS as u64).contains(&frame.seq)
            && frame.rtp_time >= self.next_rtp;
        if due && !self.packets.knows(frame.seq) {
            self.insert(frame, samples);
        }
    }

    /// Begins to play with `frame`; false if it belongs to what was played before a pause.
    fn begin(&mut self, frame: &EncodedFrame, samples: usize) -> bool {
        if self.ssrc.is_some() {
            if frame.seq < self.next_seq {
                return false;
            }
            // A pause of the sender leaves no hole in the sequence; an outage does.
            self.hole = frame.rtp_time.saturating_sub(self.next_rtp);
            self.count_lost(frame.seq);
        }
        self.ssrc = Some(frame.ssrc);
        self.next_seq = frame.seq;
        self.next_rtp = frame.rtp_time;
        self.latest_end = frame.rtp_time;
        self.packet_samples = samples;
        self.state = State::Filling;
        true
    }

    /// Whether the sender began anew: another stream, or numbers and times that do not go on from
    /// those of before.
    fn is_restart(&self, frame: &EncodedFrame) -> bool {
        const SECOND: u64 = SAMPLE_RATE_HZ as u64;
        let Some(ssrc) = self.ssrc else { return false };
        let behind = frame.seq < self.next_seq;
        // No packet of before is later than one that came after it.
        if ssrc != frame.ssrc || behind && frame.rtp_time > self.latest_end {
            return true;
        }
        if self.state == State::Empty {
            return frame.seq.abs_diff(self.next_seq) >= 500;
        }
        let late = if behind { 10 * SECOND } else { SECOND };
        let far_in_time =
            frame.rtp_time > self.latest_end + 60 * SECOND || frame.rtp_time + late < self.next_rtp;
        let far_in_seq =
            frame.seq >= self.next_seq + MOST_PACKETS as u64 || frame.seq + 500 < self.next_seq;
        far_in_time || far_in_seq
    }

    /// Whether the sender's RTP time stood still while nothing came: a device that was changed, a
    /// track that was taken away for a while. What was learnt of its delay is void then.
    fn has_paused_clock(&self, frame: &EncodedFrame) -> bool {
        let Some((arrival, rtp_time)) = self.transit else { return false };
        let wall_ms = frame.arrival.saturating_duration_since(arrival).as_millis();
        let media_ms = frame.rtp_time.saturating_sub(rtp_time) / (u64::from(SAMPLE_RATE_HZ) / 1000);
        self.state == State::Empty && wall_ms > u128::from(media_ms) + PAUSED_CLOCK_MS
    }

    fn restart(&mut self) {
        self.state = State::Empty;
        self.ssrc = None;
        self.clock.restart();
        self.target.restart();
        self.transit = None;
        self.capture = None;
        self.packets.clear();
        self.voice.restart();
        self.hole = 0;
    }

    fn learn_arrival(&mut self, frame: &EncodedFrame, samples: usize) {
        let end = frame.rtp_time + samples as u64;
        let relative_ms = self.clock.packet(end, frame.arrival);
        if self.clock.has_stepped() {
            // What seemed late came by a longer way.
            self.target.restart();
        }
        self.target.packet(relative_ms, ms(samples), frame.arrival);
        if let Some((arrival, rtp_time)) = self.transit.replace((frame.arrival, frame.rtp_time)) {
            let wall = frame.arrival.saturating_duration_since(arrival).as_secs_f32();
            let media = frame.rtp_time as f64 - rtp_time as f64;
            let change = wall - (media / f64::from(SAMPLE_RATE_HZ)) as f32;
            // A pause of the sender is no jitter.
            if change.abs() < 1.0 {
                self.stats.jitter += (change.abs() - self.stats.jitter) / 16.0;
            }
        }
    }

    fn tolerance_ms(&self, now: Instant) -> f64 {
        let waits_for = ms(self.playout.waits_for() * self.packet_samples);
        f64::from(self.target.ms(now) + waits_for)
    }

    /// Begins to play so that the delay is the wanted one from the first sample on.
    fn may_begin(&mut self, now: Instant) {
        let quantum = self.playout.quantum_samples();
        let wanted_ms = self.playout.aim(&self.situation(now), self.tolerance_ms(now), &self.clock);
        let Some(late_ms) = self.clock.ms_until(self.next_rtp + quantum as u64, now) else {
            return;
        };
        let too_early = ((wanted_ms + late_ms) * f64::from(SAMPLE_RATE_HZ) / 1e3).ceil();
        if too_early >= quantum as f64 {
            return;
        }
        self.state = State::Playing;
        self.voice.begin(too_early.max(0.0) as usize);
        self.resampler.disengage();
    }

    fn situation(&self, now: Instant) -> Situation {
        Situation {
            now,
            latest_end: self.latest_end,
            packet_samples: self.packet_samples,
            engaged: self.resampler.is_engaged(),
        }
    }

    /// Compares delay and aim, and sets what stretching and resampling are to do about it.
    fn steer(&mut self, now: Instant) {
        let wanted_ms = self.playout.aim(&self.situation(now), self.tolerance_ms(now), &self.clock);
        let waiting = (self.voice.fifo.len() + self.resampler.holds()) as u64;
        self.given_from = self.next_rtp.saturating_sub(waiting);
        let given = self.given_from + self.playout.quantum_samples() as u64;
        let Some(until_ms) = self.clock.ms_until(given, now) else { return };
        let left_over = self.next_rtp as i64 - given as i64;
        let engaged = self.resampler.is_engaged();
        self.playout.steer(-until_ms - wanted_ms, left_over, self.packet_samples, engaged);
        if self.resampler.is_engaged() {
            self.resampler.set_rate(self.playout.rate(&self.clock));
        } else if self.playout.wants_resampling() && !self.voice.runs_dry() {
            let ahead = BLOCK_SAMPLES + LOOKAHEAD + 2;
            while self.voice.fifo.len() < ahead && self.decode_next_in_order() {}
            if self.voice.fifo.len() >= ahead {
                self.resampler.engage(&mut self.voice.fifo);
            }
        }
    }

    /// Takes out or puts in what the playout wants, where the sound allows it.
    fn stretch(&mut self) {
        if self.voice.runs_dry() {
            return;
        }
        let Some(wish) = self.playout.stretch(4.0 * self.voice.background()) else { return };
        let needs = self.resampler.needs();
        let changed = if wish.shorten {
            let ahead = needs + wish.licence.at_most + stretch_window(&wish.licence);
            while self.voice.fifo.len() < ahead && self.decode_next_in_order() {}
            let spare = self.voice.fifo.len().saturating_sub(needs);
            let licence = Licence { at_most: wish.licence.at_most.min(spare), ..wish.licence };
            -(stretch::shorten(&mut self.voice.fifo, licence) as i64)
        } else {
            stretch::lengthen(&mut self.voice.fifo, wish.licence) as i64
        };
        self.playout.stretched(changed);
        self.shift += changed as i32;
        if changed < 0 {
            self.stats.removed_samples_for_acceleration += changed.unsigned_abs();
        } else {
            self.stats.inserted_samples_for_deceleration += changed.unsigned_abs();
        }
    }

    /// Nothing to play: what sounds still ends without a step.
    fn idle(&mut self, out: &mut AudioBuffer) -> Pulled {
        if self.voice.is_sounding() {
            while self.voice.fifo.len() < self.resampler.needs() {
                self.voice.conceal(BLOCK_SAMPLES, &mut self.stats);
            }
            self.resampler.pull(&mut self.voice.fifo, &mut out.block());
        }
        if self.state != State::Playing {
            self.voice.fifo.clear();
        }
        self.voice.fall_silent(out)
    }

    /// Puts the next stretch of sound into the queue: a decoded packet, a rebuilt one, or a
    /// made-up one. False when there is nothing, and playout pauses.
    fn fill(&mut self) -> bool {
        let Some(next) = self.packets.next_from(self.next_seq) else {
            let goes_on = self.voice.go_on(self.heard, &mut self.stats);
            if !goes_on {
                self.state = State::Empty;
            }
            return goes_on;
        };
        let (seq, rtp_time, samples) = (next.frame.seq, next.frame.rtp_time, next.samples);
        if rtp_time + samples as u64 <= self.next_rtp {
            // A second copy of what was played, under another number.
            self.packets.mark_used(seq);
            self.next_seq = seq + 1;
            self.stats.packets_discarded += 1;
            return true;
        }
        let missing = rtp_time.saturating_sub(self.next_rtp);
        if missing == 0 {
            self.count_lost(seq);
            self.decode(seq);
            return true;
        }
        // What was already made up while nothing was there has taken the place of the gap.
        let covered = self.voice.stood_in_for(missing);
        if covered > 0 {
            self.next_rtp += covered;
            self.hole += covered;
            return true;
        }
        if missing > MAX_CONCEALED_LOSS {
            // A pause of the sender (DTX, mute) or a restart: begin anew with this packet.
            self.hole += missing;
            self.count_lost(seq);
            self.next_rtp = rtp_time;
            self.state = State::Filling;
            return false;
        }
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        // libopus rebuilds and conceals multiples of 2.5 ms.
        let whole = missing.is_multiple_of(120);
        let lost = seq > self.next_seq;
        if lost && whole && missing <= samples.max(self.packet_samples) {
            self.rebuild_before(seq, missing);
        } else {
            // The rest is treated the same way the next time; loss is counted at its end.
            let part = missing.min(self.packet_samples).min(MAX_PACKET_SAMPLES);
            self.voice.conceal(part, &mut self.stats);
            self.next_rtp += part as u64;
            self.hole += part as u64;
        }
        true
    }

    /// Goes on with packet `seq`. Numbers that left no hole in time were padding: browsers probe
    /// bandwidth with it.
    fn count_lost(&mut self, seq: u64) {
        let hole = std::mem::take(&mut self.hole).div_ceil(self.packet_samples.max(1) as u64);
        let lost = seq.saturating_sub(self.next_seq).min(hole);
        self.stats.packets_lost += lost;
        self.playout.lost(lost);
        self.next_seq = seq;
    }

    /// Decodes the next packet if it is there and nothing is missing before it.
    fn decode_next_in_order(&mut self) -> bool {
        let next = self.packets.next_from(self.next_seq);
        let next = next.filter(|slot| slot.frame.rtp_time == self.next_rtp);
        let Some(seq) = next.map(|slot| slot.frame.seq) else { return false };
        self.count_lost(seq);
        self.decode(seq);
        true
    }

    fn decode(&mut self, seq: u64) {
        let Some(slot) = self.packets.get(seq) else { return };
        let (frame, samples) = (&slot.frame, slot.samples);
        if let Some(captured) = frame.captured {
            self.capture = Some((frame.rtp_time, captured));
        }
        self.stats.packets_lost += u64::from(frame.is_copy());
        self.stats.red_packets_used += u64::from(frame.is_copy());
        self.playout.heard(frame.is_copy());
        self.voice.decode(slot, &mut self.stats);
        self.next_seq = seq + 1;
        self.next_rtp = frame.rtp_time + samples as u64;
        self.packet_samples = samples;
        self.packets.mark_used(seq);
    }

    /// The packet `seq` is there, the one before it is not.
    fn rebuild_before(&mut self, seq: u64, missing: usize) {
        let Some(slot) = self.packets.get(seq) else { return };
        self.voice.rebuild(slot, missing, &mut self.stats);
        self.next_rtp += missing as u64;
        self.hole += missing as u64;
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("state", &self.state)
            .field("waiting_samples", &self.voice.fifo.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// What [`stretch::shorten`] compares beyond what it takes out.
fn stretch_window(licence: &Licence) -> usize {
    licence.at_most.min(HISTORY / 3)
}

fn ms(samples: usize) -> f32 {
    samples as f32 * 1e3 / SAMPLE_RATE_HZ as f32
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]
mod tests;
