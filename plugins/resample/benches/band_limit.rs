//! Cost of a 10 ms mono block. Beside the library alone:
//! `cargo bench -p foldback-benches --bench stages`.

use criterion::Criterion;
use foldback_plugin_resample::band_limit::KIND;
use foldback_stage::{AudioBuffer, BlockContext, ParamType, Params, RawValue, StageFormat};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let ParamType::Choice { allowed, .. } = KIND.params[0].ty else { unreachable!() };
    for bandwidth in allowed.iter().copied() {
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
