//! Several threads for a room that is too large for one.

use std::time::Duration;

use foldback_room::{ForkJoin, Sequential};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// A room whose tick takes longer is divided: what waking other threads costs (some 50 µs) is
/// little beside what that saves, and packets go out earlier by it.
const DIVIDED_FROM: Duration = Duration::from_millis(3);
/// With so much less work than would have it divided it is one thread's again.
const MARGIN: f32 = 0.5;
/// Of a tick's time that falls, what is remembered comes nearer to it by this share with each tick:
/// half of it in 2 s. Talk has pauses.
const RELEASE: f32 = 0.0035;

/// The threads of a worker: its own, and others that sleep until a room is divided. They are not
/// shared with other workers, so that a stage that hangs delays its own worker's rooms alone.
#[derive(Debug)]
pub struct Crew {
    pool: Option<ThreadPool>,
}

impl Crew {
    /// So many threads, 1 or more, of which one is that on which it is made, the worker's. Where the
    /// system grants no more, or where it is in a crew already, that one does everything.
    #[must_use]
    pub fn new(worker: usize, threads: usize) -> Self {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .use_current_thread()
            .thread_name(move |index| format!("media-{worker}.{index}"));
        let build = || {
            let refused = |error| tracing::warn!(worker, %error, "large rooms are not divided");
            pool.build().map_err(refused).ok()
        };
        Self { pool: if threads > 1 { build() } else { None } }
    }

    /// How many there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, ThreadPool::current_num_threads)
    }
}

impl ForkJoin for Crew {
    fn for_each<T, S>(
        &self,
        items: &mut [T],
        tool: impl Fn() -> S + Send + Sync,
        work: impl Fn(&mut S, &mut T) + Send + Sync,
    ) where
        T: Send,
    {
        let Some(pool) = &self.pool else {
            return Sequential.for_each(items, tool, work);
        };
        // Those who have something to do may be side by side among many who have not.
        pool.install(|| items.par_iter_mut().with_max_len(1).for_each_init(tool, work));
    }
}

/// Whether a room is divided, by what its ticks took. Reads no clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Division {
    /// What the ticks took of late, as if one thread had done it all.
    work: Duration,
    needed: bool,
}

impl Division {
    pub(crate) fn is_needed(self) -> bool {
        self.needed
    }

    /// A tick took so long, on as many threads as there are if it was divided.
    pub(crate) fn follow(&mut self, took: Duration, threads: usize) {
        let work = if self.needed { took * threads as u32 } else { took };
        self.work = work.max(self.work.mul_f32(1.0 - RELEASE));
        let bound = if self.needed { DIVIDED_FROM.mul_f32(MARGIN) } else { DIVIDED_FROM };
        self.needed = threads > 1 && self.work > bound;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREADS: usize = 4;

    /// Lets a room with so much work tick for some seconds; every second tick closes a packet.
    fn run(division: &mut Division, work_ms: f32, seconds: usize) -> usize {
        let divided = (0..100 * seconds).filter(|tick| {
            let shared = if division.is_needed() { THREADS as f32 * 0.8 } else { 1.0 };
            let took = if tick % 2 == 0 { 0.01 } else { work_ms / shared };
            division.follow(Duration::from_secs_f32(took / 1000.0), THREADS);
            division.is_needed()
        });
        divided.count()
    }

    #[test]
    fn a_small_room_stays_on_one_thread() {
        assert_eq!(run(&mut Division::default(), 2.9, 60), 0);
    }

    #[test]
    fn a_large_room_is_divided_for_as_long_as_it_is_large() {
        let mut division = Division::default();
        assert!(run(&mut division, 3.5, 60) >= 5_998, "from its first packet on");
        assert_eq!(run(&mut division, 2.5, 60), 6_000, "nearly as much work is no reason to flap");
        run(&mut division, 0.5, 10);
        assert_eq!(run(&mut division, 0.5, 1), 0);
    }

    #[test]
    fn alone_there_is_nothing_to_divide() {
        let mut division = Division::default();
        (0..10).for_each(|_| division.follow(Duration::from_millis(15), 1));
        assert!(!division.is_needed());
    }

    #[test]
    fn each_item_is_worked_on_once() {
        let mut items = vec![0_u32; 1000];
        Crew::new(0, 3).for_each(&mut items, || (), |(), item| *item += 1);
        assert!(items.iter().all(|item| *item == 1));
    }
}
