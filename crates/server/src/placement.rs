//! Which worker a new room is bound to, and which of them take nobody just now.

use std::collections::BTreeMap;

use foldback_room::Shedding;
use foldback_worker::{Load, Ticks};

/// What a person is taken to add to a worker's load until something was measured.
const LOAD_OF_A_PERSON: f32 = 0.01;

/// What workers told of themselves last.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    workers: BTreeMap<usize, Told>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) busy: f32,
    pub(crate) shedding: Shedding,
    pub(crate) ticks: Ticks,
    /// Who was on it then.
    people: usize,
}

impl Placement {
    /// A worker with so many people on it told its load. Returns what it shed before.
    pub(crate) fn tell(&mut self, load: Load, people: usize) -> Shedding {
        let Load { worker, busy, shedding, ticks } = load;
        let before = self.workers.insert(worker, Told { busy, shedding, ticks, people });
        before.unwrap_or_default().shedding
    }

    /// Whether a worker sheds load, and so takes nobody.
    pub(crate) fn is_shedding(&self, worker: usize) -> bool {
        self.of(worker).shedding > Shedding::NONE
    }

    /// The least loaded of `workers`, by what it told and who came since, and of those alike the one
    /// with the fewest people. `None` if all shed load.
    pub(crate) fn place(
        &self,
        workers: usize,
        people_on: impl Fn(usize) -> usize,
    ) -> Option<usize> {
        let (busy, people) = self
            .workers
            .values()
            .fold((0.0, 0), |(busy, people), told| (busy + told.busy, people + told.people));
        let each = if people > 0 { busy / people as f32 } else { LOAD_OF_A_PERSON };
        let expected = |worker: usize| {
            let (told, people) = (self.of(worker), people_on(worker));
            (told.busy + people.saturating_sub(told.people) as f32 * each, people)
        };
        let free = (0..workers).filter(|worker| !self.is_shedding(*worker));
        free.map(|worker| (worker, expected(worker)))
            .min_by(|(_, one), (_, other)| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)))
            .map(|(worker, _)| worker)
    }

    /// What a worker told last.
    pub(crate) fn of(&self, worker: usize) -> Told {
        self.workers.get(&worker).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(worker: usize, busy: f32, shedding: Shedding) -> Load {
        Load { worker, busy, shedding, ticks: Ticks::default() }
    }

    fn placement(told: &[(f32, usize)]) -> Placement {
        let mut placement = Placement::default();
        for (worker, (busy, people)) in told.iter().enumerate() {
            placement.tell(load(worker, *busy, Shedding::NONE), *people);
        }
        placement
    }

    #[test]
    fn a_room_goes_to_the_worker_that_is_least_busy_not_to_that_with_the_fewest_people() {
        let placement = placement(&[(0.6, 4), (0.2, 50)]);
        assert_eq!(placement.place(2, |worker| [4, 50][worker]), Some(1));
    }

    #[test]
    fn those_who_came_since_count_before_they_are_measured() {
        let placement = placement(&[(0.2, 10), (0.3, 20)]);
        // A person costs 1/60 here: six of them make the first the busier one.
        assert_eq!(placement.place(2, |worker| [15, 20][worker]), Some(0));
        assert_eq!(placement.place(2, |worker| [17, 20][worker]), Some(1));
    }

    #[test]
    fn workers_of_which_nothing_is_known_take_turns() {
        let placement = Placement::default();
        let mut people = [0; 3];
        for _ in 0..9 {
            let worker = placement.place(3, |worker| people[worker]).expect("none sheds");
            people[worker] += 1;
        }
        assert_eq!(people, [3; 3]);
    }

    #[test]
    fn workers_that_shed_load_take_nobody_until_they_do_no_more() {
        let mut placement = placement(&[(0.1, 1), (0.5, 5)]);
        placement.tell(load(0, 0.1, Shedding::NONE.more()), 1);
        assert_eq!(placement.place(2, |_| 1), Some(1));
        placement.tell(load(1, 0.1, Shedding::MOST), 5);
        assert_eq!(placement.place(2, |_| 1), None);
        assert_eq!(placement.tell(load(0, 0.1, Shedding::NONE), 1), Shedding::NONE.more());
        assert_eq!(placement.place(2, |_| 1), Some(0));
    }
}
