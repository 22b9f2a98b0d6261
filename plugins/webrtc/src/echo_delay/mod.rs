//! How late the echo of the far end is in what the microphone hears: from 0 to 1.9 s, followed
//! when it jumps or drifts.
//!
//! Both signals are taken down to 8 kHz, whitened, and correlated over all delays in frames of
//! 80 ms (generalised cross-correlation; Knapp and Carter, 1976). Two running sums are kept: one
//! that forgets fast, for jumps, and one that forgets slowly, for echoes under noise or another
//! voice. What counts is a peak's height over the rms of all delays, and that it stays in place:
//! an echo soon gives 20 to 80.

mod correlator;
mod decimator;

use correlator::{Correlator, FRAME_BLOCKS, LAGS};
use decimator::DECIMATION;
use foldback_stage::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};

/// A peak is believed from these heights over the rms of the correlation on. Pairs of generated
/// voices, the worst case, reach 16 and 13 by chance, recorded ones 12 and 8.
const BELIEVED_FAST_HEIGHT: f32 = 16.0;
const BELIEVED_SLOW_HEIGHT: f32 = 14.0;

/// ... if so many frames in a row show it in one place.
const FRAMES_TO_BELIEVE: u32 = 2;

/// A known echo moves as jitter buffers adapt, in many small steps that never let a peak grow high. So
/// within 150 ms of it, where few peaks are by chance, a lower one is believed, in more frames.
const NEAR_LAGS: usize = 1200;
const BELIEVED_NEAR_HEIGHT: f32 = 9.0;
const FRAMES_TO_MOVE: u32 = 3;

/// A new peak takes over if the old one, in what was heard lately, is lower by this factor.
const JUMP_RATIO: f32 = 1.8;

/// No frame counts for more than this times the usual rms of one: so that a single sound which
/// happens to be alike (a vowel of the same pitch) makes no peak, only several at one delay do.
const LIMIT: f32 = 12.0;

/// Peaks this near are one peak: 1 ms.
const SAME_PEAK_LAGS: usize = 8;

const FAST_FORGETTING_S: f32 = 0.4;
const SLOW_FORGETTING_S: f32 = 2.0;

/// A drift is followed by at most this much per frame (130 ppm), in steps too small to disturb the
/// canceller, and rests below twice as much.
const DRIFT_STEP_SAMPLES: f32 = 0.5;

/// Finds and follows the delay. Never allocates but when made (about 500 KiB).
pub struct EchoDelay {
    correlator: Correlator,
    fast: Average,
    slow: Average,
    candidate_lag: usize,
    candidate_frames: u32,
    delay_samples: Option<f32>,
    /// Of the correlation of one frame, over the last ones.
    usual_rms: f32,
    frame_energy: f32,
    /// What the jitter buffer inserted and the correlation was not moved by yet.
    shift_samples: i32,
}

impl Default for EchoDelay {
    fn default() -> Self {
        Self::new()
    }
}

impl EchoDelay {
    /// Knows of no echo.
    #[must_use]
    pub fn new() -> Self {
        Self {
            correlator: Correlator::new(),
            fast: Average::new(FAST_FORGETTING_S),
            slow: Average::new(SLOW_FORGETTING_S),
            candidate_lag: 0,
            candidate_frames: 0,
            delay_samples: None,
            usual_rms: 0.0,
            frame_energy: 0.0,
            shift_samples: 0,
        }
    }

    /// By how many samples at 48 kHz the strongest echo comes after the far end, once that is
    /// known. Kept while there is nothing to find it out from.
    #[must_use]
    pub fn samples(&self) -> Option<usize> {
        self.delay_samples.map(|samples| samples.round() as usize)
    }

    /// The microphone's signal was made longer by `samples` before the next block: every echo
    /// from there on comes later by as many.
    pub fn shift(&mut self, samples: i32) {
        self.shift_samples += samples;
        if let Some(delay) = &mut self.delay_samples {
            *delay = (*delay + samples as f32).max(0.0);
        }
    }

    /// Takes a block of the far end and the block of the microphone of the same tick. Never allocates.
    pub fn push(&mut self, far: &[f32; BLOCK_SAMPLES], microphone: &[f32; BLOCK_SAMPLES]) {
        let Self { correlator, fast, slow, .. } = self;
        let limit = LIMIT * self.usual_rms;
        let energy = &mut self.frame_energy;
        let is_compared = correlator.advance(|lag, correlation| {
            *energy += correlation.iter().map(|value| value * value).sum::<f32>();
            correlation.iter_mut().for_each(|value| *value = value.clamp(-limit, limit));
            fast.add(lag, correlation);
            slow.add(lag, correlation);
        });
        if is_compared {
            let rms = (self.frame_energy / LAGS as f32).sqrt();
            self.frame_energy = 0.0;
            self.usual_rms += 0.3 * (rms - self.usual_rms);
            self.judge();
        }
        if self.correlator.push(far, microphone) {
            let lags = self.pending_lags();
            if lags != 0 {
                self.shift_samples -= lags * DECIMATION as i32;
                self.fast.shift(lags);
                self.slow.shift(lags);
                self.candidate_frames = 0;
            }
        }
    }

