//! Cost of a 10 ms block.

use criterion::Criterion;
use foldback_plugin_dynamics::{gain, limiter};
use foldback_stage::{AudioBuffer, BlockContext, Params, StageFormat, StageKind};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, "gain mono", &gain::KIND, AudioBuffer::mono(), 0.5);
    bench(
        &mut criterion,
        "limiter mono, below the ceiling",
        &limiter::KIND,
        AudioBuffer::mono(),
        0.5,
    );
    bench(&mut criterion, "limiter mono, limiting", &limiter::KIND, AudioBuffer::mono(), 2.0);
    bench(&mut criterion, "limiter stereo, limiting", &limiter::KIND, AudioBuffer::stereo(), 2.0);
    criterion.final_summary();
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
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            for channel in 0..audio.channels() {
                for (n, sample) in audio.plane_mut(channel).iter_mut().enumerate() {
                    *sample = ((n * 37 % 97) as f32 / 48.0 - 1.0) * peak;
                }
            }
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}
