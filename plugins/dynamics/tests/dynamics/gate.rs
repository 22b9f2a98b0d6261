use foldback_plugin_dynamics::gate::KIND;
use foldback_stage::StageFormat;
use foldback_stage_testkit::signal::{tone, white_noise};
use foldback_stage_testkit::stages::{
    build, must_be_sound, reading, run, run_stereo, run_with_change,
};

use crate::{change_must_be_smooth, gains_db, level_behind, set, steady};

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn what_is_below_the_threshold_is_lowered_by_the_range_and_what_is_above_is_not() {
    for range_db in [6.0, 30.0, 90.0] {
        let set = set([("threshold_dbfs", -40.0), ("range_db", range_db)]);
        for (level_dbfs, expected_dbfs) in
            [(-60.0, -60.0 - range_db), (-41.0, -41.0 - range_db), (-39.0, -39.0), (-3.0, -3.0)]
        {
            let found_dbfs = level_behind(&KIND, &set, 1000.0, level_dbfs);
            assert!(
                (found_dbfs - expected_dbfs).abs() < 0.1,
                "{level_dbfs} dBFS with a range of {range_db} dB leaves {found_dbfs} dBFS"
            );
        }
    }
}

#[test]
fn once_open_it_closes_only_below_the_hysteresis() {
    let set = set([("threshold_dbfs", -40.0), ("hysteresis_db", 8.0)]);
    for (after_dbfs, stays_open) in [(-47.0, true), (-49.0, false)] {
        let input = [tone(1000.0, -30.0, 0.5), tone(1000.0, after_dbfs, 1.0)].concat();
        let output = run(&mut *build(&KIND, StageFormat::MONO, &set), &input);
        assert_eq!(output[67_200..] == input[67_200..], stays_open, "{after_dbfs} dBFS");
    }
}

#[test]
fn it_opens_within_its_attack_evenly_in_decibels() {
    let set = set([("attack_ms", 10.0), ("range_db", 40.0)]);
    let input = [steady(0.0001, 100), steady(0.1, 100)].concat();
    let gains = gains_db(&input, &run(&mut *build(&KIND, StageFormat::MONO, &set), &input));
    let after = |ms: usize| gains[4800 + 48 * ms];
    assert!((after(0) + 40.0).abs() < 1.5, "{} dB when the sound comes", after(0));
    assert!((after(5) + 20.0).abs() < 1.5, "{} dB after half of the attack", after(5));
    assert_eq!(after(11), 0.0);
}

#[test]
fn it_stays_open_for_its_hold_and_closes_within_its_release() {
    let set = set([("hold_ms", 50.0), ("release_ms", 100.0), ("range_db", 40.0)]);
    let input = [steady(0.1, 200), steady(0.0001, 300)].concat();
    let gains = gains_db(&input, &run(&mut *build(&KIND, StageFormat::MONO, &set), &input));
    let after = |ms: usize| gains[9600 + 48 * ms];
    assert_eq!(after(49), 0.0);
    assert!((after(100) + 20.0).abs() < 0.5, "{} dB after half of the release", after(100));
    assert!((after(151) + 40.0).abs() < 0.01, "{} dB after hold and release", after(151));
}

#[test]
fn a_low_voice_does_not_make_it_flutter() {
    let set = set([("threshold_dbfs", -50.0), ("hysteresis_db", 0.0), ("hold_ms", 10.0)]);
    let input = tone(50.0, -49.0, 1.0);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &set), &input);
    assert_eq!(output[4800..], input[4800..]);
}

#[test]
fn a_sound_on_one_channel_opens_both() {
    let (loud, soft) = (tone(440.0, -10.0, 0.5), tone(440.0, -70.0, 0.5));
    let (left, right) = run_stereo(&mut *build(&KIND, StageFormat::STEREO, &[]), &loud, &soft);
    assert_eq!((&left[4800..], &right[4800..]), (&loud[4800..], &soft[4800..]));
}

#[test]
fn it_opens_and_closes_without_a_click() {
    let input = tone(440.0, -40.0, 4.0);
    for (from, to) in [(-60.0, -20.0), (-20.0, -60.0)] {
        let threshold = |dbfs| set([("threshold_dbfs", dbfs)]);
        change_must_be_smooth(&KIND, &threshold(from), &threshold(to), 440.0, -40.0);
    }
    let (output, _) = run_with_change(&KIND, &[], &set([("attack_ms", 1.0)]), &input);
    assert_eq!(output[4800..], input[4800..], "times alone change nothing while it is open");
}

#[test]
fn another_range_is_moved_to_without_a_step() {
    let range = |db| set([("threshold_dbfs", -10.0), ("range_db", db)]);
    for (from, to) in [(0.0, 60.0), (90.0, 0.0)] {
        change_must_be_smooth(&KIND, &range(from), &range(to), 440.0, -20.0);
    }
}

#[test]
fn the_report_tells_level_and_reduction() {
    let mut stage = build(&KIND, StageFormat::MONO, &[]);
    let _ = run(&mut *stage, &white_noise(1, -70.0, 1.0));
    let value = |name| reading(&*stage, name).expect("a reading");
    assert_eq!(value("gain_reduction_db"), 30.0);
    assert!((-67.0..-64.0).contains(&value("level_dbfs")), "{}", value("level_dbfs"));
}
