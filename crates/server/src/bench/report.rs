//! What `foldback bench` tells.

use foldback_chain::ChainSpec;
use serde::Serialize;

use crate::offline::{Costs, OfflineChain, StageCosts, Times, milliseconds, table};

/// The time there is for a block.
const BUDGET_NS: f64 = 10e6;

/// `docs/offline.md` is the contract of its JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of sound, for each chain.
    pub(super) seconds: u32,
    pub(super) chains: Vec<ChainReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct ChainReport {
    chain: String,
    delay_samples: usize,
    delay_ms: f64,
    /// Time of all blocks by the time that they last: below 1 is faster than real time.
    real_time_factor: f64,
    /// All stages of a block, with what the chain itself costs.
    block: Cost,
    stages: Vec<StageReport>,
}

#[derive(Debug, Serialize)]
struct StageReport {
    name: String,
    kind: &'static str,
    delay_samples: usize,
    #[serde(flatten)]
    cost: Cost,
    fault: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Cost {
    median_ns: u64,
    p95_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    /// The median as a share of 10 ms.
    budget_percent: f64,
    allocations_per_block: f64,
}

impl Cost {
    fn new(times: &mut Times, allocations: u64) -> Self {
        let median_ns = times.quantile_ns(0.5);
        Self {
            median_ns,
            p95_ns: times.quantile_ns(0.95),
            p99_ns: times.quantile_ns(0.99),
            max_ns: times.quantile_ns(1.0),
            budget_percent: 100.0 * median_ns as f64 / BUDGET_NS,
            allocations_per_block: allocations as f64 / times.count().max(1) as f64,
        }
    }

    fn cells(&self) -> impl Iterator<Item = String> {
        let ns = [self.median_ns, self.p95_ns, self.p99_ns, self.max_ns];
        let share = format!("{:.2} %", self.budget_percent);
        let allocations = match self.allocations_per_block {
            0.0 => "0".to_owned(),
            some => format!("{some:.2}"),
        };
        ns.map(|ns| ns.to_string()).into_iter().chain([share, allocations])
    }
}

impl ChainReport {
    pub(super) fn new(spec: &ChainSpec, chain: &OfflineChain, costs: Costs) -> Self {
        let Costs { stages, mut blocks, .. } = costs;
        let allocations = stages.iter().map(|stage| stage.allocations).sum();
        let real_time_factor = blocks.mean_ns() as f64 / BUDGET_NS;
        let stages = spec.stages().zip(stages).zip(chain.stage_delays()).enumerate();
        Self {
            chain: spec.name.clone(),
            delay_samples: chain.delay_samples(),
            delay_ms: milliseconds(chain.delay_samples()),
            real_time_factor,
            block: Cost::new(&mut blocks, allocations),
            stages: stages
                .map(|(number, ((stage, costs), delay_samples))| {
                    let StageCosts { mut times, allocations } = costs;
                    StageReport {
                        name: stage.name.clone(),
                        kind: stage.kind.name,
                        delay_samples,
                        cost: Cost::new(&mut times, allocations),
                        fault: chain.fault(number),
                    }
                })
                .collect(),
        }
    }

    fn text(&self) -> String {
        let head =
            ["stage", "median ns", "p95", "p99", "max", "of 10 ms", "allocations", "delay ms"];
        let row = |name: &str, cost: &Cost, delay_samples| {
            let delay = format!("{:.2}", milliseconds(delay_samples));
            std::iter::once(name.to_owned()).chain(cost.cells()).chain([delay]).collect()
        };
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.stages.iter().map(|s| row(&s.name, &s.cost, s.delay_samples)));
        rows.push(row("whole block", &self.block, self.delay_samples));
        let faults = self.stages.iter().filter_map(|s| Some((&s.name, s.fault?)));
        let faults = faults.map(|(name, fault)| format!("stage `{name}` {fault}: not measured\n"));
        format!(
            "chain {}: real-time factor {:.4}, so {:.0} of it on one core\n{}{}",
            self.chain,
            self.real_time_factor,
            1.0 / self.real_time_factor,
            table(&rows),
            faults.collect::<String>()
        )
    }
}

impl Report {
    /// A table for each chain.
    pub(super) fn text(&self) -> String {
        let chains: Vec<_> = self.chains.iter().map(ChainReport::text).collect();
        chains.join("\n")
    }

    /// One JSON object, indented.
    pub(super) fn json(&self) -> String {
        // Names, numbers and text: there is nothing in it that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
