//! A tone in packets, and a receiver that is asked for it.

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
        let mut encoder = OpusEncoder::new(&OpusSettings::default()).expect("an encoder");
        let encode = |packet: u32| -> Arc<[u8]> {
            let sample = |i: u32| 0.3 * (TAU * 400.0 * (packet * 960 + i) as f32 / 48e3).sin();
            let pcm: Vec<f32> = (0..960).map(sample).collect();
            let mut bytes = [0; MAX_ENCODED_BYTES];
            let length = encoder.encode(&pcm, &mut bytes).expect("encodes");
            Arc::from(&bytes[..length])
        };
        Self {
            start: Instant::now(),
            packets: (0..packets).map(encode).collect(),
            receiver: Receiver::new(LatencyProfile::Balanced).expect("a receiver"),
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
        self.receiver.push(EncodedFrame {
            ssrc: 1,
            captured: None,
            copy_distance: 0,
            seq,
            rtp_time,
            level_minus_dbov: None,
            payload: Arc::clone(&self.packets[packet]),
            arrival: self.at(ms),
        });
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
fn a_sender_that_pauses_is_idle_and_comes_back() {
    let mut bench = Bench::new(200);
    bench.run(|p| (!(80..140).contains(&p)).then_some(p as u64 * 20));
    let idle = bench.pulled[170..270].iter().filter(|p| **p == Pulled::Idle).count();
    assert!(idle > 85, "idle in {idle} of 100 blocks of the pause");
    assert!(bench.pulled[300..].iter().all(|p| *p == Pulled::Audio), "back after the pause");
}

#[test]
fn a_sender_that_restarts_elsewhere_is_heard_again() {
    let mut bench = Bench::new(200);
    for p in 0..200_usize {
        let ms = p as u64 * 20;
        let (seq, rtp) = if p < 100 { (p, p) } else { (p + 70_000, p + 9_000_000) };
        bench.push_as(p, seq as u64, rtp as u64 * 960, ms);
        bench.pull(ms);
    }
    assert!(bench.pulled[220..].iter().all(|p| *p == Pulled::Audio));
}

#[test]
fn a_sender_that_goes_on_in_another_stream_is_heard_on_without_a_step_at_any_phase() {
    for phase_ms in 0..20 {
        let mut bench = Bench::new(200);
        for p in 0..200_usize {
            let ms = p as u64 * 20;
            bench.receiver.push(EncodedFrame {
                ssrc: if p < 100 { 1 } else { 2 },
                // Numbers and times begin anew, below those of the first stream.
                seq: (p % 100) as u64,
                rtp_time: (p % 100) as u64 * 960,
                level_minus_dbov: None,
                payload: Arc::clone(&bench.packets[p]),
                arrival: bench.at(ms),
                captured: None,
                copy_distance: 0,
            });
            bench.pull(ms + phase_ms);
        }
        let audio = bench.pulled[210..].iter().all(|p| *p == Pulled::Audio);
        assert!(audio, "{phase_ms} ms");
        let steps = bench.out.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(steps < 0.06, "{phase_ms} ms: a step of {steps}");
        assert_eq!(bench.receiver.stats().packets_received, 200);
    }
}

#[test]
fn nothing_is_missing_while_the_sender_says_that_it_is_silent() {
    let mut bench = Bench::new(400);
    for p in 0..400_usize {
        let ms = p as u64 * 20;
        if p % 20 != 7 {
            bench.receiver.push(EncodedFrame {
                ssrc: 1,
                seq: p as u64,
                rtp_time: p as u64 * 960,
                level_minus_dbov: Some(if p < 100 { 20 } else { 127 }),
                payload: Arc::clone(&bench.packets[p]),
                arrival: bench.at(ms),
                captured: None,
                copy_distance: 0,
            });
        }
        bench.pull(ms);
        if p == 150 {
            bench.out.clear();
            bench.concealed_before = bench.receiver.stats().concealed_samples;
        }
    }
    let stats = bench.receiver.stats();
    assert!(bench.out.iter().all(|s| *s == 0.0));
    assert_eq!(stats.concealed_samples, bench.concealed_before);
    assert_eq!(stats.packets_lost, 20);
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
        bench.receiver.push(EncodedFrame {
            ssrc: 1,
            captured: None,
            copy_distance: 0,
            seq: p as u64,
            rtp_time: p as u64 * 960,
            level_minus_dbov: None,
            payload,
            arrival: bench.at(p as u64 * 20),
        });
        bench.pull(p as u64 * 20);
    }
    assert_eq!(bench.receiver.stats().packets_invalid, 10);
    assert_eq!(bench.quiet_blocks_after_start(), 0);
}

