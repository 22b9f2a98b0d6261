//! What `loudness` measures, and what it does to a signal.

use ebur128::{EbuR128, Mode};
use foldback_plugin_loudness::loudness::KIND;
use foldback_stage::{BLOCK_SAMPLES, RawValue, Stage, StageFormat};
use foldback_stage_testkit::measure::{clicks, rms_dbfs};
use foldback_stage_testkit::signal::{pink_noise, samples, silence, speech_like, to_rms, tone};
use foldback_stage_testkit::stages::{build, must_be_sound, params, reading, run, run_stereo};

foldback_stage_testkit::guard_allocations!();

fn loudness(set: &[(&str, RawValue<'_>)]) -> Box<dyn Stage> {
    build(&KIND, StageFormat::MONO, set)
}

fn lufs(stage: &dyn Stage) -> f32 {
    reading(stage, "loudness_lufs").expect("a reading")
}

fn gain_db(stage: &dyn Stage) -> f32 {
    reading(stage, "gain_db").expect("a reading")
}

/// Gated loudness of all of a mono signal, as the library measures it.
fn integrated_lufs(signal: &[f32]) -> f64 {
    let mut meter = EbuR128::new(1, 48_000, Mode::I).expect("a meter");
    meter.add_frames_f32(signal).expect("one channel");
    meter.loudness_global().expect("measured")
}

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn a_stereo_tone_of_ebu_tech_3341_measures_23_lufs() {
    let mut stage = build(&KIND, StageFormat::STEREO, &[]);
    let tone = tone(1000.0, -23.0, 20.0);
    let _ = run_stereo(&mut *stage, &tone, &tone);
    assert!((lufs(&*stage) + 23.0).abs() < 0.1, "{}", lufs(&*stage));
    assert!(gain_db(&*stage).abs() < 0.1, "{}", gain_db(&*stage));
}

#[test]
fn the_reading_is_the_short_term_loudness_of_the_library() {
    let speech = speech_like(1, -30.0, 8.0);
    let mut library = EbuR128::new(1, 48_000, Mode::S).expect("a meter");
    let mut stage = loudness(&[]);
    for second in speech.chunks(samples(1.0)) {
        library.add_frames_f32(second).expect("one channel");
        let _ = run(&mut *stage, second);
        let expected = library.loudness_shortterm().expect("measured") as f32;
        assert!((lufs(&*stage) - expected).abs() < 0.01, "{} for {expected}", lufs(&*stage));
    }
}

#[test]
fn the_gain_is_what_gated_loudness_lacks_to_the_target() {
    let spoken = [speech_like(1, -30.0, 4.0), silence(2.0), speech_like(1, -30.0, 4.0)].concat();
    let mut stage = loudness(&[("speed_db_per_s", RawValue::Int(12))]);
    let _ = run(&mut *stage, &spoken);
    let expected = -23.0 - integrated_lufs(&spoken);
    assert!((f64::from(gain_db(&*stage)) - expected).abs() < 0.1, "not {expected} dB");
}

#[test]
fn quiet_and_loud_talkers_come_out_at_the_target() {
    let limits = [("max_gain_db", RawValue::Int(20)), ("max_cut_db", RawValue::Int(20))];
    for level_dbfs in [-42.0, -33.0, -24.0, -12.0] {
        let out = run(&mut *loudness(&limits), &speech_like(1, level_dbfs, 40.0));
        let settled = integrated_lufs(&out[samples(20.0)..]);
        println!("rms of {level_dbfs} dBFS comes out at {settled:.1} LUFS");
        assert!((settled + 23.0).abs() < 1.0, "{settled} LUFS from {level_dbfs} dBFS");
    }
}

#[test]
fn the_gain_keeps_to_its_limits() {
    let quiet = run(&mut *loudness(&[]), &tone(1000.0, -45.0, 20.0));
    assert!((rms_dbfs(&quiet[samples(19.0)..]) - (-48.0 + 12.0)).abs() < 0.1);
    let loud = run(&mut *loudness(&[("max_cut_db", RawValue::Int(6))]), &tone(1000.0, -3.0, 20.0));
    assert!((rms_dbfs(&loud[samples(19.0)..]) - (-6.0 - 6.0)).abs() < 0.1);
}

#[test]
fn the_gain_moves_no_faster_than_its_speed_and_never_by_a_step() {
    for (speed, level_dbfs) in [(0.5, -40.0), (3.0, -40.0), (12.0, -40.0), (12.0, 0.0)] {
        let mut stage = loudness(&[("speed_db_per_s", RawValue::Float(speed))]);
        let mut out = Vec::new();
        let mut before_db = gain_db(&*stage);
        for block in tone(440.0, level_dbfs, 4.0).chunks(BLOCK_SAMPLES) {
            out.extend(run(&mut *stage, block));
            let moved_db = f64::from(gain_db(&*stage) - before_db).abs();
            assert!(moved_db <= 1.001 * speed / 100.0, "{moved_db} dB in a block at {speed} dB/s");
            before_db = gain_db(&*stage);
        }
        assert!(before_db.abs() > 1.0, "the gain stood still at {before_db} dB");
        assert_eq!(clicks(&out), [], "at {speed} dB/s");
    }
}

#[test]
fn silence_and_quiet_noise_move_nothing() {
    let mut stage = loudness(&[]);
    let _ = run(&mut *stage, &speech_like(1, -30.0, 20.0));
    let spoken_db = gain_db(&*stage);
    assert!(spoken_db > 3.0, "{spoken_db} dB");
    // The last 400 ms of speech reach into the first pause.
    let _ = run(&mut *stage, &silence(0.4));
    let before_db = gain_db(&*stage);
    let _ = run(&mut *stage, &[silence(20.0), pink_noise(2, -65.0, 20.0)].concat());
    assert_eq!(gain_db(&*stage), before_db);
}

#[test]
fn noise_between_talkers_is_not_amplified_though_it_is_above_the_absolute_gate() {
    let mut stage = loudness(&[("gate_lufs", RawValue::Int(-70))]);
    let _ = run(&mut *stage, &speech_like(1, -30.0, 20.0));
    let spoken_db = gain_db(&*stage);
    let _ = run(&mut *stage, &pink_noise(2, -55.0, 8.0));
    assert!((gain_db(&*stage) - spoken_db).abs() < 1.0, "{} dB", gain_db(&*stage));
}

#[test]
fn a_new_target_is_moved_to_without_a_click() {
    let mut stage = loudness(&[]);
    let tone = tone(440.0, -23.0, 20.0);
    let mut out = run(&mut *stage, &tone);
    stage.adjust(&params(&KIND, &[("target_lufs", RawValue::Int(-30))]));
    out.extend(run(&mut *stage, &tone));
    assert_eq!(clicks(&out), []);
    let moved_db = rms_dbfs(&out[samples(39.0)..]) - rms_dbfs(&out[samples(19.0)..samples(20.0)]);
    assert!((moved_db + 7.0).abs() < 0.1, "{moved_db} dB");
}

#[test]
fn without_room_to_move_it_changes_no_bit() {
    let still = [("max_gain_db", RawValue::Int(0)), ("max_cut_db", RawValue::Int(0))];
    let speech = speech_like(1, -40.0, 5.0);
    assert_eq!(run(&mut *loudness(&still), &speech), speech);
}

#[test]
fn both_channels_have_the_same_gain() {
    let left = speech_like(1, -40.0, 10.0);
    let right = to_rms(left.clone(), -50.0);
    let mut stage = build(&KIND, StageFormat::STEREO, &[]);
    let (out_left, out_right) = run_stereo(&mut *stage, &left, &right);
    let image_db = rms_dbfs(&out_left) - rms_dbfs(&out_right);
    assert!((image_db - 10.0).abs() < 0.01, "{image_db} dB");
    assert!(gain_db(&*stage) > 3.0);
}

#[test]
fn after_its_warm_up_a_fresh_stage_has_the_gain_of_one_that_ran_all_along() {
    let before = speech_like(2, -20.0, 20.0);
    let mut fresh = loudness(&[]);
    let warm = fresh.warm_up_blocks() * BLOCK_SAMPLES;
    let speech = speech_like(1, -32.0, warm as f64 / 48_000.0);
    let _ = run(&mut *fresh, &speech);
    let mut along = loudness(&[]);
    let _ = run(&mut *along, &[before, speech].concat());
    let apart_db = (gain_db(&*fresh) - gain_db(&*along)).abs();
    assert!(apart_db < 0.1, "{apart_db} dB apart");
}
