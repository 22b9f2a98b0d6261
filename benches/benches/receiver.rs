//! What the jitter buffer costs per packet of 20 ms (one push, two pulls), beside libopus alone.
//! `cargo bench -p foldback-benches --bench receiver`

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audiopus::coder::Decoder;
use audiopus::packet::Packet;
use audiopus::{Channels, MutSignals, SampleRate};
use criterion::{Criterion, criterion_group, criterion_main};
use foldback_benches::encoded_voice;
use foldback_room::{EncodedFrame, LatencyProfile, Receiver};
use foldback_stage::AudioBuffer;

fn receivers(c: &mut Criterion) {
    let mut group = c.benchmark_group("packet_of_20ms");
    group.bench_function("libopus_alone", |b| {
        let voice = encoded_voice();
        let mut decoder = Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder");
        let mut number = 0;
        b.iter(|| {
            let bytes: &[u8] = &voice[number % voice.len()];
            let packet = Packet::try_from(bytes).expect("Opus");
            let mut pcm = [0.0; 960];
            let signals = MutSignals::try_from(&mut pcm[..]).expect("not empty");
            decoder.decode_float(Some(packet), signals, false).expect("decodes");
            number += 1;
            black_box(pcm[0])
        });
    });
    // Every so many packets one is lost; 0: none.
    for (name, lost_every) in [("receiver", 0), ("receiver_5_percent_lost", 20)] {
        group.bench_function(name, |b| {
            let mut bench = Bench::new(lost_every);
            b.iter(|| bench.packet());
        });
    }
    group.bench_function("receiver_idle", |b| {
        let mut receiver = Receiver::new(LatencyProfile::default());
        let mut audio = AudioBuffer::mono();
        let mut now = Instant::now();
        b.iter(|| {
            now += BLOCK;
            black_box(receiver.pull(now, &mut audio));
        });
    });
    group.finish();
}

const BLOCK: Duration = Duration::from_millis(10);

struct Bench {
    receiver: Receiver,
    voice: Vec<Arc<[u8]>>,
    audio: AudioBuffer,
    lost_every: u64,
    now: Instant,
    seq: u64,
}

impl Bench {
    fn new(lost_every: u64) -> Self {
        let receiver = Receiver::new(LatencyProfile::default());
        let (voice, audio) = (encoded_voice(), AudioBuffer::mono());
        let mut bench = Self { receiver, voice, audio, lost_every, now: Instant::now(), seq: 0 };
        // Playout has begun, and found its delay.
        (0..500).for_each(|_| bench.packet());
        bench
    }

    fn packet(&mut self) {
        if self.lost_every == 0 || !self.seq.is_multiple_of(self.lost_every) {
            self.receiver.push(EncodedFrame {
                ssrc: 1,
                captured: None,
                copy_distance: 0,
                seq: self.seq,
                rtp_time: self.seq * 960,
                level_minus_dbov: None,
                payload: Arc::clone(&self.voice[self.seq as usize % self.voice.len()]),
                arrival: self.now,
            });
        }
        self.seq += 1;
        for _ in 0..2 {
            self.now += BLOCK;
            black_box(self.receiver.pull(self.now, &mut self.audio));
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = receivers
}
criterion_main!(benches);
