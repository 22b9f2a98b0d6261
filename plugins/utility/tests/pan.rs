//! Where `pan` puts a signal.

use foldback_plugin_utility::pan::KIND;
use foldback_stage::{Params, RawValue, Stage, StageFormat};
use foldback_stage_testkit::measure::{clicks, rms_dbfs};
use foldback_stage_testkit::signal::{samples, speech_like, tone, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound_in, params, run_stereo};

foldback_stage_testkit::guard_allocations!();

fn pan(position: f64) -> Box<dyn Stage> {
    build(&KIND, StageFormat::STEREO, &[("position", RawValue::Float(position))])
}

#[test]
fn it_is_sound() {
    must_be_sound_in(&KIND, &[StageFormat::STEREO]);
}

#[test]
fn a_mono_signal_is_refused_with_the_reason() {
    let refused = (KIND.build)(&Params::defaults(KIND.params), StageFormat::MONO).err();
    let reason = refused.expect("there is no left and right").to_string();
    assert_eq!(reason, "it balances left and right, and the signal here is mono");
}

#[test]
fn in_the_middle_it_changes_no_bit() {
    let (left, right) = (speech_like(1, -20.0, 0.5), white_noise(2, -20.0, 0.5));
    assert_eq!(run_stereo(&mut *pan(0.0), &left, &right), (left, right));
}

#[test]
fn the_power_stays_wherever_it_is() {
    let noise = white_noise(1, -20.0, 0.5);
    for (position, left_db, right_db) in [(-0.5, 2.32, -5.33), (0.5, -5.33, 2.32)] {
        let (left, right) = run_stereo(&mut *pan(position), &noise, &noise);
        let (left_dbfs, right_dbfs) = (rms_dbfs(&left) + 20.0, rms_dbfs(&right) + 20.0);
        assert!((left_dbfs - left_db).abs() < 0.01, "left {left_dbfs} dB at {position}");
        assert!((right_dbfs - right_db).abs() < 0.01, "right {right_dbfs} dB at {position}");
        let power = 10f64.powf(left_dbfs / 10.0) + 10f64.powf(right_dbfs / 10.0);
        assert!((power - 2.0).abs() < 0.01, "{power} at {position}");
    }
}

#[test]
fn at_either_end_the_other_channel_is_silent() {
    let noise = white_noise(1, -20.0, 0.1);
    let (left, right) = run_stereo(&mut *pan(-1.0), &noise, &noise);
    assert!(rms_dbfs(&right) < -150.0, "{} dBFS", rms_dbfs(&right));
    assert!((rms_dbfs(&left) + 17.0).abs() < 0.02);
    let (left, right) = run_stereo(&mut *pan(1.0), &noise, &noise);
    assert!(rms_dbfs(&left) < -150.0, "{} dBFS", rms_dbfs(&left));
    assert!((rms_dbfs(&right) + 17.0).abs() < 0.02);
}

#[test]
fn another_position_is_moved_to_without_a_click() {
    let tone = tone(440.0, -20.0, 0.5);
    let mut stage = pan(-1.0);
    let (mut left, mut right) = run_stereo(&mut *stage, &tone, &tone);
    stage.adjust(&params(&KIND, &[("position", RawValue::Int(1))]));
    let (left_after, right_after) = run_stereo(&mut *stage, &tone, &tone);
    left.extend(left_after);
    right.extend(right_after);
    assert_eq!((clicks(&left), clicks(&right)), (Vec::new(), Vec::new()));
    assert!(rms_dbfs(&left[samples(0.6)..]) < -150.0 && rms_dbfs(&right[samples(0.6)..]) > -21.0);
}
