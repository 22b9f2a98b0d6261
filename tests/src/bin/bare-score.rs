//! Writes what bare libraries make of the noise and echo of the shared audio set, for `score.py`
//! of that set, beside what `foldback process` makes of the same files.
//!
//! `cargo run --release -p foldback-tests --bin bare-score -- noise|aec SHARED_AUDIO OUT`

use std::path::Path;

use foldback_testkit::signal::{read_audio, write_wav};
use nnnoiseless::DenoiseState;
use serde_json::Value;
use webrtc_audio_processing::config::{EchoCanceller, NoiseSuppression, NoiseSuppressionLevel};
use webrtc_audio_processing::{Config, Processor};

const RATE_HZ: u32 = 48_000;
const BLOCK: usize = 480;
/// AEC3 loses half of what it does where its far end has no margin before the echo.
const MARGIN_MS: u64 = 20;

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [kind, shared, out] = args.as_slice() else { usage() };
    let (shared, out) = (Path::new(shared), Path::new(out));
    let manifest = std::fs::read_to_string(shared.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    match kind.as_str() {
        "noise" => noise(&manifest, shared, out),
        "aec" => echo(&manifest, shared, out),
        _ => usage(),
    }
}

fn usage() -> ! {
    eprintln!("usage: bare-score noise|aec SHARED_AUDIO OUT");
    std::process::exit(2);
}

fn noise(manifest: &Value, shared: &Path, out: &Path) {
    for (key, noisy) in manifest["noisy"].as_object().expect("noisy files") {
        let sound = read(shared, &noisy["file"]);
        write(out, "bare-nnnoiseless", key, &nnnoiseless(&sound));
        write(out, "bare-webrtc-ns", key, &webrtc_ns(&sound));
    }
}

fn echo(manifest: &Value, shared: &Path, out: &Path) {
    for (key, echo) in manifest["echo"].as_object().expect("echo files") {
        let set = &manifest["echo_sets"][echo["set"].as_str().expect("a set")];
        let (microphone, far_end) = (read(shared, &echo["mic"]), read(shared, &set["far"]));
        write(out, "bare-aec3", key, &aec3(&microphone, &far_end));
        let delay_ms = echo["delay_ms"].as_u64().expect("ms").saturating_sub(MARGIN_MS);
        let mut delayed = vec![0.0; delay_ms as usize * RATE_HZ as usize / 1000];
        delayed.extend(far_end);
        write(out, "bare-aec3-aligned", key, &aec3(&microphone, &delayed));
    }
}

fn read(shared: &Path, file: &Value) -> Vec<f32> {
    read_audio(&shared.join(file.as_str().expect("a path")))
}

fn write(out: &Path, system: &str, key: &str, sound: &[f32]) {
    let folder = out.join(system);
    std::fs::create_dir_all(&folder).expect("a folder to write to");
    write_wav(&folder.join(format!("{key}.wav")), sound);
}

/// It takes samples in the range of 16-bit integers.
fn nnnoiseless(sound: &[f32]) -> Vec<f32> {
    let mut state = DenoiseState::new();
    let mut cleaned = [0.0; BLOCK];
    let blocks = sound.chunks_exact(BLOCK).flat_map(|block| {
        let scaled: Vec<f32> = block.iter().map(|sample| sample * 32_768.0).collect();
        state.process_frame(&mut cleaned, &scaled);
        cleaned.map(|sample| sample / 32_768.0)
    });
    blocks.collect()
}

fn webrtc_ns(sound: &[f32]) -> Vec<f32> {
    let level = NoiseSuppressionLevel::High;
    let suppression = NoiseSuppression { level, ..NoiseSuppression::default() };
    let processor = processor(Config { noise_suppression: Some(suppression), ..Config::default() });
    let blocks = sound.chunks_exact(BLOCK).flat_map(|block| {
        let mut block = [block.to_vec()];
        processor.process_capture_frame(&mut block).expect("10 ms");
        let [block] = block;
        block
    });
    blocks.collect()
}

fn aec3(microphone: &[f32], far_end: &[f32]) -> Vec<f32> {
    let canceller = EchoCanceller::Full { stream_delay_ms: None };
    let processor = processor(Config { echo_canceller: Some(canceller), ..Config::default() });
    let blocks = microphone.chunks_exact(BLOCK).enumerate().flat_map(|(number, block)| {
        let from = number * BLOCK;
        let silence = [0.0; BLOCK];
        processor
            .analyze_render_frame([far_end.get(from..from + BLOCK).unwrap_or(&silence)])
            .expect("10 ms");
        let mut block = [block.to_vec()];
        processor.process_capture_frame(&mut block).expect("10 ms");
        let [block] = block;
        block
    });
    blocks.collect()
}

fn processor(config: Config) -> Processor {
    let processor = Processor::new(RATE_HZ).expect("a processor");
    processor.set_config(config);
    processor
}
