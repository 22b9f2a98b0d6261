//! Who is to be looked at when, so that nobody else is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Instant;

use foldback_room::ParticipantId;

/// One alarm for each participant.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    alarms: HashMap<ParticipantId, Instant>,
    /// Those alarms by time, and some that were set to an earlier time since.
    heap: BinaryHeap<Reverse<(Instant, ParticipantId)>>,
}

impl Timers {
    /// Has `id` looked at when `at` has come, or earlier if that was asked for before: to put
    /// an alarm off with each packet would cost more than to look once in vain.
    pub(crate) fn set(&mut self, id: ParticipantId, at: Instant) {
        if self.alarms.get(&id).is_some_and(|set| *set <= at) {
            return;
        }
        self.alarms.insert(id, at);
        self.heap.push(Reverse((at, id)));
    }

    /// Takes the alarm of somebody whose time has come by `now`.
    pub(crate) fn due(&mut self, now: Instant) -> Option<ParticipantId> {
        while let Some(Reverse((at, id))) = self.heap.peek().copied().filter(|next| next.0.0 <= now)
        {
            self.heap.pop();
            if self.alarms.get(&id) == Some(&at) {
                self.alarms.remove(&id);
                return Some(id);
            }
        }
        None
    }

    /// Takes the alarm of somebody who is gone.
    pub(crate) fn remove(&mut self, id: ParticipantId) {
        self.alarms.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use foldback_allocations::of_this_thread;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const ONE: ParticipantId = ParticipantId(1);
    const TWO: ParticipantId = ParticipantId(2);

    #[test]
    fn nobody_is_looked_at_before_the_time_or_twice() {
        let mut timers = Timers::default();
        let begun = Instant::now();
        timers.set(ONE, begun + 30 * MS);
        timers.set(TWO, begun + 20 * MS);
        assert_eq!(timers.due(begun + 19 * MS), None);
        assert_eq!(timers.due(begun + 40 * MS), Some(TWO));
        assert_eq!(timers.due(begun + 40 * MS), Some(ONE));
        assert_eq!(timers.due(begun + 40 * MS), None);
    }

    #[test]
    fn the_earliest_time_that_was_asked_for_counts() {
        let mut timers = Timers::default();
        let begun = Instant::now();
        timers.set(ONE, begun + 30 * MS);
        timers.set(ONE, begun + 10 * MS);
        timers.set(ONE, begun + 50 * MS);
        assert_eq!(timers.due(begun + 10 * MS), Some(ONE));
        assert_eq!(timers.due(begun + 99 * MS), None, "the later ones are not asked for any more");
        timers.set(ONE, begun + 99 * MS);
        assert_eq!(timers.due(begun + 99 * MS), Some(ONE));
    }

    #[test]
    fn those_who_are_gone_are_not_looked_at() {
        let mut timers = Timers::default();
        let begun = Instant::now();
        timers.set(ONE, begun);
        timers.remove(ONE);
        assert_eq!(timers.due(begun + MS), None);
    }

    #[test]
    fn a_thousand_alarms_set_again_and_again_take_no_more_memory() {
        let mut timers = Timers::default();
        let begun = Instant::now();
        let mut run = |from: u32, to: u32| {
            let before = of_this_thread();
            for tick in from..to {
                let now = begun + 10 * MS * tick;
                for id in 0..1000 {
                    timers.set(ParticipantId(id), now + 33 * MS);
                    timers.set(ParticipantId(id), now + MS * (id as u32 % 25));
                }
                while timers.due(now).is_some() {}
            }
            of_this_thread() - before
        };
        run(0, 100);
        assert_eq!(run(100, 1000), 0);
    }
}
