//! Cost of a 10 ms mono block.

use criterion::Criterion;
use foldback_plugin_webrtc::{auto_gain, combined, echo_cancel, noise_suppress};
use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, Params, Stage, StageFormat, StageKind,
};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for kind in [&echo_cancel::KIND, &noise_suppress::KIND, &auto_gain::KIND, &combined::KIND] {
        let mut stage = build(kind);
        let (mut audio, mut random) = (AudioBuffer::mono(), 1);
        criterion.bench_function(kind.name, |bencher| {
            bencher.iter(|| {
                let far_end = noise(&mut random);
                for (sample, far) in audio.plane_mut(0).iter_mut().zip(far_end) {
                    *sample = 0.3 * far;
                }
                stage.process(&mut audio.block(), &mut heard(&far_end));
            });
        });
    }
    let mut stage = build(&echo_cancel::KIND);
    let mut random = 1;
    criterion.bench_function("echo-cancel, idle", |bencher| {
        bencher.iter(|| stage.idle(&mut heard(&noise(&mut random))));
    });
    criterion.final_summary();
}

fn build(kind: &StageKind) -> Box<dyn Stage> {
    (kind.build)(&Params::defaults(kind.params), StageFormat::MONO).expect("builds")
}

fn heard(far_end: &[f32]) -> BlockContext<'_> {
    BlockContext { far_end: Some(far_end), ..BlockContext::default() }
}

fn noise(state: &mut u32) -> [f32; BLOCK_SAMPLES] {
    std::array::from_fn(|_| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}
