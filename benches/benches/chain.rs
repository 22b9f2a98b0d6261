//! What a chain costs beside its stages, per block of 10 ms: none against ten that do nothing.
//! `cargo bench -p foldback-benches --bench chain`

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use foldback_benches::EMPTY;
use foldback_chain::{Chain, NoProbe, Probe, StageSpec};
use foldback_stage::{AudioBuffer, BlockContext, StageFormat};

/// As a worker times its stages.
struct Clock(Instant, u64);

impl Probe for Clock {
    fn now_ns(&mut self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    fn stage_took(&mut self, _stage: usize, ns: u64) {
        self.1 += ns;
    }
}

fn chains(c: &mut Criterion) {
    let mut group = c.benchmark_group("chain_of_empty_stages");
    for (name, format) in [("mono", StageFormat::MONO), ("stereo", StageFormat::STEREO)] {
        for stages in [0, 1, 10] {
            group.bench_function(BenchmarkId::new(name, stages), |b| {
                let (mut chain, mut audio) = of_empty(stages, format);
                b.iter(|| run(&mut chain, &mut audio, &mut NoProbe));
            });
            group.bench_function(BenchmarkId::new(format!("{name}_timed"), stages), |b| {
                let (mut chain, mut audio) = of_empty(stages, format);
                let mut clock = Clock(Instant::now(), 0);
                b.iter(|| run(&mut chain, &mut audio, &mut clock));
                black_box(clock.1);
            });
        }
    }
    group.finish();
}

fn of_empty(stages: usize, format: StageFormat) -> (Chain, AudioBuffer) {
    let spec = |n| StageSpec { name: format!("{n}"), ..StageSpec::of(&EMPTY) };
    let specs: Vec<_> = (0..stages).map(spec).collect();
    let mut audio = if format.channels == 2 { AudioBuffer::stereo() } else { AudioBuffer::mono() };
    for channel in 0..format.channels {
        audio.plane_mut(channel).fill(0.1);
    }
    (Chain::build(&specs, format).expect("builds"), audio)
}

fn run<P: Probe>(chain: &mut Chain, audio: &mut AudioBuffer, probe: &mut P) {
    chain.process(black_box(audio), &mut BlockContext::default(), probe);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = chains
}
criterion_main!(benches);
