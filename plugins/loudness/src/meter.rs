//! The loudness of what comes in: of the last 3 s, and of the last programme.

use std::collections::VecDeque;

use ebur128::{EbuR128, Error, Mode, energy_to_loudness};
use foldback_stage::{AudioBlock, BLOCK_SAMPLES, MAX_CHANNELS, SAMPLE_RATE_HZ};

/// What silence measures, in LUFS: the absolute gate of BS.1770.
pub(crate) const SILENCE_LUFS: f32 = -70.0;

/// Windows move on by hops of 100 ms.
const HOP_BLOCKS: usize = 10;

/// A gating block, the window that is programme or not: 400 ms.
const GATING_HOPS: usize = 4;

/// The short-term window: 3 s.
const SHORT_TERM_HOPS: usize = 30;

/// How much programme is remembered: 10 s.
const PROGRAMME_HOPS: usize = 100;

/// How many blocks of programme a fresh meter needs to measure what one does that ran all along.
pub(crate) const WARM_UP_BLOCKS: usize = PROGRAMME_HOPS * HOP_BLOCKS;

/// A gating block counts if its energy is above this share of the mean: the relative gate, -10 LU.
const RELATIVE_GATE: f64 = 0.1;

/// Measures loudness by the windows and gates of ITU-R BS.1770-5 and EBU Tech 3341, but for the
/// programme being the last 10 s of it.
///
/// ebur128 weights the signal (K filter) and sums its squares over a block. The longer windows
/// are kept here: its own sum up to 3 s of samples in a single call, and its gated loudness is
/// that of everything it ever heard.
pub(crate) struct Meter {
    weighted: EbuR128,
    hop_energy: f64,
    hop_blocks: usize,
    /// Mean energies of the last hops, the oldest first.
    hops: VecDeque<f64>,
    /// Mean energies of the last gating blocks above the absolute gate.
    programme: VecDeque<f64>,
    programme_lufs: Option<f32>,
}

impl Meter {
    /// Allocates 150 KiB per channel.
    pub(crate) fn new(channels: usize) -> Result<Self, Error> {
        Ok(Self {
            weighted: EbuR128::new(channels as u32, SAMPLE_RATE_HZ, Mode::M)?,
            hop_energy: 0.0,
            hop_blocks: 0,
            hops: VecDeque::with_capacity(SHORT_TERM_HOPS),
            programme: VecDeque::with_capacity(PROGRAMME_HOPS),
            programme_lufs: None,
        })
    }

    /// Takes a block. Nothing below `gate_lufs` is programme. Never allocates.
    pub(crate) fn hear(&mut self, block: &AudioBlock<'_>, gate_lufs: f32) {
        self.hop_energy += self.energy(block);
        self.hop_blocks += 1;
        if self.hop_blocks == HOP_BLOCKS {
            push(&mut self.hops, SHORT_TERM_HOPS, self.hop_energy / HOP_BLOCKS as f64);
            (self.hop_energy, self.hop_blocks) = (0.0, 0);
            self.programme_lufs = self.gated_lufs(gate_lufs);
        }
    }

    /// Loudness of the last 3 s, in LUFS; before there were so many, as if silence had been.
    pub(crate) fn short_term_lufs(&self) -> f32 {
        to_lufs(self.hops.iter().sum::<f64>() / SHORT_TERM_HOPS as f64)
    }

    /// Gated loudness of the last 10 s of programme, in LUFS. `None` where the last 400 ms were
    /// none.
    pub(crate) fn programme_lufs(&self) -> Option<f32> {
        self.programme_lufs
    }

    /// Mean square of the weighted block, summed over its channels.
    fn energy(&mut self, block: &AudioBlock<'_>) -> f64 {
        const BLOCK_MS: u32 = (BLOCK_SAMPLES * 1000 / SAMPLE_RATE_HZ as usize) as u32;
        let mut planes: [&[f32]; MAX_CHANNELS] = [&[]; MAX_CHANNELS];
        planes.iter_mut().zip(block.planes()).for_each(|(to, plane)| *to = plane);
        let added = self.weighted.add_frames_planar_f32(&planes[..block.channels()]);
        let loudness = added.and_then(|()| self.weighted.loudness_window(BLOCK_MS));
        // Refused would be another number of channels, which the contract of a block excludes.
        loudness.map_or(0.0, to_energy)
    }

    fn gated_lufs(&mut self, gate_lufs: f32) -> Option<f32> {
        if self.hops.len() < GATING_HOPS {
            return None;
        }
        let latest = self.hops.iter().rev().take(GATING_HOPS).sum::<f64>() / GATING_HOPS as f64;
        if latest < to_energy(gate_lufs.into()) {
            return None;
        }
        push(&mut self.programme, PROGRAMME_HOPS, latest);
        let gate = RELATIVE_GATE * mean(self.programme.iter().copied());
        let gated = self.programme.iter().copied().filter(|energy| *energy >= gate);
        (latest >= gate).then(|| to_lufs(mean(gated)))
    }
}

fn push(window: &mut VecDeque<f64>, length: usize, value: f64) {
    if window.len() == length {
        window.pop_front();
    }
    window.push_back(value);
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

fn to_energy(lufs: f64) -> f64 {
    // What ebur128 adds for the gain of the K filter at 1 kHz.
    const OFFSET_LU: f64 = 0.691;
    10f64.powf((lufs + OFFSET_LU) / 10.0)
}

fn to_lufs(energy: f64) -> f32 {
    (energy_to_loudness(energy) as f32).max(SILENCE_LUFS)
}
