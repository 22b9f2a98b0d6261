//! Simulated time.

use std::time::{Duration, Instant};

/// A clock that moves only when it is told to, so that an hour of conference takes seconds.
///
/// It gives out real [`Instant`]s (an arbitrary start plus what has passed), as code under test
/// takes them.
#[derive(Clone, Debug)]
pub struct SimClock {
    start: Instant,
    elapsed: Duration,
}

impl SimClock {
    /// A clock that stands at its start.
    #[must_use]
    pub fn new() -> Self {
        // An arbitrary origin: nothing that a test sees depends on it but differences to it.
        Self { start: Instant::now(), elapsed: Duration::ZERO }
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.start + self.elapsed
    }

    /// What has passed since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Lets `step` pass and returns the new time.
    pub fn advance(&mut self, step: Duration) -> Instant {
        self.elapsed += step;
        self.now()
    }

    /// Lets time pass until `instant`. A clock never goes back: one that is past it stays.
    pub fn advance_to(&mut self, instant: Instant) -> Instant {
        self.elapsed = self.elapsed.max(instant.saturating_duration_since(self.start));
        self.now()
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_when_told() {
        let mut clock = SimClock::new();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(clock.now() - start, Duration::from_secs(3600));
        assert_eq!(clock.elapsed(), Duration::from_secs(3600));
    }

    #[test]
    fn never_goes_back() {
        let mut clock = SimClock::new();
        let start = clock.now();
        clock.advance_to(start + Duration::from_millis(20));
        clock.advance_to(start + Duration::from_millis(10));
        assert_eq!(clock.elapsed(), Duration::from_millis(20));
    }
}
