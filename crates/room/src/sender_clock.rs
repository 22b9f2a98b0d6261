//! How late each packet is against the fastest, and how the sender's clock runs against ours.

use std::time::{Duration, Instant};

use foldback_stage::SAMPLE_RATE_HZ;

/// The fastest packets of so many windows are remembered; the slope through them is the drift.
const WINDOWS: usize = 128;
const WINDOW: Duration = Duration::from_millis(500);
/// The fastest packet of so many windows is the zero of relative delay.
const BASE_WINDOWS: usize = 16;
/// Before so many windows nothing is said about drift.
const ENOUGH_WINDOWS: usize = 6;
/// A slope that is known no better than this is taken for none.
const MAX_ERROR: f64 = 100e-6;
/// Clocks beyond that are not clocks: 0.1 %.
const MAX_DRIFT: f64 = 1e-3;
/// The way became longer or shorter for good when so many windows in a row say so.
const STEP_WINDOWS: usize = 8;
const STEP_MS: f64 = 4.0;

/// Learns from arrivals the line "time of arrival = base + RTP time", whose slope is how the
/// sender's clock runs against ours.
///
/// A packet's *relative delay* is how far above that line it arrived. The line runs along the
/// fastest packets: everything else was held up on its way.
pub(crate) struct SenderClock {
    origin: Option<(Instant, u64)>,
    windows: [Fastest; WINDOWS],
    /// How many of them count, the newest last; the newest one is still open.
    count: usize,
    window_end: Option<Instant>,
    /// Set by the first packet.
    line: Option<Line>,
    drift: Option<Drift>,
    stepped: bool,
}

/// The fastest packet of a window, against the origin.
#[derive(Clone, Copy, Default)]
struct Fastest {
    at_s: f64,
    delay_ms: f64,
}

/// Delay in ms at `at_s`, and its slope in ms per s.
#[derive(Clone, Copy)]
struct Line {
    at_s: f64,
    delay_ms: f64,
    slope: f64,
}

impl Line {
    fn at(&self, at_s: f64) -> f64 {
        self.delay_ms + self.slope * (at_s - self.at_s)
    }
}

/// How a sender's clock runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drift {
    /// Positive when the sender's clock is fast, in samples per sample: 1e-6 is 1 ppm.
    pub(crate) rate: f64,
    /// The standard error of that.
    pub(crate) error: f64,
}

impl SenderClock {
    pub(crate) fn new() -> Self {
        Self {
            origin: None,
            windows: [Fastest::default(); WINDOWS],
            count: 0,
            window_end: None,
            line: None,
            drift: None,
            stepped: false,
        }
    }

    /// A packet that ends at RTP time `rtp_end` came at `arrival`. Returns its relative delay in
    /// ms, at least 0.
    pub(crate) fn packet(&mut self, rtp_end: u64, arrival: Instant) -> f32 {
        let (at_s, delay_ms) = self.against_origin(rtp_end, arrival);
        self.stepped = false;
        self.roll(arrival);
        let slope = self.known_slope();
        let fastest = &mut self.windows[self.count - 1];
        if delay_ms - slope * (at_s - fastest.at_s) < fastest.delay_ms {
            *fastest = Fastest { at_s, delay_ms };
        }
        let here = Line { at_s, delay_ms, slope };
        let line = self.line.get_or_insert(here);
        let relative_ms = delay_ms - line.at(at_s);
        if relative_ms < 0.0 {
            *line = here;
        }
        relative_ms.max(0.0) as f32
    }

    /// When the fastest packet that ends at RTP time `rtp_end` would arrive, in ms after `now`;
    /// negative if before. `None` before the first packet.
    pub(crate) fn ms_until(&self, rtp_end: u64, now: Instant) -> Option<f64> {
        let ((origin, _), line) = (self.origin?, self.line?);
        let now_ms = signed_ms(now, origin);
        Some(self.media_ms(rtp_end) + line.at(now_ms / 1e3) - now_ms)
    }

