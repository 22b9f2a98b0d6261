//! Playing faster and slower without a change of pitch: whole pitch periods are taken out of what
//! waits, or repeated from what was just played.
//!
//! A form of WSOLA (Verhelst and Roelands, "An overlap-add technique based on waveform similarity
//! (WSOLA) for high quality time-scale modification of speech", ICASSP 1993). Nothing allocates.

use crate::fifo::{FadeLaw, HISTORY, SampleFifo};

/// Periods that are looked for, in samples: 2.5 to 15 ms, the pitch of voices.
const MIN_PERIOD: usize = 120;
const MAX_PERIOD: usize = 720;
/// What is compared, at most: 10 ms.
const WINDOW: usize = 480;
/// The first search is at a quarter of the rate.
const COARSE: usize = 4;
/// In silence any number of samples can be taken out or put in, with this fade.
const QUIET_FADE: usize = 240;
/// The most that is taken out of silence at once, or repeated there.
const MAX_QUIET: usize = 960;
/// Mean square below which a place is silent enough to be cut anywhere: -60 dBFS.
const QUIET_ENERGY: f32 = 1e-6;

/// What a stretch may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Licence {
    /// The most samples to take out or put in.
    pub(crate) at_most: usize,
    /// How alike two neighbouring periods must be, -1 to 1; above 1 allows silence only.
    pub(crate) similarity: f32,
    /// Mean square up to which a place counts as silent, if above the built-in -60 dBFS.
    pub(crate) quiet_energy: f32,
}

/// Takes samples out of the front of what waits. Returns how many: 0 if the place does not suit.
pub(crate) fn shorten(fifo: &mut SampleFifo, licence: Licence) -> usize {
    let waiting = fifo.waiting();
    let reach = waiting.len().min(QUIET_FADE + MAX_QUIET);
    if is_quiet(&waiting[..reach], licence.quiet_energy) {
        let n = licence.at_most.min(MAX_QUIET).min(waiting.len().saturating_sub(QUIET_FADE));
        return if n > 0 && fifo.remove(n, QUIET_FADE, FadeLaw::Power) { n } else { 0 };
    }
    let longest = licence.at_most.min(MAX_PERIOD).min(waiting.len().saturating_sub(WINDOW / 2));
    let window = WINDOW.min(waiting.len().saturating_sub(longest));
    let Some(period) =
        best_period(waiting, window, longest, licence.similarity, |lag| waiting.get(lag..))
    else {
        return 0;
    };
    let whole = period * (licence.at_most / period).max(1);
    let fade = |n: usize| period.min(fifo.len().saturating_sub(n));
    // Several periods at once if they are all alike, else one.
    for n in [whole.min(2 * period), period] {
        let fits = n <= licence.at_most && fade(n) >= period / 2;
        if fits && alike(fifo.waiting(), fade(n), fifo.waiting().get(n..)) > licence.similarity {
            let fade = fade(n);
            return if fifo.remove(n, fade, FadeLaw::Amplitude) { n } else { 0 };
        }
    }
    0
}

/// Repeats what was just played. Returns the number of samples put in front of what waits: 0 if
/// the place does not suit.
pub(crate) fn lengthen(fifo: &mut SampleFifo, licence: Licence) -> usize {
    let sound = fifo.with_history();
    let (past, waiting) = sound.split_at(HISTORY);
    let reach = waiting.len().min(WINDOW);
    if is_quiet(&waiting[..reach], licence.quiet_energy)
        && is_quiet(&past[HISTORY - MAX_QUIET..], licence.quiet_energy)
    {
        let n = licence.at_most.min(MAX_QUIET);
        let fade = QUIET_FADE.min(n).min(waiting.len());
        return if n > 0 && fifo.repeat(n, fade, FadeLaw::Power) { n } else { 0 };
    }
    let longest = licence.at_most.min(MAX_PERIOD);
    let found =
        best_period(waiting, reach, longest, licence.similarity, |lag| sound.get(HISTORY - lag..));
    let Some(period) = found else { return 0 };
    let fade = period.min(waiting.len());
    if fifo.repeat(period, fade, FadeLaw::Amplitude) { period } else { 0 }
}

/// Looks for the place in `sound` that goes on most like `next` does, and returns how far from the
/// end of `sound` it lies; for joining two sounds. `None` if nothing is alike.
pub(crate) fn best_join(sound: &[f32], next: &[f32], furthest: usize) -> Option<usize> {
    let window = next.len().min(WINDOW).min(sound.len().saturating_sub(furthest));
    (0..=furthest)
        .step_by(2)
        .map(|lag| (lag, similarity(&next[..window], &sound[lag..lag + window])))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, alike)| *alike > 0.3)
        .map(|(lag, _)| lag)
}

fn is_quiet(x: &[f32], quiet_energy: f32) -> bool {
    energy(x) <= QUIET_ENERGY.max(quiet_energy) * x.len() as f32
}

fn alike(x: &[f32], n: usize, shifted: Option<&[f32]>) -> f32 {
    match (x.get(..n), shifted.and_then(|s| s.get(..n))) {
        (Some(a), Some(b)) => similarity(a, b),
        _ => -1.0,
    }
}

