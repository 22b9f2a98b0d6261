//! What a participant is played, and how late it comes back.

use foldback_stage::{BLOCK_SAMPLES, BlockContext, StageReport, samples_to_ms};

use crate::apm::Stats;
use crate::echo_delay::EchoDelay;
use crate::far_end::FarEnd;

/// The reference comes this much before its strongest echo: 20 ms.
const MARGIN_SAMPLES: usize = 960;

const SILENCE: [f32; BLOCK_SAMPLES] = [0.0; BLOCK_SAMPLES];

/// Looks for the echo, and has the reference for AEC3. Never allocates but when made.
pub(crate) struct EchoPath {
    far_end: FarEnd,
    delay: EchoDelay,
    refused_far_ends: u64,
}

impl EchoPath {
    pub(crate) fn new() -> Self {
        Self { far_end: FarEnd::new(), delay: EchoDelay::new(), refused_far_ends: 0 }
    }

    /// Takes what was played and heard in a tick. Without a far end the participant hears silence;
    /// one of another form is counted, and taken for silence too.
    pub(crate) fn observe(&mut self, microphone: &[f32], cx: &BlockContext<'_>) {
        let far_end = cx.far_end.unwrap_or(&SILENCE).try_into().unwrap_or_else(|_| {
            self.refused_far_ends += 1;
            &SILENCE
        });
        self.far_end.push(far_end);
        self.delay.shift(cx.timeline.shift_samples);
        self.delay.push(far_end, microphone.try_into().unwrap_or(&SILENCE));
    }

    /// As [`Self::observe`], for a tick in which nothing was heard.
    pub(crate) fn observe_idle(&mut self, cx: &BlockContext<'_>) {
        self.observe(&SILENCE, cx);
    }

    /// What AEC3 is to take for the far end of this tick. Until an echo is found it hears that nothing
    /// is played: it passes audio as it came, and learns nothing that is wrong.
    pub(crate) fn reference(&mut self) -> [f32; BLOCK_SAMPLES] {
        self.delay.samples().map_or(SILENCE, |delay_samples| {
            self.far_end.delayed(delay_samples.saturating_sub(MARGIN_SAMPLES))
        })
    }

    /// Far ends that were not as long as a block.
    pub(crate) fn refused_far_ends(&self) -> u64 {
        self.refused_far_ends
    }

    /// Reports what is known of the echo, with what AEC3 says.
    pub(crate) fn report(&self, stats: &Stats, report: &mut StageReport) {
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
    }
}
