use foldback_stage::SAMPLE_RATE_HZ;

use super::power_to_db;

/// How far the second difference of a click stands out of what is around it, as an amplitude.
const CLICK_RATIO: f64 = 12.0;
/// A jump below this (-66 dBFS) is not heard as a click.
const LEAST_JUMP: f64 = 5e-4;
/// What is around: this many samples (5 ms) on either side, but for the nearest few, into which
/// the click itself reaches.
const AROUND: usize = 240;
const NEAREST: usize = 8;

/// The places, in samples, at which a signal jumps: steps, single wrong samples, cuts into and out
/// of silence.
///
/// A jump shows in the second difference, where the low frequencies of tones and voices vanish: it
/// is one if it stands out by 12 times the rms of the 5 ms before *and* of those after it. Jumps
/// within 10 ms count once. In tones a step of 1 % of the peak is found, in loud sibilants only
/// one of the order of the signal itself; the first and last 5 ms are not judged. Mouths click too:
/// before judging a recording of a person, look whether the original has any.
#[must_use]
pub fn clicks(signal: &[f32]) -> Vec<usize> {
    let bends: Vec<f64> = signal
        .windows(3)
        .map(|x| f64::from(x[2]) - 2.0 * f64::from(x[1]) + f64::from(x[0]))
        .collect();
    let energy = running_sum(bends.iter().map(|bend| bend * bend));
    let rms =
        |from: usize, to: usize| ((energy[to] - energy[from]).max(0.0) / (to - from) as f64).sqrt();

    let mut found: Vec<usize> = Vec::new();
    let reach = AROUND + NEAREST;
    let judged = bends.len().saturating_sub(2 * reach);
    for (n, bend) in bends.iter().enumerate().skip(reach).take(judged) {
        if bend.abs() < LEAST_JUMP {
            continue;
        }
        let around = rms(n - reach, n - NEAREST).max(rms(n + NEAREST + 1, n + reach + 1));
        let far = found.last().is_none_or(|last| n + 1 > last + 2 * AROUND);
        if bend.abs() > CLICK_RATIO * around && far {
            found.push(n + 1);
        }
    }
    found
}

/// A span of quiet within a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Its first sample.
    pub start: usize,
    /// How many samples it lasts.
    pub samples: usize,
}

impl Gap {
    /// How long it lasts, in ms.
    #[must_use]
    pub fn milliseconds(&self) -> f64 {
        self.samples as f64 * 1000.0 / f64::from(SAMPLE_RATE_HZ)
    }
}

/// The spans, at the ends too, in which every sample stays below `below_dbfs` for more than
/// `longer_than_ms`. That must exceed half a period of what is expected to sound, since every wave
/// passes through zero.
#[must_use]
pub fn gaps(signal: &[f32], below_dbfs: f64, longer_than_ms: f64) -> Vec<Gap> {
    let quiet = 10f64.powf(below_dbfs / 20.0) as f32;
    let mut found = Vec::new();
    let mut start = 0;
    let ends = signal.iter().map(|sample| sample.abs() >= quiet).chain([true]);
    for (n, loud) in ends.enumerate() {
        if loud {
            let gap = Gap { start, samples: n - start };
            if gap.milliseconds() > longer_than_ms {
                found.push(gap);
            }
            start = n + 1;
        }
    }
    found
}

/// The places, in samples, at which `period_samples` of sound (above -60 dBFS) repeat what came
/// right before them to within -40 dB: a packet or block played twice. For speech and noise; a
/// steady tone repeats itself.
#[must_use]
pub fn repeats(signal: &[f32], period_samples: usize) -> Vec<usize> {
    let energy = running_sum(signal.iter().map(|x| f64::from(*x).powi(2)));
    let later = signal.iter().skip(period_samples);
    let change = running_sum(signal.iter().zip(later).map(|(a, b)| f64::from(b - a).powi(2)));
    let mut found = Vec::new();
    let mut n = 0;
    while n + 2 * period_samples <= signal.len() {
        let energy = energy[n + 2 * period_samples] - energy[n + period_samples];
        let change = change[n + period_samples] - change[n];
        if power_to_db(energy / period_samples as f64) > -60.0 && change < 1e-4 * energy {
            found.push(n + period_samples);
            n += period_samples;
        } else {
            n += 1;
        }
    }
    found
}

