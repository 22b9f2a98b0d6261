//! `denoise`: removes steady and many sudden noises, and tells how likely a block holds speech.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat,
    StageKind, StageReport,
};
use nnnoiseless::DenoiseState;

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
    build,
};

/// Makes the current thread ready: nnnoiseless keeps its FFT plans in thread-local storage and
/// allocates them in the first frame that a thread processes.
///
/// [`KIND`] does so for the thread it builds on. A thread that will only ever call
/// [`Stage::process`] must call this once before its deadlines begin, or its first block with a
/// `denoise` stage allocates. Later calls on the same thread cost about 0.1 ms.
pub fn prime_thread() {
    let mut state = DenoiseState::new();
    let mut output = [0.0; BLOCK_SAMPLES];
    // A silent frame would leave the network and the inverse transform unused.
    let input = std::array::from_fn::<f32, BLOCK_SAMPLES, _>(|i| ((i * 37) % 101) as f32 * 50.0);
    state.process_frame(&mut output, &input);
    state.process_frame(&mut output, &input);
}

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

/// The recurrent network needs this long to know the noise (measured: see `tests/denoise.rs`).
const WARM_UP_BLOCKS: usize = 100;

/// nnnoiseless takes samples in the range of 16-bit integers.
const FULL_SCALE: f32 = 32_768.0;

/// -180 dBFS. Below this a block counts as digital silence.
const SILENCE: f32 = 1e-9;

/// After so many silent blocks the library's high-pass (which falls to 0.38 within a block) is
/// far below hearing and far above subnormal numbers, and there it is stopped.
const TAIL_BLOCKS: usize = 20;

#[derive(Clone)]
struct Channel {
    state: Box<DenoiseState<'static>>,
    wet: f32,
    /// The input of the block before, which is what the output of this block is made from.
    dry: [f32; BLOCK_SAMPLES],
    silent_blocks: usize,
}

impl Channel {
    fn new(wet: f32) -> Self {
        Self { state: DenoiseState::new(), wet, dry: [0.0; BLOCK_SAMPLES], silent_blocks: 0 }
    }

    /// Returns the probability of speech.
    fn run(&mut self, plane: &mut [f32; BLOCK_SAMPLES]) -> f32 {
        let silent = plane.iter().all(|s| s.abs() < SILENCE);
        self.silent_blocks = if silent { self.silent_blocks + 1 } else { 0 };
        if self.silent_blocks > TAIL_BLOCKS {
            plane.fill(0.0);
            return 0.0;
        }
        let scaled = plane.map(|s| s * FULL_SCALE);
        let mut cleaned = [0.0; BLOCK_SAMPLES];
        let probability = self.state.process_frame(&mut cleaned, &scaled);
        let dry = std::mem::replace(&mut self.dry, *plane);
        for ((out, clean), dry) in plane.iter_mut().zip(cleaned).zip(dry) {
            *out = self.wet * (clean / FULL_SCALE) + (1.0 - self.wet) * dry;
        }
        probability
    }
}
