use foldback_plugin_dynamics::compressor::KIND;
use foldback_stage::StageFormat;
use foldback_stage_testkit::measure::fit_tones;
use foldback_stage_testkit::signal::{mix, tone, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, reading, run, run_stereo};

use crate::{change_must_be_smooth, gains_db, level_behind, set, steady};

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn levels_follow_the_static_curve() {
    let set = |ratio, knee_db| {
        set([
            ("threshold_dbfs", -24.0),
            ("ratio", ratio),
            ("knee_db", knee_db),
            ("release_ms", 500.0),
        ])
    };
    let (hard, soft) = (set(4.0, 0.0), set(4.0, 12.0));
    let expected = [
        (&hard, -40.0, -40.0),
        (&hard, -24.5, -24.5),
        (&hard, -20.0, -23.0),
        (&hard, -12.0, -21.0),
        (&hard, 0.0, -18.0),
        // Within 6 dB of the threshold the slope changes evenly from 1 to 1/4.
        (&soft, -31.0, -31.0),
        (&soft, -27.0, -27.0 - 0.75 * 9.0 / 24.0),
        (&soft, -24.0, -24.0 - 0.75 * 36.0 / 24.0),
        (&soft, -20.0, -20.0 - 0.75 * 100.0 / 24.0),
        (&soft, -12.0, -21.0),
        (&set(20.0, 0.0), -4.0, -23.0),
    ];
    for (set, level_dbfs, expected_dbfs) in expected {
        let found_dbfs = level_behind(&KIND, set, 1000.0, level_dbfs);
        assert!(
            (found_dbfs - expected_dbfs).abs() < 0.15,
            "{set:?}: {level_dbfs} dBFS becomes {found_dbfs}, not {expected_dbfs}"
        );
    }
}

#[test]
fn the_gain_falls_with_the_attack_and_returns_with_the_release() {
    let set = set([
        ("threshold_dbfs", -30.0),
        ("ratio", 20.0),
        ("knee_db", 0.0),
        ("attack_ms", 20.0),
        ("release_ms", 200.0),
    ]);
    let input = [steady(0.01, 100), steady(1.0, 500), steady(0.01, 2000)].concat();
    let gains = gains_db(&input, &run(&mut *build(&KIND, StageFormat::MONO, &set), &input));
    let at = |ms: usize| -gains[48 * ms];
    let full_db = 30.0 * 0.95;
    assert!((at(120) / full_db - 0.632).abs() < 0.01, "{} dB after one attack", at(120));
    assert!((at(599) / full_db - 1.0).abs() < 0.001, "{} dB in the end", at(599));
    // The attack is behind the release, and holds it back by its own time.
    let expected = (-180.0f32 / 200.0).exp();
    assert!((at(800) / full_db - expected).abs() < 0.02, "{} dB after one release", at(800));
    assert!(at(2599) < 0.01, "{} dB in the end", at(2599));
}

#[test]
fn what_stays_below_the_knee_changes_no_bit() {
    let quiet = white_noise(1, -40.0, 0.5);
    assert_eq!(run(&mut *build(&KIND, StageFormat::MONO, &[]), &quiet), quiet);
    let loud = white_noise(1, -10.0, 0.5);
    let even = set([("ratio", 1.0)]);
    assert_eq!(run(&mut *build(&KIND, StageFormat::MONO, &even), &loud), loud);
}

#[test]
fn after_something_loud_the_quiet_is_left_alone_again() {
    let quiet = white_noise(2, -40.0, 3.0);
    let input = [tone(440.0, -3.0, 0.5), quiet.clone()].concat();
    let output = run(&mut *build(&KIND, StageFormat::MONO, &[]), &input);
    assert_eq!(output[24_000 + 120_000..], quiet[120_000..]);
}

#[test]
fn makeup_raises_everything() {
    let set = set([("threshold_dbfs", -24.0), ("makeup_db", 12.0)]);
    assert!((level_behind(&KIND, &set, 1000.0, -50.0) + 38.0).abs() < 0.01);
    // 14 dB above the threshold, by 3 to 1.
    let loud_dbfs = level_behind(&KIND, &set, 1000.0, -10.0);
    assert!((loud_dbfs - (-24.0 + 14.0 / 3.0 + 12.0)).abs() < 0.15, "{loud_dbfs} dBFS");
}

#[test]
fn voices_are_not_distorted() {
    let both = mix(&[&tone(110.0, -8.0, 3.0), &tone(440.0, -12.0, 3.0)]);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &[]), &both);
    let residual_db = fit_tones(&output[96_000..], &[110.0, 440.0]).residual_db;
    assert!(residual_db < -45.0, "{residual_db} dB");
}

#[test]
fn both_channels_are_turned_down_together() {
    let (loud, soft) = (tone(440.0, -2.0, 0.5), tone(440.0, -22.0, 0.5));
    let (left, right) = run_stereo(&mut *build(&KIND, StageFormat::STEREO, &[]), &loud, &soft);
    for (left, right) in left.iter().zip(right).filter(|(left, _)| left.abs() > 0.01) {
        assert!((left / right - 10.0).abs() < 0.01, "the image moved: {left} to {right}");
    }
}

#[test]
fn another_curve_is_moved_to_without_a_click() {
    let curve = |threshold, ratio, makeup| {
        set([
            ("threshold_dbfs", threshold),
            ("ratio", ratio),
            ("makeup_db", makeup),
            ("attack_ms", 1.0),
        ])
    };
    for (from, to) in [
        (curve(0.0, 4.0, 0.0), curve(-60.0, 20.0, 0.0)),
        (curve(-60.0, 20.0, 24.0), curve(-60.0, 1.0, 24.0)),
        (curve(-30.0, 3.0, 24.0), curve(-30.0, 3.0, 0.0)),
    ] {
        change_must_be_smooth(&KIND, &from, &to, 440.0, -12.0);
    }
}

#[test]
fn the_report_tells_the_gain_reduction() {
    let set = set([("threshold_dbfs", -20.0), ("ratio", 2.0), ("knee_db", 0.0)]);
    let mut stage = build(&KIND, StageFormat::MONO, &set);
    let _ = run(&mut *stage, &steady(1.0, 500));
    let reduction_db = reading(&*stage, "gain_reduction_db").expect("a reading");
    assert!((reduction_db - 10.0).abs() < 0.01, "{reduction_db} dB");
}
