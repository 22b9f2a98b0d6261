//! Cost of a 10 ms mono block.

use criterion::Criterion;
use foldback_plugin_filter::high_pass::KIND;
use foldback_stage::{AudioBuffer, BlockContext, Params, RawValue, StageFormat};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for order in 1..=4 {
        let mut params = Params::defaults(KIND.params);
        params.set(&KIND.params[1], RawValue::Int(order)).expect("in range");
        let mut stage = (KIND.build)(&params, StageFormat::MONO).expect("builds");
        let mut audio = AudioBuffer::mono();
        criterion.bench_function(&format!("high-pass order {order}"), |bencher| {
            bencher.iter(|| {
                // Written anew each time, or the filter would soon run over zeros.
                for (n, sample) in audio.plane_mut(0).iter_mut().enumerate() {
                    *sample = (n % 97) as f32 / 97.0 - 0.5;
                }
                stage.process(&mut audio.block(), &mut BlockContext::default());
            });
        });
    }
    criterion.final_summary();
}
