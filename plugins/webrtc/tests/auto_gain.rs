//! What `auto-gain` does to a signal.

mod common;

use common::{
    SECOND, active_level, at_level, delay_between, level, noise, run, speech_like, stage,
};
use foldback_plugin_webrtc::auto_gain::KIND;
use foldback_stage::{RawValue, StageReport};

const TARGETS_DBFS: [f64; 3] = [-30.0, -24.0, -18.0];

/// Speech whose active level is `level_dbfs`.
fn voice(level_dbfs: f32, seconds: usize) -> Vec<f32> {
    let raw = speech_like(1, -30.0, seconds * SECOND);
    let pauses_db = active_level(&raw) - level(&raw);
    at_level(raw, level_dbfs - pauses_db)
}

#[test]
fn voices_of_many_levels_come_out_alike() {
    for level_dbfs in [-45.0, -35.0, -25.0] {
        let input = voice(level_dbfs, 16);
        let out = run(&mut *stage(&KIND, &[]), &input);
        let reached = active_level(&out[10 * SECOND..]);
        println!("{level_dbfs} -> {reached:.1} dBFS");
        assert!((-18.0 - reached).abs() < 2.0, "{level_dbfs} dBFS became {reached}");
    }
}

#[test]
fn the_target_moves_what_comes_out() {
    let input = voice(-38.0, 16);
    let reached = TARGETS_DBFS.map(|target| {
        let set = [("target_dbfs", RawValue::Float(target))];
        active_level(&run(&mut *stage(&KIND, &set), &input)[10 * SECOND..])
    });
    println!("targets {TARGETS_DBFS:?} reach {reached:.1?} dBFS");
    for (reached, target) in reached.iter().zip(TARGETS_DBFS) {
        assert!((target as f32 - reached).abs() < 2.0, "{target} reached {reached}");
    }
}

#[test]
fn a_loud_voice_is_left_at_its_level_and_does_not_clip() {
    let input = voice(-14.0, 12);
    let out = run(&mut *stage(&KIND, &[]), &input);
    let change_db = active_level(&out[8 * SECOND..]) - active_level(&input[8 * SECOND..]);
    assert!(change_db.abs() < 1.5, "{change_db} dB");
    assert!(out.iter().all(|s| s.abs() <= 1.0));
}

#[test]
fn noise_alone_is_not_pulled_up_to_the_level_of_speech() {
    let hiss = noise(4, -55.0, 12 * SECOND);
    let out = run(&mut *stage(&KIND, &[]), &hiss);
    let reached = level(&out[8 * SECOND..]);
    println!("noise of -55 dBFS comes out at {reached:.1}");
    assert!(reached < -45.0, "{reached} dBFS");
}

#[test]
fn max_gain_is_kept() {
    let input = voice(-45.0, 16);
    let mut gain = stage(&KIND, &[("max_gain_db", RawValue::Int(10))]);
    let out = run(&mut *gain, &input);
    let change_db = active_level(&out[10 * SECOND..]) - active_level(&input[10 * SECOND..]);
    assert!((change_db - 10.0).abs() < 0.5, "{change_db} dB");
    let mut report = StageReport::default();
    gain.report(&mut report);
    let reading = report.readings().find(|r| r.name == "gain_db").expect("the gain");
    assert!((reading.value - 10.0).abs() < 0.5, "reported {} dB", reading.value);
}

#[test]
fn there_is_no_delay() {
    let input = voice(-25.0, 3);
    let mut gain = stage(&KIND, &[]);
    let out = run(&mut *gain, &input);
    assert_eq!(delay_between(&input[SECOND..], &out[SECOND..], 1000).0, 0);
    assert_eq!(gain.delay_samples(), 0);
}