/// The lag up to `longest` at which `shifted` is most like the first `window` samples of `x`, if
/// it is more alike than `least`.
fn best_period<'a>(
    x: &[f32],
    window: usize,
    longest: usize,
    least: f32,
    shifted: impl Fn(usize) -> Option<&'a [f32]>,
) -> Option<usize> {
    if window < MIN_PERIOD || longest < MIN_PERIOD {
        return None;
    }
    let coarse = window / COARSE;
    let mut a = [0.0; WINDOW / COARSE];
    decimate(x, &mut a[..coarse]);
    let score = |lag: usize| {
        let mut b = [0.0; WINDOW / COARSE];
        let there = shifted(lag)?.get(..window)?;
        decimate(there, &mut b[..coarse]);
        Some(similarity(&a[..coarse], &b[..coarse]))
    };
    let (mut best, mut lag) = (-1.0, 0);
    for candidate in (MIN_PERIOD..=longest).step_by(COARSE) {
        if let Some(s) = score(candidate)
            && s > best
        {
            (best, lag) = (s, candidate);
        }
    }
    if best < least - 0.1 {
        return None;
    }
    let around = lag.saturating_sub(COARSE - 1).max(MIN_PERIOD)..=(lag + COARSE - 1).min(longest);
    let (lag, best) = around
        .filter_map(|lag| Some((lag, similarity(&x[..window], shifted(lag)?.get(..window)?))))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    (best > least).then_some(lag)
}

fn decimate(x: &[f32], out: &mut [f32]) {
    for (o, group) in out.iter_mut().zip(x.chunks_exact(COARSE)) {
        *o = group.iter().sum();
    }
}

/// Normalised cross-correlation, -1 to 1.
fn similarity(a: &[f32], b: &[f32]) -> f32 {
    let cross: f32 = a.iter().zip(b).map(|(p, q)| p * q).sum();
    let norm = (energy(a) * energy(b)).sqrt();
    if norm > 0.0 { cross / norm } else { 0.0 }
}

fn energy(x: &[f32]) -> f32 {
    x.iter().map(|s| s * s).sum()
}

#[cfg(test)]
mod tests {
    use foldback_stage::{AudioBlock, StageFormat};

    use super::*;

    const FREELY: Licence = Licence { at_most: 960, similarity: 0.9, quiet_energy: 0.0 };

    fn playing(sample: impl Fn(usize) -> f32) -> SampleFifo {
        let mut fifo = SampleFifo::new(StageFormat::MONO);
        fifo.expect(960);
        fifo.expect(1920);
        let mut space = fifo.push_space(6240).expect("fits");
        space.planes_mut().flatten().enumerate().for_each(|(i, slot)| *slot = sample(i));
        fifo.skip(1440);
        fifo
    }

    fn tone(hz: f32) -> impl Fn(usize) -> f32 {
        move |i| 0.5 * (i as f32 * hz * std::f32::consts::TAU / 48_000.0).sin()
    }

    fn largest_step(fifo: &SampleFifo) -> f32 {
        fifo.with_history().windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_tone_is_shortened_and_lengthened_by_whole_periods_without_a_click() {
        for hz in [100.0, 200.0, 333.0] {
            let period = 48_000.0 / hz;
            let off = |n: usize| {
                let periods = n as f32 / period;
                (periods - periods.round()).abs() * period
            };
            let own_step = 0.5 * hz * std::f32::consts::TAU / 48_000.0;
            let mut fifo = playing(tone(hz));
            let removed = shorten(&mut fifo, FREELY);
            assert!(removed > 0 && off(removed) <= 1.5, "{hz} Hz: removed {removed}");
            assert!(largest_step(&fifo) < 1.1 * own_step, "{hz} Hz: {}", largest_step(&fifo));
            let mut fifo = playing(tone(hz));
            let added = lengthen(&mut fifo, FREELY);
            assert!(added > 0 && off(added) <= 1.5, "{hz} Hz: added {added}");
            assert_eq!(fifo.len(), 4800 + added);
            assert!(largest_step(&fifo) < 1.1 * own_step, "{hz} Hz: {}", largest_step(&fifo));
        }
    }

    #[test]
    fn what_is_done_to_the_middle_is_done_to_the_sides() {
        for change in [shorten, lengthen] {
            let mut fifo = SampleFifo::new(StageFormat::STEREO);
            fifo.expect(960);
            fifo.expect(1920);
            let mut space = fifo.push_space(6240).expect("fits");
            for (plane, sign) in space.planes_mut().zip([1.0, -1.0]) {
                plane.iter_mut().enumerate().for_each(|(i, slot)| *slot = sign * tone(200.0)(i));
            }
            fifo.skip(1440);
            assert!(change(&mut fifo, FREELY) > 0);
            let mut out = [[0.0; 2400]; 2];
            let [middle, side] = &mut out;
            fifo.pop(&mut AudioBlock::stereo(middle, side));
            assert!(middle.iter().any(|sample| *sample > 0.4));
            assert!(middle.iter().zip(side.iter()).all(|(middle, side)| *middle == -*side));
        }
    }

    #[test]
    fn noise_is_left_alone_unless_it_counts_as_silence() {
        let noise = |i: usize| {
            let hash = (i as u32).wrapping_mul(2_654_435_761);
            ((hash ^ (hash >> 15)).wrapping_mul(2_246_822_519) >> 8) as f32 / 8_388_608.0 - 1.0
        };
        assert_eq!(shorten(&mut playing(noise), FREELY), 0);
        assert_eq!(lengthen(&mut playing(noise), FREELY), 0);
        let quiet = Licence { quiet_energy: 1.0, at_most: 333, ..FREELY };
        assert_eq!(shorten(&mut playing(noise), quiet), 333);
        assert_eq!(lengthen(&mut playing(noise), quiet), 333);
    }

    #[test]
    fn no_more_than_allowed_is_taken_out_or_put_in() {
        let little = Licence { at_most: 150, ..FREELY };
        assert_eq!(shorten(&mut playing(tone(200.0)), little), 0, "its period is 240");
        assert_eq!(lengthen(&mut playing(tone(200.0)), little), 0, "its period is 240");
        assert_eq!(shorten(&mut playing(|_| 0.0), little), 150);
        assert_eq!(lengthen(&mut playing(|_| 0.0), little), 150);
    }
}
