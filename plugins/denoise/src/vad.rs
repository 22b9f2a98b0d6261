//! `vad`: tells how likely a block holds speech, and leaves the audio alone.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat,
    StageKind, StageReport, ms_to_samples,
};

use crate::network::{Network, WARM_UP_BLOCKS, prime_thread};

const HOLD_MS: ParamSpec = ParamSpec::float(
    "hold_ms",
    "ms",
    0.0,
    1000.0,
    200.0,
    "For how long the highest probability is kept, to bridge the gaps between syllables.",
);

/// `{ kind = "vad", hold_ms = 200 }`
pub const KIND: StageKind = StageKind {
    name: "vad",
    about: "Voice activity (RNNoise): tells later stages and the mixer the probability of speech; \
            changes no sample.",
    params: &[HOLD_MS],
    build: &build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    prime_thread();
    let hold_samples = ms_to_samples(params.float(&HOLD_MS));
    let hold_blocks = (hold_samples / BLOCK_SAMPLES as f32).round() as usize;
    Ok(Box::new(Vad { network: Network::new(), recent: vec![0.0; hold_blocks + 1], next: 0 }))
}

#[derive(Clone)]
struct Vad {
    network: Network,
    /// The probabilities of the last blocks, a ring.
    recent: Vec<f32>,
    next: usize,
}

impl Vad {
    fn remember(&mut self, voice_probability: f32) {
        self.recent[self.next] = voice_probability;
        self.next = (self.next + 1) % self.recent.len();
    }

    fn voice_probability(&self) -> f32 {
        self.recent.iter().copied().fold(0.0, f32::max)
    }
}

impl Stage for Vad {
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>) {
        let Some(mono) = downmixed(block) else { return };
        let heard = self.network.hear(&mono);
        self.remember(heard.map_or(0.0, |heard| heard.voice_probability));
        cx.voice_probability = Some(self.voice_probability());
    }

    fn idle(&mut self, cx: &mut BlockContext<'_>) {
        self.remember(0.0);
        cx.voice_probability = Some(self.voice_probability());
    }

    fn warm_up_blocks(&self) -> usize {
        WARM_UP_BLOCKS + self.recent.len() - 1
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }

    fn report(&self, report: &mut StageReport) {
        report.add("voice_probability", self.voice_probability());
    }
}

/// The mean of the channels. `None` for a length that the library would panic on, which the
/// contract of a block excludes.
fn downmixed(block: &AudioBlock<'_>) -> Option<[f32; BLOCK_SAMPLES]> {
    let mut mono: [f32; BLOCK_SAMPLES] = block.left().try_into().ok()?;
    if let Some(right) = block.planes().nth(1) {
        mono.iter_mut().zip(right).for_each(|(mono, right)| *mono = 0.5 * (*mono + right));
    }
    Some(mono)
}
