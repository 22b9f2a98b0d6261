//! How much delay is wanted, and what is to be done about the difference.
//!
//! The delay of playout is that between the arrival of the fastest packet that ends with a sample
//! and the tick that plays this sample: signal time, so that stretching by a sample changes it by
//! a sample. See "Latency" in `docs/architecture.md` for the arithmetic.

use std::time::Instant;

use foldback_stage::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};

use crate::resample::{LOOKAHEAD, MAX_RATE};
use crate::sender_clock::SenderClock;
use crate::stretch::Licence;

const SAMPLES_PER_MS: f64 = SAMPLE_RATE_HZ as f64 / 1e3;

/// Clocks that are nearer to ours than this are not worth a resampler: their delay changes by
/// 1.2 ms in a minute, and silence is found before that is too much.
const LEAST_DRIFT: f64 = 20e-6;
/// The drift must be known better than to this share of it.
const SURE: f64 = 0.25;
/// How fast resampling removes what delay there is too much or too little, in seconds, and the
/// most that it may bend the pitch for that.
const CORRECTION_S: f64 = 5.0;
const MAX_CORRECTION: f64 = 1e-3;

/// While resampling, deviations up to this are its business alone, in ms.
const RESAMPLED_MS: f64 = 8.0;
/// The aim may be missed by this, since it moves a little all the time, in ms.
const TOLERANCE_MS: f64 = 2.0;
/// Too much delay is taken out once it was there for so many packets out; at once beyond this.
const PATIENCE: u32 = 25;
const FAR_OFF_MS: f64 = 60.0;
/// Only silence is stretched for so many packets out, then speech too.
const SILENCE_PREFERRED: u32 = 100;

/// The share of packets that waiting for one packet more would have saved, above which playout
/// does so, and below which it no longer does.
const WAIT_ABOVE: [f32; MOST_WAITED_FOR] = [0.01, 0.005];
const WAIT_BELOW: [f32; MOST_WAITED_FOR] = [0.003, 0.0015];
/// How fast that is forgotten, in packets; pairs are rare.
const LOSS_MEMORY: [f32; MOST_WAITED_FOR] = [128.0, 512.0];
/// What is lost is waited for in at most so many packets after it.
const MOST_WAITED_FOR: usize = 2;
/// For how many packets a sender that sent copies is taken to go on with it.
const REDUNDANCY_MEMORY: u32 = 250;

/// What the aim depends on.
pub(crate) struct Situation {
    pub(crate) now: Instant,
    pub(crate) latest_end: u64,
    pub(crate) packet_samples: usize,
    pub(crate) engaged: bool,
}

/// A stretch that is wanted now.
pub(crate) struct Wish {
    /// Take out, rather than put in.
    pub(crate) shorten: bool,
    pub(crate) licence: Licence,
}

pub(crate) struct Playout {
    blocks_per_packet: usize,
    block: usize,
    target_ms: f64,
    /// Too much delay in samples; negative where it is too little.
    excess: i64,
    excess_ms: f64,
    too_long_for: u32,
    off_for: u32,
    /// Blocks until the next stretch.
    pause: u32,
    /// The drift is worth following.
    drifts: bool,
    /// The packet before was missing; it may have been heard as a copy.
    missing: bool,
    /// Shares of packets that were missing, and that were missing with the one after them.
    lost: [f32; MOST_WAITED_FOR],
    /// How many packets are waited for, if they are of help.
    waits: usize,
    /// How many packets before it the packets of late can replace...
    reach: usize,
    /// ...for so many packets from now on.
    reaches_for: u32,
}

impl Playout {
    pub(crate) fn new(blocks_per_packet: usize) -> Self {
        Self {
            blocks_per_packet,
            block: 0,
            target_ms: 0.0,
            excess: 0,
            excess_ms: 0.0,
            too_long_for: 0,
            off_for: 0,
            pause: 0,
            drifts: false,
            missing: false,
            lost: [0.0; MOST_WAITED_FOR],
            waits: 0,
            reach: 0,
            reaches_for: 0,
        }
    }

