//! Senders that pause, or begin anew somewhere else.

use super::*;

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
                ..bench.frame(p, ms)
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
fn a_sender_that_restarts_a_little_before_where_it_was_is_heard_again() {
    let ways: [(&str, i64, i64); 3] = [
        ("numbers back, time on", -200, 5 * 48_000),
        ("numbers on, time back", 1, -3 * 48_000),
        ("both far back", -5_000, -60 * 48_000),
    ];
    for (way, seq, time) in ways {
        let mut bench = Bench::new(200);
        for p in 0..200_usize {
            let ms = p as u64 * 20;
            let moved = if p < 100 { (0, 0) } else { (seq, time) };
            let seq = (10_000 + p as u64).saturating_add_signed(moved.0);
            let rtp = (10_000_000 + p as u64 * 960).saturating_add_signed(moved.1);
            bench.push_as(p, seq, rtp, ms);
            bench.pull(ms);
        }
        assert!(bench.pulled[220..].iter().all(|p| *p == Pulled::Audio), "{way}");
    }
}
