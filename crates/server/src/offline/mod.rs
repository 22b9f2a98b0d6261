//! A chain without a conference around it: as one participant alone in a room meets it, as fast as
//! the machine can.

mod costs;
mod table;

use foldback_chain::{Chain, ChainBuildError, ChainSpec, Fault};
use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, CaptureTimeline, SAMPLE_RATE_HZ, StageFormat,
    StageReport,
};

pub(crate) use costs::{Costs, StageCosts, Times};
pub(crate) use table::table;

/// Both sides of a chain, one after the other: for a single participant `mix` changes nothing.
pub(crate) struct OfflineChain {
    input: Chain,
    output: Chain,
    input_stages: usize,
    position_samples: u64,
}

impl OfflineChain {
    /// Builds every stage, on the thread that will run them.
    ///
    /// # Errors
    /// The first stage that refused.
    pub(crate) fn build(spec: &ChainSpec, format: StageFormat) -> Result<Self, ChainBuildError> {
        Ok(Self {
            input: Chain::build(&spec.input, format)?,
            output: Chain::build(&spec.output, format)?,
            input_stages: spec.input.len(),
            position_samples: 0,
        })
    }

    /// Takes one block through all stages. The far end is for those before `mix`, as in a room.
    pub(crate) fn process(
        &mut self,
        audio: &mut AudioBuffer,
        far_end: Option<&[f32]>,
        costs: &mut Costs,
    ) {
        let timeline =
            CaptureTimeline { position_samples: self.position_samples, ..Default::default() };
        self.position_samples += BLOCK_SAMPLES as u64;
        let mut cx = BlockContext { far_end, timeline, ..BlockContext::default() };
        let begun_ns = costs.begin(0);
        self.input.process(audio, &mut cx, costs);
        costs.begin(self.input_stages);
        self.output.process(audio, &mut BlockContext::default(), costs);
        costs.end(begun_ns);
    }

    /// Waits until all that the stages do on other threads is done.
    pub(crate) fn catch_up(&mut self) {
        self.input.catch_up();
        self.output.catch_up();
    }

    /// The algorithmic delay of all stages together, in samples at 48 kHz.
    pub(crate) fn delay_samples(&self) -> usize {
        self.input.delay_samples() + self.output.delay_samples()
    }

    /// The algorithmic delay of each stage, in samples at 48 kHz.
    pub(crate) fn stage_delays(&self) -> impl Iterator<Item = usize> + '_ {
        self.input.stage_delays().chain(self.output.stage_delays())
    }

    /// How many blocks a fresh chain needs before it sounds like one that ran all along.
    pub(crate) fn warm_up_blocks(&self) -> usize {
        self.input.warm_up_blocks().max(self.output.warm_up_blocks())
    }

    /// The live values of stage number `stage`, from the top.
    pub(crate) fn report(&self, stage: usize) -> StageReport {
        match stage.checked_sub(self.input_stages) {
            None => self.input.report(stage),
            Some(stage) => self.output.report(stage),
        }
    }

    /// Why stage number `stage` was taken out, in words, if it was.
    pub(crate) fn fault(&self, stage: usize) -> Option<&'static str> {
        let fault = match stage.checked_sub(self.input_stages) {
            None => self.input.fault(stage),
            Some(stage) => self.output.fault(stage),
        };
        fault.map(|fault| match fault {
            Fault::Panicked => "panicked",
            Fault::NonFinite => "gave samples that are no numbers",
        })
    }
}

/// Samples at 48 kHz in milliseconds.
pub(crate) fn milliseconds(samples: usize) -> f64 {
    samples as f64 * 1000.0 / f64::from(SAMPLE_RATE_HZ)
}
