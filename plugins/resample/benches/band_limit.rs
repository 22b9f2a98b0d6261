//! Cost of a 10 ms mono block, beside that of the library alone.

use std::hint::black_box;

use audioadapter_buffers::direct::SequentialSlice;
use criterion::Criterion;
use foldback_plugin_resample::band_limit::KIND;
use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, ParamType, Params, RawValue, StageFormat,
};
use rubato::{Fft, FixedSync, Resampler};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let ParamType::Choice { allowed, .. } = KIND.params[0].ty else { unreachable!() };
    for (bandwidth, rate_hz) in allowed.iter().copied().zip([8_000, 16_000, 24_000]) {
        bench_library(&mut criterion, bandwidth, rate_hz);
        bench_stage(&mut criterion, bandwidth);
    }
    criterion.final_summary();
}

fn sawtooth() -> AudioBuffer {
    let mut buffer = AudioBuffer::mono();
    for (n, sample) in buffer.plane_mut(0).iter_mut().enumerate() {
        *sample = (n * 37 % 97) as f32 / 480.0 - 0.1;
    }
    buffer
}

fn bench_library(criterion: &mut Criterion, bandwidth: &str, rate_hz: usize) {
    let limited_samples = BLOCK_SAMPLES * rate_hz / 48_000;
    let mut down =
        Fft::new(48_000, rate_hz, BLOCK_SAMPLES, 1, FixedSync::Both).expect("a resampler");
    let mut up =
        Fft::new(rate_hz, 48_000, limited_samples, 1, FixedSync::Both).expect("a resampler");
    let input = sawtooth();
    let (mut limited, mut output) = (vec![0.0; limited_samples], vec![0.0; BLOCK_SAMPLES]);
    criterion.bench_function(&format!("rubato alone, {bandwidth}"), |bencher| {
        bencher.iter(|| {
            convert(&mut down, black_box(input.plane(0)), &mut limited);
            convert(&mut up, &limited, &mut output);
        });
    });
}

fn convert(resampler: &mut Fft<f32>, from: &[f32], to: &mut [f32]) {
    let frames = to.len();
    let input = SequentialSlice::new(from, 1, from.len()).expect("one channel");
    let mut output = SequentialSlice::new_mut(to, 1, frames).expect("one channel");
    resampler.process_into_buffer(&input, &mut output, None).expect("the lengths it was made for");
}

fn bench_stage(criterion: &mut Criterion, bandwidth: &str) {
    let mut params = Params::defaults(KIND.params);
    params.set(&KIND.params[0], RawValue::Text(bandwidth)).expect("one of its words");
    let mut stage = (KIND.build)(&params, StageFormat::MONO).expect("builds");
    let input = sawtooth();
    let mut audio = input.clone();
    criterion.bench_function(&format!("band-limit {bandwidth}"), |bencher| {
        bencher.iter(|| {
            audio.copy_from(&input);
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}
