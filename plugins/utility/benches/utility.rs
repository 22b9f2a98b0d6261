//! Cost of a 10 ms block. There is a library behind `record` alone: its ring.

use std::thread;
use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion};
use foldback_plugin_utility::{delay, pan, record, tone};
use foldback_stage::{
    AudioBuffer, BlockContext, ParamSpec, Params, RawValue, SAMPLE_RATE_HZ, StageFormat, StageKind,
};
use rtrb::RingBuffer;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let delayed = with(&delay::KIND, "delay_ms", RawValue::Int(100));
    let added = with(&tone::KIND, "mode", RawValue::Text("add"));
    let aside = with(&pan::KIND, "position", RawValue::Float(0.5));
    bench(&mut criterion, "delay mono, 100 ms", &delay::KIND, &delayed, AudioBuffer::mono());
    bench(&mut criterion, "tone mono", &tone::KIND, &added, AudioBuffer::mono());
    bench(&mut criterion, "pan stereo", &pan::KIND, &aside, AudioBuffer::stereo());
    criterion = criterion.sample_size(20);
    bench_ring(&mut criterion);
    bench_record(&mut criterion);
    criterion.final_summary();
}

fn with(kind: &StageKind, name: &str, value: RawValue<'_>) -> Params {
    let spec: &ParamSpec = kind.params.iter().find(|spec| spec.name == name).expect("a parameter");
    let mut params = Params::defaults(kind.params);
    params.set(spec, value).expect("in range");
    params
}

fn sawtooth(mut buffer: AudioBuffer) -> AudioBuffer {
    for channel in 0..buffer.channels() {
        for (n, sample) in buffer.plane_mut(channel).iter_mut().enumerate() {
            *sample = (n * 37 % 97) as f32 / 480.0 - 0.1;
        }
    }
    buffer
}

fn bench(
    criterion: &mut Criterion,
    name: &str,
    kind: &StageKind,
    params: &Params,
    audio: AudioBuffer,
) {
    let format = StageFormat { channels: audio.channels() };
    let mut stage = (kind.build)(params, format).expect("builds");
    let input = sawtooth(audio);
    let mut audio = input.clone();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            audio.copy_from(&input);
            stage.process(&mut audio.block(), &mut BlockContext::default());
        });
    });
}

fn bench_ring(criterion: &mut Criterion) {
    let input = sawtooth(AudioBuffer::mono());
    let mut audio = input.clone();
    let (mut ring, mut samples) = RingBuffer::new(4 * SAMPLE_RATE_HZ as usize);
    criterion.bench_function("rtrb alone", |bencher| {
        in_batches(bencher, |blocks| {
            let start = Instant::now();
            for _ in 0..blocks {
                audio.copy_from(&input);
                ring.push_entire_slice(audio.block().left()).expect("space");
            }
            let took = start.elapsed();
            let written = samples.slots();
            samples.read_chunk(written).expect("so many").commit_all();
            took
        });
    });
}

fn bench_record(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().to_str().expect("UTF-8");
    let params = with(&record::KIND, "folder", RawValue::Text(path));
    let mut stage = (record::KIND.build)(&params, StageFormat::MONO).expect("builds");
    let input = sawtooth(AudioBuffer::mono());
    let mut audio = input.clone();
    criterion.bench_function("record mono", |bencher| {
        in_batches(bencher, |blocks| {
            let start = Instant::now();
            for _ in 0..blocks {
                audio.copy_from(&input);
                stage.process(&mut audio.block(), &mut BlockContext::default());
            }
            start.elapsed()
        });
    });
}

/// Times as many blocks as a ring holds with ease; more would take as long each.
fn in_batches(bencher: &mut Bencher<'_>, mut time: impl FnMut(u32) -> Duration) {
    const BATCH: u32 = 200;
    bencher.iter_custom(|iterations| {
        // The writer of `record` looks after its ring five times a second.
        thread::sleep(Duration::from_millis(300));
        time(BATCH).mul_f64(iterations as f64 / f64::from(BATCH))
    });
}
