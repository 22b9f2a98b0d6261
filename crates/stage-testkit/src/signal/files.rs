use std::fs::File;
use std::path::{Path, PathBuf};

use foldback_stage::SAMPLE_RATE_HZ;

/// Writes a 48 kHz mono 16-bit WAV file. What is beyond full scale is cut off.
///
/// # Panics
/// If the file cannot be written.
pub fn write_wav(path: &Path, signal: &[f32]) {
    write(path, 1, signal.iter().copied());
}

/// As [`write_wav`], in stereo, as long as the shorter side.
///
/// # Panics
/// If the file cannot be written.
pub fn write_stereo_wav(path: &Path, left: &[f32], right: &[f32]) {
    write(path, 2, left.iter().zip(right).flat_map(|(left, right)| [*left, *right]));
}

fn write(path: &Path, channels: u16, samples: impl Iterator<Item = f32>) {
    let spec = hound::WavSpec {
        channels,
        sample_rate: SAMPLE_RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> Result<(), hound::Error> {
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in samples {
            writer.write_sample((sample * 32767.0).round().clamp(-32768.0, 32767.0) as i16)?;
        }
        writer.finalize()
    };
    write().unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
}

/// Reads a WAV file of any width: its first channel and its sample rate in Hz.
///
/// # Panics
/// If the file cannot be read or is not a WAV file.
#[must_use]
pub fn read_wav(path: &Path) -> (Vec<f32>, u32) {
    let read = || -> Result<(Vec<f32>, u32), hound::Error> {
        let mut reader = hound::WavReader::open(path)?;
        let spec = reader.spec();
        let channels = usize::from(spec.channels);
        let signal = match spec.sample_format {
            hound::SampleFormat::Float => {
                reader.samples::<f32>().step_by(channels).collect::<Result<_, _>>()?
            }
            hound::SampleFormat::Int => {
                let full_scale = (1_i64 << (spec.bits_per_sample - 1)) as f32;
                reader
                    .samples::<i32>()
                    .step_by(channels)
                    .map(|sample| sample.map(|value| value as f32 / full_scale))
                    .collect::<Result<_, _>>()?
            }
        };
        Ok((signal, spec.sample_rate))
    };
    read().unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

/// Reads a FLAC file: its first channel and its sample rate in Hz.
///
/// # Panics
/// If the file cannot be read or is not a FLAC file.
#[must_use]
pub fn read_flac(path: &Path) -> (Vec<f32>, u32) {
    let read = || -> Result<(Vec<f32>, u32), claxon::Error> {
        let mut reader = claxon::FlacReader::new(File::open(path)?)?;
        let info = reader.streaminfo();
        let full_scale = (1_i64 << (info.bits_per_sample - 1)) as f32;
        let signal = reader
            .samples()
            .step_by(info.channels as usize)
            .map(|sample| sample.map(|value| value as f32 / full_scale))
            .collect::<Result<_, _>>()?;
        Ok((signal, info.sample_rate))
    };
    read().unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}

/// Reads a 48 kHz WAV or FLAC file, by its extension: its first channel.
///
/// # Panics
/// If the file cannot be read, is neither, or has another sample rate.
#[must_use]
pub fn read_audio(path: &Path) -> Vec<f32> {
    let is_flac = path.extension().is_some_and(|extension| extension == "flac");
    let (signal, rate_hz) = if is_flac { read_flac(path) } else { read_wav(path) };
    assert_eq!(rate_hz, SAMPLE_RATE_HZ, "sample rate of {}", path.display());
    signal
}

/// A 48 kHz file of the developers' audio set, such as `audio/clean/f1.flac`: in the folder that
/// the environment variable `FOLDBACK_SHARED` names, else in `shared` beside the repository.
/// `None` where that set is not at hand: it is not part of the repository.
///
/// # Panics
/// If the file is there but cannot be read.
#[must_use]
pub fn shared_audio(file: &str) -> Option<Vec<f32>> {
    let path = shared_folder().join(file);
    path.exists().then(|| read_audio(&path))
}

fn shared_folder() -> PathBuf {
    std::env::var_os("FOLDBACK_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::rms_dbfs;
    use crate::signal::tone;

    #[test]
    fn a_wav_file_comes_back_to_within_half_a_step() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("tone.wav");
        let signal = tone(440.0, -6.0, 0.1);
        write_wav(&path, &signal);
        let (read, rate_hz) = read_wav(&path);
        assert_eq!(rate_hz, 48_000);
        assert_eq!(read.len(), signal.len());
        for (back, sent) in read.iter().zip(&signal) {
            assert!((back - sent).abs() < 1.5 / 32768.0, "{back} for {sent}");
        }
    }

    #[test]
    fn what_is_beyond_full_scale_is_cut_off_and_never_wraps() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("loud.wav");
        write_wav(&path, &[1.5, -1.5]);
        let (read, _) = read_wav(&path);
        assert!(read[0] > 0.99 && read[1] < -0.99, "{read:?}");
    }

    #[test]
    fn a_file_that_is_not_there_is_none() {
        assert_eq!(shared_audio("audio/clean/nobody.flac"), None);
    }

    #[test]
    fn flac_files_of_the_audio_set_are_read_at_their_level() {
        let Some(signal) = shared_audio("audio/clean/f1.flac") else {
            eprintln!("skipped: no developers' audio set (FOLDBACK_SHARED)");
            return;
        };
        assert_eq!(signal.len(), crate::signal::samples(9.5));
        let level_dbfs = rms_dbfs(&signal);
        assert!((-32.0..-25.0).contains(&level_dbfs), "{level_dbfs} dBFS");
    }
}
