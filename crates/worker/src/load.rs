//! How busy a worker is, and how much its rooms are to do without for it.

use std::time::Duration;

use foldback_room::{Shedding, TICK};

/// The load is looked at once in so many ticks.
const WINDOW_TICKS: u32 = 10;
/// A tick counts as no more than this: the system may have let the thread stand still.
const MOST_OF_A_TICK: f32 = 4.0;
/// After so many windows above the bound in a row the level is raised, and by one more with each
/// further one.
const RAISE_AFTER: u32 = 2;
/// A level is held for at least so many windows.
const HOLD_WINDOWS: u32 = 5;
/// Of a load that falls, the peak comes nearer to it by this share with each window: within 1 s.
const PEAK_RELEASE: f32 = 0.1;
/// A level is left only where the load at the one below would be so far below the bound.
const MARGIN: f32 = 0.05;
/// By how much a level is taken to lower the load, until that was measured.
const RATIO: f32 = 1.25;
/// What was measured is taken as this, where it is less or more.
const LEAST_RATIO: f32 = 1.0;
const MOST_RATIO: f32 = 1.6;
/// A smaller one is believed by this share each time: talkers who fall silent look like one.
const BELIEF: f32 = 0.5;
const LEVELS: usize = Shedding::MOST_LEVEL as usize;

/// Follows the load and says what level of shedding it takes to stay below a bound. Reads no clock:
/// the same loads give the same levels.
#[derive(Debug)]
pub(crate) struct LoadControl {
    /// The share of its time that the worker may be busy.
    bound: f32,
    level: Shedding,
    sum: f32,
    ticks: u32,
    /// Of the last window.
    load: f32,
    peak: f32,
    /// Windows in a row above the bound.
    above: u32,
    /// Windows since the level changed.
    held: u32,
    /// What the load is below each level, by what it is there.
    ratios: [f32; LEVELS],
    /// The load before the level changed, until what came of it is known.
    before: Option<(Shedding, f32)>,
}

impl LoadControl {
    /// For a worker that may be busy for that share of its time; 0 never sheds.
    pub(crate) fn new(bound: f32) -> Self {
        Self {
            bound: if bound > 0.0 { bound } else { f32::INFINITY },
            level: Shedding::NONE,
            sum: 0.0,
            ticks: 0,
            load: 0.0,
            peak: 0.0,
            above: 0,
            held: 0,
            ratios: [RATIO; LEVELS],
            before: None,
        }
    }

    /// What rooms are to do without.
    pub(crate) fn level(&self) -> Shedding {
        self.level
    }

    /// The share of its time that the worker was busy in the last 100 ms; above 1 where it could not
    /// keep up.
    pub(crate) fn load(&self) -> f32 {
        self.load
    }

    /// The worker was busy for so long since the last tick. Returns the level if it is another.
    pub(crate) fn tick(&mut self, busy: Duration) -> Option<Shedding> {
        self.sum += (busy.as_secs_f32() / TICK.as_secs_f32()).min(MOST_OF_A_TICK);
        self.ticks += 1;
        if self.ticks < WINDOW_TICKS {
            return None;
        }
        self.load = self.sum / WINDOW_TICKS as f32;
        (self.sum, self.ticks) = (0.0, 0);
        self.learn();
        let next = self.next();
        if next == self.level {
            return None;
        }
        self.before = Some((self.level, self.load));
        self.level = next;
        self.held = 0;
        Some(next)
    }

    /// Takes note of what the last change of the level made of the load.
    fn learn(&mut self) {
        let Some((from, before)) = self.before.take() else { return };
        let (below, there) =
            if from < self.level { (before, self.load) } else { (self.load, before) };
        let ratio = (below / there.max(f32::EPSILON)).clamp(LEAST_RATIO, MOST_RATIO);
        let level = self.level.max(from).level();
        let known = &mut self.ratios[usize::from(level) - 1];
        *known = ratio.max(*known + BELIEF * (ratio - *known));
    }

    fn next(&mut self) -> Shedding {
        self.peak = self.load.max(self.peak + PEAK_RELEASE * (self.load - self.peak));
        self.held += 1;
        self.above = if self.load > self.bound { self.above + 1 } else { 0 };
        if self.above >= RAISE_AFTER {
            return self.level.more();
        }
        let Some(level) = usize::from(self.level.level()).checked_sub(1) else {
            return self.level;
        };
        let below = self.peak * self.ratios[level];
        if self.held < HOLD_WINDOWS || below > self.bound - MARGIN {
            return self.level;
        }
        self.peak = below;
        self.level.less()
    }
}

/// How late ticks began.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    sum: Duration,
    max: Duration,
    ticks: u32,
}

