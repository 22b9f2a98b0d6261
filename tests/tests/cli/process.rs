use std::path::{Path, PathBuf};
use std::process::Output;

use foldback_testkit::measure::{align, rms_dbfs};
use foldback_testkit::signal::{read_wav, speech_like, white_noise, write_wav};
use serde_json::Value;
use tempfile::TempDir;

use crate::{run, stderr, stdout};

#[test]
fn a_chain_of_mix_alone_changes_no_bit() {
    let files = Files::new();
    for (bits, channels) in [(16, 1), (16, 2), (24, 2)] {
        let input = files.write("in.wav", 48_000, channels, bits, 4_801);
        let output = files.path("out.wav");
        let done = run(&["process", "--config", "config/clean.toml", "--force", &input, &output]);
        assert!(done.status.success(), "{}", stderr(&done));
        assert_eq!(samples(&output), samples(&input), "{bits} bits, {channels} channels");
    }
}

#[test]
fn other_rates_keep_their_rate_length_and_place() {
    let files = Files::new();
    let chain = files.chain(r#"{ kind = "denoise" }, { kind = "mix" }, { kind = "limiter" }"#);
    let voice = speech_like(3, -26.0, 2.0);
    for rate_hz in [16_000_u32, 44_100] {
        // The same samples at another rate: a lower or slower voice, which is a voice still.
        let input = files.path("in.wav");
        let spec = wav_spec(rate_hz, 1, 16);
        let mut writer = hound::WavWriter::create(&input, spec).expect("writes");
        for sample in &voice {
            writer.write_sample((sample * 32_767.0) as i16).expect("writes");
        }
        writer.finalize().expect("writes");
        let output = files.path("out.wav");
        let done = run(&["process", "--config", &chain, "--force", &input, &output]);
        assert!(done.status.success(), "{}", stderr(&done));
        let (processed, found_hz) = read_wav(Path::new(&output));
        assert_eq!((found_hz, processed.len()), (rate_hz, voice.len()));
        let found = align(&voice, &processed);
        assert!(found.delay_samples.abs() <= 1 && found.correlation > 0.8, "{rate_hz}: {found:?}");
    }
}

#[test]
fn an_echo_goes_where_the_far_end_is_given_and_its_known_delay_followed() {
    let files = Files::new();
    let chain = files.chain(r#"{ kind = "echo-cancel" }, { kind = "mix" }"#);
    let far_end = speech_like(5, -26.0, 8.0);
    // Later than the stage looks for an echo.
    let mut echo = vec![0.0; 48 * 2500];
    echo.extend(far_end.iter().map(|sample| 0.3 * sample));
    echo.truncate(far_end.len());
    let (input, far) = (files.path("mic.wav"), files.path("far.wav"));
    write_wav(Path::new(&input), &echo);
    write_wav(Path::new(&far), &far_end);
    let residual_dbfs = |options: &[&str]| {
        let output = files.path("out.wav");
        let all = [&["process", "--config", &chain, "--force", &input, &output], options].concat();
        let done = run(&all);
        assert!(done.status.success(), "{}", stderr(&done));
        rms_dbfs(&read_wav(Path::new(&output)).0[6 * 48_000..])
    };
    let far_end = ["--far-end", &far];
    let untouched = residual_dbfs(&[]);
    let late = residual_dbfs(&far_end);
    let followed = residual_dbfs(&[&far_end[..], &["--delay-ms", "2480"]].concat());
    assert!(followed < untouched - 20.0, "{followed} dBFS, {untouched} without far end");
    assert!(followed < late - 10.0, "{followed} dBFS, {late} without the delay");
}

#[test]
fn without_compensation_output_is_late_and_longer_by_the_delay() {
    let files = Files::new();
    let input = files.path("in.wav");
    let noise = white_noise(1, -30.0, 1.0);
    write_wav(Path::new(&input), &noise);
    let chain = files.chain(r#"{ kind = "limiter", lookahead_ms = 5 }"#);
    let output = files.path("out.wav");
    let done = run(&["process", "--config", &chain, "--no-compensate", &input, &output]);
    assert!(done.status.success(), "{}", stderr(&done));
    let (late, _) = read_wav(Path::new(&output));
    let delay = align(&noise, &late).delay_samples;
    assert!(delay >= 240 && late.len() == noise.len() + delay as usize, "{delay}, {}", late.len());
}

#[test]
fn stats_tell_machines_what_each_stage_did() {
    let files = Files::new();
    let input = files.write("in.wav", 44_100, 2, 16, 44_100);
    let output = files.path("out.wav");
    let done = run(&["process", &input, &output, "--stats", "json"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let report: Value = serde_json::from_str(&stdout(&done)).expect("JSON alone");
    assert_eq!((&report["chain"], &report["rate_hz"]), (&"conference".into(), &44_100.into()));
    assert_eq!((report["channels"].as_u64(), report["duration_s"].as_f64()), (Some(2), Some(1.0)));
    assert!(report["real_time_factor"].as_f64().is_some_and(|factor| factor > 0.0), "{report}");
    let stages = report["stages"].as_array().expect("a list");
    let names: Vec<_> = stages.iter().filter_map(|stage| stage["name"].as_str()).collect();
    assert_eq!(names.first(), Some(&"high-pass"));
    assert_eq!(names.last(), Some(&"limiter"), "those behind `mix` too");
    let delays: u64 = stages.iter().filter_map(|stage| stage["delay_samples"].as_u64()).sum();
    assert_eq!(report["delay_samples"].as_u64(), Some(delays));
    for stage in stages {
        let [mean, p95, max] = ["mean_ns", "p95_ns", "max_ns"].map(|key| stage[key].as_u64());
        assert!(mean > Some(0) && p95 <= max && mean <= max, "{stage}");
    }
    let denoise = stages.iter().find(|stage| stage["name"] == "denoise").expect("in the chain");
    assert!(denoise["readings"]["voice_probability"].is_number(), "{denoise}");
}

#[test]
fn a_recording_in_the_chain_holds_all_of_the_sound_however_fast_it_goes_through() {
    let files = Files::new();
    let taps = files.path("taps");
    let chain = files.chain(&format!(r#"{{ kind = "record", folder = "{taps}" }}"#));
    // More than the stage can hold back.
    let input = files.write("in.wav", 48_000, 2, 16, 480_000);
    let done = run(&["process", "--config", &chain, &input, &files.path("out.wav")]);
    assert!(done.status.success(), "{}", stderr(&done));
    let tap = std::fs::read_dir(&taps).expect("was made").next().expect("a file").expect("named");
    let tap = hound::WavReader::open(tap.path()).expect("a WAV file");
    let kept: Vec<f32> = tap.into_samples().collect::<Result<_, _>>().expect("whole");
    let given = samples(&input).into_iter().map(|sample| sample as f32 / 32_768.0);
    assert!(kept.iter().copied().eq(given), "{} samples", kept.len());
}

#[test]
fn clipping_is_told_and_counted() {
    let files = Files::new();
    let input = files.path("in.wav");
    write_wav(Path::new(&input), &white_noise(1, -10.0, 0.5));
    let chain = files.chain(r#"{ kind = "gain", gain_db = 20 }"#);
    let output = files.path("out.wav");
    let done = run(&["process", "--config", &chain, "--stats", "json", &input, &output]);
    assert!(done.status.success(), "it is a warning");
    let told = stderr(&done);
    assert!(told.starts_with("warning: what is above full scale is cut off, "), "{told}");
    let report: Value = serde_json::from_str(&stdout(&done)).expect("JSON alone");
    assert!(report["clipped_samples"].as_u64() > Some(1_000), "{report}");
}

#[test]
fn each_mistake_is_told_with_its_file_and_what_is_allowed() {
    let files = Files::new();
    let good = files.write("good.wav", 48_000, 1, 16, 960);
    let out = files.path("out.wav");
    let text = files.path("text.wav");
    std::fs::write(&text, "no sound").expect("writes");
    let two_chains = files.path("two.toml");
    let chains = "[chain.talk]\nstages = []\n[chain.music]\nstages = []\n[[room]]\nname = \"*\"\n\
                  chain = \"talk\"\n";
    std::fs::write(&two_chains, chains).expect("writes");
    let none = files.path("none.wav");
    let slow = files.write("slow.wav", 4_000, 1, 16, 960);
    let six = files.write("six.wav", 48_000, 6, 16, 960);
    let empty = files.write("empty.wav", 48_000, 1, 16, 0);
    let flac = files.path("out.flac");
    let nowhere = files.path("no-such-folder/out.wav");
    let folder = files.path("no-such-folder");
    let built_in = "the built-in configuration";
    let mistakes: [(&[&str], String); 11] = [
        (&[&none, &out], format!("cannot read {none}: No such file or directory (os error 2)")),
        (&[&text, &out], format!("{text} is neither a WAV nor a FLAC file")),
        (&[&slow, &out], format!("{slow} has a rate of 4000 Hz, must be 8000 to 192000 Hz")),
        (&[&six, &out], format!("{six} has 6 channels, must be mono or stereo")),
        (&[&empty, &out], format!("{empty} holds no samples")),
        (&[&good, &flac], format!("{flac} must end in .wav: that is what is written")),
        (&[&good, &good], format!("{good} is there already: --force overwrites it")),
        (&[&good, &nowhere], format!("there is no folder {folder}")),
        (
            &[&good, &out, "--chain", "conferense"],
            format!(
                "{built_in}: there is no chain \"conferense\", only \"conference\": \
                 did you mean \"conference\"?"
            ),
        ),
        (
            &[&good, &out, "--config", &two_chains],
            format!("{two_chains}: there are the chains \"talk\" and \"music\": name one of them"),
        ),
        (
            &[&good, &out, "--far-end", &six],
            format!("{six} has 6 channels, must be mono or stereo"),
        ),
    ];
    for (arguments, expected) in mistakes {
        let failed = run(&[&["process"], arguments].concat());
        assert_eq!(failed.status.code(), Some(1), "{arguments:?}");
        assert_eq!(stderr(&failed).trim_end(), expected);
        assert_eq!(stdout(&failed), "");
        assert!(!Path::new(&out).exists(), "nothing is written: {arguments:?}");
    }
}

#[test]
fn a_file_is_overwritten_only_by_force_and_may_be_its_own_output() {
    let files = Files::new();
    let file = files.write("sound.wav", 48_000, 1, 16, 9_600);
    let before = samples(&file);
    let chain = files.chain(r#"{ kind = "gain", gain_db = -20 }"#);
    let refused = run(&["process", "--config", &chain, &file, &file]);
    assert!(!refused.status.success() && samples(&file) == before);
    let done: Output = run(&["process", "--config", &chain, &file, &file, "--force"]);
    assert!(done.status.success(), "{}", stderr(&done));
    let loudest = |samples: &[i32]| samples.iter().map(|sample| sample.abs()).max();
    assert!(loudest(&samples(&file)).map(|peak| 9 * peak) < loudest(&before));
}

/// A folder for the files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.to_str().expect("plain").to_owned()
    }

    /// A configuration with one chain.
    fn chain(&self, stages: &str) -> String {
        let path = self.path("chain.toml");
        std::fs::write(&path, format!("[chain.x]\nstages = [{stages}]\n")).expect("writes");
        path
    }

    /// A WAV file of noise.
    fn write(&self, name: &str, rate_hz: u32, channels: u16, bits: u16, frames: usize) -> String {
        let path = self.path(name);
        let spec = wav_spec(rate_hz, channels, bits);
        let mut writer = hound::WavWriter::create(&path, spec).expect("writes");
        let samples = frames * usize::from(channels);
        for sample in white_noise(9, -20.0, samples as f64 / 48e3 + 0.001).iter().take(samples) {
            let value = sample * (1 << (bits - 1)) as f32;
            writer.write_sample(value as i32).expect("writes");
        }
        writer.finalize().expect("writes");
        path
    }
}

fn wav_spec(rate_hz: u32, channels: u16, bits: u16) -> hound::WavSpec {
    hound::WavSpec {
        channels,
        sample_rate: rate_hz,
        bits_per_sample: bits,
        sample_format: hound::SampleFormat::Int,
    }
}

fn samples(file: &str) -> Vec<i32> {
    let mut reader = hound::WavReader::open(file).expect("a WAV file");
    reader.samples().collect::<Result<_, _>>().expect("whole")
}
