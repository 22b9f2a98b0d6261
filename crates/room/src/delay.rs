//! How long packets must wait so that most that come late still come in time.

use std::time::{Duration, Instant};

/// Width of a histogram bin.
const BIN_MS: f32 = 1.0;
/// Relative delays up to 512 ms are told apart.
const BINS: usize = 512;
/// Half of what was learnt is forgotten in this much sound; sooner at the beginning, which is no
/// sample of what follows: sessions, pages and estimators of bandwidth are still starting.
const HALF_LIFE_MS: f32 = 8_000.0;
const FIRST_HALF_LIFE_MS: f32 = 500.0;
/// Until so much sound came, the profile's first guess holds.
const ENOUGH_MS: f32 = 500.0;
/// Beyond any network that a conversation survives.
const MAX_TARGET_MS: f32 = 500.0;

/// A stall: nothing came for this long, and then what came was late by more than the target and
/// this.
const STALL_GAP: Duration = Duration::from_millis(60);
const STALL_MS: f32 = 30.0;
/// What piled up behind a stall has come after this time at the latest.
const STALL_OVER: Duration = Duration::from_secs(1);
/// Two stalls within this time recur; the target covers them until none came for as long.
const STALLS_RECUR: Duration = Duration::from_secs(20);
/// How many stalls are remembered.
const STALLS: usize = 8;
/// On top of the highest stall, since the next may be a little higher.
const STALL_MARGIN_MS: f32 = 5.0;

/// What is traded for delay: `[latency]` in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LatencyProfile {
    /// Packets of 10 ms go out, and jitter buffers are as short as they can be: for good networks.
    Low,
    /// Packets of 20 ms go out, one packet in two hundred may come too late.
    #[default]
    Balanced,
    /// Packets of 20 ms go out, jitter buffers have some reserve: for networks that surprise.
    Robust,
}

impl LatencyProfile {
    /// Blocks of 10 ms in one outgoing packet.
    #[must_use]
    pub const fn blocks_per_packet(self) -> usize {
        match self {
            Self::Low => 1,
            Self::Balanced | Self::Robust => 2,
        }
    }

    /// The share of packets that should come in time.
    const fn quantile(self) -> f32 {
        match self {
            Self::Low => 0.97,
            Self::Balanced => 0.995,
            Self::Robust => 0.999,
        }
    }

    /// The least target in ms: what the clocks and threads of senders vary by even on a cable.
    const fn least_ms(self) -> f32 {
        match self {
            Self::Low => 2.0,
            Self::Balanced => 4.0,
            Self::Robust => 20.0,
        }
    }

    /// The target in ms until enough packets came to know better.
    const fn first_ms(self) -> f32 {
        match self {
            Self::Low => 5.0,
            Self::Balanced => 10.0,
            Self::Robust => 40.0,
        }
    }
}

/// Learns from relative delays how much delay playout needs: a high percentile with forgetting,
/// and the height of stalls that recur.
pub(crate) struct DelayTarget {
    profile: LatencyProfile,
    /// Weights of packets by relative delay; later packets weigh more, which is what forgetting
    /// comes to.
    histogram: [f32; BINS],
    total: f32,
    /// What the next millisecond of sound weighs.
    weight: f32,
    learnt_ms: f32,
    percentile_ms: f32,
    last_arrival: Option<Instant>,
    stalled_since: Option<Instant>,
    stalls: [Option<(Instant, f32)>; STALLS],
}

impl DelayTarget {
    pub(crate) fn new(profile: LatencyProfile) -> Self {
        Self {
            profile,
            histogram: [0.0; BINS],
            total: 0.0,
            weight: 1.0,
            learnt_ms: 0.0,
            percentile_ms: profile.first_ms(),
            last_arrival: None,
            stalled_since: None,
            stalls: [None; STALLS],
        }
    }

    /// Forgets all: another stream, or another way.
    pub(crate) fn restart(&mut self) {
        *self = Self::new(self.profile);
    }

    /// A packet of `length_ms` came `relative_ms` later than the fastest would have.
    pub(crate) fn packet(&mut self, relative_ms: f32, length_ms: f32, arrival: Instant) {
        let gap = self.last_arrival.map(|last| arrival.saturating_duration_since(last));
        self.last_arrival = Some(arrival);
        if self.is_of_a_stall(relative_ms, gap, arrival) {
            return;
        }
        let bin = ((relative_ms / BIN_MS) as usize).min(BINS - 1);
        let weight = self.weight * length_ms;
        self.histogram[bin] += weight;
        self.total += weight;
        let half_life_ms = (self.learnt_ms / 3.0).clamp(FIRST_HALF_LIFE_MS, HALF_LIFE_MS);
        self.weight *= (std::f32::consts::LN_2 * length_ms / half_life_ms).exp();
        if self.weight > 1e6 {
            self.histogram.iter_mut().for_each(|share| *share *= 1e-6);
            self.total *= 1e-6;
            self.weight *= 1e-6;
        }
        self.learnt_ms += length_ms;
        if self.learnt_ms >= ENOUGH_MS {
            self.percentile_ms = self.percentile();
        }
    }

