use foldback_plugin_dynamics::gain::KIND;
use foldback_stage::StageFormat;
use foldback_stage_testkit::signal::white_noise;
use foldback_stage_testkit::stages::{
    build, must_be_sound, params, run, run_stereo, run_with_change,
};

use crate::{change_must_be_smooth, set};

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn it_scales_by_the_factor_that_the_decibels_say() {
    for (gain_db, factor) in [(-60.0, 0.001), (-20.0, 0.1), (0.0, 1.0), (20.0, 10.0)] {
        let mut stage = build(&KIND, StageFormat::MONO, &set([("gain_db", gain_db)]));
        let expected = 0.05 * factor;
        let output = run(&mut *stage, &[0.05; 480]);
        assert!(output.iter().all(|s| (s - expected).abs() < 1e-5 * expected), "{gain_db} dB");
    }
}

#[test]
fn a_gain_of_0_db_changes_no_bit() {
    let signal = white_noise(5, -10.0, 0.1);
    assert_eq!(run(&mut *build(&KIND, StageFormat::MONO, &[]), &signal), signal);
}

#[test]
fn a_tail_is_not_attenuated_into_subnormal_samples() {
    let tail: Vec<f32> = (0..4800).map(|n| 0.98f32.powi(n)).collect();
    let output = run(&mut *build(&KIND, StageFormat::MONO, &set([("gain_db", -60.0)])), &tail);
    assert!(!output.iter().any(|s| s.is_subnormal()));
}

#[test]
fn another_gain_is_moved_to_without_a_step() {
    for (from, to) in [(0.0, -60.0), (-60.0, 30.0), (12.0, 0.0)] {
        let (from, to) = (set([("gain_db", from)]), set([("gain_db", to)]));
        change_must_be_smooth(&KIND, &from, &to, 440.0, -40.0);
    }
}

#[test]
fn a_move_takes_20_ms_in_a_straight_line() {
    let (output, _) = run_with_change(&KIND, &[], &set([("gain_db", -20.0)]), &[0.5; 4800]);
    let largest_step = output.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    assert!(largest_step < 1.01 * 0.45 / 960.0, "{largest_step}");
    assert_eq!(output[2399], 0.5);
    assert!((output[2400 + 960] - 0.05).abs() < 1e-6, "{}", output[2400 + 960]);
}

#[test]
fn both_channels_move_alike() {
    let signal = white_noise(6, -10.0, 0.05);
    let mut stage = build(&KIND, StageFormat::STEREO, &[]);
    stage.adjust(&params(&KIND, &set([("gain_db", -20.0)])));
    let (left, right) = run_stereo(&mut *stage, &signal, &signal);
    assert_eq!(left, right);
}
