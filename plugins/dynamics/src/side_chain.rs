//! What the stages share that steer a gain by a level.
//!
//! The level is the highest sample of all channels in a hop of a third of a millisecond, and the
//! gain moves in a straight line from hop to hop. So logarithms and powers are taken 3000 times a
//! second and not 48 000 times, and the gain has no steps.

use foldback_stage::{AudioBlock, BLOCK_SAMPLES, Ramp, ms_to_samples};

use crate::without_subnormals;

pub(crate) const HOP_SAMPLES: usize = 16;

/// Hops of a block.
pub(crate) const HOPS: usize = BLOCK_SAMPLES / HOP_SAMPLES;

/// `ms` milliseconds in hops, not rounded.
pub(crate) fn ms_to_hops(ms: f32) -> f32 {
    ms_to_samples(ms) / HOP_SAMPLES as f32
}

/// The amplitude of each hop over all planes.
pub(crate) fn hop_peaks<'a>(planes: impl Iterator<Item = &'a [f32]>) -> [f32; HOPS] {
    let mut peaks = [0.0f32; HOPS];
    for plane in planes {
        for (peak, hop) in peaks.iter_mut().zip(plane.chunks_exact(HOP_SAMPLES)) {
            // Four at a time, for which processors have one instruction.
            let mut lanes = [*peak; 4];
            for four in hop.chunks_exact(lanes.len()) {
                for (lane, sample) in lanes.iter_mut().zip(four) {
                    *lane = lane.max(sample.abs());
                }
            }
            *peak = lanes.into_iter().fold(0.0, f32::max);
        }
    }
    peaks
}

/// A ramp's value a hop later.
pub(crate) fn next_hop(ramp: &mut Ramp) -> f32 {
    ramp.steady().unwrap_or_else(|| (0..HOP_SAMPLES).fold(0.0, |_, _| ramp.next()))
}

/// A gain that moves from hop to hop.
#[derive(Clone)]
pub(crate) struct MovingGain {
    /// Where the last block left it.
    gain: f32,
}

impl MovingGain {
    pub(crate) fn new(gain: f32) -> Self {
        Self { gain }
    }

    /// Applies the gains that each hop is to end with. Gains of 1 change no bit.
    pub(crate) fn apply(&mut self, block: &mut AudioBlock<'_>, gains: &[f32; HOPS]) {
        let before = std::mem::replace(&mut self.gain, gains[HOPS - 1]);
        if before == 1.0 && gains.iter().all(|gain| *gain == 1.0) {
            return;
        }
        for plane in block.planes_mut() {
            let mut from = before;
            for (hop, to) in plane.chunks_exact_mut(HOP_SAMPLES).zip(gains) {
                let step = (to - from) / HOP_SAMPLES as f32;
                for (n, sample) in hop.iter_mut().enumerate() {
                    *sample = without_subnormals(*sample * (from + step * (n + 1) as f32));
                }
                from = *to;
            }
        }
    }
}

/// How a gain reduction follows the one that is wanted: up with the attack, down with the release.
///
/// The "smooth decoupled peak detector" behind a gain computer in the logarithmic domain of
/// D. Giannoulis, M. Massberg, J. D. Reiss: "Digital Dynamic Range Compressor Design - A Tutorial
/// and Analysis", J. Audio Eng. Soc. 60 (6), 2012, equation 17.
#[derive(Clone)]
pub(crate) struct Reduction {
    attack: f32,
    release: f32,
    held_db: f32,
    smooth_db: f32,
}

impl Reduction {
    /// None yet; with time constants in ms.
    pub(crate) fn new(attack_ms: f32, release_ms: f32) -> Self {
        let mut reduction = Self { attack: 0.0, release: 0.0, held_db: 0.0, smooth_db: 0.0 };
        reduction.retime(attack_ms, release_ms);
        reduction
    }

    pub(crate) fn retime(&mut self, attack_ms: f32, release_ms: f32) {
        // What is left of a difference after a hop.
        let left = |ms: f32| (-1.0 / ms_to_hops(ms)).exp();
        (self.attack, self.release) = (left(attack_ms), left(release_ms));
    }

    /// The reduction in dB, from 0 up, one hop later.
    pub(crate) fn next(&mut self, wanted_db: f32) -> f32 {
        self.held_db = wanted_db.max(wanted_db + (self.held_db - wanted_db) * self.release);
        self.smooth_db = self.held_db + (self.smooth_db - self.held_db) * self.attack;
        if self.held_db.max(self.smooth_db) < Self::INAUDIBLE_DB {
            (self.held_db, self.smooth_db) = (0.0, 0.0);
        }
        self.smooth_db
    }

    /// What a release ends with, so that it does end.
    const INAUDIBLE_DB: f32 = 1e-4;

    /// Blocks until what was before is forgotten to a twentieth.
    pub(crate) fn settle_blocks(&self) -> usize {
        let time_constant_hops = |left: f32| -1.0 / left.ln();
        let hops = time_constant_hops(self.attack) + time_constant_hops(self.release);
        (3.0 * hops / HOPS as f32).ceil() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_of_a_hop_is_its_highest_sample_on_any_channel() {
        let (mut left, mut right) = ([0.1f32; BLOCK_SAMPLES], [0.2f32; BLOCK_SAMPLES]);
        left[HOP_SAMPLES - 1] = -0.9;
        right[5 * HOP_SAMPLES] = 0.7;
        let peaks = hop_peaks([&left[..], &right[..]].into_iter());
        let mut expected = [0.2; HOPS];
        (expected[0], expected[5]) = (0.9, 0.7);
        assert_eq!(peaks, expected);
    }

    #[test]
    fn a_reduction_rises_by_its_attack_falls_by_its_release_and_ends() {
        let mut reduction = Reduction::new(10.0, 100.0);
        let mut run = |wanted_db, ms| {
            (0..ms_to_hops(ms) as usize).fold(0.0, |_, _| reduction.next(wanted_db))
        };
        let risen = run(10.0, 10.0);
        assert!((risen - 6.32).abs() < 0.05, "{risen} dB after one attack");
        run(10.0, 100.0);
        let fallen = run(0.0, 100.0);
        // The attack lies behind the release and holds it back by as much.
        assert!((3.6..4.2).contains(&fallen), "{fallen} dB after one release");
        assert_eq!(run(0.0, 1500.0), 0.0);
    }
}