impl Lateness {
    /// A tick began so long after it was due.
    pub(crate) fn add(&mut self, late: Duration) {
        self.sum += late;
        self.max = self.max.max(late);
        self.ticks += 1;
    }

    /// The mean and the most since the last call; zero without a tick.
    pub(crate) fn take(&mut self) -> (Duration, Duration) {
        let Self { sum, max, ticks } = std::mem::take(self);
        (sum.checked_div(ticks).unwrap_or_default(), max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: f32 = 0.85;

    /// What a load comes down to at each level.
    const SHARES: [f32; 7] = [1.0, 0.9, 0.8, 0.7, 0.6, 0.55, 0.5];

    /// Lets a full load of that much act for `seconds`; returns the level after each tick. Packets
    /// close with every second tick, which has all the work.
    fn run(control: &mut LoadControl, load: impl Fn(usize) -> f32, seconds: usize) -> Vec<u8> {
        let levels = (0..seconds * 100).map(|tick| {
            let share = SHARES[usize::from(control.level().level())];
            let busy = if tick.is_multiple_of(2) { 0.0 } else { 2.0 * load(tick) * share };
            control.tick(TICK.mul_f32(busy));
            control.level().level()
        });
        levels.collect()
    }

    fn changes(levels: &[u8]) -> usize {
        levels.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    #[test]
    fn below_the_bound_nothing_is_shed() {
        let mut control = LoadControl::new(BOUND);
        assert!(run(&mut control, |_| 0.84, 60).iter().all(|level| *level == 0));
        assert!((control.load() - 0.84).abs() < 1e-3);
    }

    #[test]
    fn as_much_is_shed_as_is_needed_within_a_second_and_held_without_flapping() {
        for (load, needed) in [(0.9, 1), (1.0, 2), (1.2, 3), (1.5, 5), (1.6, 6), (3.0, 6)] {
            let mut control = LoadControl::new(BOUND);
            let levels = run(&mut control, |_| load, 60);
            assert_eq!(levels[99], needed, "{load} after a second");
            let late = &levels[10 * 100..];
            assert!(late.iter().all(|level| *level == needed), "{load}: {} changes", changes(late));
        }
    }

    #[test]
    fn load_that_is_gone_leaves_nothing_shed_within_five_seconds() {
        for load in [0.9, 1.5, 3.0] {
            let mut control = LoadControl::new(BOUND);
            run(&mut control, |_| load, 30);
            let levels = run(&mut control, |_| 0.3, 5);
            assert_eq!(levels.last(), Some(&0), "{load}: {levels:?}");
        }
    }

    #[test]
    fn a_level_is_left_only_when_the_load_would_stay_below_the_bound() {
        let mut control = LoadControl::new(BOUND);
        run(&mut control, |_| 1.2, 30);
        let levels = run(&mut control, |_| 0.93, 60);
        assert_eq!(levels.last(), Some(&2), "0.84 at level 1 is too near to the bound");
        assert!(changes(&levels) <= 3, "{} changes", changes(&levels));
        let levels = run(&mut control, |_| 0.72, 60);
        assert_eq!((levels.last(), changes(&levels)), (Some(&0), 2));
    }

    #[test]
    fn a_thread_that_stood_still_once_sheds_nothing() {
        let mut control = LoadControl::new(BOUND);
        let levels = run(&mut control, |tick| if tick == 301 { 20.0 } else { 0.6 }, 10);
        assert!(levels.iter().all(|level| *level == 0));
    }

    #[test]
    fn a_load_that_comes_and_goes_with_syllables_changes_the_level_once() {
        let mut control = LoadControl::new(BOUND);
        let speech = |tick: usize| if (tick / 30).is_multiple_of(2) { 1.1 } else { 0.5 };
        run(&mut control, speech, 5);
        let levels = run(&mut control, speech, 60);
        assert!(changes(&levels) <= 4, "{} changes in a minute", changes(&levels));
    }

    #[test]
    fn lateness_is_that_of_the_ticks_since_it_was_told() {
        let mut lateness = Lateness::default();
        let ms = Duration::from_millis;
        assert_eq!(lateness.take(), (ms(0), ms(0)));
        [1, 2, 6].into_iter().for_each(|late| lateness.add(ms(late)));
        assert_eq!(lateness.take(), (ms(3), ms(6)));
        lateness.add(ms(1));
        assert_eq!(lateness.take(), (ms(1), ms(1)));
    }

    #[test]
    fn without_a_bound_nothing_is_shed() {
        let mut control = LoadControl::new(0.0);
        assert!(run(&mut control, |_| 5.0, 10).iter().all(|level| *level == 0));
    }
}
