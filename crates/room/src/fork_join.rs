//! Dividing the work of a tick among threads, without knowing of any.

/// Carries out the parts of a tick that do not depend on each other: what each participant says is
/// decoded and goes through its chain, and what each mix is made of goes through its chain and is
/// encoded. What comes of it is the same, whoever does it in whatever order.
pub trait ForkJoin {
    /// Does `work` once on each item, in any order, on any threads, and returns when all is done. Each
    /// thread has a `tool` of its own. Must not allocate.
    fn for_each<T, S>(
        &self,
        items: &mut [T],
        tool: impl Fn() -> S + Send + Sync,
        work: impl Fn(&mut S, &mut T) + Send + Sync,
    ) where
        T: Send;
}

/// One after the other, on the thread that asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl ForkJoin for Sequential {
    fn for_each<T, S>(
        &self,
        items: &mut [T],
        tool: impl Fn() -> S + Send + Sync,
        work: impl Fn(&mut S, &mut T) + Send + Sync,
    ) where
        T: Send,
    {
        let mut tool = tool();
        items.iter_mut().for_each(|item| work(&mut tool, item));
    }
}
