//! Memory that goes to another thread and comes back.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A value that goes home when it is dropped, so that its memory is filled again there: the thread
/// that tells it neither allocates nor frees.
pub struct Recycled<T: Default> {
    value: T,
    home: SyncSender<T>,
}

impl<T: Default> Deref for Recycled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Default> Drop for Recycled<T> {
    fn drop(&mut self) {
        // Where enough of them are at home, or nobody is, it is freed here.
        let _ = self.home.try_send(mem::take(&mut self.value));
    }
}

impl<T: Default + fmt::Debug> fmt::Debug for Recycled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Where [`Recycled`] values come from and go.
#[derive(Debug)]
pub(crate) struct Recycler<T> {
    home: SyncSender<T>,
    returned: Receiver<T>,
}

impl<T: Default> Recycler<T> {
    /// Keeps up to `kept` values that nobody uses.
    pub(crate) fn new(kept: usize) -> Self {
        let (home, returned) = sync_channel(kept);
        Self { home, returned }
    }

    /// A value that came back, filled anew by `fill`; a fresh one if there is none.
    pub(crate) fn fill(&self, fill: impl FnOnce(&mut T)) -> Recycled<T> {
        let mut value = self.returned.try_recv().unwrap_or_default();
        fill(&mut value);
        Recycled { value, home: self.home.clone() }
    }
}

#[cfg(test)]
mod tests {
    use foldback_allocations::of_this_thread;

    use super::*;

    #[test]
    fn what_another_thread_drops_is_filled_again_without_allocating() {
        let recycler = Recycler::<Vec<u64>>::new(4);
        let tell = |number| {
            recycler.fill(|values| {
                values.clear();
                values.extend(0..number);
            })
        };
        let first = tell(100);
        std::thread::spawn(move || assert_eq!(first.len(), 100)).join().expect("all were there");
        let before = of_this_thread();
        let second = tell(50);
        assert_eq!(of_this_thread() - before, 0);
        assert_eq!(*second, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn what_outlives_its_home_is_freed() {
        let recycler = Recycler::<Vec<u64>>::new(4);
        let value = recycler.fill(|values| values.push(7));
        drop(recycler);
        assert_eq!(*value, [7]);
    }
}