#[test]
fn a_sender_that_says_it_is_silent_is_not_decoded() {
    let mut bench = Bench::new(100);
    for p in 0..100_usize {
        bench.receiver.push(EncodedFrame {
            ssrc: 1,
            captured: None,
            copy_distance: 0,
            seq: p as u64,
            rtp_time: p as u64 * 960,
            level_minus_dbov: Some(if p < 70 { 127 } else { 20 }),
            payload: Arc::clone(&bench.packets[p]),
            arrival: bench.at(p as u64 * 20),
        });
        bench.pull(p as u64 * 20);
    }
    assert!(bench.pulled[60..130].iter().all(|p| *p == Pulled::Idle));
    assert!(bench.pulled[150..].iter().all(|p| *p == Pulled::Audio));
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
fn a_straggler_after_the_end_wakes_nobody() {
    let mut bench = Bench::new(50);
    bench.run(|p| (p < 25).then_some(p as u64 * 20));
    assert_eq!(bench.pulled.last(), Some(&Pulled::Idle));
    bench.push(10, 1000);
    (1000..1400).step_by(20).for_each(|ms| bench.pull(ms));
    assert!(bench.pulled[110..].iter().all(|p| *p == Pulled::Idle));
    assert_eq!(bench.receiver.stats().packets_discarded, 1);
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
fn what_has_faded_out_does_not_come_back() {
    let mut bench = Bench::new(100);
    bench.run(|p| (p < 50).then_some(p as u64 * 20));
    let level = |b: &[f32]| b.iter().fold(0.0_f32, |most, s| most.max(s.abs()));
    let blocks: Vec<f32> = bench.out.chunks_exact(480).map(level).collect();
    let silent = blocks.iter().rposition(|level| *level > 0.0).expect("something was heard");
    let (before, last) = (blocks[silent - 1], blocks[silent]);
    assert!(last <= before + 0.001, "a block at {last} after one at {before}");
}

#[test]
fn when_packets_stop_a_tone_fades_to_nothing_without_a_step() {
    let mut bench = Bench::new(100);
    bench.run(|p| (p < 50).then_some(p as u64 * 20));
    let end = bench.out.len() - bench.out.iter().rev().take_while(|s| **s == 0.0).count();
    // The tone's own steps are 0.016 at most.
    let steps = bench.out.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    assert!(steps < 0.03, "a step of {steps}");
    let last = bench.out[end - 48..end].iter().map(|s| s.abs()).fold(0.0, f32::max);
    assert!(last < 0.01, "it ends at {last}");
}

#[test]
fn an_original_that_comes_after_its_copy_takes_its_place() {
    let mut bench = Bench::new(100);
    for p in 0..100_usize {
        let ms = p as u64 * 20;
        if p > 20 && p % 10 == 0 {
            // The copy of this packet, which comes a little later itself.
            let copy = EncodedFrame {
                ssrc: 1,
                seq: p as u64,
                rtp_time: p as u64 * 960,
                level_minus_dbov: None,
                payload: Arc::clone(&bench.packets[p]),
                arrival: bench.at(ms),
                captured: None,
                copy_distance: 1,
            };
            bench.receiver.push(copy);
        }
        bench.push(p, ms);
        bench.pull(ms);
    }
    let stats = bench.receiver.stats();
    assert_eq!((stats.packets_received, stats.red_packets_used), (100, 0));
    assert_eq!((stats.packets_lost, stats.packets_discarded), (0, 0));
}

#[test]
fn a_clock_that_stood_still_in_a_pause_leaves_no_delay_behind() {
    let mut bench = Bench::new(400);
    for p in 0..400_usize {
        let ms = p as u64 * 20;
        // For 2 s nothing comes, and the sender's time and numbers stand still.
        if !(150..250).contains(&p) {
            let number = if p < 150 { p } else { p - 100 };
            bench.push_as(p, number as u64, number as u64 * 960, ms);
        }
        bench.pull(ms);
    }
    let delay = bench.receiver.delay();
    assert!(delay < Duration::from_millis(40), "{delay:?}");
    assert!(bench.pulled[560..].iter().all(|p| *p == Pulled::Audio));
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