/// At n, the sum of the first n values.
fn running_sum(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let sums = values.scan(0.0, |sum, value| {
        *sum += value;
        Some(*sum)
    });
    std::iter::once(0.0).chain(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{mix, pink_noise, shared_audio, silence, speech_like, tone, white_noise};

    #[test]
    fn planted_clicks_are_found_where_they_are() {
        let clean =
            [tone(440.0, -20.0, 1.0), speech_like(1, -26.0, 3.0), pink_noise(2, -30.0, 1.0)];
        for signal in clean {
            // At the loudest place: the hardest one.
            let place = 4800 + loudest(&signal[4800..signal.len() - 4800]);
            let mut wrong_sample = signal.clone();
            wrong_sample[place] = -wrong_sample[place] - 0.2;
            assert_found(&wrong_sample, place);

            let mut step = signal.clone();
            step[place..].iter_mut().for_each(|sample| *sample -= 0.5);
            assert_found(&step, place);
        }
    }

    #[test]
    fn a_dropout_within_a_tone_clicks_twice_and_a_faded_one_does_not() {
        let mut cut = tone(440.0, -20.0, 1.0);
        let place = loudest(&cut[10_000..11_000]) + 10_000;
        cut[place..place + 960].fill(0.0);
        assert_eq!(clicks(&cut).len(), 2, "{:?}", clicks(&cut));

        let mut faded = tone(440.0, -20.0, 1.0);
        for (n, sample) in faded[9600..9600 + 960].iter_mut().enumerate() {
            *sample *= (std::f32::consts::PI * n as f32 / 960.0).cos().powi(2);
        }
        assert_eq!(clicks(&faded), []);
    }

    #[test]
    fn a_phase_jump_of_a_tone_is_a_click() {
        let tone = tone(440.0, -20.0, 1.0);
        let jumped = [&tone[..24_000], &tone[24_037..]].concat();
        assert_found(&jumped, 24_000);
    }

    #[test]
    fn tones_noise_and_speech_have_no_clicks() {
        let three = mix(&[&tone(440.0, -20.0, 5.0), &tone(660.0, -20.0, 5.0)]);
        assert_eq!(clicks(&three), []);
        assert_eq!(clicks(&white_noise(1, -20.0, 5.0)), []);
        assert_eq!(clicks(&pink_noise(1, -20.0, 5.0)), []);
        assert_eq!(clicks(&silence(1.0)), []);
        for seed in 0..10 {
            assert_eq!(clicks(&speech_like(seed, -20.0, 5.0)), [], "seed {seed}");
        }
    }

    #[test]
    fn studio_speech_has_no_clicks() {
        // f1, fm1 and m1 have mouth clicks of their own, up to 39 times what is around them.
        for clip in ["f2", "f3", "m2", "m3"] {
            let Some(signal) = shared_audio(&format!("audio/clean/{clip}.flac")) else {
                return eprintln!("skipped: no developers' audio set (FOLDBACK_SHARED)");
            };
            assert_eq!(clicks(&signal), [], "{clip}");
        }
    }

    #[test]
    fn a_gap_is_found_with_its_length_and_a_shorter_one_is_not() {
        let mut signal = tone(440.0, -20.0, 1.0);
        signal[10_000..10_960].fill(0.0);
        signal[20_000..20_240].fill(0.0);
        let found = gaps(&signal, -60.0, 10.0);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!((19.9..21.0).contains(&found[0].milliseconds()), "{found:?}");
        assert!(found[0].start.abs_diff(10_000) < 5, "{found:?}");
    }

    #[test]
    fn silence_at_the_end_is_a_gap_and_all_of_silence_is_one() {
        let ended = [tone(440.0, -20.0, 0.5), silence(0.1)].concat();
        assert_eq!(gaps(&ended, -60.0, 50.0).len(), 1);
        assert_eq!(gaps(&silence(1.0), -60.0, 50.0), [Gap { start: 0, samples: 48_000 }]);
        assert_eq!(gaps(&tone(440.0, -20.0, 1.0), -60.0, 5.0), []);
    }

    #[test]
    fn a_packet_played_twice_is_found_and_speech_does_not_repeat() {
        let speech = speech_like(4, -26.0, 3.0);
        assert_eq!(repeats(&speech, 960), []);
        let place = loudest(&speech);
        let stuttering = [&speech[..place], &speech[place - 960..]].concat();
        assert_eq!(repeats(&stuttering, 960), [place]);
        assert_eq!(repeats(&speech[..100], 960), []);
    }

    fn loudest(signal: &[f32]) -> usize {
        let loudest = signal.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        loudest.expect("a signal").0
    }

    fn assert_found(signal: &[f32], place: usize) {
        let found = clicks(signal);
        assert_eq!(found.len(), 1, "{found:?} for a click at {place}");
        assert!(found[0].abs_diff(place) <= 2, "{found:?} for a click at {place}");
    }
}
