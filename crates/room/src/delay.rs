//! How long packets must wait so that most that come late still come in time.

use std::time::{Duration, Instant};

use foldback_stage::SAMPLE_RATE_HZ;

/// Width of a histogram bin.
const BIN_MS: f32 = 5.0;
/// Relative delays up to 500 ms are told apart.
const BINS: usize = 100;
/// How much of the past stays when a packet comes: at 50 packets a second, half is forgotten in
/// about 8 s.
const FORGET: f32 = 0.998_3;
/// The share of packets that should be in time.
const QUANTILE: f32 = 0.97;
/// The fastest packet of the last few seconds is the zero of relative delay.
const MIN_WINDOWS: usize = 4;
const MIN_WINDOW: Duration = Duration::from_millis(1000);

/// Least and most target.
const MIN_TARGET: Duration = Duration::from_millis(10);
const MAX_TARGET: Duration = Duration::from_millis(400);
/// Until enough packets came to know better.
const INITIAL_TARGET: Duration = Duration::from_millis(20);
const ENOUGH_PACKETS: u32 = 25;

/// Learns from arrivals how much delay playout needs: a high percentile of the relative packet
/// delay (arrival against RTP time, less that of the fastest recent packet), with forgetting.
pub(crate) struct DelayEstimator {
    histogram: [f32; BINS],
    packets: u32,
    zero: Option<(Instant, u64)>,
    /// Minima of the last windows, in ms against `zero`; the first is the current one.
    minima: [f32; MIN_WINDOWS],
    window_start: Option<Instant>,
}

impl DelayEstimator {
    pub(crate) fn new() -> Self {
        Self {
            histogram: [0.0; BINS],
            packets: 0,
            zero: None,
            minima: [f32::INFINITY; MIN_WINDOWS],
            window_start: None,
        }
    }

    /// A packet whose first sample has RTP time `rtp_time` came at `arrival`.
    pub(crate) fn packet(&mut self, rtp_time: u64, arrival: Instant) {
        let (zero_arrival, zero_rtp) = *self.zero.get_or_insert((arrival, rtp_time));
        let wall_ms = signed_ms(arrival, zero_arrival);
        let media_ms = (rtp_time as f64 - zero_rtp as f64) * 1e3 / f64::from(SAMPLE_RATE_HZ);
        let delay_ms = (wall_ms - media_ms) as f32;
        self.roll_minima(arrival);
        self.minima[0] = self.minima[0].min(delay_ms);
        let fastest = self.minima.iter().copied().fold(f32::INFINITY, f32::min);
        let relative = (delay_ms - fastest).max(0.0);
        let bin = ((relative / BIN_MS) as usize).min(BINS - 1);
        self.histogram.iter_mut().for_each(|share| *share *= FORGET);
        self.histogram[bin] += 1.0 - FORGET;
        self.packets = self.packets.saturating_add(1);
    }

    /// How long the first sample of the fastest packet should wait.
    pub(crate) fn target(&self) -> Duration {
        if self.packets < ENOUGH_PACKETS {
            return INITIAL_TARGET;
        }
        let total: f32 = self.histogram.iter().sum();
        let mut below = 0.0;
        let bin = self.histogram.iter().position(|share| {
            below += share;
            below >= QUANTILE * total
        });
        let needed_ms = (bin.unwrap_or(BINS - 1) + 1) as f32 * BIN_MS;
        Duration::from_secs_f32(needed_ms / 1e3).clamp(MIN_TARGET, MAX_TARGET)
    }

    /// Starts afresh, for a sender that restarted.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    fn roll_minima(&mut self, now: Instant) {
        let start = *self.window_start.get_or_insert(now);
        if now.saturating_duration_since(start) >= MIN_WINDOW {
            self.minima.rotate_right(1);
            self.minima[0] = f32::INFINITY;
            self.window_start = Some(now);
        }
    }
}

fn signed_ms(a: Instant, b: Instant) -> f64 {
    let forward = a.saturating_duration_since(b).as_secs_f64();
    let backward = b.saturating_duration_since(a).as_secs_f64();
    (forward - backward) * 1e3
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]
mod tests {
    use super::*;

    fn feed(estimator: &mut DelayEstimator, delays_ms: impl Iterator<Item = u64>) {
        let start = Instant::now();
        for (i, delay) in (0u64..).zip(delays_ms) {
            estimator.packet(i * 960, start + Duration::from_millis(i * 20 + delay));
        }
    }

    #[test]
    fn without_jitter_the_target_is_the_least() {
        let mut estimator = DelayEstimator::new();
        feed(&mut estimator, std::iter::repeat_n(50, 500));
        assert_eq!(estimator.target(), MIN_TARGET);
    }

    #[test]
    fn with_jitter_the_target_covers_nearly_all_of_it() {
        let mut estimator = DelayEstimator::new();
        feed(&mut estimator, (0..1000).map(|i| (i * 7919) % 41));
        let target = estimator.target().as_millis();
        assert!((38..=50).contains(&target), "{target} ms for 0 to 40 ms of jitter");
    }

    #[test]
    fn jitter_that_ended_is_forgotten() {
        let mut estimator = DelayEstimator::new();
        feed(&mut estimator, (0..3000).map(|i| if i < 500 { (i * 7919) % 41 } else { 0 }));
        assert!(estimator.target() <= Duration::from_millis(15), "{:?}", estimator.target());
    }
}
