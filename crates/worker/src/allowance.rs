//! How often something may be done.

use std::time::{Duration, Instant};

/// What may be done is paid for in time: a second of it comes back in each second, and no more than a
/// `burst` is ever there.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    burst: Duration,
    /// When all of it is back.
    full_at: Option<Instant>,
}

impl Allowance {
    /// All of it is there.
    #[must_use]
    pub const fn new(burst: Duration) -> Self {
        Self { burst, full_at: None }
    }

    /// Takes `cost` out of it; false, and nothing is taken, where not so much is left.
    pub fn take(&mut self, now: Instant, cost: Duration) -> bool {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + cost;
        let is_there = full_at <= now + self.burst;
        if is_there {
            self.full_at = Some(full_at);
        }
        is_there
    }

    /// Whether all of it is there.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_as_much_is_allowed_as_time_has_passed() {
        let (ms, start) = (Duration::from_millis, Instant::now());
        let mut allowance = Allowance::new(ms(1000));
        let taken = |allowance: &mut Allowance, now| {
            (0..9).filter(|_| allowance.take(now, ms(250))).count()
        };
        assert_eq!(taken(&mut allowance, start), 4);
        assert_eq!(taken(&mut allowance, start + ms(600)), 2);
        assert_eq!(taken(&mut allowance, start + ms(60_000)), 4);
    }
}
