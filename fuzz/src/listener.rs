//! A receiver that is asked for its sound as a room asks, and checked at every step.

use std::time::{Duration, Instant};

use foldback_room::{EncodedFrame, LatencyProfile, Pulled, Receiver, ReceiverStats, TICK};
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES};

use crate::{opus, origin};

/// No sound that was encoded from -1 to 1 comes near it.
const LOUDEST: f32 = 4.0;

/// Simulated time with a receiver in it.
pub struct Listener {
    receiver: Receiver,
    now: Instant,
    next_tick: Instant,
    blocks_per_tick: u32,
    block: AudioBuffer,
    position: u64,
    stats: ReceiverStats,
    /// Blocks pulled so far.
    pub blocks: u64,
    /// Those of them that held sound.
    pub heard: u64,
}

impl Listener {
    /// A fresh receiver. The first tick comes `phase` after the origin of time.
    #[must_use]
    pub fn new(profile: LatencyProfile, phase: Duration) -> Self {
        Self {
            receiver: Receiver::new(profile),
            now: origin(),
            next_tick: origin() + phase,
            blocks_per_tick: profile.blocks_per_packet() as u32,
            block: AudioBuffer::mono(),
            position: 0,
            stats: ReceiverStats::default(),
            blocks: 0,
            heard: 0,
        }
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The receiver's own numbers.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.stats
    }

    /// Takes a packet that comes now.
    pub fn push(&mut self, frame: EncodedFrame) {
        self.receiver.push(frame);
        self.check();
    }

    /// Lets time pass until `at`, with all ticks on the way.
    pub fn pass_to(&mut self, at: Instant) {
        while self.next_tick <= at {
            let tick = self.next_tick;
            self.tick(tick);
        }
        self.now = self.now.max(at);
    }

    /// Time leaps by `by`, and the ticks in it never come: the machine slept.
    pub fn leap(&mut self, by: Duration) {
        self.now += by;
        self.next_tick += by;
    }

    /// One tick, which closes an outgoing packet.
    pub fn tick(&mut self, at: Instant) {
        self.next_tick = at + self.blocks_per_tick * TICK;
        self.now = self.now.max(at);
        for _ in 0..self.blocks_per_tick {
            let pulled = self.receiver.pull(at, &mut self.block);
            let sound = self.block.plane(0);
            for sample in sound {
                assert!(sample.abs() <= LOUDEST, "a sample of {sample}");
            }
            assert!(
                pulled == Pulled::Audio || sound.iter().all(|s| *s == 0.0),
                "an idle block that is not silent"
            );
            let position = self.receiver.timeline().position_samples;
            assert!(position >= self.position, "the sender's time ran backwards");
            self.position = position;
            self.blocks += 1;
            self.heard += u64::from(pulled == Pulled::Audio);
        }
        let mut told = 0;
        while self.receiver.next_played(at, 0).is_some() {
            told += 1;
            assert!(told < 10_000, "arrivals without end");
        }
        self.check();
    }

    /// A fresh and clean stream follows; after 10 s of it all must be well again, whatever was
    /// before.
    pub fn must_recover(&mut self, ssrc: u32, first_seq: u64, first_rtp_time: u64) {
        let start = self.now;
        let voice = opus::voice();
        let send = |listener: &mut Self, packet: u32| {
            listener.pass_to(start + Duration::from_millis(20) * packet);
            listener.push(EncodedFrame {
                ssrc,
                seq: first_seq + u64::from(packet),
                rtp_time: first_rtp_time + u64::from(packet) * u64::from(voice.samples),
                level_minus_dbov: None,
                payload: voice.packet(packet as usize),
                arrival: listener.now,
                captured: None,
                copy_distance: 0,
            });
        };
        (0..500).for_each(|packet| send(self, packet));
        let (stats, blocks, heard) = (self.stats, self.blocks, self.heard);
        (500..600).for_each(|packet| send(self, packet));
        let blocks = self.blocks - blocks;
        assert_eq!(self.heard - heard, blocks, "not all blocks are sound: {:?}", self.receiver);
        let concealed = self.stats.concealed_samples - stats.concealed_samples;
        assert!(
            20 * concealed < blocks * BLOCK_SAMPLES as u64,
            "{concealed} samples concealed in {blocks} blocks: {:?}",
            self.receiver
        );
        let delay = self.receiver.delay();
        assert!(delay < Duration::from_millis(600), "a delay of {delay:?}: {:?}", self.receiver);
    }

    fn check(&mut self) {
        let stats = self.receiver.stats();
        for ((name, was), (_, is)) in counters(&self.stats).into_iter().zip(counters(&stats)) {
            assert!(is >= was, "{name} went from {was} to {is}");
        }
        assert!(stats.jitter.is_finite() && stats.jitter >= 0.0, "a jitter of {}", stats.jitter);
        let held_ms = self.receiver.jitter_buffer_ms();
        assert!(held_ms.is_finite() && held_ms >= 0.0, "held for {held_ms} ms");
        assert!(self.receiver.drift_ppm().is_none_or(f64::is_finite), "no number is the drift");
        let tolerance = self.receiver.tolerance(self.now);
        assert!(tolerance < Duration::from_secs(2), "packets may be {tolerance:?} late");
        let _ = self.receiver.delay();
        self.stats = stats;
    }
}

/// All that only grows.
fn counters(stats: &ReceiverStats) -> [(&'static str, f64); 15] {
    [
        ("packets_received", stats.packets_received as f64),
        ("packets_lost", stats.packets_lost as f64),
        ("packets_discarded", stats.packets_discarded as f64),
        ("packets_invalid", stats.packets_invalid as f64),
        ("fec_packets_used", stats.fec_packets_used as f64),
        ("red_packets_used", stats.red_packets_used as f64),
        ("total_samples_received", stats.total_samples_received as f64),
        ("concealed_samples", stats.concealed_samples as f64),
        ("silent_concealed_samples", stats.silent_concealed_samples as f64),
        ("concealment_events", stats.concealment_events as f64),
        ("inserted_samples", stats.inserted_samples_for_deceleration as f64),
        ("removed_samples", stats.removed_samples_for_acceleration as f64),
        ("jitter_buffer_delay", stats.jitter_buffer_delay),
        ("jitter_buffer_target_delay", stats.jitter_buffer_target_delay),
        ("jitter_buffer_emitted_count", stats.jitter_buffer_emitted_count as f64),
    ]
}
