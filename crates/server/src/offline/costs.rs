//! What each stage costs, block by block.

use std::time::Instant;

use foldback_chain::Probe;

/// The figures of a run: kept in memory that is reserved before it, so that taking them does not
/// allocate.
pub(crate) struct Costs {
    /// Of each stage, from the top.
    pub(crate) stages: Vec<StageCosts>,
    /// Whole blocks, with what the chain itself costs.
    pub(crate) blocks: Times,
    began: Instant,
    first_stage: usize,
    allocations: u64,
}

/// The figures of one stage.
#[derive(Clone, Debug)]
pub(crate) struct StageCosts {
    pub(crate) times: Times,
    pub(crate) allocations: u64,
}

impl Costs {
    /// Room for `blocks` blocks of `stages` stages.
    pub(crate) fn new(stages: usize, blocks: usize) -> Self {
        let stage = || StageCosts { times: Times::with_capacity(blocks), allocations: 0 };
        Self {
            stages: (0..stages).map(|_| stage()).collect(),
            blocks: Times::with_capacity(blocks),
            began: Instant::now(),
            first_stage: 0,
            allocations: 0,
        }
    }

    /// The next chain to run begins with stage number `first_stage`. Returns the time.
    pub(crate) fn begin(&mut self, first_stage: usize) -> u64 {
        self.first_stage = first_stage;
        self.allocations = foldback_allocations::of_this_thread();
        self.now_ns()
    }

    /// A block is through that began at `begun_ns`.
    pub(crate) fn end(&mut self, begun_ns: u64) {
        let ended_ns = self.now_ns();
        self.blocks.0.push(ended_ns - begun_ns);
    }
}

impl Probe for Costs {
    fn now_ns(&mut self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn stage_took(&mut self, stage: usize, ns: u64) {
        let allocations = foldback_allocations::of_this_thread();
        if let Some(costs) = self.stages.get_mut(self.first_stage + stage) {
            costs.times.0.push(ns);
            costs.allocations += allocations - self.allocations;
        }
        self.allocations = allocations;
    }
}

/// Times of blocks in ns.
#[derive(Clone, Debug)]
pub(crate) struct Times(Vec<u64>);

impl Times {
    fn with_capacity(blocks: usize) -> Self {
        Self(Vec::with_capacity(blocks))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn sum_ns(&self) -> u64 {
        self.0.iter().sum()
    }

    pub(crate) fn mean_ns(&self) -> u64 {
        self.sum_ns() / self.0.len().max(1) as u64
    }

    /// The time that `share` of the blocks, from 0 to 1, did not exceed (nearest rank); 0 where
    /// there was no block.
    pub(crate) fn quantile_ns(&mut self, share: f64) -> u64 {
        let last = self.0.len().saturating_sub(1);
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let index = rank.saturating_sub(1).min(last);
        if self.0.is_empty() { 0 } else { *self.0.select_nth_unstable(index).1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let mut times = Times((1..=100).rev().collect());
        assert_eq!([0.0, 0.5, 0.95, 0.99, 1.0].map(|q| times.quantile_ns(q)), [1, 50, 95, 99, 100]);
        assert_eq!((times.mean_ns(), times.sum_ns()), (50, 5050));
        assert_eq!((Times(Vec::new()).quantile_ns(0.5), Times(Vec::new()).mean_ns()), (0, 0));
    }

    #[test]
    fn stages_behind_mix_are_counted_from_where_they_stand() {
        let mut costs = Costs::new(3, 1);
        costs.begin(0);
        costs.stage_took(0, 5);
        costs.begin(1);
        costs.stage_took(0, 6);
        costs.stage_took(1, 7);
        let took: Vec<_> = costs.stages.iter().map(|stage| stage.times.sum_ns()).collect();
        assert_eq!(took, [5, 6, 7]);
    }
}