    fn judge(&mut self) {
        let (fast, slow) = (self.fast.take_peak(), self.slow.take_peak());
        let known_lag = self
            .delay_samples
            .map(|delay| (delay / DECIMATION as f32 - self.pending_lags() as f32).round() as usize);
        let is_near = known_lag.is_some_and(|known| fast.lag.abs_diff(known) <= NEAR_LAGS);
        let believed = if is_near { BELIEVED_NEAR_HEIGHT } else { BELIEVED_FAST_HEIGHT };
        let peak = if fast.height > believed {
            fast
        } else if slow.height > BELIEVED_SLOW_HEIGHT {
            slow
        } else {
            self.candidate_frames = 0;
            return;
        };
        if peak.lag.abs_diff(self.candidate_lag) > SAME_PEAK_LAGS {
            self.candidate_frames = 0;
        }
        self.candidate_lag = peak.lag;
        self.candidate_frames += 1;
        match known_lag {
            None if self.candidate_frames >= FRAMES_TO_BELIEVE => self.settle(),
            Some(known) if peak.lag.abs_diff(known) <= SAME_PEAK_LAGS => self.follow(),
            Some(known)
                if self.candidate_frames >= FRAMES_TO_MOVE
                    && self.fast.at(peak.lag) > JUMP_RATIO * self.fast.at(known) =>
            {
                self.settle();
            }
            _ => {}
        }
    }

    /// By how much the correlation lies before the microphone's signal, until a frame is full.
    fn pending_lags(&self) -> i32 {
        self.shift_samples / DECIMATION as i32
    }

    fn delay_samples_at(&self, lag: f32) -> f32 {
        ((lag + self.pending_lags() as f32) * DECIMATION as f32).max(0.0)
    }

    /// Takes the candidate, and forgets what was before it.
    fn settle(&mut self) {
        self.delay_samples = Some(self.delay_samples_at(self.fast.refined(self.candidate_lag)));
        self.slow.copy_from(&self.fast);
    }

    fn follow(&mut self) {
        let found = self.delay_samples_at(self.slow.refined(self.candidate_lag));
        let Some(delay) = &mut self.delay_samples else { return };
        let error = found - *delay;
        if error.abs() > 2.0 * DRIFT_STEP_SAMPLES {
            *delay += error.clamp(-DRIFT_STEP_SAMPLES, DRIFT_STEP_SAMPLES);
        }
    }
}

/// A correlation summed up with forgetting, and its highest peak.
struct Average {
    correlation: Vec<f32>,
    /// What is left of the sum after one frame.
    kept: f32,
    energy: f32,
    highest: f32,
    highest_lag: usize,
}

#[derive(Clone, Copy)]
struct Peak {
    lag: usize,
    /// Over the rms of all lags.
    height: f32,
}

impl Average {
    fn new(forgetting_s: f32) -> Self {
        let frame_s = (FRAME_BLOCKS * BLOCK_SAMPLES) as f32 / SAMPLE_RATE_HZ as f32;
        Self {
            correlation: vec![0.0; LAGS],
            kept: (-frame_s / forgetting_s).exp(),
            energy: 0.0,
            highest: 0.0,
            highest_lag: 0,
        }
    }

    fn add(&mut self, first_lag: usize, correlation: &[f32]) {
        let range = first_lag..first_lag + correlation.len();
        let mut energy = [0.0; 4];
        let mut highest = 0.0_f32;
        let sums = &mut self.correlation[range];
        for (sums, now) in sums.chunks_exact_mut(4).zip(correlation.chunks_exact(4)) {
            for ((sum, now), energy) in sums.iter_mut().zip(now).zip(&mut energy) {
                *sum = self.kept * *sum + now;
                *energy += *sum * *sum;
                highest = highest.max(sum.abs());
            }
        }
        self.energy += energy.iter().sum::<f32>();
        if highest > self.highest {
            self.highest = highest;
            let place = sums.iter().position(|sum| sum.abs() == highest);
            self.highest_lag = first_lag + place.unwrap_or(0);
        }
    }

    /// The highest peak of the frame that was added, and makes ready for the next frame.
    fn take_peak(&mut self) -> Peak {
        let rms = (self.energy / LAGS as f32).sqrt();
        let peak = Peak { lag: self.highest_lag, height: self.highest / (rms + f32::MIN_POSITIVE) };
        (self.energy, self.highest) = (0.0, 0.0);
        peak
    }

    /// The highest value near a lag.
    fn at(&self, lag: usize) -> f32 {
        let range = lag.saturating_sub(SAME_PEAK_LAGS)..(lag + SAME_PEAK_LAGS + 1).min(LAGS);
        self.correlation.get(range).unwrap_or_default().iter().fold(0.0, |a, b| a.max(b.abs()))
    }

    /// The place of a peak between lags, by the parabola through it and its neighbours.
    fn refined(&self, lag: usize) -> f32 {
        let near = |lag: usize| self.correlation.get(lag).map_or(0.0, |value| value.abs());
        let (before, top, after) = (near(lag.saturating_sub(1)), near(lag), near(lag + 1));
        let curvature = before - 2.0 * top + after;
        let offset = if curvature < 0.0 { 0.5 * (before - after) / curvature } else { 0.0 };
        (lag as f32 + offset.clamp(-0.5, 0.5)).max(0.0)
    }

    /// Moves everything to greater lags, or to lesser ones if negative.
    fn shift(&mut self, lags: i32) {
        let by = (lags.unsigned_abs() as usize).min(LAGS);
        if lags > 0 {
            self.correlation.copy_within(..LAGS - by, by);
            self.correlation[..by].fill(0.0);
        } else {
            self.correlation.copy_within(by.., 0);
            self.correlation[LAGS - by..].fill(0.0);
        }
    }

    fn copy_from(&mut self, other: &Self) {
        self.correlation.copy_from_slice(&other.correlation);
    }
}

#[cfg(test)]
mod tests;
