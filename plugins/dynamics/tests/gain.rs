//! What `gain` does to a signal.

mod common;

use common::{run, stage};
use foldback_plugin_dynamics::gain::KIND;
use foldback_stage::{RawValue, StageFormat};

#[test]
fn it_scales_by_the_factor_that_the_decibels_say() {
    for (gain_db, factor) in [(-60.0, 0.001), (-20.0, 0.1), (0.0, 1.0), (20.0, 10.0)] {
        let set = [("gain_db", RawValue::Float(gain_db))];
        let out = run(&mut *stage(&KIND, StageFormat::MONO, &set), &[0.05; 480]);
        let expected = 0.05 * factor;
        assert!(out.iter().all(|s| (s - expected).abs() < 1e-5 * expected), "{gain_db} dB");
    }
}

#[test]
fn a_gain_of_0_db_changes_no_bit() {
    let signal = common::noise(5, 4800);
    assert_eq!(run(&mut *stage(&KIND, StageFormat::MONO, &[]), &signal), signal);
}

#[test]
fn a_tail_is_not_attenuated_into_subnormal_samples() {
    let set = [("gain_db", RawValue::Int(-60))];
    let tail: Vec<f32> = (0..4800).map(|n| 0.98f32.powi(n)).collect();
    let out = run(&mut *stage(&KIND, StageFormat::MONO, &set), &tail);
    assert!(!out.iter().any(|s| s.is_subnormal()));
}
