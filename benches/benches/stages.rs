//! What stages cost beside the bare call of their library, per block of 10 ms in mono.
//! `cargo bench -p foldback-benches --bench stages`
//!
//! Both run by turns and their medians are compared. Criterion measures one after the other, and
//! where a machine has other work too the ratio of two such figures says little.

use std::time::Instant;

use audioadapter_buffers::direct::SequentialSlice;
use biquad::{Biquad, Coefficients, DirectForm2Transposed, ToHertz, Type};
use ebur128::{EbuR128, Mode};
use foldback_plugin_denoise::{denoise, vad};
use foldback_plugin_filter::{equaliser, high_pass, low_pass};
use foldback_plugin_loudness::loudness;
use foldback_plugin_resample::band_limit;
use foldback_plugin_webrtc::echo_delay::EchoDelay;
use foldback_plugin_webrtc::{auto_gain, combined, echo_cancel, noise_suppress};
use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, RawValue, Stage, StageFormat, StageKind,
};
use foldback_stage_testkit::stages::build;
use nnnoiseless::DenoiseState;
use rubato::{Fft, FixedSync, Resampler};
use webrtc_audio_processing::config::{
    AdaptiveDigital, EchoCanceller, GainController, GainController2, HighPassFilter,
    NoiseSuppression, NoiseSuppressionLevel,
};
use webrtc_audio_processing::experimental::EchoCanceller3Config;
use webrtc_audio_processing::{Config, Processor};

type Block = [f32; BLOCK_SAMPLES];

const WARM_UP_BLOCKS: usize = 500;
const BLOCKS: usize = 4000;

/// After how many blocks an echo comes back, and after how many the library alone is shown what
/// was played.
const ECHO_BLOCKS: usize = 10;
const REFERENCE_BLOCKS: usize = 8;

fn main() {
    let sound = Sound::new();
    println!("{:24} {:>8} {:>8}    above the library", "us per block", "library", "stage");
    pure_rust(&sound);
    webrtc(&sound);
    println!("The library of the last two stands with the search for the delay, which it lacks.");
}

fn pure_rust(sound: &Sound) {
    let mut network = DenoiseState::new();
    beside("denoise", sound, stage(&denoise::KIND), |_, block| {
        let scaled = block.map(|sample| sample * 32_768.0);
        network.process_frame(block, &scaled);
        block.iter_mut().for_each(|sample| *sample /= 32_768.0);
    });
    let mut network = DenoiseState::new();
    let mut unheard = [0.0; BLOCK_SAMPLES];
    beside("vad", sound, stage(&vad::KIND), |_, block| {
        network.process_frame(&mut unheard, &block.map(|sample| sample * 32_768.0));
    });
    for (name, kind) in [("high-pass", &high_pass::KIND), ("low-pass", &low_pass::KIND)] {
        let mut one = sections(&[1000.0]);
        beside(name, sound, stage(kind), |_, block| filter(&mut one, block));
    }
    let mut five = sections(&[120.0, 250.0, 1000.0, 4000.0, 8000.0]);
    let bands = ["low_shelf_db", "peak1_db", "peak2_db", "peak3_db", "high_shelf_db"];
    let curve = bands.map(|band| (band, RawValue::Int(6)));
    let equaliser = build(&equaliser::KIND, StageFormat::MONO, &curve);
    beside("equaliser, five bands", sound, equaliser, |_, block| filter(&mut five, block));
    let mut meter = EbuR128::new(1, 48_000, Mode::M).expect("a meter");
    beside("loudness", sound, stage(&loudness::KIND), |_, block| {
        meter.add_frames_planar_f32(&[&block[..]]).expect("taken");
        meter.loudness_window(10).expect("a loudness");
    });
    for (bandwidth, rate_hz) in [("narrowband", 8_000), ("wideband", 16_000)] {
        let mut telephone = Telephone::new(rate_hz);
        let set = [("bandwidth", RawValue::Text(bandwidth))];
        let stage = build(&band_limit::KIND, StageFormat::MONO, &set);
        let name = format!("band-limit, {bandwidth}");
        beside(&name, sound, stage, |_, block| telephone.convert(block));
    }
}

fn webrtc(sound: &Sound) {
    let noise =
        NoiseSuppression { level: NoiseSuppressionLevel::High, ..NoiseSuppression::default() };
    let gain = GainController::GainController2(GainController2 {
        adaptive_digital: Some(AdaptiveDigital { headroom_db: 1.0, ..AdaptiveDigital::default() }),
        ..GainController2::default()
    });
    let echo = EchoCanceller::Full { stream_delay_ms: Some(16) };
    let config = Config { noise_suppression: Some(noise), ..Config::default() };
    beside("noise-suppress", sound, stage(&noise_suppress::KIND), apm(config, sound));
    let config = Config { gain_controller: Some(gain), ..Config::default() };
    beside("auto-gain", sound, stage(&auto_gain::KIND), apm(config, sound));
    let config = Config { echo_canceller: Some(echo), ..Config::default() };
    let library = searching(apm(config, sound), sound);
    beside("echo-cancel", sound, stage(&echo_cancel::KIND), library);
    let config = Config {
        echo_canceller: Some(echo),
        noise_suppression: Some(noise),
        gain_controller: Some(gain),
        high_pass_filter: Some(HighPassFilter::default()),
        ..Config::default()
    };
    let library = searching(apm(config, sound), sound);
    beside("webrtc-apm", sound, stage(&combined::KIND), library);
}

