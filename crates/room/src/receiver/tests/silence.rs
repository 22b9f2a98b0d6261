//! What is heard while nothing is sent, or silence.

use super::*;

#[test]
fn nothing_is_missing_while_the_sender_says_that_it_is_silent() {
    let mut bench = Bench::new(400);
    for p in 0..400_usize {
        let ms = p as u64 * 20;
        if p % 20 != 7 {
            bench.receiver.push(EncodedFrame {
                level_minus_dbov: Some(if p < 100 { 20 } else { 127 }),
                ..bench.frame(p, ms)
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
fn a_sender_that_says_it_is_silent_is_not_decoded() {
    let mut bench = Bench::new(100);
    for p in 0..100_usize {
        let level_minus_dbov = Some(if p < 70 { 127 } else { 20 });
        bench.receiver.push(EncodedFrame { level_minus_dbov, ..bench.frame(p, p as u64 * 20) });
        bench.pull(p as u64 * 20);
    }
    assert!(bench.pulled[60..130].iter().all(|p| *p == Pulled::Idle));
    assert!(bench.pulled[150..].iter().all(|p| *p == Pulled::Audio));
}

#[test]
fn where_nobody_hears_a_silent_sender_nothing_is_made_up_between_its_packets() {
    let pulled = |heard: bool| {
        let mut noise = noise();
        let mut bench = Bench::hearing(500, |_| noise());
        bench.receiver.set_heard(heard);
        let mut seq = 0;
        for p in 0..500_usize {
            let ms = p as u64 * 20;
            // One packet in 400 ms, as DTX has it.
            if p < 50 || p % 20 == 0 {
                bench.receiver.push(EncodedFrame { seq, ..bench.frame(p, ms) });
                seq += 1;
            }
            bench.pull(ms);
        }
        let after = &bench.pulled[200..];
        let sounds = after.iter().filter(|pulled| **pulled == Pulled::Audio).count();
        (sounds as f64 / after.len() as f64, bench.receiver.stats())
    };
    let (filled, _) = pulled(true);
    assert!(filled > 0.9, "{filled} of the blocks are filled for listeners");
    let (filled, stats) = pulled(false);
    // The packet of 20 ms, and less than 60 ms after it.
    assert!(filled < 0.2, "{filled} of the blocks");
    assert_eq!((stats.packets_lost, stats.packets_discarded), (0, 0));
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
fn a_copy_does_not_interrupt_a_claim_of_silence() {
    let mut bench = Bench::new(200);
    for p in 0..200_usize {
        let ms = p as u64 * 20;
        let level_minus_dbov = Some(if p < 10 { 20 } else { 127 });
        let lost = p > 60 && p % 10 == 4;
        if p > 60 && p % 10 == 5 {
            // Copies come without the level of the packet that they are copies of.
            bench.receiver.push(EncodedFrame { copy_distance: 1, ..bench.frame(p - 1, ms) });
        }
        if !lost {
            bench.receiver.push(EncodedFrame { level_minus_dbov, ..bench.frame(p, ms) });
        }
        bench.pull(ms);
    }
    assert!(bench.receiver.stats().red_packets_used > 5, "copies were played");
    assert!(bench.pulled[80..].iter().all(|p| *p == Pulled::Idle));
}

#[test]
fn who_has_said_nothing_yet_takes_no_memory_and_begins_with_the_first_word() {
    let mut bench = Bench::new(200);
    for p in 0..200_usize {
        let ms = p as u64 * 20;
        // Silence by what the sender says, then a packet that is lost, then speech.
        let level_minus_dbov = Some(if p < 100 { 127 } else { 20 });
        if p != 99 {
            bench.receiver.push(EncodedFrame { level_minus_dbov, ..bench.frame(p, ms) });
        }
        assert_eq!(bench.receiver.has_decoded(), p >= 100);
        bench.pull(ms);
    }
    let stats = bench.receiver.stats();
    assert_eq!((stats.packets_received, stats.packets_lost), (199, 1));
    assert_eq!(stats.packets_discarded + stats.packets_invalid, 0);
    let silent = bench.pulled.iter().take_while(|p| **p == Pulled::Idle).count();
    assert!((200..=206).contains(&silent), "{silent} blocks before the first word");
    assert!(bench.pulled[silent..].iter().all(|p| *p == Pulled::Audio));
}

/// What a browser sends with DTX (RFC 7587, section 3.1.3): of a silence its first packet, which is
/// of a byte or two, and now and then one that tells what the background sounds like.
fn sent_with_dtx(pcm: &[f32]) -> Vec<Option<Arc<[u8]>>> {
    use audiopus::coder::Encoder;
    use audiopus::{Application, Channels, SampleRate};
    let mut encoder =
        Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip).expect("an encoder");
    encoder.set_dtx(true).expect("DTX");
    let mut silent = false;
    let mut packet = |pcm: &[f32]| -> Option<Arc<[u8]>> {
        let mut bytes = [0; MAX_ENCODED_BYTES];
        let length = encoder.encode_float(pcm, &mut bytes).expect("encodes");
        let was_silent = std::mem::replace(&mut silent, length <= 2);
        (length > 2 || !was_silent).then(|| Arc::from(&bytes[..length]))
    };
    pcm.chunks_exact(960).map(&mut packet).collect()
}

#[test]
fn what_dtx_leaves_out_is_not_missing() {
    let mut bench = Bench::new(0);
    let said = |p: usize| !(50..300).contains(&p);
    let tone = |i: usize| 0.3 * (TAU * 400.0 * i as f32 / 48e3).sin();
    let pcm = (0..400 * 960).map(|i| if said(i / 960) { tone(i) } else { 0.0 });
    let sent = sent_with_dtx(&pcm.collect::<Vec<_>>());
    let shortest = sent.iter().flatten().map(|packet| packet.len()).min();
    assert!(shortest <= Some(2), "DTX sends a packet of a byte or two");
    let mut seq = 0;
    for (p, packet) in sent.iter().enumerate() {
        let ms = p as u64 * 20;
        // The time goes on in what is left out, the numbers do not.
        if let Some(packet) = packet {
            bench.packets.push(Arc::clone(packet));
            bench.push_as(seq, seq as u64, p as u64 * 960, ms);
            seq += 1;
        }
        bench.pull(ms);
    }
    assert!(seq < 250, "{seq} packets were sent");
    let stats = bench.receiver.stats();
    assert_eq!((stats.packets_lost, stats.packets_discarded), (0, 0));
    assert_eq!(stats.concealed_samples, 0);
    let level =
        |blocks: &[f32]| (blocks.iter().map(|s| s * s).sum::<f32>() / blocks.len() as f32).sqrt();
    assert!(level(&bench.out[200 * 960..290 * 960]) < 1e-3, "the silence is silent");
    assert!(level(&bench.out[310 * 960..]) > 0.2, "what follows is heard");
    assert_eq!(bench.receiver.delay().as_millis() / 10, 2, "{:?}", bench.receiver.delay());
}

#[test]
fn a_gap_too_long_to_hide_is_filled_with_the_background_that_was_heard() {
    let mut noise = noise();
    // A voice in a room that is not silent.
    let voice = |i: u32| 0.3 * (TAU * 400.0 * i as f32 / 48e3).sin();
    let mut bench =
        Bench::hearing(100, |i| noise() + if (i / 24_000) % 2 == 0 { voice(i) } else { 0.0 });
    bench.run(|p| (p < 60).then_some(p as u64 * 20));
    let rms = |from_ms: usize, to_ms: usize| {
        let part = &bench.out[from_ms * 48..to_ms * 48];
        (part.iter().map(|s| s * s).sum::<f32>() / part.len() as f32).sqrt()
    };
    let (background, gap) = (rms(700, 950), rms(1350, 1650));
    assert!((0.5..2.0).contains(&(gap / background)), "{gap} in the gap, {background} before it");
    assert!(rms(1900, 2000) == 0.0, "which ends too");
}

/// White noise at -55 dBFS.
fn noise() -> impl FnMut() -> f32 {
    let mut random = 1_u32;
    move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((random >> 8) as f32 / 8_388_608.0 - 1.0) * 3e-3
    }
}