    /// How late a packet may be and still be in time, in ms.
    pub(crate) fn ms(&self, now: Instant) -> f32 {
        let recurring = self.recurring_stall_ms(now).unwrap_or(0.0);
        self.percentile_ms.max(recurring).clamp(self.profile.least_ms(), MAX_TARGET_MS)
    }

    /// Whether the packet waited in a stall of the network. What piles up in one is told once, by
    /// its height: as so many late packets it would keep the target up long after.
    fn is_of_a_stall(&mut self, relative_ms: f32, gap: Option<Duration>, now: Instant) -> bool {
        if let Some(since) = self.stalled_since {
            let over = now.saturating_duration_since(since) > STALL_OVER;
            if relative_ms > self.percentile_ms && !over {
                return true;
            }
            self.stalled_since = None;
        }
        let stall = gap.is_some_and(|gap| gap >= STALL_GAP)
            && relative_ms > self.percentile_ms + STALL_MS
            && self.learnt_ms >= ENOUGH_MS;
        if stall {
            self.stalls.rotate_right(1);
            self.stalls[0] = Some((now, relative_ms));
            self.stalled_since = Some(now);
        }
        stall
    }

    fn recurring_stall_ms(&self, now: Instant) -> Option<f32> {
        let lately = |at: Instant| now.saturating_duration_since(at) <= STALLS_RECUR;
        let (last, _) = self.stalls[0].filter(|(at, _)| lately(*at))?;
        let (before, _) = self.stalls[1]?;
        if last.saturating_duration_since(before) > STALLS_RECUR {
            return None;
        }
        let heights = self
            .stalls
            .iter()
            .flatten()
            .filter(|(at, _)| now.saturating_duration_since(*at) <= 2 * STALLS_RECUR);
        heights.map(|(_, ms)| ms + STALL_MARGIN_MS).reduce(f32::max)
    }

    fn percentile(&self) -> f32 {
        let wanted = self.profile.quantile() * self.total;
        let mut below = 0.0;
        let bin = self.histogram.iter().position(|share| {
            below += share;
            below >= wanted
        });
        (bin.unwrap_or(BINS - 1) + 1) as f32 * BIN_MS
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]
mod tests {
    use super::*;

    struct Sender {
        target: DelayTarget,
        now: Instant,
    }

    impl Sender {
        fn new() -> Self {
            Self { target: DelayTarget::new(LatencyProfile::Balanced), now: Instant::now() }
        }

        /// A second and so on of packets, each late by what `late_ms` says.
        fn send(&mut self, packets: u32, late_ms: impl Fn(u32) -> u32) {
            let mut last = self.now;
            for i in 0..packets {
                let late = late_ms(i);
                let at = self.now + Duration::from_millis(u64::from(i * 20 + late));
                last = last.max(at);
                self.target.packet(late as f32, 20.0, last);
            }
            self.now += Duration::from_millis(u64::from(packets * 20));
        }

        fn ms(&self) -> f32 {
            self.target.ms(self.now)
        }

        /// 5 s, of which the first `height_ms` come at once.
        fn stall(&mut self, height_ms: u32) {
            self.send(250, |i| height_ms.saturating_sub(i * 20));
        }
    }

    #[test]
    fn without_jitter_the_target_is_the_least() {
        let mut sender = Sender::new();
        sender.send(500, |_| 0);
        assert_eq!(sender.ms(), 4.0);
    }

    #[test]
    fn with_jitter_the_target_covers_nearly_all_of_it() {
        let mut sender = Sender::new();
        sender.send(1000, |i| (i * 7919) % 41);
        assert!((39.0..=41.0).contains(&sender.ms()), "{} ms for 0 to 40 ms", sender.ms());
    }

    #[test]
    fn jitter_that_ended_is_forgotten() {
        let mut sender = Sender::new();
        sender.send(500, |i| (i * 7919) % 41);
        sender.send(4000, |_| 0);
        assert!(sender.ms() <= 5.0, "{} ms", sender.ms());
    }

    #[test]
    fn one_stall_raises_nothing_and_the_second_does() {
        let mut sender = Sender::new();
        sender.send(250, |_| 0);
        sender.stall(150);
        assert_eq!(sender.ms(), 4.0, "after one");
        sender.stall(150);
        assert_eq!(sender.ms(), 155.0, "after the second");
        sender.send(50 * 25, |_| 0);
        assert_eq!(sender.ms(), 4.0, "25 s later");
    }
}