    /// Whether the last packet told that the way has become longer or shorter for good.
    pub(crate) fn has_stepped(&self) -> bool {
        self.stepped
    }

    /// How the sender's clock runs, once enough is known.
    pub(crate) fn drift(&self) -> Option<Drift> {
        self.drift
    }

    /// Starts afresh with another stream of the same sender; what is known of its clock stays.
    pub(crate) fn restart(&mut self) {
        *self = Self { drift: self.drift, ..Self::new() };
    }

    fn known_slope(&self) -> f64 {
        self.drift.map_or(0.0, |drift| -drift.rate * 1e3)
    }

    fn against_origin(&mut self, rtp_end: u64, arrival: Instant) -> (f64, f64) {
        let (origin, _) = *self.origin.get_or_insert((arrival, rtp_end));
        let wall_ms = signed_ms(arrival, origin);
        (wall_ms / 1e3, wall_ms - self.media_ms(rtp_end))
    }

    fn media_ms(&self, rtp_end: u64) -> f64 {
        let zero = self.origin.map_or(rtp_end, |(_, rtp)| rtp);
        (rtp_end as f64 - zero as f64) * 1e3 / f64::from(SAMPLE_RATE_HZ)
    }

    /// Opens the next window when its time has come.
    fn roll(&mut self, now: Instant) {
        let open = Fastest { at_s: 0.0, delay_ms: f64::INFINITY };
        match self.window_end {
            None => {
                self.window_end = Some(now + WINDOW);
                self.windows[0] = open;
                self.count = 1;
            }
            Some(end) if now >= end => {
                self.window_end = Some(now + WINDOW);
                self.fit();
                if self.count == WINDOWS {
                    self.windows.copy_within(1.., 0);
                    self.count -= 1;
                }
                self.windows[self.count] = open;
                self.count += 1;
            }
            Some(_) => {}
        }
    }

    /// Lays the line anew along the fastest packets.
    fn fit(&mut self) {
        if let Some((slope, error)) = self.slope() {
            let rate = (-slope / 1e3).clamp(-MAX_DRIFT, MAX_DRIFT);
            let drift = Drift { rate, error: error / 1e3 };
            self.drift = (drift.error <= MAX_ERROR).then_some(drift).or(self.drift);
        }
        let slope = self.known_slope();
        let recent = &self.windows[self.count.saturating_sub(BASE_WINDOWS)..self.count];
        let at_s = recent.last().map_or(0.0, |w| w.at_s);
        let base = recent.iter().map(|w| w.delay_ms + slope * (at_s - w.at_s));
        self.line = Some(Line { at_s, delay_ms: base.fold(f64::INFINITY, f64::min), slope });
    }

    /// Slope through the fastest packets in ms per s, and its standard error. Windows in which
    /// even the fastest packet was held up are left out of a second fit.
    fn slope(&mut self) -> Option<(f64, f64)> {
        // Where the way became longer or shorter for good, what was before tells nothing of the
        // line that is now.
        let recent = self.count.saturating_sub(STEP_WINDOWS);
        if let Some(before) = fit_line(self.windows[..recent].iter().copied()) {
            let far = STEP_MS + 3.0 * before.deviation;
            let off = |w: &Fastest| w.delay_ms - before.line.at(w.at_s);
            let since = &self.windows[recent..self.count];
            if since.iter().all(|w| off(w) > far) || since.iter().all(|w| off(w) < -far) {
                self.windows.copy_within(recent..self.count, 0);
                self.count = STEP_WINDOWS;
                self.stepped = true;
                return None;
            }
        }
        let all = fit_line(self.windows[..self.count].iter().copied())?;
        let off = |w: &Fastest| w.delay_ms - all.line.at(w.at_s);
        let limit = all.deviation.max(0.05);
        let fast = self.windows[..self.count].iter().copied().filter(|w| off(w) <= limit);
        let best = fit_line(fast)?;
        Some((best.line.slope, best.error))
    }
}

