//! Figures out of many.

use std::time::Duration;

use serde::Serialize;

/// Quantiles of durations, in ms, by the nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Half of them were at most that long.
    pub median_ms: f64,
    /// 95 % of them were at most that long.
    pub p95_ms: f64,
    /// 99 % of them were at most that long.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Summary {
    /// Of all that are given; `None` of none.
    #[must_use]
    pub fn of(durations: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut sorted: Vec<_> = durations.into_iter().collect();
        sorted.sort_unstable();
        let at = |share: f64| {
            let rank = (sorted.len() as f64 * share).ceil() as usize;
            let duration = sorted.get(rank.max(1) - 1)?;
            Some(rounded(duration.as_secs_f64() * 1e3))
        };
        Some(Self { median_ms: at(0.5)?, p95_ms: at(0.95)?, p99_ms: at(0.99)?, max_ms: at(1.0)? })
    }
}

/// To a thousandth: what is behind it is noise.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_was_measured_whatever_its_order() {
        let durations = (1..=100).rev().map(Duration::from_millis);
        let summary = Summary { median_ms: 50.0, p95_ms: 95.0, p99_ms: 99.0, max_ms: 100.0 };
        assert_eq!(Summary::of(durations), Some(summary));
        let one = Summary { median_ms: 7.0, p95_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 };
        assert_eq!(Summary::of([Duration::from_millis(7)]), Some(one));
        assert_eq!(Summary::of([]), None);
    }
}
