//! What a server says of itself at `/metrics`.

use std::time::Duration;

use reqwest::Url;

/// Ticks since the server started.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ticks {
    /// How many were at most so late (in s), rising.
    lateness: Vec<(f64, f64)>,
    ran: f64,
    skipped: f64,
}

/// Ticks of some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TickFigures {
    /// 99 % of them began at most so long after their deadline. Between two bounds of the histogram it
    /// is interpolated; `None` beyond the last.
    pub(crate) p99_lateness: Option<Duration>,
    /// Ticks that ran.
    pub(crate) ran: u64,
    /// Ticks that were left out.
    pub(crate) skipped: u64,
}

impl Ticks {
    /// Asks the server; `None` where it is no foldback.
    pub(crate) async fn of(server: &Url) -> Option<Self> {
        let response = reqwest::get(server.join("/metrics").ok()?).await.ok()?;
        Self::parse(&response.error_for_status().ok()?.text().await.ok()?)
    }

    fn parse(metrics: &str) -> Option<Self> {
        let mut ticks = Self::default();
        let mut found = false;
        for line in metrics.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let bucket = series.strip_prefix("foldback_tick_lateness_seconds_bucket{le=\"");
            match (bucket, series) {
                (Some(bound), _) => {
                    let bound = bound.strip_suffix("\"}")?;
                    let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
                    ticks.lateness.push((bound, value));
                }
                (None, "foldback_ticks_total") => (ticks.ran, found) = (value, true),
                (None, "foldback_ticks_skipped_total") => ticks.skipped = value,
                _ => {}
            }
        }
        found.then_some(ticks)
    }

    /// What was ticked since then.
    pub(crate) fn since(&self, before: &Self) -> TickFigures {
        let counts = self.lateness.iter().zip(&before.lateness);
        let counts: Vec<_> = counts.map(|((le, now), (_, then))| (*le, now - then)).collect();
        TickFigures {
            p99_lateness: quantile(&counts, 0.99).map(Duration::from_secs_f64),
            ran: (self.ran - before.ran).max(0.0) as u64,
            skipped: (self.skipped - before.skipped).max(0.0) as u64,
        }
    }
}

/// Of a cumulative histogram.
fn quantile(counts: &[(f64, f64)], share: f64) -> Option<f64> {
    let wanted = share * counts.last()?.1;
    let reached = counts.iter().position(|(_, count)| *count >= wanted && *count > 0.0)?;
    let (low, below) = reached.checked_sub(1).map_or((0.0, 0.0), |before| counts[before]);
    let (high, count) = counts[reached];
    let within = (wanted - below) / (count - below);
    high.is_finite().then_some(low + within * (high - low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(buckets: [u32; 3], ran: u32, skipped: u32) -> Ticks {
        let [half, five, all] = buckets;
        let text = format!(
            "# HELP foldback_ticks_total Ticks.\n\
             foldback_tick_lateness_seconds_bucket{{le=\"0.0005\"}} {half}\n\
             foldback_tick_lateness_seconds_bucket{{le=\"0.005\"}} {five}\n\
             foldback_tick_lateness_seconds_bucket{{le=\"+Inf\"}} {all}\n\
             foldback_ticks_total {ran}\nfoldback_ticks_skipped_total {skipped}\n"
        );
        Ticks::parse(&text).expect("metrics of foldback")
    }

    #[test]
    fn lateness_is_that_of_the_time_between_two_looks() {
        let before = ticks([1_000, 1_000, 1_000], 1_000, 5);
        let after = ticks([1_980, 2_000, 2_000], 2_000, 7);
        let figures = after.since(&before);
        let p99 = figures.p99_lateness.expect("within the bounds").as_secs_f64();
        assert!((p99 - 0.00275).abs() < 1e-9, "{p99}");
        assert_eq!((figures.ran, figures.skipped), (1_000, 2));
        let late = ticks([1_000, 1_500, 2_000], 2_000, 5).since(&before);
        assert_eq!(late.p99_lateness, None, "beyond the last bound");
    }

    #[test]
    fn what_is_no_foldback_has_no_ticks() {
        assert_eq!(Ticks::parse("# nothing\njanus_sessions 5\n"), None);
    }
}
