use foldback_plugin_filter::equaliser::KIND;
use foldback_stage::{RawValue, StageFormat};
use foldback_stage_testkit::measure::tone_dbfs;
use foldback_stage_testkit::signal::{tone, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, params, run, run_with_change};

use crate::{
    change_must_be_smooth, difference_db, response_db, tail_must_end, warm_up_must_be_enough,
};

fn set<const N: usize>(values: [(&'static str, f64); N]) -> [(&'static str, RawValue<'static>); N] {
    values.map(|(name, value)| (name, RawValue::Float(value)))
}

/// Every band far from flat.
fn curve() -> [(&'static str, RawValue<'static>); 7] {
    set([
        ("low_shelf_db", 6.0),
        ("peak1_db", -9.0),
        ("peak1_q", 2.0),
        ("peak2_db", 12.0),
        ("peak3_db", -4.0),
        ("peak3_q", 5.0),
        ("high_shelf_db", 9.0),
    ])
}

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn flat_bands_change_no_bit() {
    let signal = white_noise(1, -10.0, 0.5);
    assert_eq!(run(&mut *build(&KIND, StageFormat::MONO, &[]), &signal), signal);
}

#[test]
fn a_peak_has_its_height_at_its_centre_and_half_of_it_at_the_edges_of_its_band() {
    for (peak, db, q) in [(1, 12.0, 2.0), (2, -24.0, 0.5), (3, 6.0, 8.0)] {
        let names = [format!("peak{peak}_hz"), format!("peak{peak}_db"), format!("peak{peak}_q")];
        let values = [500.0, db, q].map(RawValue::Float);
        let set: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
        // The Cookbook's bandwidth for a Q, on either side of the centre.
        let half_octaves = (1.0 / (2.0 * q)).asinh() / 2f64.ln();
        let expected = [(0.0, db), (-half_octaves, db / 2.0), (half_octaves, db / 2.0), (5.0, 0.0)];
        for (octaves, expected_db) in expected {
            let frequency_hz = 500.0 * 2f64.powf(octaves);
            let found_db = response_db(&KIND, &set, frequency_hz);
            assert!(
                (found_db - expected_db).abs() < 0.2,
                "peak {peak}, {db} dB, Q {q} at {frequency_hz} Hz: {found_db} dB"
            );
        }
    }
}

#[test]
fn shelves_have_their_height_beyond_half_of_it_at_their_corner_and_nothing_before() {
    let low = set([("low_shelf_hz", 200.0), ("low_shelf_db", 12.0)]);
    let high = set([("high_shelf_hz", 4000.0), ("high_shelf_db", -18.0)]);
    let expected = [
        (&low, 25.0, 12.0),
        (&low, 200.0, 6.0),
        (&low, 3000.0, 0.0),
        (&high, 300.0, 0.0),
        (&high, 4000.0, -9.0),
        (&high, 20_000.0, -18.0),
    ];
    for (set, frequency_hz, expected_db) in expected {
        let db = response_db(&KIND, set, frequency_hz);
        assert!((db - expected_db).abs() < 0.1, "{set:?} at {frequency_hz} Hz: {db} dB");
    }
}

#[test]
fn bands_add_up() {
    let curve = curve();
    let bands = [&curve[..1], &curve[1..3], &curve[3..4], &curve[4..6], &curve[6..]];
    for frequency_hz in [60.0, 250.0, 700.0, 4000.0, 12_000.0] {
        let alone: f64 = bands.iter().map(|band| response_db(&KIND, band, frequency_hz)).sum();
        let together = response_db(&KIND, &curve, frequency_hz);
        assert!((together - alone).abs() < 0.02, "{frequency_hz} Hz: {together} dB, not {alone}");
    }
}

#[test]
fn a_low_band_is_exact() {
    let set = set([("peak1_hz", 20.0), ("peak1_db", 24.0), ("peak1_q", 3.0)]);
    let input = tone(20.0, -40.0, 4.0);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &set), &input);
    let level = tone_dbfs(&output[96_000..], 20.0);
    assert!((level + 16.0).abs() < 0.05, "{level} dBFS");
}

#[test]
fn another_curve_is_moved_to_without_a_step() {
    let narrow = |hz| set([("peak1_hz", hz), ("peak1_db", 24.0), ("peak1_q", 10.0)]);
    let low_shelf = |hz, db| set([("low_shelf_hz", hz), ("low_shelf_db", db)]);
    change_must_be_smooth(&KIND, &[], &curve());
    change_must_be_smooth(&KIND, &curve(), &[]);
    change_must_be_smooth(&KIND, &narrow(100.0), &narrow(8000.0));
    change_must_be_smooth(&KIND, &narrow(8000.0), &narrow(100.0));
    change_must_be_smooth(&KIND, &low_shelf(1000.0, 24.0), &low_shelf(20.0, -24.0));
}

#[test]
fn a_band_that_is_made_flat_again_changes_no_bit_from_then_on() {
    let signal = white_noise(2, -20.0, 1.0);
    let (output, middle) = run_with_change(&KIND, &curve(), &[], &signal);
    // 100 ms at most until it is faded, and 20 ms of fading.
    assert_eq!(output[middle + 5760..], signal[middle + 5760..]);
    assert_ne!(output[..middle], signal[..middle]);
}

#[test]
fn values_that_come_quickly_end_with_the_last_one() {
    let signal = white_noise(4, -20.0, 2.0);
    let mut stage = build(&KIND, StageFormat::MONO, &[]);
    let mut output = Vec::new();
    for (number, block) in signal.chunks(480).enumerate() {
        let db = f64::from(number.min(100) as u32) / 10.0;
        stage.adjust(&params(&KIND, &set([("peak2_db", db)])));
        output.extend(run(&mut *stage, block));
    }
    let expected = run(&mut *build(&KIND, StageFormat::MONO, &set([("peak2_db", 10.0)])), &signal);
    let apart = difference_db(&output[72_000..], &expected[72_000..]);
    assert!(apart < -100.0, "{apart} dB");
}

#[test]
fn after_its_warm_up_it_sounds_as_if_it_had_always_run() {
    warm_up_must_be_enough(&KIND, &curve());
    warm_up_must_be_enough(&KIND, &set([("peak1_hz", 40.0), ("peak1_db", 12.0)]));
}

#[test]
fn a_tail_ends_in_zeros() {
    tail_must_end(&KIND, &curve());
    tail_must_end(&KIND, &set([("low_shelf_hz", 20.0), ("low_shelf_db", -24.0)]));
}