struct Regression {
    line: Line,
    /// Standard deviation of the residuals, in ms.
    deviation: f64,
    /// Standard error of the slope, in ms per s.
    error: f64,
}

fn fit_line(points: impl Iterator<Item = Fastest> + Clone) -> Option<Regression> {
    let n = points.clone().count();
    if n < ENOUGH_WINDOWS {
        return None;
    }
    let n = n as f64;
    let mean_t = points.clone().map(|p| p.at_s).sum::<f64>() / n;
    let mean_d = points.clone().map(|p| p.delay_ms).sum::<f64>() / n;
    let spread: f64 = points.clone().map(|p| (p.at_s - mean_t).powi(2)).sum();
    let cross: f64 = points.clone().map(|p| (p.at_s - mean_t) * (p.delay_ms - mean_d)).sum();
    if spread <= 0.0 {
        return None;
    }
    let line = Line { at_s: mean_t, delay_ms: mean_d, slope: cross / spread };
    let squares: f64 = points.map(|p| (p.delay_ms - line.at(p.at_s)).powi(2)).sum();
    let deviation = (squares / (n - 2.0)).sqrt();
    Some(Regression { line, deviation, error: deviation / spread.sqrt() })
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

    /// Packets of 20 ms from a clock that is `ppm` fast, each held up by what `held_up` says.
    fn listen(clock: &mut SenderClock, seconds: u64, ppm: f64, held_up: impl Fn(u64) -> f64) {
        let start = Instant::now();
        for i in 0..seconds * 50 {
            let sent_ms = i as f64 * 20.0 / (1.0 + ppm * 1e-6);
            let at = start + Duration::from_secs_f64((sent_ms + held_up(i)) / 1e3);
            clock.packet(i * 960, at);
        }
    }

    /// 0 to 20 ms without a pattern.
    fn jitter(i: u64) -> f64 {
        f64::from((i as u32).wrapping_mul(2_654_435_761) >> 16) / 65_536.0 * 20.0
    }

    #[test]
    fn a_clock_that_runs_fast_or_slow_is_told_within_seconds() {
        for ppm in [-500.0, -100.0, 0.0, 20.0, 500.0] {
            let mut clock = SenderClock::new();
            listen(&mut clock, 12, ppm, |_| 5.0);
            let drift = clock.drift().expect("known after 12 s");
            assert!((drift.rate * 1e6 - ppm).abs() < 1.0, "{ppm} ppm taken for {drift:?}");
        }
    }

    #[test]
    fn jitter_blurs_the_drift_only_a_little() {
        let mut clock = SenderClock::new();
        listen(&mut clock, 60, 100.0, jitter);
        let drift = clock.drift().expect("known after a minute");
        assert!((drift.rate * 1e6 - 100.0).abs() < 10.0, "{drift:?}");
        assert!(drift.error < 10e-6, "{drift:?}");
    }

    #[test]
    fn a_longer_way_is_no_drift() {
        let mut clock = SenderClock::new();
        listen(&mut clock, 120, 50.0, |i| if i < 2500 { 10.0 } else { 90.0 });
        let drift = clock.drift().expect("known");
        assert!((drift.rate * 1e6 - 50.0).abs() < 2.0, "{drift:?}");
    }

    #[test]
    fn relative_delay_is_against_the_fastest_of_late() {
        let start = Instant::now();
        let mut clock = SenderClock::new();
        let mut last = 0.0;
        for i in 0..1000_u64 {
            let held_up = if i == 999 { 35 } else { 5 + i % 4 };
            last = clock.packet(i * 960, start + Duration::from_millis(i * 20 + held_up));
        }
        assert!((last - 30.0).abs() < 0.1, "{last}");
        let until = clock.ms_until(1000 * 960, start + Duration::from_millis(19_980));
        assert!((until.expect("known") - 25.0).abs() < 0.1, "{until:?}");
    }
}
