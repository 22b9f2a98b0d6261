//! What mixing costs, by voices: their sum, and for each of them the sum without its own, 20 ms.
//! `cargo bench -p foldback-benches --bench mixer`

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foldback_room::MixBus;

fn mixes(c: &mut Criterion) {
    let mut group = c.benchmark_group("mix_20ms");
    for voices in [1, 3, 8, 32] {
        group.throughput(Throughput::Elements(voices));
        group.bench_function(BenchmarkId::from_parameter(voices), |b| {
            let voices: Vec<[f32; 960]> = (0..voices).map(|v| [v as f32 / 64.0; 960]).collect();
            let mut bus = MixBus::new();
            let mut out = [0.0; 960];
            b.iter(|| {
                bus.begin();
                voices.iter().for_each(|voice| bus.add(black_box(voice)));
                bus.all(black_box(&mut out));
                for own in &voices {
                    bus.without(own, black_box(&mut out));
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = mixes
}
criterion_main!(benches);
