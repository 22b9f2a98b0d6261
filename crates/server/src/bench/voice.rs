//! Sound to measure with: the same on every machine.

use std::f32::consts::TAU;

use foldback_stage::SAMPLE_RATE_HZ;

const RATE_HZ: f32 = SAMPLE_RATE_HZ as f32;

/// What a microphone hears: a voice, the noise of a room, and the echo of `far_end`.
pub(super) fn microphone(far_end: &[f32]) -> Vec<f32> {
    const ECHO_DELAY_SAMPLES: usize = 2_880;
    const ECHO_GAIN: f32 = 0.3;
    let mut random = Random(2);
    let mut sound = voice(140.0, far_end.len());
    for (index, sample) in sound.iter_mut().enumerate() {
        let echoed = index.checked_sub(ECHO_DELAY_SAMPLES).map_or(0.0, |index| far_end[index]);
        *sample += ECHO_GAIN * echoed + 0.003 * random.next();
    }
    sound
}

/// `samples` of something that voice detectors and suppressors take for a talker: harmonics of a
/// pitch that glides, four syllables a second, hissing between some of them, and a pause in every
/// third second. The rms is about -26 dBFS.
pub(crate) fn voice(pitch_hz: f32, samples: usize) -> Vec<f32> {
    const HARMONICS: u32 = 12;
    let mut random = Random(1);
    let mut phase = 0.0;
    let sample = |index: usize| {
        let time_s = index as f32 / RATE_HZ;
        phase = (phase + pitch_hz * (1.0 + 0.15 * (TAU * 0.7 * time_s).sin()) / RATE_HZ).fract();
        let pauses = (time_s % 3.0) > 2.4;
        let syllable = (TAU * 4.0 * time_s).sin();
        let voiced: f32 =
            (1..=HARMONICS).map(|k| (TAU * (k as f32 * phase).fract()).sin() / k as f32).sum();
        match (pauses, syllable > 0.0) {
            (true, _) => 0.0,
            (false, true) => 0.09 * syllable * voiced,
            (false, false) => 0.02 * -syllable * random.next(),
        }
    };
    (0..samples).map(sample).collect()
}

/// White noise in ±1, by Marsaglia's xorshift (<https://doi.org/10.18637/jss.v008.i14>).
struct Random(u32);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as f32 / (u32::MAX / 2) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use foldback_stage_testkit::measure::rms_dbfs;

    use super::*;

    #[test]
    fn a_voice_is_as_loud_as_voices_are_and_pauses() {
        let voice = voice(140.0, 6 * 48_000);
        assert!((-29.0..-23.0).contains(&rms_dbfs(&voice)), "{} dBFS", rms_dbfs(&voice));
        assert!(
            voice[(2.5 * RATE_HZ) as usize..(2.9 * RATE_HZ) as usize].iter().all(|s| *s == 0.0)
        );
        assert!(voice.iter().all(|s| s.abs() < 1.0));
    }

    #[test]
    fn the_microphone_hears_the_far_end_too() {
        let quiet = microphone(&vec![0.0; 48_000]);
        let echo = microphone(&vec![0.5; 48_000]);
        assert_eq!(quiet[..2_880], echo[..2_880]);
        assert!((echo[2_880] - quiet[2_880] - 0.15).abs() < 1e-6);
    }
}
