//! What `limiter` does to a signal.

mod common;

use common::{amplitude_at, run, stage, tone};
use foldback_plugin_dynamics::limiter::KIND;
use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, RawValue, StageFormat, StageReport, db_to_amplitude,
};

/// Level of what is not the tones against the tones, in dB, over whole seconds.
fn residual_db(signal: &[f32], tones_hz: &[f64]) -> f64 {
    let energy = |s: &[f32]| s.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / s.len() as f64;
    let tones: f64 = tones_hz.iter().map(|hz| amplitude_at(signal, *hz).powi(2) / 2.0).sum();
    10.0 * ((energy(signal) - tones).max(1e-20) / tones).log10()
}

fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

#[test]
fn two_full_scale_voices_come_out_clean() {
    let amplitude = f64::from(db_to_amplitude(-1.0));
    let both = sum(&tone(440.0, amplitude, 240_000), &tone(660.0, amplitude, 240_000));
    let out = run(&mut *stage(&KIND, StageFormat::MONO, &[]), &both);
    let onset = residual_db(&out[480..48_480], &[440.0, 660.0]);
    let settled = residual_db(&out[96_000..], &[440.0, 660.0]);
    println!("residual: {onset:.1} dB in the first second, {settled:.1} dB later");
    assert!(onset < -40.0, "{onset} dB in the first second");
    assert!(settled < -60.0, "{settled} dB");
}

#[test]
fn low_voices_are_not_distorted_by_the_release() {
    let both = sum(&tone(110.0, 0.9, 240_000), &tone(165.0, 0.9, 240_000));
    let out = run(&mut *stage(&KIND, StageFormat::MONO, &[]), &both);
    let settled = residual_db(&out[96_000..], &[110.0, 165.0]);
    println!("residual of low tones: {settled:.1} dB");
    assert!(settled < -36.0, "{settled} dB");
}

#[test]
fn no_sample_passes_the_ceiling() {
    for (ceiling, lookahead, release) in [(-1, 5, 100), (0, 1, 10), (-30, 10, 1000)] {
        let set = [
            ("ceiling_dbfs", RawValue::Int(ceiling)),
            ("lookahead_ms", RawValue::Int(lookahead)),
            ("release_ms", RawValue::Int(release)),
        ];
        let mut limiter = stage(&KIND, StageFormat::MONO, &set);
        // Bursts of very different heights, so that peaks rise while others are released.
        let bursts: Vec<f32> = common::noise(11, 480_000)
            .into_iter()
            .enumerate()
            .map(|(n, s)| s * [0.3, 4.0, 0.9, 1.2, 30.0, 0.01][(n / 331) % 6])
            .collect();
        let out = run(&mut *limiter, &bursts);
        let peak = out.iter().fold(0.0f32, |m, s| m.max(s.abs()));
        let most = db_to_amplitude(ceiling as f32);
        assert!(peak <= most, "{peak} above {most}");
        assert!(peak > 0.98 * most, "{peak} wastes the room below {most}");
    }
}

#[test]
fn what_stays_below_the_ceiling_is_only_delayed() {
    let signal: Vec<f32> = common::noise(2, 48_000).iter().map(|s| s * 0.89).collect();
    for (lookahead, delay) in [(1.0, 48), (5.0, 240), (7.3, 350), (10.0, 480)] {
        let set = [("lookahead_ms", RawValue::Float(lookahead))];
        let mut limiter = stage(&KIND, StageFormat::MONO, &set);
        assert_eq!(limiter.delay_samples(), delay);
        let out = run(&mut *limiter, &signal);
        assert_eq!(out[delay..], signal[..signal.len() - delay], "{lookahead} ms");
    }
}

#[test]
fn both_channels_are_turned_down_together() {
    let mut limiter = stage(&KIND, StageFormat::STEREO, &[]);
    let mut buffer = AudioBuffer::stereo();
    for _ in 0..20 {
        buffer.plane_mut(0).fill(3.0);
        buffer.plane_mut(1).fill(0.3);
        limiter.process(&mut buffer.block(), &mut BlockContext::default());
    }
    for (left, right) in buffer.plane(0).iter().zip(buffer.plane(1)) {
        assert!((left / right - 10.0).abs() < 1e-4, "the image moved: {left} to {right}");
    }
}

#[test]
fn after_a_peak_the_gain_returns() {
    let mut signal = vec![0.5; 48_000];
    signal[4800..5280].fill(5.0);
    let out = run(&mut *stage(&KIND, StageFormat::MONO, &[]), &signal);
    assert!(out[5700] < 0.15, "reduced after the peak: {}", out[5700]);
    let at_one_release = out[5280 + 240 + 4800];
    // Of the way from 0.178 back to 1, 37 % is left after one time constant: 0.697 of 0.5.
    assert!((0.3..0.4).contains(&at_one_release), "{at_one_release}");
    assert!((out[47_999] - 0.5).abs() < 0.001, "{}", out[47_999]);
}

#[test]
fn the_report_tells_the_gain_reduction() {
    let mut limiter = stage(&KIND, StageFormat::MONO, &[("ceiling_dbfs", RawValue::Int(-6))]);
    run(&mut *limiter, &vec![1.0; 10 * BLOCK_SAMPLES]);
    let mut report = StageReport::default();
    limiter.report(&mut report);
    let reading = report.readings().next().expect("one reading");
    assert_eq!(reading.name, "gain_reduction_db");
    assert!((reading.value - 6.0).abs() < 0.01, "{}", reading.value);
}

#[test]
fn a_fork_goes_on_as_the_original() {
    let mut original = stage(&KIND, StageFormat::MONO, &[]);
    run(&mut *original, &tone(100.0, 2.0, 4800));
    let mut fork = original.fork().expect("can be copied");
    let more = tone(300.0, 1.5, 48_000);
    assert_eq!(run(&mut *fork, &more), run(&mut *original, &more));
}

#[test]
fn a_tail_brings_no_subnormal_samples() {
    let tail: Vec<f32> = (0..48_000).map(|n| 30.0 * 0.998f32.powi(n)).collect();
    let mut limiter = stage(&KIND, StageFormat::MONO, &[("ceiling_dbfs", RawValue::Int(-30))]);
    let out = run(&mut *limiter, &tail);
    assert!(!out.iter().any(|s| s.is_subnormal()));
    assert_eq!(run(&mut *limiter, &[0.0; 4800])[480..], [0.0; 4320]);
}
