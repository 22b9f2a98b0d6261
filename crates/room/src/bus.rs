//! The sum of all voices.

use foldback_stage::{AudioBlock, StageFormat};

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::planes::Planes;

/// Where one channel of the voices of an outgoing packet is summed.
///
/// Each voice is added once; a mix without one voice takes that one out again. So mixing costs one
/// pass for each voice and one for each distinct mix, not one for each pair of them. Nothing here
/// allocates once it is made.
#[derive(Debug)]
pub struct MixBus {
    sum: Box<[f32; MAX_PACKET_SAMPLES_OUT]>,
    voices: usize,
    /// What is to be heard in the next packet of those who are here no more.
    farewell: Box<[f32; MAX_PACKET_SAMPLES_OUT]>,
    farewells: usize,
}

impl MixBus {
    /// An empty bus, for packets of up to 20 ms at 48 kHz.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sum: Box::new([0.0; MAX_PACKET_SAMPLES_OUT]),
            voices: 0,
            farewell: Box::new([0.0; MAX_PACKET_SAMPLES_OUT]),
            farewells: 0,
        }
    }

    /// Begins the next packet, with what [`Self::part_with`] was given for it.
    pub fn begin(&mut self) {
        *self.sum = *self.farewell;
        self.farewell.fill(0.0);
        self.voices = std::mem::take(&mut self.farewells);
    }

    /// Adds a voice; what is longer than a packet is left out.
    pub fn add(&mut self, voice: &[f32]) {
        add(&mut *self.sum, voice, 1.0);
        self.voices += 1;
    }

    /// Adds to the next packet the last of somebody who leaves, faded out.
    pub fn part_with(&mut self, voice: &[f32]) {
        add(&mut *self.farewell, voice, 1.0);
        self.farewells += 1;
    }

    /// How many voices are in the packet.
    #[must_use]
    pub fn voices(&self) -> usize {
        self.voices
    }

    /// Writes the sum of all voices to `out`, which is as long as a packet or shorter.
    pub fn all(&self, out: &mut [f32]) {
        let samples = out.len().min(MAX_PACKET_SAMPLES_OUT);
        out[..samples].copy_from_slice(&self.sum[..samples]);
    }

    /// Writes the sum of all voices but `own`, which was added.
    pub fn without(&self, own: &[f32], out: &mut [f32]) {
        self.all(out);
        add(out, own, -1.0);
    }
}

impl Default for MixBus {
    fn default() -> Self {
        Self::new()
    }
}

/// A bus for each channel of a room.
pub(crate) struct Buses(Box<[MixBus]>);

impl Buses {
    pub(crate) fn new(format: StageFormat) -> Self {
        Self((0..format.channels).map(|_| MixBus::new()).collect())
    }

    pub(crate) fn begin(&mut self) {
        self.0.iter_mut().for_each(MixBus::begin);
    }

    pub(crate) fn add(&mut self, voice: &Planes) {
        self.0.iter_mut().zip(voice.iter()).for_each(|(bus, plane)| bus.add(plane));
    }

    /// As [`MixBus::part_with`], of so many samples.
    pub(crate) fn part_with(&mut self, voice: &Planes, packet_samples: usize) {
        let planes = self.0.iter_mut().zip(voice.iter());
        planes.for_each(|(bus, plane)| bus.part_with(&plane[..packet_samples]));
    }

    /// How many voices are in the packet.
    pub(crate) fn voices(&self) -> usize {
        self.0.first().map_or(0, MixBus::voices)
    }

    pub(crate) fn all(&self, out: &mut AudioBlock<'_>) {
        self.0.iter().zip(out.planes_mut()).for_each(|(bus, out)| bus.all(out));
    }

    pub(crate) fn without(&self, own: &Planes, out: &mut AudioBlock<'_>) {
        let planes = self.0.iter().zip(own.iter()).zip(out.planes_mut());
        planes.for_each(|((bus, own), out)| bus.without(own, out));
    }
}

fn add(sum: &mut [f32], part: &[f32], factor: f32) {
    for (s, p) in sum.iter_mut().zip(part) {
        *s += factor * p;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_is_heard_by_all_but_its_own() {
        let mut bus = MixBus::new();
        bus.begin();
        let (ann, bob) = ([0.25; 960], [0.5; 960]);
        bus.add(&ann);
        bus.add(&bob);
        let mut out = [0.0; 480];
        bus.all(&mut out);
        assert_eq!((out[0], out[479], bus.voices()), (0.75, 0.75, 2));
        bus.without(&ann, &mut out);
        assert_eq!(out[0], 0.5);
    }

    #[test]
    fn who_leaves_is_heard_in_the_next_packet_and_in_no_other() {
        let mut bus = MixBus::new();
        bus.part_with(&[0.125; 960]);
        let mut heard = [0.0; 960];
        for (voices, sum) in [(1, 0.125), (0, 0.0)] {
            bus.begin();
            bus.all(&mut heard);
            assert_eq!((bus.voices(), heard[0]), (voices, sum));
        }
    }
}