    /// Samples in an outgoing packet.
    pub(crate) fn quantum_samples(&self) -> usize {
        self.blocks_per_packet * BLOCK_SAMPLES
    }

    /// Goes on by a block; true if it is the first of a packet.
    pub(crate) fn next_block(&mut self) -> bool {
        let first = self.block == 0;
        self.block = (self.block + 1) % self.blocks_per_packet;
        first
    }

    /// The delay that is aimed for, in ms.
    pub(crate) fn target_ms(&self) -> f64 {
        self.target_ms
    }

    /// The delay of the packet out that was begun last, in ms.
    pub(crate) fn delay_ms(&self) -> f64 {
        self.target_ms + self.excess_ms
    }

    /// A packet was heard; as a copy, since the packet itself was lost.
    pub(crate) fn heard(&mut self, as_copy: bool) {
        self.reaches_for = self.reaches_for.saturating_sub(1);
        if self.reaches_for == 0 {
            self.reach = 0;
        }
        self.follow_loss(as_copy);
        let worth =
            |n: usize| self.lost[n] > if self.waits > n { WAIT_BELOW[n] } else { WAIT_ABOVE[n] };
        self.waits = (0..MOST_WAITED_FOR).take_while(|n| worth(*n)).count();
    }

    /// So many packets did not come.
    pub(crate) fn lost(&mut self, packets: u64) {
        (0..packets.min(10)).for_each(|_| self.follow_loss(true));
    }

    /// One of them did after all: waiting for the next would not have helped.
    pub(crate) fn not_lost_but_late(&mut self) {
        self.lost[0] = (self.lost[0] - 1.0 / LOSS_MEMORY[0]).max(0.0);
    }

    /// A packet that came can replace the one that is `packets` before it.
    pub(crate) fn reaches_back(&mut self, packets: usize) {
        if packets > 0 && packets >= self.reach {
            (self.reach, self.reaches_for) = (packets, REDUNDANCY_MEMORY);
        }
    }

    /// How many packets after a lost one are waited for: none unless packets are lost, and those
    /// are of help.
    pub(crate) fn waits_for(&self) -> usize {
        self.waits.min(self.reach)
    }

    /// The next packet in order came or did not.
    fn follow_loss(&mut self, missing: bool) {
        let pair = missing && self.missing;
        self.missing = missing;
        for ((lost, memory), now) in self.lost.iter_mut().zip(LOSS_MEMORY).zip([missing, pair]) {
            *lost += (f32::from(u8::from(now)) - *lost) / memory;
        }
    }

    /// The delay in ms with which packets that are up to `tolerance_ms` late are in time.
    ///
    /// A packet of `p` ms that is available at `a` must be played by no tick before `a`. The last
    /// tick before `a` may play up to its first sample; if it lies `g` before `a`, the delay is
    /// `p + tolerance - g`. Where the sender's clock runs away from ours, `g` takes all values
    /// down to 0 in turn, and the delay is held at that of `g = 0`.
    pub(crate) fn aim(&mut self, at: &Situation, tolerance_ms: f64, clock: &SenderClock) -> f64 {
        let packet_ms = at.packet_samples as f64 / SAMPLES_PER_MS;
        let quantum_ms = self.quantum_samples() as f64 / SAMPLES_PER_MS;
        self.drifts = clock.drift().is_some_and(|drift| {
            let known = drift.error < SURE * drift.rate.abs();
            at.engaged || known && drift.rate.abs() > LEAST_DRIFT
        });
        let latest = packet_ms + tolerance_ms;
        self.target_ms = if self.drifts {
            latest + (LOOKAHEAD as f64 + 24.0) / SAMPLES_PER_MS
        } else {
            let available = clock.ms_until(at.latest_end, at.now).unwrap_or(0.0) + tolerance_ms;
            // Shorter packets than ours come at several places between two ticks.
            let phases = (quantum_ms / packet_ms).ceil().max(1.0) as usize;
            let before = |k: usize| (available - k as f64 * packet_ms).rem_euclid(quantum_ms);
            latest - (0..phases).map(before).fold(f64::INFINITY, f64::min)
        };
        self.target_ms
    }

