//! Delay lines: what a switched-off stage is, and what two sounds that fade into each other are
//! lined up with.

use foldback_stage::{AudioBlock, AudioBuffer, BLOCK_SAMPLES, BlockContext, MAX_CHANNELS, Stage};

/// How long one sound takes to fade into another, in blocks: 20 ms.
pub(crate) const FADE_BLOCKS: usize = 2;

/// The share of what comes in at sample `i` of block `block` of a fade: a raised cosine, which has
/// no corner that could be heard.
fn fade_in(block: usize, i: usize) -> f32 {
    const SAMPLES: f32 = (FADE_BLOCKS * BLOCK_SAMPLES) as f32;
    let x = ((block * BLOCK_SAMPLES + i) as f32 + 0.5) / SAMPLES;
    0.5 - 0.5 * (std::f32::consts::PI * x).cos()
}

/// Fades from `old` to what is in `audio`.
pub(crate) fn blend(audio: &mut AudioBuffer, old: &AudioBuffer, block: usize) {
    for channel in 0..audio.channels() {
        let was = old.plane(channel);
        for (i, (sample, was)) in audio.plane_mut(channel).iter_mut().zip(was).enumerate() {
            *sample = was + (*sample - was) * fade_in(block, i);
        }
    }
}

/// The last samples of each channel.
#[derive(Clone)]
struct Ring {
    samples: Vec<[f32; MAX_CHANNELS]>,
    /// Where the next sample goes, which is where the oldest one is.
    next: usize,
}

impl Ring {
    fn new(samples: usize) -> Self {
        Self { samples: vec![[0.0; MAX_CHANNELS]; samples.max(1)], next: 0 }
    }

    fn push(&mut self, frame: [f32; MAX_CHANNELS]) {
        self.samples[self.next] = frame;
        self.next = if self.next + 1 == self.samples.len() { 0 } else { self.next + 1 };
    }

    /// What was pushed `ago` pushes before the last one; `ago` is below the length.
    fn past(&self, ago: usize) -> [f32; MAX_CHANNELS] {
        let back = ago + 1;
        let index = if self.next >= back { self.next } else { self.next + self.samples.len() };
        self.samples[index - back]
    }
}

/// A stage that is switched off: what comes in leaves unchanged, as late as through the stage.
pub(crate) struct Bypass {
    ring: Ring,
    delay: usize,
}

impl Bypass {
    pub(crate) fn new(delay_samples: usize) -> Self {
        Self { ring: Ring::new(delay_samples + 1), delay: delay_samples }
    }
}

impl Stage for Bypass {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        if self.delay == 0 {
            return;
        }
        let mut planes = block.planes_mut();
        match (planes.next(), planes.next()) {
            (Some(left), Some(right)) => {
                for (l, r) in left.iter_mut().zip(right) {
                    self.ring.push([*l, *r]);
                    [*l, *r] = self.ring.past(self.delay);
                }
            }
            (Some(mono), None) => {
                for sample in mono {
                    self.ring.push([*sample, 0.0]);
                    [*sample, _] = self.ring.past(self.delay);
                }
            }
            (None, _) => {}
        }
    }

    fn delay_samples(&self) -> usize {
        self.delay
    }

    fn warm_up_blocks(&self) -> usize {
        self.delay.div_ceil(BLOCK_SAMPLES)
    }
}

/// A delay that can be moved once, by a fade from the one to the other.
#[derive(Clone)]
pub(crate) struct Pad {
    ring: Ring,
    delay: usize,
    moves_to: Option<(usize, usize)>,
}

impl Pad {
    /// A pad that delays by `delay` samples at first, and by `most` at the most.
    pub(crate) fn new(delay: usize, most: usize) -> Self {
        Self { ring: Ring::new(most.max(delay) + 1), delay, moves_to: None }
    }

    /// Whether it delays by that much, and does not move.
    pub(crate) fn is_at(&self, delay: usize) -> bool {
        self.delay == delay && self.moves_to.is_none()
    }

    /// Fades to another delay over the next blocks.
    pub(crate) fn move_to(&mut self, delay: usize) {
        if self.delay != delay && self.moves_to.is_none() {
            self.moves_to = Some((delay, 0));
        }
    }

    pub(crate) fn process(&mut self, audio: &mut AudioBuffer) {
        if self.delay == 0 && self.moves_to.is_none() && self.ring.samples.len() == 1 {
            return;
        }
        for i in 0..BLOCK_SAMPLES {
            let mut frame = [0.0; MAX_CHANNELS];
            for (channel, sample) in frame.iter_mut().enumerate().take(audio.channels()) {
                *sample = audio.plane(channel)[i];
            }
            self.ring.push(frame);
            let mut out = self.ring.past(self.delay);
            if let Some((to, block)) = self.moves_to {
                let share = fade_in(block, i);
                for (out, there) in out.iter_mut().zip(self.ring.past(to)) {
                    *out += (there - *out) * share;
                }
            }
            for (channel, sample) in out.iter().enumerate().take(audio.channels()) {
                audio.plane_mut(channel)[i] = *sample;
            }
        }
        if let Some((to, block)) = self.moves_to {
            self.moves_to = Some((to, block + 1));
            if block + 1 == FADE_BLOCKS {
                (self.delay, self.moves_to) = (to, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(first: usize) -> AudioBuffer {
        let mut audio = AudioBuffer::mono();
        let plane = audio.plane_mut(0);
        plane.iter_mut().zip(first..).for_each(|(sample, n)| *sample = n as f32);
        audio
    }

    #[test]
    fn a_bypass_delays_and_changes_no_bit() {
        for delay in [0, 1, 433, 480, 1000] {
            let mut bypass = Bypass::new(delay);
            let mut out = Vec::new();
            for block in 0..5 {
                let mut audio = counted(1 + block * BLOCK_SAMPLES);
                bypass.process(&mut audio.block(), &mut BlockContext::default());
                out.extend_from_slice(audio.plane(0));
            }
            assert!(out[..delay].iter().all(|s| *s == 0.0), "{delay}");
            let expected = (1..=out.len() - delay).map(|n| n as f32);
            assert!(out[delay..].iter().copied().eq(expected), "{delay}");
        }
    }

    #[test]
    fn a_pad_moves_within_two_blocks_and_then_delays_exactly() {
        for (from, to) in [(0, 300), (300, 0), (700, 20)] {
            let mut pad = Pad::new(from, from.max(to));
            let block = |pad: &mut Pad, number: usize| {
                let mut audio = counted(number * BLOCK_SAMPLES);
                pad.process(&mut audio);
                audio.plane(0)[479] - (number * BLOCK_SAMPLES + 479) as f32
            };
            (0..3).for_each(|n| _ = block(&mut pad, n));
            pad.move_to(to);
            assert!(!pad.is_at(to));
            let late: Vec<f32> = (3..6).map(|n| -block(&mut pad, n)).collect();
            assert!(pad.is_at(to));
            let (least, most) = (from.min(to) as f32, from.max(to) as f32);
            assert!(least < late[0] && late[0] < most, "{late:?}");
            assert_eq!(late[2], to as f32);
        }
    }
}
