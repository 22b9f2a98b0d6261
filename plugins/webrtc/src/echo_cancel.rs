//! `echo-cancel`: AEC3 against what the participant is being played.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, Params, Stage, StageFormat, StageKind,
    StageReport,
};

use crate::apm::{Apm, Config, Stats};

/// `{ kind = "echo-cancel" }`
pub const KIND: StageKind = StageKind {
    name: "echo-cancel",
    about: "Removes the echo of the mix that the participant hears (WebRTC AEC3). Stands before \
            `mix`; behind it there is no far end and audio passes.",
    params: &[],
    build,
};

fn build(_params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let mut config = Config::default();
    config.echo_canceller.enabled = true;
    Ok(Box::new(EchoCancel { apm: Apm::new(format.channels, config)?, stats: None }))
}

struct EchoCancel {
    apm: Apm,
    stats: Option<Stats>,
}

impl Stage for EchoCancel {
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>) {
        // Without a far end the participant hears silence, which is what the canceller is told:
        // so its two sides stay in step and the stage's delay stays the same.
        self.apm.analyze_render(cx.far_end.unwrap_or(&[0.0; BLOCK_SAMPLES]));
        self.apm.process_capture(block);
        self.stats = Some(self.apm.stats());
    }

    // `idle` does nothing on purpose. AEC3 pairs far-end and captured blocks by counting them:
    // fed one side alone it takes its buffers for overrun, resets, and leaks echo for 3 s once
    // the participant is heard again. If both sides stand still they stay aligned, and only the
    // echo of what was played during the last echo delay is missed (measured: see the README).

    fn delay_samples(&self) -> usize {
        DELAY_SAMPLES
    }

    fn warm_up_blocks(&self) -> usize {
        CONVERGENCE_BLOCKS
    }

    fn report(&self, report: &mut StageReport) {
        let Some(stats) = self.stats else { return };
        let erle: Option<f64> = stats.echo_return_loss_enhancement.into();
        let delay_ms: Option<i32> = stats.delay_ms.into();
        let residual: Option<f64> = stats.residual_echo_likelihood.into();
        if let Some(erle) = erle {
            report.add("echo_return_loss_enhancement_db", erle as f32);
        }
        if let Some(delay_ms) = delay_ms {
            report.add("echo_delay_ms", delay_ms as f32);
        }
        if let Some(residual) = residual {
            report.add("residual_echo_likelihood", residual as f32);
        }
        report.add("refused_blocks", self.apm.refused_blocks() as f32);
    }
}

/// Of the band-splitting filters and of AEC3's framing into 64 samples at 16 kHz; measured by
/// correlation.
const DELAY_SAMPLES: usize = 433;

/// Far-end speech that AEC3 needs to learn a room from nothing.
const CONVERGENCE_BLOCKS: usize = 200;