    /// Takes note of how far delay is from the aim; `left_over` samples of packets decoded so far
    /// will wait once the packet out is full (negative: of the next packet so many are needed).
    pub(crate) fn steer(
        &mut self,
        excess_ms: f64,
        left_over: i64,
        packet_samples: usize,
        engaged: bool,
    ) {
        self.excess_ms = excess_ms;
        let excess = (excess_ms * SAMPLES_PER_MS).round() as i64;
        self.excess = if engaged || self.drifts {
            if excess_ms.abs() > RESAMPLED_MS || !engaged { excess } else { 0 }
        } else {
            // A packet's last sample leaves one packet out earlier if both end together: what
            // waits beyond that is delay for nothing.
            let unit = self.quantum_samples().min(packet_samples) as i64;
            let beyond = left_over.rem_euclid(unit);
            let tolerance = (TOLERANCE_MS * SAMPLES_PER_MS) as i64;
            beyond + unit * (excess + tolerance - beyond).div_euclid(unit)
        };
        self.too_long_for = if self.excess > 0 { self.too_long_for + 1 } else { 0 };
        self.off_for = if self.excess == 0 { 0 } else { self.off_for + 1 };
    }

    /// The stretch that is wanted for the next block, if any. `quiet_energy` is the mean square
    /// up to which sound counts as silence.
    pub(crate) fn stretch(&mut self, quiet_energy: f32) -> Option<Wish> {
        self.pause = self.pause.saturating_sub(1);
        let shorten = self.excess > 0;
        let patient = shorten && self.too_long_for < PATIENCE && self.excess_ms < FAR_OFF_MS;
        if self.excess == 0 || self.pause > 0 || patient {
            return None;
        }
        let off_ms = self.excess.unsigned_abs() as f64 / SAMPLES_PER_MS;
        let similarity = match off_ms {
            ms if ms > FAR_OFF_MS => 0.5,
            ms if ms > 20.0 => 0.8,
            _ if self.off_for > SILENCE_PREFERRED => 0.9,
            _ => 2.0,
        };
        let at_most = usize::try_from(self.excess.unsigned_abs()).unwrap_or(usize::MAX).min(1440);
        Some(Wish { shorten, licence: Licence { at_most, similarity, quiet_energy } })
    }

    /// So many samples were put in (negative: taken out); 0 if the place did not suit.
    pub(crate) fn stretched(&mut self, samples: i64) {
        self.excess += samples;
        let far = self.excess.unsigned_abs() as f64 / SAMPLES_PER_MS > FAR_OFF_MS;
        // The search is not cheap, and speech that is stretched all the time sounds hasty.
        self.pause = match (samples, far) {
            (0, _) => 2,
            (_, true) => 2,
            (_, false) => 5,
        };
    }

    /// Whether the sender's clock is to be followed by resampling.
    pub(crate) fn wants_resampling(&self) -> bool {
        self.drifts && self.excess_ms.abs() < RESAMPLED_MS
    }

    /// Input samples per output sample that follow the sender's clock and bring the delay to its
    /// aim.
    pub(crate) fn rate(&self, clock: &SenderClock) -> f64 {
        let drift = clock.drift().map_or(0.0, |drift| drift.rate);
        let correction = self.excess_ms / 1e3 / CORRECTION_S;
        let correction = correction.clamp(-MAX_CORRECTION, MAX_CORRECTION);
        (1.0 + drift + correction).clamp(1.0 - MAX_RATE, 1.0 + MAX_RATE)
    }
}
