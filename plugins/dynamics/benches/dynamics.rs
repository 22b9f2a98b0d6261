//! Cost of a 10 ms block, in mono unless it says so. `gain` stands beside the bare multiplication and
//! `de-esser` beside the bare library's filter of its size; the others have none to stand beside.

use biquad::{Biquad, Coefficients, DirectForm2Transposed, ToHertz, Type};
use criterion::Criterion;
use foldback_plugin_dynamics::{compressor, de_esser, gain, gate, limiter};
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, RawValue, StageFormat, StageKind};
use foldback_stage_testkit::stages::{build, params};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_bare_multiplication(&mut criterion);
    bench_bare_filter(&mut criterion);
    let mono = StageFormat::MONO;
    let half = [("gain_db", RawValue::Int(-6))];
    bench(&mut criterion, "gain", &gain::KIND, mono, &half, 0.5);
    bench(&mut criterion, "gain of 0 dB", &gain::KIND, mono, &[], 0.5);
    bench_moving_gain(&mut criterion);
    bench(&mut criterion, "gate, open", &gate::KIND, mono, &[], 0.5);
    bench(&mut criterion, "gate, closed", &gate::KIND, mono, &[], 0.001);
    bench(&mut criterion, "compressor, below its knee", &compressor::KIND, mono, &[], 0.05);
    bench(&mut criterion, "compressor, compressing", &compressor::KIND, mono, &[], 0.5);
    let stereo = StageFormat::STEREO;
    bench(&mut criterion, "compressor, compressing, stereo", &compressor::KIND, stereo, &[], 0.5);
    bench(&mut criterion, "de-esser, below its threshold", &de_esser::KIND, mono, &[], 0.01);
    bench(&mut criterion, "de-esser, lowering", &de_esser::KIND, mono, &[], 0.5);
    bench(&mut criterion, "limiter, below its ceiling", &limiter::KIND, mono, &[], 0.5);
    bench(&mut criterion, "limiter, limiting", &limiter::KIND, mono, &[], 2.0);
    bench(&mut criterion, "limiter, limiting, stereo", &limiter::KIND, stereo, &[], 2.0);
    criterion.final_summary();
}

fn bench_bare_multiplication(criterion: &mut Criterion) {
    let input = input(0.5);
    let mut plane = input;
    criterion.bench_function("bare multiplication", |bencher| {
        bencher.iter(|| {
            plane = input;
            plane.iter_mut().for_each(|sample| *sample *= 0.5);
            std::hint::black_box(&mut plane);
        });
    });
}

fn bench_bare_filter(criterion: &mut Criterion) {
    let high_pass = Coefficients::from_params(Type::HighPass, 48_000.hz(), 5000.hz(), 0.7);
    let mut filter = DirectForm2Transposed::<f64>::new(high_pass.expect("a high-pass"));
    let input = input(0.5);
    let mut plane = input;
    criterion.bench_function("bare biquad", |bencher| {
        bencher.iter(|| {
            plane = input;
            for sample in &mut plane {
                *sample = filter.run(f64::from(*sample)) as f32;
            }
            std::hint::black_box(&mut plane);
        });
    });
}

fn bench(
    criterion: &mut Criterion,
    name: &str,
    kind: &StageKind,
    format: StageFormat,
    set: &[(&str, RawValue<'_>)],
    peak: f32,
) {
    let mut stage = build(kind, format, set);
    let input = input(peak);
    let mut audio = if format.channels == 2 { AudioBuffer::stereo() } else { AudioBuffer::mono() };
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            for channel in 0..format.channels {
                *audio.plane_mut(channel) = input;
            }
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}

/// New values every two blocks, so that the gain never stands still.
fn bench_moving_gain(criterion: &mut Criterion) {
    let values = [0, -6].map(|db| params(&gain::KIND, &[("gain_db", RawValue::Int(db))]));
    let mut stage = build(&gain::KIND, StageFormat::MONO, &[]);
    let input = input(0.5);
    let mut audio = AudioBuffer::mono();
    let mut number = 0;
    criterion.bench_function("gain, moving", |bencher| {
        bencher.iter(|| {
            number += 1;
            stage.adjust(&values[number / 2 % 2]);
            *audio.plane_mut(0) = input;
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}

/// Copied anew into each block.
fn input(peak: f32) -> [f32; BLOCK_SAMPLES] {
    std::array::from_fn(|n| ((n * 37 % 97) as f32 / 48.0 - 1.0) * peak)
}
