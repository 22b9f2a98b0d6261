//! Following a sender's clock: an asynchronous resampler whose ratio is all but one.

use audioadapter_buffers::direct::SequentialSlice;
use foldback_stage::{AudioBlock, BLOCK_SAMPLES, StageFormat};
use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use crate::fifo::SampleFifo;

/// Half of this is the delay: 0.67 ms. What is not the signal is over 100 dB down up to 12 kHz.
const SINC_SAMPLES: usize = 64;
/// The most that playout may be off the nominal rate: a semitone is 59 000 ppm, and 2 000 ppm
/// are below what ears tell apart in speech (3.5 cent).
pub(crate) const MAX_RATE: f64 = 2e-3;
/// Input samples that it holds beyond those that came out.
pub(crate) const LOOKAHEAD: usize = SINC_SAMPLES / 2;
/// Points of its table per sample.
const OVERSAMPLING: usize = 32;
/// At its own rate of one it is ahead by one point of its table: measured, and held by a test. So it
/// is given that while it is primed.
const AHEAD: f64 = 1.0 / (OVERSAMPLING * BLOCK_SAMPLES) as f64;
/// What it must be given first so that its next output is the next sample to play: measured, and
/// held by a test.
const PRIMING: usize = BLOCK_SAMPLES + 1;

/// Takes a varying number of samples and gives [`BLOCK_SAMPLES`].
pub(crate) struct DriftResampler {
    format: StageFormat,
    /// One for each plane; all of them do the same. None until it is made ready.
    inner: Box<[Async<f32>]>,
    engaged: bool,
}

impl DriftResampler {
    /// Allocates nothing.
    pub(crate) fn new(format: StageFormat) -> Self {
        Self { format, inner: Box::default(), engaged: false }
    }

    /// Makes it ready to be engaged, if it is not. Allocates then, about 12 KiB for each channel.
    pub(crate) fn make_ready(&mut self) {
        if !self.inner.is_empty() {
            return;
        }
        let sinc = SincInterpolationParameters {
            sinc_len: SINC_SAMPLES,
            f_cutoff: Some(0.95),
            // A table of 8 KiB: each participant has its own. A line would need one of 32 KiB and err
            // more; a parabola takes three products of the filter for a sample, not two.
            oversampling_factor: OVERSAMPLING,
            interpolation: SincInterpolationType::Quadratic,
            window: WindowFunction::BlackmanHarris2,
        };
        let inner = (0..self.format.channels).map(|_| {
            let (most, out) = (1.0 + 2.0 * MAX_RATE, FixedAsync::Output);
            Async::new_sinc(1.0, most, &sinc, BLOCK_SAMPLES, 1, out)
        });
        // Where memory is short it stays without.
        self.inner = inner.collect::<Result<_, _>>().unwrap_or_default();
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
    /// sample that would have been next. False if so many do not wait, or it is not ready.
    pub(crate) fn engage(&mut self, fifo: &mut SampleFifo) -> bool {
        if fifo.len() < LOOKAHEAD || self.inner.is_empty() {
            return false;
        }
        fifo.skip(LOOKAHEAD);
        let mut planes = self.inner.iter_mut().zip(fifo.last_popped(PRIMING));
        self.engaged = planes.all(|(inner, sound)| {
            inner.reset();
            adjust(inner, 1.0 - AHEAD, false);
            let primed = process(inner, sound, &mut [0.0; BLOCK_SAMPLES]);
            adjust(inner, 1.0, false);
            primed
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
        let rate = rate.clamp(1.0 - MAX_RATE, 1.0 + MAX_RATE);
        self.inner.iter_mut().for_each(|inner| adjust(inner, rate, true));
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

/// At once, or by a ramp that ends with the next block.
fn adjust(inner: &mut Async<f32>, rate: f64, ramp: bool) {
    if let Some(adjustable) = inner.as_adjustable() {
        // Within the bounds that it was made with.
        let _ = adjustable.set_resample_ratio(1.0 / rate, ramp);
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

    fn ready(format: StageFormat) -> DriftResampler {
        let mut resampler = DriftResampler::new(format);
        resampler.make_ready();
        resampler
    }

    fn tone(i: usize) -> f32 {
        0.5 * (i as f32 * 1000.0 * std::f32::consts::TAU / 48_000.0).sin()
    }

    /// A tone through `blocks` blocks; the resampler comes in after the third.
    fn play(rate: f64, blocks: usize) -> Vec<f32> {
        let mut fifo = SampleFifo::new(StageFormat::MONO);
        fifo.expect(960);
        let mut resampler = ready(StageFormat::MONO);
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
            assert!((sample - tone(i)).abs() < 3e-4, "sample {i}: {sample} for {}", tone(i));
        }
    }

    /// What of `sound` is not a tone of `hz`, against that tone, in dB: the rest of a least-squares fit.
    fn rest_db(sound: &[f32], hz: f64) -> f64 {
        let wave = |i: usize| (i as f64 * hz * std::f64::consts::TAU / 48_000.0).sin_cos();
        let sum = |of: &dyn Fn(f64, f64, f64) -> f64| -> f64 {
            let each = sound.iter().enumerate().map(|(i, s)| (wave(i), f64::from(*s)));
            each.map(|((sin, cos), s)| of(sin, cos, s)).sum()
        };
        let (ss, cc, sc) = (sum(&|s, _, _| s * s), sum(&|_, c, _| c * c), sum(&|s, c, _| s * c));
        let (xs, xc) = (sum(&|s, _, x| x * s), sum(&|_, c, x| x * c));
        let det = ss * cc - sc * sc;
        let (a, b) = ((xs * cc - xc * sc) / det, (xc * ss - xs * sc) / det);
        let tone = sum(&|s, c, _| (a * s + b * c).powi(2));
        10.0 * (sum(&|s, c, x| (x - a * s - b * c).powi(2)) / tone).log10()
    }

    #[test]
    fn what_is_not_the_signal_is_100_db_down() {
        const RATE: f64 = 1.0002;
        for hz in [1_000.0, 4_000.0, 8_000.0, 12_000.0] {
            let mut inner = ready(StageFormat::MONO);
            inner.set_rate(RATE);
            let (mut taken, mut sound) = (0, Vec::new());
            while sound.len() < 48_000 {
                let inner = &mut inner.inner[0];
                let samples = taken..taken + inner.input_frames_next();
                let tone = |i: usize| (i as f64 * hz * std::f64::consts::TAU / 48_000.0).sin();
                let input: Vec<_> = samples.clone().map(|i| 0.5 * tone(i) as f32).collect();
                let mut out = [0.0; BLOCK_SAMPLES];
                assert!(process(inner, &input, &mut out));
                taken = samples.end;
                sound.extend(out);
            }
            let rest = rest_db(&sound[4_800..], hz * RATE);
            assert!(rest < -100.0, "{hz} Hz: {rest} dB");
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
        let mut resampler = ready(StageFormat::STEREO);
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
