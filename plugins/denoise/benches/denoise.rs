//! Cost of a 10 ms block. Beside the library alone: `cargo bench -p foldback-benches --bench stages`.

use criterion::Criterion;
use foldback_plugin_denoise::{denoise, vad};
use foldback_stage::{AudioBuffer, BlockContext, Params, StageFormat, StageKind};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, "denoise mono", &denoise::KIND, AudioBuffer::mono(), 0.3);
    bench(&mut criterion, "denoise mono, silence", &denoise::KIND, AudioBuffer::mono(), 0.0);
    bench(&mut criterion, "vad mono", &vad::KIND, AudioBuffer::mono(), 0.3);
    bench(&mut criterion, "vad stereo", &vad::KIND, AudioBuffer::stereo(), 0.3);
    bench(&mut criterion, "vad mono, silence", &vad::KIND, AudioBuffer::mono(), 0.0);
    criterion.final_summary();
}

fn sawtooth(n: usize) -> f32 {
    (n * 37 % 97) as f32 / 48.0 - 1.0
}

fn bench(
    criterion: &mut Criterion,
    name: &str,
    kind: &StageKind,
    mut audio: AudioBuffer,
    peak: f32,
) {
    let format = StageFormat { channels: audio.channels() };
    let mut stage = (kind.build)(&Params::defaults(kind.params), format).expect("builds");
    let mut input = audio.clone();
    for channel in 0..input.channels() {
        let samples = input.plane_mut(channel).iter_mut().enumerate();
        samples.for_each(|(n, sample)| *sample = sawtooth(n) * peak);
    }
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            audio.copy_from(&input);
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}
