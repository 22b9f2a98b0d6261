use foldback_plugin_filter::high_pass::KIND;
use foldback_stage::{RawValue, StageFormat};
use foldback_stage_testkit::measure::tone_dbfs;
use foldback_stage_testkit::signal::{mix, silence, tone};
use foldback_stage_testkit::stages::{build, must_be_sound, run, run_stereo};

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
        for cutoff_hz in [20.0, 80.0, 1000.0] {
            let db = response_db(&KIND, &set(cutoff_hz, order), cutoff_hz);
            assert!((db + 3.01).abs() < 0.02, "order {order}, {cutoff_hz} Hz: {db} dB");
        }
    }
}

#[test]
fn each_order_adds_6_db_per_octave() {
    for order in 1..=4 {
        let at = |frequency_hz| response_db(&KIND, &set(400.0, order), frequency_hz);
        let slope = at(100.0) - at(50.0);
        assert!((slope - 6.02 * order as f64).abs() < 0.3, "order {order}: {slope} dB");
    }
}

#[test]
fn nothing_above_the_cutoff_is_amplified_or_lost() {
    for order in 1..=4 {
        for frequency_hz in [800.0, 3000.0, 15_000.0] {
            let db = response_db(&KIND, &set(80.0, order), frequency_hz);
            assert!(db.abs() < 0.05, "order {order}, {frequency_hz} Hz: {db} dB");
        }
    }
}

#[test]
fn hum_goes_and_the_voice_stays() {
    let both = mix(&[&tone(50.0, -10.0, 2.0), &tone(440.0, -10.0, 2.0)]);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &set(150.0, 4)), &both);
    let hum_db = tone_dbfs(&output[48_000..], 50.0) + 10.0;
    let voice_db = tone_dbfs(&output[48_000..], 440.0) + 10.0;
    assert!(hum_db < -37.0, "hum at {hum_db} dB");
    assert!(voice_db.abs() < 0.1, "voice at {voice_db} dB");
}

#[test]
fn the_channels_of_a_stereo_block_do_not_meet() {
    let mut stage = build(&KIND, StageFormat::STEREO, &[]);
    let (left, right) = run_stereo(&mut *stage, &tone(440.0, -6.0, 0.1), &silence(0.1));
    assert!(left.iter().any(|s| *s != 0.0));
    assert!(right.iter().all(|s| *s == 0.0));
}

#[test]
fn another_cutoff_or_order_is_moved_to_without_a_step() {
    for (from, to) in [((20.0, 2), (1000.0, 2)), ((1000.0, 4), (20.0, 1)), ((80.0, 2), (120.0, 3))]
    {
        change_must_be_smooth(&KIND, &set(from.0, from.1), &set(to.0, to.1));
    }
}

#[test]
fn after_its_warm_up_it_sounds_as_if_it_had_always_run() {
    for (cutoff_hz, order) in [(20.0, 4), (80.0, 2), (1000.0, 1)] {
        warm_up_must_be_enough(&KIND, &set(cutoff_hz, order));
    }
}

#[test]
fn a_tail_ends_in_zeros() {
    for cutoff_hz in [20.0, 80.0, 1000.0] {
        for order in 1..=4 {
            tail_must_end(&KIND, &set(cutoff_hz, order));
        }
    }
}
