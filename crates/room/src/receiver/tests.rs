//! A tone in packets, and a receiver that is asked for it.

mod restarts;
mod silence;

use std::f32::consts::TAU;

use std::sync::Arc;

use super::*;
use crate::codec::{MAX_ENCODED_BYTES, OpusEncoder, OpusSettings};

/// Packets of a tone, 20 ms each, and a receiver that is asked for them.
struct Bench {
    start: Instant,
    packets: Vec<Arc<[u8]>>,
    receiver: Receiver,
    out: Vec<f32>,
    pulled: Vec<Pulled>,
    concealed_before: u64,
}

impl Bench {
    fn new(packets: u32) -> Self {
        Self::hearing(packets, |i| 0.3 * (TAU * 400.0 * i as f32 / 48e3).sin())
    }

    /// What is said, by the number of its sample.
    fn hearing(packets: u32, mut said: impl FnMut(u32) -> f32) -> Self {
        let mut encoder =
            OpusEncoder::new(&OpusSettings::default(), StageFormat::MONO).expect("an encoder");
        let mut encode = |packet: u32| -> Arc<[u8]> {
            let pcm: Vec<f32> = (packet * 960..(packet + 1) * 960).map(&mut said).collect();
            let mut bytes = [0; MAX_ENCODED_BYTES];
            let length = encoder.encode(&pcm, &mut bytes).expect("encodes");
            Arc::from(&bytes[..length])
        };
        Self {
            start: Instant::now(),
            packets: (0..packets).map(&mut encode).collect(),
            receiver: Receiver::new(LatencyProfile::Balanced),
            out: Vec::new(),
            pulled: Vec::new(),
            concealed_before: 0,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn push(&mut self, packet: usize, ms: u64) {
        self.push_as(packet, packet as u64, packet as u64 * 960, ms);
    }

    fn push_as(&mut self, packet: usize, seq: u64, rtp_time: u64, ms: u64) {
        self.receiver.push(EncodedFrame { seq, rtp_time, ..self.frame(packet, ms) });
    }

    fn frame(&self, packet: usize, ms: u64) -> EncodedFrame {
        EncodedFrame {
            ssrc: 1,
            captured: None,
            copy_distance: 0,
            seq: packet as u64,
            rtp_time: packet as u64 * 960,
            level_minus_dbov: None,
            payload: Arc::clone(&self.packets[packet]),
            arrival: self.at(ms),
        }
    }

    /// Pulls 20 ms, as a room does that sends packets of 20 ms.
    fn pull(&mut self, ms: u64) {
        for _ in 0..2 {
            let mut block = AudioBuffer::mono();
            self.pulled.push(self.receiver.pull(self.at(ms), &mut block));
            self.out.extend_from_slice(block.plane(0));
        }
        while self.receiver.next_played(self.at(ms), 0).is_some() {}
    }

    /// Pushes packets as `arrives` says (in ms; `None` is lost) and pulls every 20 ms.
    fn run(&mut self, arrives: impl Fn(usize) -> Option<u64>) {
        let mut due: Vec<_> =
            (0..self.packets.len()).filter_map(|p| Some((arrives(p)?, p))).collect();
        due.sort_unstable();
        let end = self.packets.len() as u64 * 20;
        let mut due = due.into_iter().peekable();
        for ms in (0..end).step_by(20) {
            while let Some((at, packet)) = due.next_if(|(at, _)| *at <= ms) {
                self.push(packet, at);
            }
            self.pull(ms);
        }
    }

    fn quiet_blocks_after_start(&self) -> usize {
        let loud = |b: &[f32]| b.iter().map(|s| s * s).sum::<f32>() / 480.0 > 1e-3;
        let blocks: Vec<bool> = self.out.chunks_exact(480).map(loud).collect();
        let start = blocks.iter().position(|loud| *loud).unwrap_or(blocks.len());
        blocks[start..].iter().filter(|loud| !**loud).count()
    }
}

#[test]
fn packets_in_order_are_played_without_a_gap() {
    let mut bench = Bench::new(100);
    bench.run(|p| Some(p as u64 * 20));
    assert_eq!(bench.quiet_blocks_after_start(), 0);
    let stats = bench.receiver.stats();
    assert_eq!(
        (
            stats.packets_received,
            stats.packets_lost,
            stats.packets_discarded,
            stats.concealed_samples
        ),
        (100, 0, 0, 0)
    );
}

#[test]
fn reordered_packets_are_played_in_order() {
    let mut bench = Bench::new(100);
    bench.run(|p| Some(if p % 10 == 4 { p as u64 * 20 + 22 } else { p as u64 * 20 }));
    assert_eq!(bench.quiet_blocks_after_start(), 0);
    assert_eq!(bench.receiver.stats().packets_lost, 0);
}

#[test]
fn a_packet_that_comes_twice_is_played_once() {
    let mut bench = Bench::new(50);
    for p in 0..50 {
        bench.push(p, p as u64 * 20);
        bench.push(p, p as u64 * 20 + 1);
        bench.pull(p as u64 * 20);
    }
    let stats = bench.receiver.stats();
    assert_eq!((stats.packets_received, stats.packets_discarded), (50, 50));
}

#[test]
fn lost_packets_are_counted_and_rebuilt() {
    let mut bench = Bench::new(200);
    bench.run(|p| (p % 20 != 10).then_some(p as u64 * 20));
    assert_eq!(bench.quiet_blocks_after_start(), 0);
    let stats = bench.receiver.stats();
    assert_eq!(stats.packets_lost, 10);
    assert!(stats.fec_packets_used > 0, "{stats:?}");
}

#[test]
fn of_a_stall_of_seconds_nothing_is_thrown_away() {
    let mut bench = Bench::new(700);
    // All that was sent for 6 s comes at once.
    bench.run(|p| Some(if (200..500).contains(&p) { 10_000 } else { p as u64 * 20 }));
    let stats = bench.receiver.stats();
    assert_eq!(stats.packets_received, 700);
    assert_eq!((stats.packets_lost, stats.packets_discarded), (0, 0));
    let left = bench.receiver.delay().as_secs_f64() * 48e3;
    let played = stats.removed_samples_for_acceleration as f64 + left;
    // It began anew after the stall, later by what had piled up.
    assert!(played > 5.0 * 48e3, "{stats:?}, {left} samples late");
}

#[test]
fn stereo_is_played_as_the_mean_of_both_sides() {
    use audiopus::coder::Encoder;
    use audiopus::{Application, Channels, SampleRate};
    let encoder = Encoder::new(SampleRate::Hz48000, Channels::Stereo, Application::Audio)
        .expect("an encoder");
    let mut bench = Bench::new(0);
    for p in 0..100_u32 {
        // Only the left side sounds.
        let sample = |i: u32| 0.4 * (TAU * 400.0 * (p * 960 + i) as f32 / 48e3).sin();
        let pcm: Vec<f32> = (0..960).flat_map(|i| [sample(i), 0.0]).collect();
        let mut bytes = [0; MAX_ENCODED_BYTES];
        let length = encoder.encode_float(&pcm, &mut bytes).expect("encodes");
        bench.packets.push(Arc::from(&bytes[..length]));
        bench.push(p as usize, u64::from(p) * 20);
        bench.pull(u64::from(p) * 20);
    }
    let end = &bench.out[48_000..];
    let rms = (end.iter().map(|s| s * s).sum::<f32>() / end.len() as f32).sqrt();
    assert!((rms - 0.2 / 2.0_f32.sqrt()).abs() < 0.01, "rms {rms}");
    assert_eq!(bench.quiet_blocks_after_start(), 0);
}

#[test]
fn after_a_stall_the_delay_shrinks_again_without_a_gap() {
    let mut bench = Bench::new(1000);
    // 300 ms of packets come at once at 4 s.
    bench.run(|p| {
        let due = p as u64 * 20;
        Some(if (4000..4300).contains(&due) { 4300 } else { due })
    });
    let delay = bench.receiver.delay();
    assert!(delay < Duration::from_millis(25), "{delay:?} of delay 15 s after the stall");
    assert!(bench.receiver.stats().removed_samples_for_acceleration > 5_000);
}

#[test]
fn what_is_no_opus_is_counted_and_harms_nothing() {
    let mut bench = Bench::new(50);
    for p in 0..50_usize {
        let payload =
            if p % 5 == 2 { Arc::from(&[0xff, 0][..]) } else { Arc::clone(&bench.packets[p]) };
        bench.receiver.push(EncodedFrame { payload, ..bench.frame(p, p as u64 * 20) });
        bench.pull(p as u64 * 20);
    }
    assert_eq!(bench.receiver.stats().packets_invalid, 10);
    assert_eq!(bench.quiet_blocks_after_start(), 0);
}

#[test]
fn an_outage_is_counted_as_loss_and_a_pause_is_not() {
    let mut bench = Bench::new(200);
    bench.run(|p| (!(80..140).contains(&p)).then_some(p as u64 * 20));
    assert_eq!(bench.receiver.stats().packets_lost, 60);
    let mut bench = Bench::new(200);
    for p in 0..200_usize {
        let ms = p as u64 * 20;
        if !(80..140).contains(&p) {
            let seq = if p < 80 { p } else { p - 60 };
            bench.push_as(p, seq as u64, p as u64 * 960, ms);
        }
        bench.pull(ms);
    }
    assert_eq!(bench.receiver.stats().packets_lost, 0);
}

#[test]
fn numbers_extended_past_zero_are_refused() {
    let mut bench = Bench::new(3);
    bench.push_as(0, u64::MAX - 3, 960, 0);
    bench.push_as(1, 4, u64::MAX - 960, 20);
    bench.pull(20);
    assert_eq!(bench.receiver.stats().packets_invalid, 2);
}

#[test]
fn an_original_that_comes_after_its_copy_takes_its_place() {
    let mut bench = Bench::new(100);
    for p in 0..100_usize {
        let ms = p as u64 * 20;
        if p > 20 && p % 10 == 0 {
            // The copy of this packet, which comes a little later itself.
            bench.receiver.push(EncodedFrame { copy_distance: 1, ..bench.frame(p, ms) });
        }
        bench.push(p, ms);
        bench.pull(ms);
    }
    let stats = bench.receiver.stats();
    assert_eq!((stats.packets_received, stats.red_packets_used), (100, 0));
    assert_eq!((stats.packets_lost, stats.packets_discarded), (0, 0));
}

#[test]
fn losses_are_counted_while_delay_is_taken_out_too() {
    let mut bench = Bench::new(1000);
    // A stall at 4 s puts much delay in; losses while it is taken out.
    bench.run(|p| {
        let due = p as u64 * 20;
        let arrives = if (4000..4300).contains(&due) { 4300 } else { due };
        (!(220..400).contains(&p) || p % 12 != 5).then_some(arrives)
    });
    assert_eq!(bench.receiver.stats().packets_lost, 15);
}

#[test]
fn numbers_that_padding_took_are_no_loss() {
    let mut bench = Bench::new(200);
    for p in 0..200_usize {
        // Three packets of padding before every tenth, which nobody hands to a receiver.
        let seq = p as u64 + 3 * (p as u64 / 10);
        bench.push_as(p, seq, p as u64 * 960, p as u64 * 20);
        bench.pull(p as u64 * 20);
    }
    let stats = bench.receiver.stats();
    assert_eq!((stats.packets_lost, stats.concealed_samples), (0, 0));
    assert_eq!(bench.quiet_blocks_after_start(), 0);
}

#[test]
fn a_copy_under_another_number_is_not_played_again() {
    let mut bench = Bench::new(100);
    for p in 0..100_usize {
        // Every second number is that of a copy of the packet before.
        bench.push_as(p, 2 * p as u64, p as u64 * 960, p as u64 * 20);
        bench.push_as(p, 2 * p as u64 + 1, p as u64 * 960, p as u64 * 20);
        bench.pull(p as u64 * 20);
    }
    let stats = bench.receiver.stats();
    assert_eq!((stats.packets_lost, stats.concealed_samples), (0, 0));
    assert_eq!(stats.removed_samples_for_acceleration, 0, "nothing was played twice");
}
