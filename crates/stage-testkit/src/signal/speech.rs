use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use foldback_stage::SAMPLE_RATE_HZ;

use super::{read_wav, to_rms, write_wav};

/// What an active talker is set to, as in the developers' audio set.
const SPEECH_RMS_DBFS: f64 = -26.0;

/// Why [`speech`] has nothing to give, as a sentence.
#[derive(Debug)]
pub struct SpeechError(String);

impl fmt::Display for SpeechError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SpeechError {}

/// `text` as espeak-ng speaks it with `voice` (`en`, `en+f3`, `de+m2`, ...), at -26 dBFS rms,
/// without the silence around it. Kept in the target folder, so each sentence is spoken once.
///
/// # Errors
/// Where espeak-ng is missing or refuses the voice.
pub fn speech(text: &str, voice: &str) -> Result<Vec<f32>, SpeechError> {
    let cached = cache_file(text, voice)?;
    if !cached.exists() {
        let (spoken, rate_hz) = speak(text, voice, &cached)?;
        let signal = to_rms(trimmed(&resampled(&spoken, rate_hz)), SPEECH_RMS_DBFS);
        // Tests run side by side: a file appears under its name only when it is whole.
        let unfinished = cached.with_extension(format!("{}.part", std::process::id()));
        write_wav(&unfinished, &signal);
        fs::rename(&unfinished, &cached)
            .map_err(|error| SpeechError(format!("{}: {error}", cached.display())))?;
    }
    Ok(read_wav(&cached).0)
}

fn speak(text: &str, voice: &str, cached: &Path) -> Result<(Vec<f32>, u32), SpeechError> {
    let spoken = cached.with_extension(format!("{}.espeak", std::process::id()));
    let output = Command::new("espeak-ng")
        .args(["-v", voice, "-w"])
        .arg(&spoken)
        .arg("--")
        .arg(text)
        .output()
        .map_err(|error| SpeechError(format!("espeak-ng does not start: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(SpeechError(format!("espeak-ng, voice '{voice}': {}", said.trim())));
    }
    let signal = read_wav(&spoken);
    fs::remove_file(&spoken)
        .map_err(|error| SpeechError(format!("{}: {error}", spoken.display())))?;
    Ok(signal)
}

/// To 48 kHz, by a Hann-windowed sinc of 32 zero crossings on either side. Upwards only.
fn resampled(signal: &[f32], rate_hz: u32) -> Vec<f32> {
    const REACH: i64 = 32;
    let step = f64::from(rate_hz) / f64::from(SAMPLE_RATE_HZ);
    assert!(step <= 1.0, "{rate_hz} Hz would alias");
    let length = (signal.len() as f64 / step) as usize;
    (0..length)
        .map(|n| {
            let position = n as f64 * step;
            let centre = position.floor() as i64;
            let sum: f64 = (centre - REACH + 1..=centre + REACH)
                .filter_map(|index| {
                    let sample = signal.get(usize::try_from(index).ok()?)?;
                    let distance = position - index as f64;
                    Some(f64::from(*sample) * windowed_sinc(distance, REACH as f64))
                })
                .sum();
            sum as f32
        })
        .collect()
}

fn windowed_sinc(distance: f64, reach: f64) -> f64 {
    use std::f64::consts::PI;
    if distance.abs() < 1e-9 {
        return 1.0;
    }
    let window = 0.5 + 0.5 * (PI * distance / reach).cos();
    window * (PI * distance).sin() / (PI * distance)
}

fn trimmed(signal: &[f32]) -> Vec<f32> {
    let loud = |sample: &f32| sample.abs() > 1e-3;
    let first = signal.iter().position(loud).unwrap_or(0);
    let last = signal.iter().rposition(loud).map_or(0, |index| index + 1);
    signal[first..last].to_vec()
}

fn cache_file(text: &str, voice: &str) -> Result<PathBuf, SpeechError> {
    // Tests live in target/<profile>/deps, or one deeper with a target triple.
    let program = std::env::current_exe()
        .map_err(|error| SpeechError(format!("where this program stands: {error}")))?;
    let target = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map_or_else(std::env::temp_dir, Path::to_path_buf);
    let folder = target.join("speech");
    fs::create_dir_all(&folder)
        .map_err(|error| SpeechError(format!("{}: {error}", folder.display())))?;
    let mut hasher = DefaultHasher::new();
    (text, voice).hash(&mut hasher);
    Ok(folder.join(format!("{:016x}.wav", hasher.finish())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{gaps, rms_dbfs, tone_dbfs};
    use crate::signal::tone;

    #[test]
    fn a_resampled_tone_keeps_its_frequency_and_level() {
        let at_22k: Vec<f32> = (0..22_050)
            .map(|n| {
                (0.5 * (std::f64::consts::TAU * 1000.0 * f64::from(n) / 22_050.0).sin()) as f32
            })
            .collect();
        let at_48k = resampled(&at_22k, 22_050);
        assert_eq!(at_48k.len(), 48_000);
        let inner = &at_48k[4800..43_200];
        let fit = crate::measure::fit_tones(inner, &[1000.0]);
        assert!((fit.tones[0].level_dbfs + 6.02).abs() < 0.05, "{fit:?}");
        assert!(fit.residual_db < -60.0, "{} dB", fit.residual_db);
        assert!(tone_dbfs(inner, 1100.0) < -80.0);
    }

    #[test]
    fn only_the_silence_around_is_trimmed() {
        let mut signal = vec![0.0; 100];
        signal.extend([0.5, 0.0, 0.5]);
        signal.extend(vec![0.0; 100]);
        assert_eq!(trimmed(&signal), [0.5, 0.0, 0.5]);
        assert_eq!(trimmed(&[0.0; 10]), []);
        assert_eq!(trimmed(&tone(440.0, 0.0, 0.0)), []);
    }

    #[test]
    fn espeak_speaks_each_sentence_at_speech_level_and_the_same_twice() {
        let first = match speech("Seven sleepy sailors, sixteen ships.", "en+f3") {
            Ok(signal) => signal,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        assert!((1.0..6.0).contains(&(first.len() as f64 / 48_000.0)));
        assert!((rms_dbfs(&first) + 26.0).abs() < 0.1);
        assert!(!gaps(&first, -60.0, 10.0).is_empty(), "speech has pauses");
        let again = speech("Seven sleepy sailors, sixteen ships.", "en+f3");
        assert_eq!(again.expect("spoken before"), first);
    }

    #[test]
    fn an_unknown_voice_is_an_error_that_names_it() {
        if Command::new("espeak-ng").arg("--version").output().is_err() {
            return eprintln!("skipped: no espeak-ng");
        }
        let error = speech("hello", "xx-nobody").expect_err("no such voice").to_string();
        assert!(error.contains("xx-nobody"), "{error}");
    }
}
