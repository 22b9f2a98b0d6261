//! Cost of a 10 ms block. Beside the library alone: `cargo bench -p foldback-benches --bench stages`.

use criterion::Criterion;
use foldback_plugin_loudness::loudness::KIND;
use foldback_stage::{AudioBuffer, BlockContext, Params, StageFormat};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, buffer) in [("mono", AudioBuffer::mono()), ("stereo", AudioBuffer::stereo())] {
        let input = sawtooth(buffer);
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
