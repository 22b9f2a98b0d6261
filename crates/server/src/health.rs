//! Whether the server can take participants, and whether its media threads are alive.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use foldback_worker::{Load, WorkerHandle};

use crate::conference::Conference;

/// A worker that has told nothing for so long hangs; it tells its load once a second.
const SILENCE: Duration = Duration::from_secs(5);
/// Missed ticks are counted over so long.
const WINDOW: Duration = Duration::from_secs(10);
/// So many of the 1000 ticks of a window may be left out: below that sound breaks off now and then.
const MOST_MISSED: u64 = 50;

/// Whether the server can take participants, or why it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It can.
    Ready,
    /// It is about to end.
    Draining,
    /// A media thread has ended.
    WorkerEnded,
    /// A media thread tells nothing any more.
    WorkerHangs,
    /// Every media thread sheds load.
    Overloaded,
    /// A media thread left out too many ticks.
    TicksMissed,
}

impl Readiness {
    /// As `/readyz` says it.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::WorkerEnded => "a media worker has ended",
            Self::WorkerHangs => "a media worker hangs",
            Self::Overloaded => "overloaded",
            Self::TicksMissed => "ticks missed",
        }
    }
}

/// What workers told, by when.
#[derive(Debug, Default)]
pub(crate) struct Health {
    workers: BTreeMap<usize, Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    last: Instant,
    window_began: Instant,
    /// Ticks left out until then.
    skipped_before: u64,
    /// Ticks left out in this window, or, if they were more, in the one before.
    missed: u64,
}

impl Health {
    /// Of so many workers, that start now.
    pub(crate) fn new(workers: usize, now: Instant) -> Self {
        let told = Told { last: now, window_began: now, skipped_before: 0, missed: 0 };
        Self { workers: (0..workers).map(|worker| (worker, told)).collect() }
    }

    /// A worker told its load.
    pub(crate) fn tell(&mut self, load: &Load, now: Instant) {
        let skipped = load.ticks.skipped;
        let Some(told) = self.workers.get_mut(&load.worker) else { return };
        told.last = now;
        let missed = skipped.saturating_sub(told.skipped_before);
        if now.duration_since(told.window_began) < WINDOW {
            told.missed = told.missed.max(missed);
        } else {
            (told.window_began, told.skipped_before, told.missed) = (now, skipped, missed);
        }
    }

    /// Whether a worker tells nothing, or no more.
    fn hangs(&self, now: Instant) -> bool {
        self.workers.values().any(|told| now.duration_since(told.last) > SILENCE)
    }

    fn misses_ticks(&self) -> bool {
        self.workers.values().any(|told| told.missed > MOST_MISSED)
    }
}

impl Conference {
    /// Whether it can take participants.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let state = self.state();
        if state.draining {
            Readiness::Draining
        } else if !self.workers.iter().all(WorkerHandle::is_running) {
            Readiness::WorkerEnded
        } else if state.health.hangs(Instant::now()) {
            Readiness::WorkerHangs
        } else if (0..self.workers.len()).all(|worker| state.placement.is_shedding(worker)) {
            Readiness::Overloaded
        } else if state.health.misses_ticks() {
            Readiness::TicksMissed
        } else {
            Readiness::Ready
        }
    }

    /// Whether every worker runs and does not hang, be it busy or not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.workers.iter().all(WorkerHandle::is_running)
            && !self.state().health.hangs(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use foldback_room::Shedding;
    use foldback_worker::Ticks;

    use super::*;

    fn load(worker: usize, skipped: u64) -> Load {
        let ticks = Ticks { skipped, ..Ticks::default() };
        Load { worker, busy: 0.1, shedding: Shedding::NONE, ticks }
    }

    #[test]
    fn ticks_missed_of_late_count_and_those_of_long_ago_do_not() {
        let start = Instant::now();
        let mut health = Health::new(2, start);
        let at = |second| start + Duration::from_secs(second);
        for second in 0..10 {
            health.tell(&load(0, second * 5), at(second));
            assert!(!health.misses_ticks(), "{second}");
        }
        health.tell(&load(0, 200), at(10));
        assert!(health.misses_ticks());
        for second in 11..20 {
            health.tell(&load(0, 200), at(second));
            assert!(health.misses_ticks(), "{second}");
        }
        health.tell(&load(0, 200), at(20));
        assert!(!health.misses_ticks());
    }

    #[test]
    fn a_worker_that_tells_nothing_for_long_hangs_whatever_the_others_do() {
        let start = Instant::now();
        let mut health = Health::new(2, start);
        let at = |second| start + Duration::from_secs(second);
        health.tell(&load(0, 0), at(0));
        health.tell(&load(1, 0), at(0));
        health.tell(&load(0, 0), at(6));
        assert!(!health.hangs(at(5)));
        assert!(health.hangs(at(6)));
        health.tell(&load(1, 0), at(6));
        assert!(!health.hangs(at(6)));
    }
}
