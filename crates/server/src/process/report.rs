//! What `foldback process` tells.

use std::collections::BTreeMap;

use foldback_chain::ChainSpec;
use serde::Serialize;

use super::{ProcessOptions, Processed};
use crate::offline::{StageCosts, milliseconds, table};

/// `docs/offline.md` is the contract of its JSON.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    input: String,
    output: String,
    chain: String,
    rate_hz: u32,
    channels: usize,
    duration_s: f64,
    /// In the chain alone: without reading, resampling and writing.
    processing_s: f64,
    /// `processing_s / duration_s`: below 1 is faster than real time.
    real_time_factor: f64,
    delay_samples: usize,
    delay_ms: f64,
    delay_compensated: bool,
    clipped_samples: u64,
    stages: Vec<StageReport>,
}

#[derive(Debug, Serialize)]
struct StageReport {
    name: String,
    kind: &'static str,
    mean_ns: u64,
    p95_ns: u64,
    max_ns: u64,
    delay_samples: usize,
    /// After the last block.
    readings: BTreeMap<&'static str, f32>,
    fault: Option<&'static str>,
}

impl Report {
    pub(super) fn new(
        spec: &ChainSpec,
        processed: Processed,
        clipped_samples: u64,
        options: &ProcessOptions,
    ) -> Self {
        let Processed { sound, chain, costs, duration_s } = processed;
        let processing_s = costs.blocks.sum_ns() as f64 / 1e9;
        let stages = spec.stages().zip(costs.stages).zip(chain.stage_delays()).enumerate();
        Self {
            input: options.input.display().to_string(),
            output: options.output.display().to_string(),
            chain: spec.name.clone(),
            rate_hz: sound.rate_hz,
            channels: sound.planes.len(),
            duration_s,
            processing_s,
            real_time_factor: processing_s / duration_s,
            delay_samples: chain.delay_samples(),
            delay_ms: milliseconds(chain.delay_samples()),
            delay_compensated: !options.no_compensate,
            clipped_samples,
            stages: stages
                .map(|(number, ((stage, costs), delay_samples))| {
                    let StageCosts { mut times, .. } = costs;
                    let report = chain.report(number);
                    StageReport {
                        name: stage.name.clone(),
                        kind: stage.kind.name,
                        mean_ns: times.mean_ns(),
                        p95_ns: times.quantile_ns(0.95),
                        max_ns: times.quantile_ns(1.0),
                        delay_samples,
                        readings: report.readings().map(|r| (r.name, r.value)).collect(),
                        fault: chain.fault(number),
                    }
                })
                .collect(),
        }
    }

    /// What the operator should know.
    pub(super) fn warning(&self) -> Option<String> {
        (self.clipped_samples > 0).then(|| {
            format!(
                "what is above full scale is cut off, {} times in {}: \
                 a `limiter` at the end of the chain prevents that",
                self.clipped_samples, self.output
            )
        })
    }

    /// Which stages broke on the way, a sentence each.
    pub(super) fn faults(&self) -> Option<String> {
        let faults = self.stages.iter().filter_map(|stage| Some((&stage.name, stage.fault?)));
        let sentences: Vec<_> = faults
            .map(|(name, fault)| format!("stage `{name}` {fault} and was left out from then on"))
            .collect();
        (!sentences.is_empty()).then(|| sentences.join("\n"))
    }

    /// One line.
    pub(super) fn summary(&self) -> String {
        let delay = if self.delay_compensated { "taken out" } else { "kept" };
        format!(
            "{}: {:.2} s through chain {} in {:.2} s ({:.0} times real time), delay of {:.2} ms {delay}",
            self.output,
            self.duration_s,
            self.chain,
            self.processing_s,
            1.0 / self.real_time_factor,
            self.delay_ms,
        )
    }

    /// The summary, and a line for each stage.
    pub(super) fn table(&self) -> String {
        let head = ["stage", "mean ns", "p95", "max", "delay ms", "readings"];
        let rows = self.stages.iter().map(|stage| {
            let readings = stage.readings.iter().map(|(name, value)| format!("{name} {value:.2}"));
            let fault = stage.fault.map(str::to_owned);
            vec![
                stage.name.clone(),
                stage.mean_ns.to_string(),
                stage.p95_ns.to_string(),
                stage.max_ns.to_string(),
                format!("{:.2}", milliseconds(stage.delay_samples)),
                fault.into_iter().chain(readings).collect::<Vec<_>>().join(", "),
            ]
        });
        let head = head.map(str::to_owned).to_vec();
        let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
        format!("{}\n{}", self.summary(), table(&rows))
    }

    /// One JSON object, indented.
    pub(super) fn json(&self) -> String {
        // Names, numbers and text: there is nothing in it that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
