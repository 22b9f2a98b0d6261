//! Cost of a 10 ms mono block.

use criterion::Criterion;
use foldback_plugin_denoise::denoise::KIND;
use foldback_stage::{AudioBuffer, BlockContext, Params, StageFormat};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, peak) in [("denoise", 0.3), ("denoise, digital silence", 0.0)] {
        let mut stage =
            (KIND.build)(&Params::defaults(KIND.params), StageFormat::MONO).expect("builds");
        let mut audio = AudioBuffer::mono();
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (n, sample) in audio.plane_mut(0).iter_mut().enumerate() {
                    *sample = ((n * 37 % 97) as f32 / 48.0 - 1.0) * peak;
                }
                stage.process(&mut audio.block(), &mut BlockContext::default());
            });
        });
    }
    criterion.final_summary();
}
