use foldback_plugin_dynamics::limiter::KIND;
use foldback_stage::{BLOCK_SAMPLES, Ramp, StageFormat, db_to_amplitude};
use foldback_stage_testkit::measure::fit_tones;
use foldback_stage_testkit::signal::{mix, tone, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, params, reading, run, run_stereo};

use crate::{change_must_be_smooth, set};

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn two_full_scale_voices_come_out_clean() {
    let both = mix(&[&tone(440.0, -1.0, 5.0), &tone(660.0, -1.0, 5.0)]);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &[]), &both);
    let onset_db = fit_tones(&output[480..48_480], &[440.0, 660.0]).residual_db;
    let settled_db = fit_tones(&output[96_000..], &[440.0, 660.0]).residual_db;
    println!("residual: {onset_db:.1} dB in the first second, {settled_db:.1} dB later");
    assert!(onset_db < -40.0, "{onset_db} dB in the first second");
    assert!(settled_db < -60.0, "{settled_db} dB");
}

#[test]
fn low_voices_are_not_distorted_by_the_release() {
    let both = mix(&[&tone(110.0, -1.0, 5.0), &tone(165.0, -1.0, 5.0)]);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &[]), &both);
    let settled_db = fit_tones(&output[96_000..], &[110.0, 165.0]).residual_db;
    println!("residual of low tones: {settled_db:.1} dB");
    assert!(settled_db < -36.0, "{settled_db} dB");
}

/// Bursts of very different heights, so that peaks rise while others are released.
fn bursts() -> Vec<f32> {
    let heights = [0.3, 4.0, 0.9, 1.2, 16.0, 0.01];
    let noise = white_noise(11, -4.8, 10.0).into_iter().enumerate();
    noise.map(|(n, sample)| (sample * heights[n / 331 % 6]).clamp(-16.0, 16.0)).collect()
}

#[test]
fn no_sample_passes_the_ceiling() {
    for (ceiling, lookahead, release) in
        [(-1.0, 5.0, 100.0), (0.0, 1.0, 10.0), (-30.0, 10.0, 1000.0)]
    {
        let set =
            set([("ceiling_dbfs", ceiling), ("lookahead_ms", lookahead), ("release_ms", release)]);
        let output = run(&mut *build(&KIND, StageFormat::MONO, &set), &bursts());
        let peak = output.iter().fold(0.0f32, |m, s| m.max(s.abs()));
        let most = db_to_amplitude(ceiling as f32);
        assert!(peak <= most, "{peak} above {most}");
        assert!(peak > 0.98 * most, "{peak} wastes the room below {most}");
    }
}

#[test]
fn no_sample_passes_a_ceiling_that_moves() {
    let ceiling = |dbfs: f64| params(&KIND, &set([("ceiling_dbfs", dbfs)]));
    let mut limiter = build(&KIND, StageFormat::MONO, &set([("ceiling_dbfs", 0.0)]));
    let mut moving = Ramp::new(1.0);
    let delay = limiter.delay_samples();
    // What held for the samples that leave: those of before the beginning are silent.
    let mut ceilings = vec![1.0; delay];
    for (number, block) in bursts().chunks_exact(BLOCK_SAMPLES).enumerate() {
        if number % 5 == 0 {
            let dbfs = [-30.0, -3.0, -12.0, 0.0][number / 5 % 4];
            limiter.adjust(&ceiling(dbfs));
            moving.aim(db_to_amplitude(dbfs as f32));
        }
        ceilings.extend((0..BLOCK_SAMPLES).map(|_| moving.next()));
        let output = run(&mut *limiter, block);
        let held = &ceilings[number * BLOCK_SAMPLES..];
        for (n, (sample, ceiling)) in output.iter().zip(held).enumerate() {
            assert!(sample.abs() <= *ceiling, "block {number}, {n}: {sample} above {ceiling}");
        }
    }
}

#[test]
fn another_ceiling_is_moved_to_without_a_step() {
    let ceiling = |dbfs| set([("ceiling_dbfs", dbfs)]);
    for (from, to) in [(0.0, -30.0), (-30.0, -3.0)] {
        change_must_be_smooth(&KIND, &ceiling(from), &ceiling(to), 440.0, -2.0);
    }
}

#[test]
fn another_release_is_taken_while_the_gain_returns() {
    let mut limiter = build(&KIND, StageFormat::MONO, &set([("release_ms", 1000.0)]));
    let _ = run(&mut *limiter, &[5.0; 4800]);
    limiter.adjust(&params(&KIND, &set([("release_ms", 10.0)])));
    let output = run(&mut *limiter, &[0.5; 4800]);
    assert!((output[4799] - 0.5).abs() < 0.001, "{} after ten releases", output[4799]);
}

#[test]
fn what_stays_below_the_ceiling_is_only_delayed() {
    let signal = white_noise(2, -6.0, 1.0);
    for (lookahead, delay) in [(1.0, 48), (5.0, 240), (7.3, 350), (10.0, 480)] {
        let mut limiter = build(&KIND, StageFormat::MONO, &set([("lookahead_ms", lookahead)]));
        assert_eq!(limiter.delay_samples(), delay);
        let output = run(&mut *limiter, &signal);
        assert_eq!(output[delay..], signal[..signal.len() - delay], "{lookahead} ms");
    }
}

#[test]
fn both_channels_are_turned_down_together() {
    let mut limiter = build(&KIND, StageFormat::STEREO, &[]);
    let (left, right) = run_stereo(&mut *limiter, &[3.0; 9600], &[0.3; 9600]);
    for (left, right) in left[240..].iter().zip(&right[240..]) {
        assert!((left / right - 10.0).abs() < 1e-4, "the image moved: {left} to {right}");
    }
}

#[test]
fn after_a_peak_the_gain_returns_until_no_bit_is_changed() {
    let mut signal = vec![0.5; 144_000];
    signal[4800..5280].fill(5.0);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &[]), &signal);
    assert!(output[5700] < 0.15, "reduced after the peak: {}", output[5700]);
    let at_one_release = output[5280 + 240 + 4800];
    // Of the way from 0.178 back to 1, 37 % is left after one time constant: 0.697 of 0.5.
    assert!((0.3..0.4).contains(&at_one_release), "{at_one_release}");
    assert!((output[48_000] - 0.5).abs() < 0.001, "{}", output[48_000]);
    assert!(output[96_000..].iter().all(|s| *s == 0.5));
}

#[test]
fn the_report_tells_the_gain_reduction() {
    let mut limiter = build(&KIND, StageFormat::MONO, &set([("ceiling_dbfs", -6.0)]));
    let _ = run(&mut *limiter, &[1.0; 10 * BLOCK_SAMPLES]);
    let reduction_db = reading(&*limiter, "gain_reduction_db").expect("a reading");
    assert!((reduction_db - 6.0).abs() < 0.01, "{reduction_db}");
}

#[test]
fn a_tail_brings_no_subnormal_samples() {
    let tail: Vec<f32> = (0..48_000).map(|n| 16.0 * 0.998f32.powi(n)).collect();
    let mut limiter = build(&KIND, StageFormat::MONO, &set([("ceiling_dbfs", -30.0)]));
    let output = run(&mut *limiter, &tail);
    assert!(!output.iter().any(|s| s.is_subnormal()));
    assert_eq!(run(&mut *limiter, &[0.0; 4800])[480..], [0.0; 4320]);
}
