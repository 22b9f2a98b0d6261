//! Sound files: WAV and FLAC in, WAV out.

use std::fs::File;
use std::io::{Read, Seek};
use std::ops::RangeInclusive;
use std::path::Path;

use foldback_stage::{MAX_CHANNELS, SAMPLE_RATE_HZ};

use super::resample;

/// Rates that are read, in Hz.
pub(crate) const RATES_HZ: RangeInclusive<u32> = 8_000..=192_000;

/// A sound file in memory: four bytes for each sample.
#[derive(Debug)]
pub(crate) struct AudioFile {
    /// One or two channels of the same length, in ±1; not empty.
    pub(crate) planes: Vec<Vec<f32>>,
    /// In Hz.
    pub(crate) rate_hz: u32,
    /// How samples stand in the file.
    pub(crate) samples: SampleType,
}

/// How samples stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SampleType {
    /// Whole numbers of 8, 16, 24 or 32 bits.
    Int {
        /// How many.
        bits: u16,
    },
    /// Floating point of 32 bits.
    Float,
}

impl AudioFile {
    /// Reads a WAV or FLAC file, known by its first bytes.
    ///
    /// # Errors
    /// A sentence with the name of the file: it cannot be read, is neither, is of a kind, rate or
    /// number of channels that is not read, or holds nothing.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let cannot = |error: std::io::Error| format!("cannot read {shown}: {error}");
        let mut file = File::open(path).map_err(cannot)?;
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(cannot)?;
        file.rewind().map_err(cannot)?;
        let file = std::io::BufReader::new(file);
        let sound = match magic.as_slice() {
            b"RIFF" => read_wav(file),
            b"fLaC" => read_flac(file),
            _ => Err("is neither a WAV nor a FLAC file".to_owned()),
        };
        let sound = sound.map_err(|what| format!("{shown} {what}"))?;
        match sound.frames() {
            0 => Err(format!("{shown} holds no samples")),
            _ => Ok(sound),
        }
    }

    /// Samples of each channel.
    pub(crate) fn frames(&self) -> usize {
        self.planes[0].len()
    }

    /// In s.
    pub(crate) fn duration_s(&self) -> f64 {
        self.frames() as f64 / f64::from(self.rate_hz)
    }

    /// Makes stereo of it: what is mono is in the middle.
    pub(crate) fn spread(&mut self) {
        if let [mono] = &self.planes[..] {
            self.planes.push(mono.clone());
        }
    }

    /// The mean of the channels, at 48 kHz.
    ///
    /// # Errors
    /// As [`resample`].
    pub(crate) fn into_mono_48k(self) -> Result<Vec<f32>, String> {
        let share = 1.0 / self.planes.len() as f32;
        let mut mono = vec![0.0; self.frames()];
        for plane in &self.planes {
            mono.iter_mut().zip(plane).for_each(|(sum, sample)| *sum += sample * share);
        }
        let mut planes = resample(vec![mono], self.rate_hz, SAMPLE_RATE_HZ)?;
        Ok(planes.swap_remove(0))
    }

    /// Writes a WAV file, over one that is there. Returns how many samples were beyond full scale
    /// and therefore cut off; of floating point none are.
    ///
    /// # Errors
    /// A sentence with the name of the file.
    pub(crate) fn write(&self, path: &Path) -> Result<u64, String> {
        let spec = hound::WavSpec {
            channels: self.planes.len() as u16,
            sample_rate: self.rate_hz,
            bits_per_sample: match self.samples {
                SampleType::Int { bits } => bits,
                SampleType::Float => 32,
            },
            sample_format: match self.samples {
                SampleType::Int { .. } => hound::SampleFormat::Int,
                SampleType::Float => hound::SampleFormat::Float,
            },
        };
        let write = || -> Result<u64, hound::Error> {
            let mut writer = hound::WavWriter::create(path, spec)?;
            let mut clipped = 0;
            for frame in 0..self.frames() {
                for plane in &self.planes {
                    match self.samples {
                        SampleType::Float => writer.write_sample(plane[frame])?,
                        SampleType::Int { bits } => {
                            let (value, cut) = to_int(plane[frame], bits);
                            clipped += u64::from(cut);
                            writer.write_sample(value)?;
                        }
                    }
                }
            }
            writer.finalize()?;
            Ok(clipped)
        };
        write().map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// A sample as a whole number, and whether it had to be cut off.
fn to_int(sample: f32, bits: u16) -> (i32, bool) {
    let full_scale = (1_i64 << (bits - 1)) as f64;
    let value = (f64::from(sample) * full_scale).round();
    let within = value.clamp(-full_scale, full_scale - 1.0);
    (within as i32, within != value)
}

fn read_wav(file: impl Read) -> Result<AudioFile, String> {
    let mut reader = hound::WavReader::new(file).map_err(wav_error)?;
    let spec = reader.spec();
    check(spec.sample_rate, u32::from(spec.channels))?;
    let (interleaved, samples) = match spec.sample_format {
        hound::SampleFormat::Float => {
            let samples = reader.samples::<f32>().collect::<Result<Vec<_>, _>>();
            (samples, SampleType::Float)
        }
        hound::SampleFormat::Int => {
            let bits = spec.bits_per_sample;
            let samples = reader.samples::<i32>().map(|s| s.map(|value| to_float(value, bits)));
            (samples.collect(), SampleType::Int { bits })
        }
    };
    let interleaved = interleaved.map_err(wav_error)?;
    let planes = deinterleave(&interleaved, usize::from(spec.channels));
    Ok(AudioFile { planes, rate_hz: spec.sample_rate, samples })
}

fn wav_error(error: hound::Error) -> String {
    match error {
        hound::Error::IoError(error) => format!("cannot be read: {error}"),
        hound::Error::FormatError(reason) => format!("is a broken WAV file: {reason}"),
        _ => "is a WAV file of a kind that is not read, allowed are PCM of 8, 16, 24 or 32 bits \
              and floating point of 32"
            .to_owned(),
    }
}

fn read_flac(file: impl Read) -> Result<AudioFile, String> {
    let mut reader = claxon::FlacReader::new(file).map_err(flac_error)?;
    let info = reader.streaminfo();
    check(info.sample_rate, info.channels)?;
    let bits = info.bits_per_sample as u16;
    let samples = reader.samples().map(|s| s.map(|value| to_float(value, bits)));
    let interleaved = samples.collect::<Result<Vec<_>, _>>().map_err(flac_error)?;
    // FLAC has widths that WAV has not.
    let samples = SampleType::Int { bits: bits.next_multiple_of(8) };
    let planes = deinterleave(&interleaved, info.channels as usize);
    Ok(AudioFile { planes, rate_hz: info.sample_rate, samples })
}

fn flac_error(error: claxon::Error) -> String {
    match error {
        claxon::Error::IoError(error) => format!("cannot be read: {error}"),
        claxon::Error::FormatError(reason) => format!("is a broken FLAC file: {reason}"),
        claxon::Error::Unsupported(what) => {
            format!("is a FLAC file of a kind that is not read: {what}")
        }
    }
}

fn check(rate_hz: u32, channels: u32) -> Result<(), String> {
    if !RATES_HZ.contains(&rate_hz) {
        let (min, max) = (RATES_HZ.start(), RATES_HZ.end());
        return Err(format!("has a rate of {rate_hz} Hz, must be {min} to {max} Hz"));
    }
    if !(1..=MAX_CHANNELS as u32).contains(&channels) {
        return Err(format!("has {channels} channels, must be mono or stereo"));
    }
    Ok(())
}

fn to_float(value: i32, bits: u16) -> f32 {
    (f64::from(value) / (1_i64 << (bits - 1)) as f64) as f32
}

fn deinterleave(samples: &[f32], channels: usize) -> Vec<Vec<f32>> {
    let plane = |channel| samples.iter().skip(channel).step_by(channels).copied().collect();
    (0..channels).map(plane).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    fn ramp(samples: SampleType) -> AudioFile {
        let left: Vec<f32> = (-64..64).map(|n| n as f32 / 64.0).collect();
        let right = left.iter().rev().copied().collect();
        AudioFile { planes: vec![left, right], rate_hz: 44_100, samples }
    }

    #[test]
    fn every_sample_type_comes_back_to_the_bit() {
        let folder = folder();
        let types = [8, 16, 24, 32].map(|bits| SampleType::Int { bits });
        for samples in types.into_iter().chain([SampleType::Float]) {
            let path = folder.path().join("sound.wav");
            let (sound, before) = (ramp(samples), ramp(samples).planes);
            assert_eq!(sound.write(&path), Ok(0));
            let back = AudioFile::read(&path).expect("was written");
            assert_eq!((back.rate_hz, back.samples), (44_100, samples));
            assert_eq!(back.planes, before, "{samples:?}");
        }
    }

    #[test]
    fn what_is_above_full_scale_is_cut_off_and_counted_but_not_in_floating_point() {
        let folder = folder();
        let path = folder.path().join("loud.wav");
        let mut sound = AudioFile {
            planes: vec![vec![1.5, -1.5, -1.0, 0.5]],
            rate_hz: 48_000,
            samples: SampleType::Int { bits: 16 },
        };
        assert_eq!(sound.write(&path), Ok(2));
        let back = AudioFile::read(&path).expect("was written");
        assert_eq!(back.planes, [[32_767.0 / 32_768.0, -1.0, -1.0, 0.5]]);

        sound.samples = SampleType::Float;
        assert_eq!(sound.write(&path), Ok(0));
        assert_eq!(AudioFile::read(&path).expect("was written").planes, sound.planes);
    }

    #[test]
    fn stereo_is_mixed_down_by_the_mean() {
        let sound = AudioFile {
            planes: vec![vec![0.5, 0.25], vec![0.5, -0.75]],
            rate_hz: 48_000,
            samples: SampleType::Float,
        };
        assert_eq!(sound.into_mono_48k(), Ok(vec![0.5, -0.25]));
    }

    #[test]
    fn a_file_that_ends_too_early_is_told() {
        let folder = folder();
        let path = folder.path().join("cut.wav");
        ramp(SampleType::Int { bits: 16 }).write(&path).expect("writes");
        let bytes = std::fs::read(&path).expect("was written");
        let mut cut = File::create(&path).expect("writes");
        cut.write_all(&bytes[..bytes.len() - 50]).expect("writes");
        let error = AudioFile::read(&path).expect_err("samples are missing");
        assert!(error.contains("cut.wav cannot be read: "), "{error}");
    }
}
