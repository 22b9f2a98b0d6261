//! `echo-cancel`: AEC3 against what the participant is being played.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, Params, Stage, StageFormat, StageKind,
    StageReport, samples_to_ms,
};

use crate::apm::{Apm, Stats};
use crate::echo_delay::EchoDelay;
use crate::far_end::FarEnd;

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
        apm: Apm::aligned_echo_canceller(format.channels, REFERENCE_DELAY_MS)?,
        far_end: FarEnd::new(),
        delay: EchoDelay::new(),
        refused_far_ends: 0,
        stats: None,
    }))
}

struct EchoCancel {
    apm: Apm,
    far_end: FarEnd,
    delay: EchoDelay,
    refused_far_ends: u64,
    stats: Option<Stats>,
}

impl EchoCancel {
    /// Takes what was played and heard in a tick. Without a far end the participant hears silence;
    /// one of another form is counted, and taken for silence too.
    fn observe(&mut self, microphone: &[f32], cx: &BlockContext<'_>) {
        let far_end = cx.far_end.unwrap_or(&SILENCE).try_into().unwrap_or_else(|_| {
            self.refused_far_ends += 1;
            &SILENCE
        });
        self.far_end.push(far_end);
        self.delay.shift(cx.timeline.shift_samples);
        self.delay.push(far_end, microphone.try_into().unwrap_or(&SILENCE));
    }
}

const SILENCE: [f32; BLOCK_SAMPLES] = [0.0; BLOCK_SAMPLES];

impl Stage for EchoCancel {
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>) {
        self.observe(block.left(), cx);
        // Until an echo is found AEC3 hears that nothing is played: it passes audio as it came, and
        // learns nothing that is wrong.
        let reference = self.delay.samples().map_or(SILENCE, |delay_samples| {
            self.far_end.delayed(delay_samples.saturating_sub(MARGIN_SAMPLES))
        });
        self.apm.analyze_render(&reference);
        self.apm.process_capture(block);
        self.stats = Some(self.apm.stats());
    }

    // AEC3 stands still: it pairs far-end and captured blocks by counting them, and fed one side
    // alone it takes its buffers for overrun, resets, and leaks echo for 3 s once the participant
    // is heard again. What was played goes into the ring all the same, so that the reference of
    // the next block is at its delay, whenever that comes.
    fn idle(&mut self, cx: &mut BlockContext<'_>) {
        self.observe(&SILENCE, cx);
    }

    fn delay_samples(&self) -> usize {
        DELAY_SAMPLES
    }

    fn warm_up_blocks(&self) -> usize {
        CONVERGENCE_BLOCKS
    }

    fn report(&self, report: &mut StageReport) {
        let Some(stats) = self.stats else { return };
        let erle: Option<f64> = stats.echo_return_loss_enhancement.into();
        let residual: Option<f64> = stats.residual_echo_likelihood.into();
        if let Some(erle) = erle {
            report.add("echo_return_loss_enhancement_db", erle as f32);
        }
        if let Some(samples) = self.delay.samples() {
            report.add("echo_delay_ms", samples_to_ms(samples));
        }
        if let Some(residual) = residual {
            report.add("residual_echo_likelihood", residual as f32);
        }
        report.add("refused_blocks", (self.apm.refused_blocks() + self.refused_far_ends) as f32);
    }
}

/// The reference comes this much before its strongest echo: 20 ms.
const MARGIN_SAMPLES: usize = 960;

/// Where in the reference AEC3's filter of 52 ms begins: 4 ms before the strongest echo, since weaker
/// ones may come before it. Measured at 8, 12 and 16 ms: see the ADR.
const REFERENCE_DELAY_MS: i32 = 16;

/// Of the band-splitting filters and of AEC3's framing into 64 samples at 16 kHz; measured by
/// correlation.
const DELAY_SAMPLES: usize = 433;

/// Far-end speech that AEC3 needs to learn a room from nothing.
const CONVERGENCE_BLOCKS: usize = 200;
