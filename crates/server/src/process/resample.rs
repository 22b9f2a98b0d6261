//! From one rate to another, offline.

use audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler};

/// The least that is resampled at once: the more, the nearer to half the lower rate the passband
/// goes.
const CHUNK_FRAMES: usize = 2048;

/// `planes` at another rate: begins with the same instant and has the same duration, rounded up
/// to whole samples.
///
/// # Errors
/// The library's sentence: a rate is 0, or the planes differ in length.
pub(crate) fn resample(
    planes: Vec<Vec<f32>>,
    from_hz: u32,
    to_hz: u32,
) -> Result<Vec<Vec<f32>>, String> {
    if from_hz == to_hz {
        return Ok(planes);
    }
    let (channels, frames) = (planes.len(), planes[0].len());
    let (from_hz, to_hz) = (from_hz as usize, to_hz as usize);
    let resampler =
        Fft::<f32>::new(from_hz, to_hz, chunk(from_hz, to_hz), channels, FixedSync::Both);
    let mut resampler = resampler.map_err(|error| error.to_string())?;
    let room = resampler.process_all_needed_output_len(frames);
    let mut resampled = vec![vec![0.0; room]; channels];
    let input = SequentialSliceOfVecs::new(&planes, channels, frames);
    let input = input.map_err(|error| error.to_string())?;
    let output = SequentialSliceOfVecs::new_mut(&mut resampled, channels, room);
    let mut output = output.map_err(|error| error.to_string())?;
    let done = resampler.process_all_into_buffer(&input, &mut output, frames, None);
    done.map_err(|error| error.to_string())?;
    // The library rounds a product of floating-point numbers up, at times one sample too far.
    let frames = (frames * to_hz).div_ceil(from_hz);
    resampled.iter_mut().for_each(|plane| plane.truncate(frames));
    Ok(resampled)
}

/// At least [`CHUNK_FRAMES`], and such that half of it, which is the library's delay, is a whole
/// number of samples at both rates: what it takes off the start is then exact.
fn chunk(from_hz: usize, to_hz: usize) -> usize {
    let least = (1..from_hz).find(|frames| (frames * to_hz).is_multiple_of(from_hz));
    CHUNK_FRAMES.next_multiple_of(2 * least.unwrap_or(from_hz))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    fn tone(rate_hz: u32, frames: usize) -> Vec<f32> {
        let at = |n: usize| 0.5 * (TAU * (1000.0 * n as f64 / f64::from(rate_hz)).fract()).sin();
        (0..frames).map(|n| at(n) as f32).collect()
    }

    #[test]
    fn a_tone_keeps_its_place_level_and_length_at_every_rate() {
        for rate_hz in [8_000, 11_025, 16_000, 22_050, 44_100, 88_200, 96_000, 192_000] {
            let frames = rate_hz as usize / 2;
            let there = resample(vec![tone(rate_hz, frames)], rate_hz, 48_000).expect("rates");
            let expected = (frames * 48_000).div_ceil(rate_hz as usize);
            assert_eq!(there[0].len(), expected);
            assert_same(&there[0], &tone(48_000, there[0].len()), rate_hz);
            let back = resample(there, 48_000, rate_hz).expect("rates");
            assert!(back[0].len() >= frames);
            assert_same(&back[0][..frames], &tone(rate_hz, frames), rate_hz);
        }
    }

    #[test]
    fn channels_stay_apart_and_short_sounds_whole() {
        let planes = vec![tone(44_100, 100), vec![0.0; 100]];
        let there = resample(planes, 44_100, 48_000).expect("rates");
        assert_eq!((there[0].len(), there[1].len()), (109, 109));
        assert!(there[1].iter().all(|sample| *sample == 0.0));
        assert!(there[0].iter().any(|sample| *sample > 0.4));
    }

    /// Apart from the ends, where the tone begins and stops all at once.
    fn assert_same(found: &[f32], expected: &[f32], rate_hz: u32) {
        let inner = found.len() / 10..found.len() * 9 / 10;
        let worst = found[inner.clone()].iter().zip(&expected[inner]);
        let worst = worst.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 5e-4, "{rate_hz} Hz: off by {worst}");
    }
}