fn stage(kind: &StageKind) -> Box<dyn Stage> {
    build(kind, StageFormat::MONO, &[])
}

/// Prints a line: what `library` takes, what `stage` takes, and how much more that is.
fn beside(
    name: &str,
    sound: &Sound,
    mut stage: Box<dyn Stage>,
    mut library: impl FnMut(usize, &mut Block),
) {
    let mut audio = AudioBuffer::mono();
    let (mut bare_ns, mut stage_ns) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP_BLOCKS + BLOCKS {
        let mut block = sound.heard(number);
        *audio.plane_mut(0) = block;
        let start = Instant::now();
        library(number, &mut block);
        let turn = Instant::now();
        let far_end = Some(&sound.played(number, 0)[..]);
        stage.process(&mut audio.block(), &mut BlockContext { far_end, ..BlockContext::default() });
        let end = Instant::now();
        bare_ns.push((turn - start).as_nanos());
        stage_ns.push((end - turn).as_nanos());
    }
    let [bare, stage] = [bare_ns, stage_ns].map(|ns| median_us(&ns[WARM_UP_BLOCKS..]));
    let above = stage - bare;
    println!("{name:24} {bare:>8.2} {stage:>8.2} {above:>+8.2} ({:>+.1} %)", 100.0 * above / bare);
}

fn median_us(ns: &[u128]) -> f64 {
    let mut sorted = ns.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2] as f64 / 1e3
}

/// Noise that is played, over and over.
struct Sound {
    blocks: Vec<Block>,
}

impl Sound {
    /// Longer than any delay that is searched, so that there is one echo only.
    fn new() -> Self {
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        Self { blocks: (0..300).map(|_| std::array::from_fn(|_| noise())).collect() }
    }

    fn played(&self, number: usize, delay_blocks: usize) -> &Block {
        let length = self.blocks.len();
        &self.blocks[(number + length - delay_blocks) % length]
    }

    fn heard(&self, number: usize) -> Block {
        self.played(number, ECHO_BLOCKS).map(|sample| 0.3 * sample)
    }
}

fn sections(peaks_hz: &[f64]) -> Vec<DirectForm2Transposed<f64>> {
    let section = |hz: &f64| {
        let peak = Coefficients::from_params(Type::PeakingEQ(6.0), 48_000.hz(), hz.hz(), 1.0);
        DirectForm2Transposed::new(peak.expect("below the Nyquist frequency"))
    };
    peaks_hz.iter().map(section).collect()
}

fn filter(sections: &mut [DirectForm2Transposed<f64>], block: &mut Block) {
    for sample in block {
        let through = |value, section: &mut DirectForm2Transposed<f64>| section.run(value);
        *sample = sections.iter_mut().fold(f64::from(*sample), through) as f32;
    }
}

/// Down to a lower rate and up again.
struct Telephone {
    down: Fft<f32>,
    up: Fft<f32>,
    limited: Vec<f32>,
    heard: Block,
}

impl Telephone {
    fn new(rate_hz: usize) -> Self {
        let samples = BLOCK_SAMPLES * rate_hz / 48_000;
        let resampler = |from, to, samples| Fft::new(from, to, samples, 1, FixedSync::Both);
        Self {
            down: resampler(48_000, rate_hz, BLOCK_SAMPLES).expect("a resampler"),
            up: resampler(rate_hz, 48_000, samples).expect("a resampler"),
            limited: vec![0.0; samples],
            heard: [0.0; BLOCK_SAMPLES],
        }
    }

    fn convert(&mut self, block: &mut Block) {
        resample(&mut self.down, block, &mut self.limited);
        resample(&mut self.up, &self.limited, &mut self.heard);
        *block = self.heard;
    }
}

fn resample(resampler: &mut Fft<f32>, from: &[f32], to: &mut [f32]) {
    let frames = to.len();
    let input = SequentialSlice::new(from, 1, from.len()).expect("one channel");
    let mut output = SequentialSlice::new_mut(to, 1, frames).expect("one channel");
    resampler.process_into_buffer(&input, &mut output, None).expect("the lengths it was made for");
}

/// The processing module as it is. Its echo canceller is told the delay, as the stages' is.
fn apm(config: Config, sound: &Sound) -> impl FnMut(usize, &mut Block) {
    let cancels = config.echo_canceller.is_some();
    let processor = if cancels {
        let mut aec3 = EchoCanceller3Config::default();
        aec3.delay.use_external_delay_estimator = true;
        Processor::with_aec3_config(48_000, aec3)
    } else {
        Processor::new(48_000)
    };
    let processor = processor.expect("a processor");
    processor.set_config(config);
    move |number, block| {
        if cancels {
            let reference = sound.played(number, REFERENCE_BLOCKS);
            processor.analyze_render_frame([&reference[..]]).expect("10 ms");
        }
        processor.process_capture_frame([&mut block[..]]).expect("10 ms");
    }
}

fn searching(
    mut library: impl FnMut(usize, &mut Block),
    sound: &Sound,
) -> impl FnMut(usize, &mut Block) {
    let mut delay = EchoDelay::new();
    move |number, block| {
        delay.push(sound.played(number, 0), block);
        library(number, block);
    }
}
