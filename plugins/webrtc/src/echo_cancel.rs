//! `echo-cancel`: AEC3 against what the participant is being played.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, Params, Stage, StageFormat, StageKind, StageReport,
};

use crate::apm::{Apm, Config, Stats};
use crate::echo_path::EchoPath;

/// `{ kind = "echo-cancel" }`
pub const KIND: StageKind = StageKind {
    name: "echo-cancel",
    about: "Removes the echo of the mix that the participant hears (WebRTC AEC3). Stands before \
            `mix`; behind it there is no far end and audio passes.",
    params: &[],
    build: &build,
};

fn build(_params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    Ok(Box::new(EchoCancel {
        apm: Apm::aligned_echo_canceller(format.channels, Config::default())?,
        path: EchoPath::new(),
        stats: None,
    }))
}

struct EchoCancel {
    apm: Apm,
    path: EchoPath,
    stats: Option<Stats>,
}

impl Stage for EchoCancel {
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>) {
        self.path.observe(block.left(), cx);
        self.apm.analyze_render(&self.path.reference());
        self.apm.process_capture(block);
        self.stats = Some(self.apm.stats());
    }

    // AEC3 stands still: it pairs far-end and captured blocks by counting them, and fed one side
    // alone it takes its buffers for overrun, resets, and leaks echo for 3 s once the participant
    // is heard again. What was played goes into the ring all the same, so that the reference of
    // the next block is at its delay, whenever that comes.
    fn idle(&mut self, cx: &mut BlockContext<'_>) {
        self.path.observe_idle(cx);
    }

    fn delay_samples(&self) -> usize {
        DELAY_SAMPLES
    }

    fn warm_up_blocks(&self) -> usize {
        CONVERGENCE_BLOCKS
    }

    fn report(&self, report: &mut StageReport) {
        let Some(stats) = &self.stats else { return };
        self.path.report(stats, report);
        let refused = self.apm.refused_blocks() + self.path.refused_far_ends();
        report.add("refused_blocks", refused as f32);
    }
}

/// Of the band-splitting filters and of AEC3's framing into 64 samples at 16 kHz; measured by
/// correlation.
pub(crate) const DELAY_SAMPLES: usize = 433;

/// Far-end speech that AEC3 needs to learn a room from nothing.
pub(crate) const CONVERGENCE_BLOCKS: usize = 200;
