//! What the participant was played lately.

use foldback_stage::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};

/// The longest delay at which a block can be had back.
const MAX_DELAY_SAMPLES: usize = 2 * SAMPLE_RATE_HZ as usize;

/// A power of two, so that a place in the ring is found by a mask.
const LENGTH: usize = (MAX_DELAY_SAMPLES + BLOCK_SAMPLES).next_power_of_two();

/// A ring of the far end, written once per tick. Never allocates but when made (512 KiB).
pub(crate) struct FarEnd {
    ring: Vec<f32>,
    /// Where the next block is written.
    next: usize,
    /// The delay of the block that was read last.
    delay_samples: usize,
}

impl FarEnd {
    /// A ring of silence.
    pub(crate) fn new() -> Self {
        Self { ring: vec![0.0; LENGTH], next: 0, delay_samples: 0 }
    }

    /// Takes the block of this tick.
    pub(crate) fn push(&mut self, block: &[f32; BLOCK_SAMPLES]) {
        for (index, sample) in block.iter().enumerate() {
            self.ring[(self.next + index) % LENGTH] = *sample;
        }
        self.next = (self.next + BLOCK_SAMPLES) % LENGTH;
    }

    /// The block that was pushed `delay_samples` ago (at most 2 s). After another delay than in the
    /// call before, that one is faded into this one, since a step in the reference would be
    /// heard as the echo of a click.
    pub(crate) fn delayed(&mut self, delay_samples: usize) -> [f32; BLOCK_SAMPLES] {
        let delay_samples = delay_samples.min(MAX_DELAY_SAMPLES);
        let mut block = self.read(delay_samples);
        if delay_samples != self.delay_samples {
            let before = self.read(self.delay_samples);
            for (index, (sample, before)) in block.iter_mut().zip(before).enumerate() {
                let share = (index + 1) as f32 / BLOCK_SAMPLES as f32;
                *sample = before + share * (*sample - before);
            }
            self.delay_samples = delay_samples;
        }
        block
    }

    fn read(&self, delay_samples: usize) -> [f32; BLOCK_SAMPLES] {
        let start = self.next + LENGTH - BLOCK_SAMPLES - delay_samples;
        std::array::from_fn(|index| self.ring[(start + index) % LENGTH])
    }
}
