//! Cost of a 10 ms mono block, each stage beside the bare library's filters of the same size, taken
//! through them sample by sample (section by section over the block takes twice that from two on).

use biquad::{Biquad, Coefficients, DirectForm2Transposed, ToHertz, Type};
use criterion::Criterion;
use foldback_plugin_filter::{equaliser, high_pass, low_pass};
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, RawValue, StageFormat, StageKind};
use foldback_stage_testkit::stages::{build, params};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for sections in [1, 2, 5] {
        bench_bare(&mut criterion, sections);
    }
    for order in 1..=4 {
        let set = [("order", RawValue::Int(order))];
        bench(&mut criterion, &format!("high-pass order {order}"), &high_pass::KIND, &set);
        bench(&mut criterion, &format!("low-pass order {order}"), &low_pass::KIND, &set);
    }
    let bands = ["low_shelf_db", "peak1_db", "peak2_db", "peak3_db", "high_shelf_db"];
    let curve = bands.map(|band| (band, RawValue::Int(6)));
    for heard in [0, 1, 2, 5] {
        let name = format!("equaliser, {heard} bands heard");
        bench(&mut criterion, &name, &equaliser::KIND, &curve[..heard]);
    }
    bench_change(&mut criterion);
    criterion.final_summary();
}

fn bench_bare(criterion: &mut Criterion, sections: usize) {
    let peak = |hz: f64| {
        let shape = Type::PeakingEQ(6.0);
        let coefficients = Coefficients::<f64>::from_params(shape, 48_000.hz(), hz.hz(), 1.0);
        DirectForm2Transposed::<f64>::new(coefficients.expect("below the Nyquist frequency"))
    };
    let mut filters: Vec<_> =
        [120.0, 250.0, 1000.0, 4000.0, 8000.0][..sections].iter().map(|hz| peak(*hz)).collect();
    let input = input();
    let mut plane = input;
    criterion.bench_function(&format!("bare biquad, {sections} in series"), |bencher| {
        bencher.iter(|| {
            plane = input;
            for sample in &mut plane {
                let mut value = f64::from(*sample);
                for filter in &mut filters {
                    value = filter.run(value);
                }
                *sample = value as f32;
            }
            std::hint::black_box(&mut plane);
        });
    });
}

fn bench(criterion: &mut Criterion, name: &str, kind: &StageKind, set: &[(&str, RawValue<'_>)]) {
    let mut stage = build(kind, StageFormat::MONO, set);
    let input = input();
    let mut audio = AudioBuffer::mono();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            *audio.plane_mut(0) = input;
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}

/// New values in every block, so that one filter is always faded into the next.
fn bench_change(criterion: &mut Criterion) {
    let kind = &high_pass::KIND;
    let cutoffs = [80.0, 160.0].map(|hz| params(kind, &[("cutoff_hz", RawValue::Float(hz))]));
    let mut stage = build(kind, StageFormat::MONO, &[]);
    let input = input();
    let mut audio = AudioBuffer::mono();
    let mut number = 0;
    criterion.bench_function("high-pass order 2, changing", |bencher| {
        bencher.iter(|| {
            number += 1;
            stage.adjust(&cutoffs[number / 4 % 2]);
            *audio.plane_mut(0) = input;
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}

/// Copied anew into each block, or a filter would soon run over zeros.
fn input() -> [f32; BLOCK_SAMPLES] {
    std::array::from_fn(|n| (n * 37 % 97) as f32 / 97.0 - 0.5)
}
