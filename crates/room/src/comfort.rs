//! What a participant's room sounds like when nobody speaks, for gaps that are too long to hide.

/// Order of the noise's spectrum.
const ORDER: usize = 10;
/// What is looked at: 10 ms.
const FRAME: usize = 480;
/// Louder than this is no background: -45 dBFS as a mean square.
const LOUDEST: f32 = 3.2e-5;
/// The floor is forgotten at 0.5 dB per second of sound.
const RISE_PER_FRAME: f32 = 1.001_15;

/// Follows the quietest frames of a signal and makes noise like them: level and spectrum (linear
/// prediction). Never allocates.
pub(crate) struct ComfortNoise {
    /// Mean square of the quietest frames; none yet.
    floor: Option<f32>,
    predictor: [f32; ORDER],
    /// Amplitude of the noise that excites the predictor.
    excitation: f32,
    past: [f32; ORDER],
    random: u32,
}

impl ComfortNoise {
    /// Each `seed` gives another noise.
    pub(crate) fn new(seed: u32) -> Self {
        Self {
            floor: None,
            predictor: [0.0; ORDER],
            excitation: 0.0,
            past: [0.0; ORDER],
            random: seed,
        }
    }

    /// Mean square of the background; 0 until one was heard.
    pub(crate) fn floor(&self) -> f32 {
        self.floor.unwrap_or(0.0)
    }

    /// Learns from what was really received.
    pub(crate) fn learn(&mut self, sound: &[f32]) {
        for frame in sound.chunks_exact(FRAME) {
            let power = frame.iter().map(|s| s * s).sum::<f32>() / FRAME as f32;
            let floor = self.floor.map_or(LOUDEST, |floor| (floor * RISE_PER_FRAME).min(LOUDEST));
            if power <= floor {
                self.floor = Some(power);
                self.shape_like(frame);
            } else if self.floor.is_some() {
                self.floor = Some(floor);
            }
        }
    }

    /// The next sample of noise.
    pub(crate) fn sample(&mut self) -> f32 {
        // A linear congruential generator is random enough for ears.
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let white = (self.random >> 8) as f32 / 8_388_608.0 - 1.0;
        let mut sample = white * self.excitation;
        for (past, coefficient) in self.past.iter().zip(&self.predictor) {
            sample += past * coefficient;
        }
        // A predictor at the edge of stability must not run away.
        let sample = sample.clamp(-0.1, 0.1);
        self.past.rotate_right(1);
        self.past[0] = sample;
        sample
    }

    /// Levinson-Durbin on the frame's autocorrelation.
    fn shape_like(&mut self, frame: &[f32]) {
        let mut r = [0.0_f32; ORDER + 1];
        for (lag, r) in r.iter_mut().enumerate() {
            *r = frame[lag..].iter().zip(frame).map(|(a, b)| a * b).sum();
        }
        // White noise correction, 40 dB below, keeps the recursion well conditioned.
        r[0] *= 1.000_1;
        let (mut predictor, mut error) = ([0.0_f32; ORDER], r[0]);
        if error <= 0.0 {
            (self.predictor, self.excitation) = (predictor, 0.0);
            return;
        }
        for i in 0..ORDER {
            let known: f32 = (0..i).map(|j| predictor[j] * r[i - j]).sum();
            let reflection = (r[i + 1] - known) / error;
            let before = predictor;
            predictor[i] = reflection;
            for j in 0..i {
                predictor[j] = before[j] - reflection * before[i - 1 - j];
            }
            error *= 1.0 - reflection * reflection;
        }
        self.predictor = predictor;
        // White noise that is even over ±1 has a mean square of a third.
        self.excitation = (3.0 * error.max(0.0) / frame.len() as f32).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power(x: &[f32]) -> f32 {
        x.iter().map(|s| s * s).sum::<f32>() / x.len() as f32
    }

    /// Noise through a one-pole low-pass.
    fn background(amplitude: f32) -> Vec<f32> {
        let (mut seed, mut last) = (7_u32, 0.0_f32);
        let samples = (0..48_000).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let white = (seed >> 8) as f32 / 8_388_608.0 - 1.0;
            last += 0.1 * (white * amplitude - last);
            last
        });
        samples.collect()
    }

    /// How much of the power is in the differences: small for dull sound.
    fn brightness(x: &[f32]) -> f32 {
        let steps: Vec<f32> = x.windows(2).map(|w| w[1] - w[0]).collect();
        power(&steps) / power(x)
    }

    #[test]
    fn it_sounds_like_the_background_and_not_like_the_voice() {
        let quiet = background(0.01);
        let mut noise = ComfortNoise::new(1);
        noise.learn(&quiet);
        noise.learn(&background(3.0));
        let made: Vec<f32> = (0..48_000).map(|_| noise.sample()).collect();
        let off_db = 10.0 * (power(&made) / power(&quiet)).log10();
        assert!((-6.0..3.0).contains(&off_db), "off by {off_db} dB");
        let ratio = brightness(&made) / brightness(&quiet);
        assert!((0.4..2.5).contains(&ratio), "brightness off by {ratio}");
    }

    #[test]
    fn without_a_background_there_is_no_noise() {
        let mut noise = ComfortNoise::new(1);
        let tone: Vec<f32> = (0..48_000).map(|i| 0.1 * (i as f32 * 0.05).sin()).collect();
        noise.learn(&tone);
        assert_eq!(noise.floor(), 0.0);
        assert!((0..4800).all(|_| noise.sample() == 0.0));
    }
}
