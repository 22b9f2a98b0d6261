//! Any sequence of packets into the jitter buffer, at any times, must leave it sound: no panic, no
//! broken sample, and 10 s of a clean stream later all is well again.

#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use foldback_fuzz::listener::Listener;
use foldback_fuzz::opus::{self, Payload};
use foldback_room::{EncodedFrame, LatencyProfile};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Simulated time that one input may take.
const LONGEST: Duration = Duration::from_secs(12);

#[derive(Arbitrary, Debug)]
struct Case {
    profile: u8,
    phase_ms: u8,
    /// Whether the clean stream that follows is played, which takes longer than all before it.
    recovers: u8,
    first_seq: u16,
    first_rtp_time: u32,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// One packet.
    Packet { ssrc: u8, seq: i8, rtp_time: Offset, level: Option<u8>, copy: bool, payload: Payload },
    /// Many packets of a sender with a clock of its own, over a network.
    Stream {
        ssrc: u8,
        track: u8,
        packets: u8,
        ppm: i16,
        jitter_ms: u8,
        loss: u8,
        copies: bool,
        seed: u8,
    },
    /// Nothing comes.
    Wait { ms: u16 },
    /// Nothing comes, and nobody asks.
    Sleep { ms: u16 },
    /// The next tick comes early.
    Hurry { ticks: u8 },
    /// The sender goes on elsewhere.
    Leap { seq: u64, rtp_time: u64 },
    /// The sender goes on nearby.
    Skip { packets: u16, samples: i32 },
}

/// Where a packet lies against the end of the one before it.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Offset {
    Behind,
    Packets(i8),
    Samples(i32),
}

fuzz_target!(init: {
    let _ = opus::voice();
}, |case: Case| -> Corpus {
    if case.steps.is_empty() {
        return Corpus::Reject;
    }
    Run::new(&case).play(&case);
    Corpus::Keep
});

struct Run {
    listener: Listener,
    end: Instant,
    seq: u64,
    rtp_time: u64,
    /// Packets sent so far.
    count: usize,
}

impl Run {
    fn new(case: &Case) -> Self {
        let profiles = [LatencyProfile::Low, LatencyProfile::Balanced, LatencyProfile::Robust];
        let profile = profiles[usize::from(case.profile) % profiles.len()];
        let phase = Duration::from_millis(u64::from(case.phase_ms % 20));
        let listener = Listener::new(profile, phase);
        let end = listener.now() + LONGEST;
        let (seq, rtp_time) = (u64::from(case.first_seq), u64::from(case.first_rtp_time));
        Self { listener, end, seq, rtp_time, count: 0 }
    }

    fn play(mut self, case: &Case) {
        for step in &case.steps {
            if self.listener.now() >= self.end {
                break;
            }
            self.step(step);
        }
        if case.recovers.is_multiple_of(4) {
            // No stream above has that number.
            self.listener.must_recover(1000, case.first_seq.into(), case.first_rtp_time.into());
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.listener.now();
        match step {
            Step::Packet { ssrc, seq, rtp_time, level, copy, payload } => {
                let payload = payload.bytes(self.count);
                let samples = 960;
                let by = match rtp_time {
                    Offset::Behind => 0,
                    Offset::Packets(packets) => i64::from(*packets) * samples,
                    Offset::Samples(samples) => i64::from(*samples),
                };
                let at = (
                    self.seq.wrapping_add_signed(i64::from(*seq)),
                    self.rtp_time.wrapping_add_signed(by),
                );
                self.push(*ssrc, at, *level, u8::from(*copy), payload);
                self.seq = at.0.wrapping_add(1);
                self.rtp_time = at.1.wrapping_add_signed(samples);
            }
            Step::Stream { ssrc, track, packets, ppm, jitter_ms, loss, copies, seed } => {
                let track = opus::track(*track);
                let way = Way { ppm: *ppm, jitter_ms: *jitter_ms, loss: *loss, seed: *seed };
                let mut coming: Vec<_> = (0..u32::from(*packets))
                    .filter_map(|packet| Some((way.takes(packet, track.samples)?, packet)))
                    .collect();
                coming.sort_unstable();
                let (seq, rtp_time) = (self.seq, self.rtp_time);
                let place = |packet: u32| {
                    let samples = u64::from(packet) * u64::from(track.samples);
                    (seq.wrapping_add(packet.into()), rtp_time.wrapping_add(samples))
                };
                for (after, packet) in coming {
                    self.listener.pass_to(now + after);
                    if self.listener.now() >= self.end {
                        break;
                    }
                    // A copy comes with the packet behind the one that was lost.
                    let before = packet.checked_sub(1).filter(|p| *copies && way.loses(*p));
                    if let Some(lost) = before {
                        let payload = track.packet(lost as usize);
                        self.push(*ssrc, place(lost), None, 1, payload);
                    }
                    self.push(*ssrc, place(packet), None, 0, track.packet(packet as usize));
                }
                (self.seq, self.rtp_time) = place((*packets).into());
            }
            Step::Wait { ms } => {
                self.listener.pass_to(now + Duration::from_millis(u64::from(ms % 4000)));
            }
            Step::Sleep { ms } => self.listener.leap(Duration::from_millis((*ms).into())),
            Step::Hurry { ticks } => (0..ticks % 16).for_each(|_| self.listener.tick(now)),
            Step::Leap { seq, rtp_time } => (self.seq, self.rtp_time) = (*seq, *rtp_time),
            Step::Skip { packets, samples } => {
                self.seq = self.seq.wrapping_add(u64::from(*packets));
                self.rtp_time = self.rtp_time.wrapping_add_signed(i64::from(*samples));
            }
        }
    }

    fn push(
        &mut self,
        ssrc: u8,
        (seq, rtp_time): (u64, u64),
        level: Option<u8>,
        copy_distance: u8,
        payload: Arc<[u8]>,
    ) {
        self.count += 1;
        self.listener.push(EncodedFrame {
            ssrc: u32::from(ssrc % 4),
            seq,
            rtp_time,
            level_minus_dbov: level,
            payload,
            arrival: self.listener.now(),
            captured: None,
            copy_distance,
        });
    }
}

/// What sender and network do to packets.
struct Way {
    ppm: i16,
    jitter_ms: u8,
    loss: u8,
    seed: u8,
}

impl Way {
    /// When the packet comes, if it does.
    fn takes(&self, packet: u32, samples: u32) -> Option<Duration> {
        let sent_s = f64::from(packet * samples) / 48e3 / (1.0 + f64::from(self.ppm) * 1e-6);
        let jitter_us = u64::from(self.chance(packet, 1)) * u64::from(self.jitter_ms) * 1000 / 256;
        let arrives = Duration::from_secs_f64(sent_s) + Duration::from_micros(jitter_us);
        (!self.loses(packet)).then_some(arrives)
    }

    fn loses(&self, packet: u32) -> bool {
        self.chance(packet, 2) < self.loss
    }

    fn chance(&self, packet: u32, of: u32) -> u8 {
        let key = packet.wrapping_mul(4).wrapping_add(of) ^ u32::from(self.seed) << 24;
        let hash = key.wrapping_mul(2_654_435_761);
        ((hash ^ (hash >> 15)).wrapping_mul(2_246_822_519) >> 24) as u8
    }
}
