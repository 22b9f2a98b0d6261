//! Following a sender's clock: an asynchronous resampler whose ratio is all but one.

use audioadapter_buffers::direct::SequentialSlice;
use foldback_stage::{AudioBlock, BLOCK_SAMPLES, StageFormat};
use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use crate::codec::CodecError;
use crate::fifo::SampleFifo;

/// Half of this is the delay: 0.67 ms. Measured: what is not the signal is 70 dB down.
const SINC_SAMPLES: usize = 64;
/// The most that playout may be off the nominal rate: a semitone is 59 000 ppm, and 2 000 ppm
/// are below what ears tell apart in speech (3.5 cent).
pub(crate) const MAX_RATE: f64 = 2e-3;
/// Input samples that it holds beyond those that came out.
pub(crate) const LOOKAHEAD: usize = SINC_SAMPLES / 2;
/// What it must be given first so that its next output is the next sample to play: measured, and
/// held by a test.
const PRIMING: usize = BLOCK_SAMPLES + 1;

/// Takes a varying number of samples and gives [`BLOCK_SAMPLES`].
pub(crate) struct DriftResampler {
    /// One for each plane; all of them do the same.
    inner: Box<[Async<f32>]>,
    engaged: bool,
}

impl DriftResampler {
    /// Allocates about 36 KiB for each channel.
    pub(crate) fn new(format: StageFormat) -> Result<Self, CodecError> {
        let sinc = SincInterpolationParameters {
            sinc_len: SINC_SAMPLES,
            f_cutoff: Some(0.95),
            oversampling_factor: 128,
            interpolation: SincInterpolationType::Linear,
            window: WindowFunction::BlackmanHarris2,
        };
        let inner = (0..format.channels).map(|_| {
            let (most, out) = (1.0 + 2.0 * MAX_RATE, FixedAsync::Output);
            Async::new_sinc(1.0, most, &sinc, BLOCK_SAMPLES, 1, out)
        });
        let inner = inner.collect::<Result<_, _>>();
        let inner = inner.map_err(|e| CodecError::new(format!("no resampler: {e}")))?;
        Ok(Self { inner, engaged: false })
    }

    pub(crate) fn is_engaged(&self) -> bool {
        self.engaged
    }

    /// Samples taken and not yet given.
    pub(crate) fn holds(&self) -> usize {
        if self.engaged { LOOKAHEAD } else { 0 }
    }

    /// How many samples the next block takes.
    pub(crate) fn needs(&self) -> usize {
        let resampler = self.inner.first().filter(|_| self.engaged);
        resampler.map_or(BLOCK_SAMPLES, Resampler::input_frames_next)
    }

    /// Comes in between two samples: takes [`LOOKAHEAD`] samples that wait, and goes on with the
    /// sample that would have been next. False if so many do not wait.
    pub(crate) fn engage(&mut self, fifo: &mut SampleFifo) -> bool {
        if fifo.len() < LOOKAHEAD {
            return false;
        }
        fifo.skip(LOOKAHEAD);
        let mut planes = self.inner.iter_mut().zip(fifo.last_popped(PRIMING));
        self.engaged = planes.all(|(inner, sound)| {
            inner.reset();
            process(inner, sound, &mut [0.0; BLOCK_SAMPLES])
        });
        self.engaged
    }

    /// Steps out of the way where nothing is heard.
    pub(crate) fn disengage(&mut self) {
        self.engaged = false;
    }

    /// `rate` input samples per output sample, from now on: 1.0001 for a sender whose clock is
    /// 100 ppm fast.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        let ratio = 1.0 / rate.clamp(1.0 - MAX_RATE, 1.0 + MAX_RATE);
        for adjustable in self.inner.iter_mut().filter_map(Resampler::as_adjustable) {
            // Within the bounds that it was made with.
            let _ = adjustable.set_resample_ratio(ratio, true);
        }
    }

    /// The next block. What is missing in `fifo` is silence.
    pub(crate) fn pull(&mut self, fifo: &mut SampleFifo, out: &mut AudioBlock<'_>) {
        if !self.engaged {
            return fifo.pop(out);
        }
        let needs = self.needs();
        fifo.skip(needs);
        let planes = self.inner.iter_mut().zip(fifo.last_popped(needs)).zip(out.planes_mut());
        for ((inner, sound), out) in planes {
            if !process(inner, sound, out) {
                out.fill(0.0);
            }
        }
    }
}

