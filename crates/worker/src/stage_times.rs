//! What the stages of a chain take: for the metrics since the start, for who looks at a chain since
//! the last report.

use foldback_chain::{ChainSpec, StageSpec};
use foldback_metrics::{ChainHandle, WorkerMetrics};
use foldback_room::StageTime;

/// The computing time of a stage, over some blocks of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Took {
    ns: u64,
    blocks: u32,
}

impl Took {
    /// The mean for one block, in µs; `None` if none came.
    #[must_use]
    pub fn mean_us(self) -> Option<f32> {
        (self.blocks > 0).then(|| (self.ns as f64 / f64::from(self.blocks) * 1e-3) as f32)
    }

    fn add(&mut self, ns: u64) {
        self.ns = self.ns.saturating_add(ns);
        self.blocks = self.blocks.saturating_add(1);
    }
}

/// The stages of one side of a chain, and what they took.
#[derive(Debug)]
pub(crate) struct TimedStages {
    series: ChainHandle,
    took: Vec<Took>,
}

impl TimedStages {
    /// `stages` of a chain, none of which took anything yet. Allocates.
    pub(crate) fn of(metrics: &mut WorkerMetrics, chain: &ChainSpec, stages: &[StageSpec]) -> Self {
        let series = series(metrics, chain, stages);
        Self { series, took: vec![Took::default(); stages.len()] }
    }

    /// These from now on. Allocates where there were never so many.
    pub(crate) fn change_to(
        &mut self,
        metrics: &mut WorkerMetrics,
        chain: &ChainSpec,
        stages: &[StageSpec],
    ) {
        self.series = series(metrics, chain, stages);
        self.took.clear();
        self.took.resize(stages.len(), Took::default());
    }

    /// Records what some of them took. Allocates nothing.
    pub(crate) fn record(&mut self, metrics: &mut WorkerMetrics, took: &[StageTime]) {
        for time in took {
            metrics.stage_took(self.series, time.stage, time.ns);
            if let Some(sum) = self.took.get_mut(time.stage) {
                sum.add(time.ns);
            }
        }
    }

    /// What each took since [`Self::begin`].
    pub(crate) fn took(&self) -> &[Took] {
        &self.took
    }

    /// Begins to sum anew.
    pub(crate) fn begin(&mut self) {
        self.took.fill(Took::default());
    }
}

fn series(metrics: &mut WorkerMetrics, chain: &ChainSpec, stages: &[StageSpec]) -> ChainHandle {
    metrics.chain(&chain.name, stages.iter().map(|stage| stage.name.as_str()))
}
