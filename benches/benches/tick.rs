//! What a packet's worth of a room costs (two ticks: 20 ms), by participants and chain, three of
//! them talking. `cargo bench -p foldback-benches --bench tick`

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use foldback_benches::encoded_voice;
use foldback_chain::{ChainSpec, NoProbe};
use foldback_config::Config;
use foldback_room::{
    Admission, EncodedFrame, LatencyProfile, OpusSettings, ParticipantId, Room, RoomSpec, TICK,
};

const TALKERS: u64 = 3;

fn ticks(c: &mut Criterion) {
    let registry = foldback_server::plugins::registry();
    let conference = Arc::clone(&Config::built_in(&registry).chains[0]);
    let clean = Config::parse("[chain.clean]\nstages = [{ kind = \"mix\" }]", "", &registry);
    let clean = Arc::clone(&clean.expect("valid").chains[0]);
    let mut group = c.benchmark_group("tick_20ms_3_talkers");
    for (name, chain) in [("clean", clean), ("conference", conference)] {
        for participants in [3, 10, 50, 200] {
            group.bench_function(BenchmarkId::new(name, participants), |b| {
                let mut bench = Bench::new(Arc::clone(&chain), participants);
                b.iter(|| bench.packet());
            });
        }
    }
    group.finish();
}

struct Bench {
    room: Room,
    voices: Vec<Arc<[u8]>>,
    now: Instant,
    seq: u64,
}

impl Bench {
    fn new(chain: Arc<ChainSpec>, participants: u64) -> Self {
        let spec =
            RoomSpec { chain, opus: OpusSettings::default(), latency: LatencyProfile::default() };
        let mut room = Room::new(spec).expect("a room");
        for id in 0..participants {
            let admission = Admission::build(room.spec()).expect("a participant");
            room.join(ParticipantId(id), admission);
        }
        let mut bench = Self { room, voices: encoded_voice(), now: Instant::now(), seq: 0 };
        (0..100).for_each(|_| bench.packet());
        bench
    }

    fn packet(&mut self) {
        for id in 0..TALKERS {
            let payload = Arc::clone(&self.voices[(self.seq + id) as usize % self.voices.len()]);
            let frame = EncodedFrame {
                ssrc: 1,
                captured: None,
                copy_distance: 0,
                seq: self.seq,
                rtp_time: self.seq * 960,
                level_minus_dbov: None,
                payload,
                arrival: self.now,
            };
            self.room.push(ParticipantId(id), frame);
        }
        self.seq += 1;
        for _ in 0..2 {
            self.now += TICK;
            self.room.tick(self.now, &mut NoProbe);
        }
        black_box(self.room.packets().count());
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20);
    targets = ticks
}
criterion_main!(benches);
