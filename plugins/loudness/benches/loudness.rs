//! Cost of a 10 ms block, beside that of the library alone.

use std::hint::black_box;

use criterion::Criterion;
use ebur128::{EbuR128, Mode};
use foldback_plugin_loudness::loudness::KIND;
use foldback_stage::{AudioBuffer, BlockContext, Params, SAMPLE_RATE_HZ, StageFormat};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, buffer) in [("mono", AudioBuffer::mono()), ("stereo", AudioBuffer::stereo())] {
        let input = sawtooth(buffer);
        bench_library(&mut criterion, name, &input);
        bench_stage(&mut criterion, name, &input);
    }
    criterion.final_summary();
}

fn sawtooth(mut buffer: AudioBuffer) -> AudioBuffer {
    for channel in 0..buffer.channels() {
        for (n, sample) in buffer.plane_mut(channel).iter_mut().enumerate() {
            *sample = (n * 37 % 97) as f32 / 480.0 - 0.1;
        }
    }
    buffer
}

/// What the stage asks of it: to weight a block and to sum its squares.
fn bench_library(criterion: &mut Criterion, name: &str, input: &AudioBuffer) {
    let channels = input.channels();
    let mut ebur128 = EbuR128::new(channels as u32, SAMPLE_RATE_HZ, Mode::M).expect("a meter");
    let planes: Vec<&[f32]> = (0..channels).map(|c| input.plane(c).as_slice()).collect();
    criterion.bench_function(&format!("ebur128 alone, {name}"), |bencher| {
        bencher.iter(|| {
            ebur128.add_frames_planar_f32(black_box(&planes)).expect("taken");
            ebur128.loudness_window(10)
        });
    });
}

fn bench_stage(criterion: &mut Criterion, name: &str, input: &AudioBuffer) {
    let format = StageFormat { channels: input.channels() };
    let mut stage = (KIND.build)(&Params::defaults(KIND.params), format).expect("builds");
    let mut audio = input.clone();
    criterion.bench_function(&format!("loudness {name}"), |bencher| {
        bencher.iter(|| {
            audio.copy_from(input);
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}