fn process(inner: &mut Async<f32>, input: &[f32], out: &mut [f32]) -> bool {
    let Ok(input) = SequentialSlice::new(input, 1, input.len()) else { return false };
    let frames = out.len();
    let Ok(mut output) = SequentialSlice::new_mut(out, 1, frames) else { return false };
    inner.process_into_buffer(&input, &mut output, None).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(i: usize) -> f32 {
        0.5 * (i as f32 * 1000.0 * std::f32::consts::TAU / 48_000.0).sin()
    }

    /// A tone through `blocks` blocks; the resampler comes in after the third.
    fn play(rate: f64, blocks: usize) -> Vec<f32> {
        let mut fifo = SampleFifo::new(StageFormat::MONO);
        let mut resampler = DriftResampler::new(StageFormat::MONO).expect("a resampler");
        let (mut pushed, mut out) = (0, Vec::new());
        for block in 0..blocks {
            while fifo.len() < 2 * BLOCK_SAMPLES {
                let mut space = fifo.push_space(960).expect("fits");
                space.planes_mut().flatten().enumerate().for_each(|(i, s)| *s = tone(pushed + i));
                pushed += 960;
            }
            if block == 3 {
                assert!(resampler.engage(&mut fifo));
                resampler.set_rate(rate);
            }
            let mut samples = [0.0; BLOCK_SAMPLES];
            resampler.pull(&mut fifo, &mut AudioBlock::mono(&mut samples));
            out.extend_from_slice(&samples);
        }
        out
    }

    #[test]
    fn coming_in_shifts_nothing_and_clicks_nowhere() {
        let out = play(1.0, 20);
        for (i, sample) in out.iter().enumerate().skip(48) {
            assert!((sample - tone(i)).abs() < 1e-3, "sample {i}: {sample} for {}", tone(i));
        }
    }

    #[test]
    fn a_fast_sender_is_played_faster() {
        let out = play(1.0005, 203);
        // 200 blocks of 480 samples at 500 ppm are 48 samples: one period of the tone.
        let end = out.len() - 480;
        let error = |shift: usize| -> f32 {
            (end..end + 400).map(|i| (out[i] - tone(i + shift)).abs()).sum()
        };
        let best = (20..80).min_by(|a, b| error(*a).total_cmp(&error(*b)));
        assert!((46..=49).contains(&best.expect("not empty")), "{best:?}");
        let steps = out.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(steps < 0.07, "a step of {steps}");
    }

    #[test]
    fn the_sides_of_stereo_stay_together() {
        let mut fifo = SampleFifo::new(StageFormat::STEREO);
        let mut resampler = DriftResampler::new(StageFormat::STEREO).expect("a resampler");
        fifo.expect(5_760);
        let mut space = fifo.push_space(9_600).expect("fits");
        for (plane, sign) in space.planes_mut().zip([1.0, -0.5]) {
            plane.iter_mut().enumerate().for_each(|(i, s)| *s = sign * tone(i));
        }
        assert!(resampler.engage(&mut fifo));
        resampler.set_rate(1.0005);
        for block in 0..15 {
            let (mut middle, mut side) = ([0.0; BLOCK_SAMPLES], [0.0; BLOCK_SAMPLES]);
            resampler.pull(&mut fifo, &mut AudioBlock::stereo(&mut middle, &mut side));
            assert!(block == 0 || middle.iter().any(|sample| *sample > 0.4));
            let apart = middle.iter().zip(&side).map(|(m, s)| (m + 2.0 * s).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-5);
        }
    }
}
