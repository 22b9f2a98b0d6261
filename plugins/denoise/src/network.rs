//! One channel of nnnoiseless, which sleeps through digital silence.

use foldback_stage::BLOCK_SAMPLES;
use nnnoiseless::DenoiseState;

/// Makes the current thread ready: nnnoiseless keeps its FFT plans in thread-local storage and
/// allocates them in the first frame that a thread processes.
///
/// A kind of this crate does so for the thread it is built on. A thread that will only ever call
/// [`Stage::process`](foldback_stage::Stage::process) must call this once before its deadlines
/// begin, or its first block with such a stage allocates. Later calls on the same thread cost
/// about 0.1 ms.
pub fn prime_thread() {
    let mut state = DenoiseState::new();
    let mut output = [0.0; BLOCK_SAMPLES];
    // A silent frame would leave the network and the inverse transform unused.
    let input = std::array::from_fn::<f32, BLOCK_SAMPLES, _>(|i| ((i * 37) % 101) as f32 * 50.0);
    state.process_frame(&mut output, &input);
    state.process_frame(&mut output, &input);
}

/// The recurrent network needs this long to know the noise (measured: see `tests/`).
pub(crate) const WARM_UP_BLOCKS: usize = 100;

/// What the network makes of a block.
pub(crate) struct Heard {
    /// The block before, cleaned.
    pub(crate) cleaned: [f32; BLOCK_SAMPLES],
    /// Probability in 0..=1 that there is speech.
    pub(crate) voice_probability: f32,
}

#[derive(Clone)]
pub(crate) struct Network {
    state: Box<DenoiseState<'static>>,
    silent_blocks: usize,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self { state: DenoiseState::new(), silent_blocks: 0 }
    }

    /// Takes the next block. `None` where silence has lasted so long that all that could come is
    /// silence, too.
    pub(crate) fn hear(&mut self, block: &[f32; BLOCK_SAMPLES]) -> Option<Heard> {
        let silent = block.iter().all(|s| s.abs() < SILENCE);
        self.silent_blocks = if silent { self.silent_blocks + 1 } else { 0 };
        if self.silent_blocks > TAIL_BLOCKS {
            return None;
        }
        let scaled = block.map(|s| s * FULL_SCALE);
        let mut cleaned = [0.0; BLOCK_SAMPLES];
        let voice_probability = self.state.process_frame(&mut cleaned, &scaled);
        Some(Heard { cleaned: cleaned.map(|s| s / FULL_SCALE), voice_probability })
    }
}

/// nnnoiseless takes samples in the range of 16-bit integers.
const FULL_SCALE: f32 = 32_768.0;

/// -180 dBFS. Below this a block counts as digital silence.
const SILENCE: f32 = 1e-9;

/// After so many silent blocks the library's high-pass (which falls to 0.38 within a block) is
/// far below hearing and far above subnormal numbers, and there it is stopped.
const TAIL_BLOCKS: usize = 20;
