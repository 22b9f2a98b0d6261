use foldback_plugin_filter::low_pass::KIND;
use foldback_stage::{RawValue, StageFormat};
use foldback_stage_testkit::measure::tone_dbfs;
use foldback_stage_testkit::signal::{mix, tone};
use foldback_stage_testkit::stages::{build, must_be_sound, run};

use crate::{change_must_be_smooth, response_db, tail_must_end, warm_up_must_be_enough};

fn set(cutoff_hz: f64, order: i64) -> [(&'static str, RawValue<'static>); 2] {
    [("cutoff_hz", RawValue::Float(cutoff_hz)), ("order", RawValue::Int(order))]
}

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn the_response_is_3_db_down_at_the_cutoff() {
    for order in 1..=4 {
        for cutoff_hz in [200.0, 3400.0, 20_000.0] {
            let db = response_db(&KIND, &set(cutoff_hz, order), cutoff_hz);
            assert!((db + 3.01).abs() < 0.02, "order {order}, {cutoff_hz} Hz: {db} dB");
        }
    }
}

#[test]
fn each_order_adds_6_db_per_octave() {
    for order in 1..=4 {
        let at = |frequency_hz| response_db(&KIND, &set(200.0, order), frequency_hz);
        let slope = at(800.0) - at(1600.0);
        assert!((slope - 6.02 * order as f64).abs() < 0.3, "order {order}: {slope} dB");
    }
}

#[test]
fn nothing_below_the_cutoff_is_amplified_or_lost() {
    for order in 1..=4 {
        for frequency_hz in [30.0, 300.0, 1200.0] {
            let db = response_db(&KIND, &set(12_000.0, order), frequency_hz);
            assert!(db.abs() < 0.05, "order {order}, {frequency_hz} Hz: {db} dB");
        }
    }
}

#[test]
fn a_whistle_goes_and_the_voice_stays() {
    let both = mix(&[&tone(15_000.0, -10.0, 1.0), &tone(440.0, -10.0, 1.0)]);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &set(5000.0, 4)), &both);
    let whistle_db = tone_dbfs(&output[4800..], 15_000.0) + 10.0;
    let voice_db = tone_dbfs(&output[4800..], 440.0) + 10.0;
    assert!(whistle_db < -45.0, "whistle at {whistle_db} dB");
    assert!(voice_db.abs() < 0.1, "voice at {voice_db} dB");
}

#[test]
fn another_cutoff_or_order_is_moved_to_without_a_step() {
    let moves =
        [((200.0, 2), (20_000.0, 2)), ((20_000.0, 4), (200.0, 4)), ((8000.0, 1), (3400.0, 4))];
    for (from, to) in moves {
        change_must_be_smooth(&KIND, &set(from.0, from.1), &set(to.0, to.1));
    }
}

#[test]
fn after_its_warm_up_it_sounds_as_if_it_had_always_run() {
    for (cutoff_hz, order) in [(200.0, 4), (3400.0, 2), (20_000.0, 1)] {
        warm_up_must_be_enough(&KIND, &set(cutoff_hz, order));
    }
}

#[test]
fn a_tail_ends_in_zeros() {
    for cutoff_hz in [200.0, 3400.0, 20_000.0] {
        for order in 1..=4 {
            tail_must_end(&KIND, &set(cutoff_hz, order));
        }
    }
}
