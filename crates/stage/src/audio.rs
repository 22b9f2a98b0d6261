//! Blocks of samples: an owned buffer and the view of it that stages get.

/// The one sample rate inside foldback, in Hz. Opus decodes to it and encodes from it.
pub const SAMPLE_RATE_HZ: u32 = 48_000;

/// Samples per channel in one block: 10 ms at 48 kHz.
pub const BLOCK_SAMPLES: usize = 480;

/// Blocks are mono or stereo.
pub const MAX_CHANNELS: usize = 2;

/// The most that a sample of a stage's input amounts to: 24 dB above full scale. A chain sees to it.
pub const MAX_AMPLITUDE: f32 = 16.0;

/// An owned block: [`BLOCK_SAMPLES`] samples for each of one or two channels. Never allocates.
#[derive(Clone, Debug)]
pub struct AudioBuffer {
    planes: [[f32; BLOCK_SAMPLES]; MAX_CHANNELS],
    channels: usize,
}

impl AudioBuffer {
    /// A silent mono block.
    #[must_use]
    pub fn mono() -> Self {
        Self { planes: [[0.0; BLOCK_SAMPLES]; MAX_CHANNELS], channels: 1 }
    }

    /// A silent stereo block.
    #[must_use]
    pub fn stereo() -> Self {
        Self { channels: 2, ..Self::mono() }
    }

    /// The view that a stage processes.
    #[inline]
    pub fn block(&mut self) -> AudioBlock<'_> {
        let [left, right] = &mut self.planes;
        AudioBlock { left, right: if self.channels == 2 { Some(right) } else { None } }
    }

    /// The number of channels, 1 or 2.
    #[must_use]
    #[inline]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The samples of one channel (0 is left or mono).
    ///
    /// # Panics
    /// If `channel` is not below [`Self::channels`].
    #[must_use]
    pub fn plane(&self, channel: usize) -> &[f32; BLOCK_SAMPLES] {
        assert!(channel < self.channels, "channel {channel} of {}", self.channels);
        &self.planes[channel]
    }

    /// The samples of one channel, to write.
    ///
    /// # Panics
    /// If `channel` is not below [`Self::channels`].
    pub fn plane_mut(&mut self, channel: usize) -> &mut [f32; BLOCK_SAMPLES] {
        assert!(channel < self.channels, "channel {channel} of {}", self.channels);
        &mut self.planes[channel]
    }

    /// Sets every sample to zero.
    pub fn clear(&mut self) {
        self.planes = [[0.0; BLOCK_SAMPLES]; MAX_CHANNELS];
    }

    /// Takes over channels and samples of another buffer.
    pub fn copy_from(&mut self, other: &Self) {
        self.channels = other.channels;
        for (plane, of) in self.planes.iter_mut().zip(&other.planes).take(other.channels) {
            plane.copy_from_slice(of);
        }
    }

    /// Whether every sample is a finite number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.is_within(f32::MAX)
    }

    /// Makes every sample fit for a stage: within ±[`MAX_AMPLITUDE`], and 0 where it was no number.
    pub fn sanitize(&mut self) {
        if self.is_within(MAX_AMPLITUDE) {
            return;
        }
        for sample in self.planes.iter_mut().take(self.channels).flatten() {
            let sane = sample.clamp(-MAX_AMPLITUDE, MAX_AMPLITUDE);
            *sample = if sane.is_nan() { 0.0 } else { sane };
        }
    }

    /// Counted without a branch, which compilers turn into a few instructions for four samples.
    fn is_within(&self, bound: f32) -> bool {
        let within = |plane: &[f32; BLOCK_SAMPLES]| -> u32 {
            plane.iter().map(|s| u32::from(s.abs() <= bound)).sum()
        };
        self.planes[..self.channels].iter().all(|plane| within(plane) == BLOCK_SAMPLES as u32)
    }

    /// The root mean square over all channels, as an amplitude in 0..=1 for audio within ±1.
    #[must_use]
    pub fn rms(&self) -> f32 {
        let planes = &self.planes[..self.channels];
        let energy: f32 = planes.iter().flatten().map(|s| s * s).sum();
        (energy / (BLOCK_SAMPLES * self.channels) as f32).sqrt()
    }
}

/// A borrowed block as a stage sees it: one or two planes of the same length.
#[derive(Debug)]
pub struct AudioBlock<'a> {
    left: &'a mut [f32],
    right: Option<&'a mut [f32]>,
}

impl<'a> AudioBlock<'a> {
    /// A mono block over `plane`.
    #[inline]
    pub fn mono(plane: &'a mut [f32]) -> Self {
        Self { left: plane, right: None }
    }

    /// A stereo block over two planes.
    ///
    /// # Panics
    /// If the planes differ in length.
    pub fn stereo(left: &'a mut [f32], right: &'a mut [f32]) -> Self {
        assert_eq!(left.len(), right.len(), "planes of a block have one length");
        Self { left, right: Some(right) }
    }

    /// The number of channels, 1 or 2.
    #[must_use]
    pub fn channels(&self) -> usize {
        1 + usize::from(self.right.is_some())
    }

    /// Samples per channel.
    #[must_use]
    #[inline]
    pub fn frames(&self) -> usize {
        self.left.len()
    }

    /// The left (or only) channel.
    #[must_use]
    pub fn left(&self) -> &[f32] {
        self.left
    }

    /// Left, and right if there is one, to write both at once.
    #[inline]
    pub fn sides_mut(&mut self) -> (&mut [f32], Option<&mut [f32]>) {
        (&mut *self.left, self.right.as_deref_mut())
    }

    /// The planes in order: left, then right if there is one.
    pub fn planes(&self) -> impl Iterator<Item = &[f32]> {
        std::iter::once(&*self.left).chain(self.right.as_deref())
    }

    /// The planes in order, to write.
    pub fn planes_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        std::iter::once(&mut *self.left).chain(self.right.as_deref_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mono_buffer_shows_one_plane_and_a_stereo_buffer_two() {
        assert_eq!(AudioBuffer::mono().block().planes().count(), 1);
        let mut stereo = AudioBuffer::stereo();
        assert_eq!(stereo.block().channels(), 2);
        stereo.block().planes_mut().last().expect("right")[7] = 0.5;
        assert_eq!(stereo.plane(1)[7], 0.5);
        assert_eq!(stereo.plane(0)[7], 0.0);
    }

    #[test]
    fn what_is_no_number_or_far_too_much_is_made_fit() {
        let mut buffer = AudioBuffer::mono();
        buffer.plane_mut(0)[..5].copy_from_slice(&[f32::NAN, f32::INFINITY, -1e30, 15.0, -0.1]);
        assert!(!buffer.is_finite());
        buffer.sanitize();
        assert!(buffer.is_finite());
        assert_eq!(buffer.plane(0)[..5], [0.0, 16.0, -16.0, 15.0, -0.1]);
    }

    #[test]
    fn rms_of_a_full_scale_square_is_one() {
        let mut buffer = AudioBuffer::mono();
        buffer.plane_mut(0).fill(-1.0);
        assert_eq!(buffer.rms(), 1.0);
    }
}
