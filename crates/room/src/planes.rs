//! Sound of one channel or two.
//!
//! From the decoder to the room, stereo is not left and right, but what both have in common, and
//! what they differ in. Where to cut, to repeat and to join is decided by what they have in common
//! alone, and then done to both: so sides stay where they are, and mono is treated as ever.

use std::ops::Range;

use foldback_stage::{AudioBlock, AudioBuffer, StageFormat};

/// Room for so many samples of each channel. Allocates when it is made or grows, and at no other
/// time.
pub(crate) struct Planes {
    first: Vec<f32>,
    second: Option<Vec<f32>>,
}

impl Planes {
    /// So many samples of silence.
    pub(crate) fn new(format: StageFormat, samples: usize) -> Self {
        let second = (format == StageFormat::STEREO).then(|| vec![0.0; samples]);
        Self { first: vec![0.0; samples], second }
    }

    /// Silence of as many channels and samples. Allocates.
    pub(crate) fn silent_copy(&self) -> Self {
        let second = self.second.as_ref().map(|plane| vec![0.0; plane.len()]);
        Self { first: vec![0.0; self.first.len()], second }
    }

    /// Makes room for so many samples, if there is not so much. Allocates.
    pub(crate) fn grow(&mut self, samples: usize) {
        for plane in std::iter::once(&mut self.first).chain(&mut self.second) {
            let more = samples.saturating_sub(plane.len());
            plane.reserve_exact(more);
            plane.extend(std::iter::repeat_n(0.0, more));
        }
    }

    /// Samples that there is room for.
    pub(crate) fn len(&self) -> usize {
        self.first.len()
    }

    /// Mono, or of stereo the left side or the middle.
    pub(crate) fn first(&self) -> &[f32] {
        &self.first
    }

    /// Of stereo the right side, or what is at the sides.
    pub(crate) fn second(&self) -> Option<&[f32]> {
        self.second.as_deref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        std::iter::once(&*self.first).chain(self.second.as_deref())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        std::iter::once(&mut *self.first).chain(self.second.as_deref_mut())
    }

    /// Those samples of each plane; `None` if there are not so many.
    pub(crate) fn get_mut(&mut self, range: Range<usize>) -> Option<AudioBlock<'_>> {
        let first = self.first.get_mut(range.clone())?;
        Some(match &mut self.second {
            Some(second) => AudioBlock::stereo(first, &mut second[range]),
            None => AudioBlock::mono(first),
        })
    }

    /// The first `n` samples of each plane, or all if there are not so many.
    pub(crate) fn head_mut(&mut self, n: usize) -> AudioBlock<'_> {
        let n = n.min(self.len());
        match &mut self.second {
            Some(second) => AudioBlock::stereo(&mut self.first[..n], &mut second[..n]),
            None => AudioBlock::mono(&mut self.first[..n]),
        }
    }

    /// Writes the samples from `from` on to `out`, as many as that takes.
    pub(crate) fn read(&self, from: usize, out: &mut AudioBlock<'_>) {
        let range = from..from + out.frames();
        let (first, second) = out.sides_mut();
        first.copy_from_slice(&self.first[range.clone()]);
        if let (Some(out), Some(plane)) = (second, self.second()) {
            out.copy_from_slice(&plane[range]);
        }
    }

    pub(crate) fn clear_part(&mut self, range: Range<usize>) {
        self.iter_mut().for_each(|plane| plane[range.clone()].fill(0.0));
    }

    pub(crate) fn clear(&mut self) {
        self.iter_mut().for_each(|plane| plane.fill(0.0));
    }

    /// Takes over the samples of another one of as many channels.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        for (plane, other) in self.iter_mut().zip(other.iter()) {
            plane.copy_from_slice(other);
        }
    }
}

/// What `left` and `right` have in common, and what they differ in.
pub(crate) fn middle_and_side(left: f32, right: f32) -> (f32, f32) {
    (0.5 * (left + right), 0.5 * (left - right))
}

/// Turns a stereo block of middle and side into left and right; mono stays as it is.
pub(crate) fn to_left_and_right(block: &mut AudioBuffer) {
    if block.channels() == 1 {
        return;
    }
    if let (first, Some(second)) = block.block().sides_mut() {
        for (first, second) in first.iter_mut().zip(second) {
            (*first, *second) = (*first + *second, *first - *second);
        }
    }
}

/// Adds `voice` to a sum, multiplied by a gain that goes in a straight line from `from`, before its
/// first sample, to `to`, at its last.
pub(crate) fn add_ramped(sum: &mut [f32], voice: &[f32], from: f32, to: f32) {
    let step = (to - from) / sum.len() as f32;
    for (i, (sum, sample)) in sum.iter_mut().zip(voice).enumerate() {
        *sum += (from + step * (i + 1) as f32) * sample;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_and_right_come_back_from_middle_and_side() {
        let mut block = AudioBuffer::stereo();
        (block.plane_mut(0)[7], block.plane_mut(1)[7]) = middle_and_side(0.5, -0.25);
        to_left_and_right(&mut block);
        assert_eq!((block.plane(0)[7], block.plane(1)[7]), (0.5, -0.25));
    }
}
