//! `denoise`: removes steady and many sudden noises, and tells how likely a block holds speech.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat,
    StageKind, StageReport,
};

use crate::network::{Heard, Network, WARM_UP_BLOCKS, prime_thread};

const STRENGTH: ParamSpec = ParamSpec::float(
    "strength",
    "",
    0.0,
    1.0,
    1.0,
    "Share of the cleaned signal; the rest is the input. At 0.9 noise falls by 20 dB at most.",
);

/// `{ kind = "denoise", strength = 1.0 }`
pub const KIND: StageKind = StageKind {
    name: "denoise",
    about: "Neural noise suppression (RNNoise); also estimates the probability of speech.",
    params: &[STRENGTH],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    prime_thread();
    let wet = params.float(&STRENGTH);
    let channels = (0..format.channels).map(|_| Channel::new(wet)).collect();
    Ok(Box::new(Denoise { channels, voice_probability: 0.0 }))
}

#[derive(Clone)]
struct Denoise {
    channels: Vec<Channel>,
    voice_probability: f32,
}

impl Stage for Denoise {
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>) {
        self.voice_probability = 0.0;
        for (plane, channel) in block.planes_mut().zip(&mut self.channels) {
            // The library panics on any other length; the contract of a block excludes it.
            let Ok(plane) = plane.try_into() else { return };
            self.voice_probability = self.voice_probability.max(channel.run(plane));
        }
        cx.voice_probability = Some(self.voice_probability);
    }

    fn delay_samples(&self) -> usize {
        BLOCK_SAMPLES
    }

    fn warm_up_blocks(&self) -> usize {
        WARM_UP_BLOCKS
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }

    fn report(&self, report: &mut StageReport) {
        report.add("voice_probability", self.voice_probability);
    }
}

#[derive(Clone)]
struct Channel {
    network: Network,
    wet: f32,
    /// The input of the block before, which is what the output of this block is made from.
    dry: [f32; BLOCK_SAMPLES],
}

impl Channel {
    fn new(wet: f32) -> Self {
        Self { network: Network::new(), wet, dry: [0.0; BLOCK_SAMPLES] }
    }

    /// Returns the probability of speech.
    fn run(&mut self, plane: &mut [f32; BLOCK_SAMPLES]) -> f32 {
        let Some(Heard { cleaned, voice_probability }) = self.network.hear(plane) else {
            plane.fill(0.0);
            return 0.0;
        };
        let dry = std::mem::replace(&mut self.dry, *plane);
        for ((out, clean), dry) in plane.iter_mut().zip(cleaned).zip(dry) {
            *out = self.wet * clean + (1.0 - self.wet) * dry;
        }
        voice_probability
    }
}
