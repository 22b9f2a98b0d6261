//! What the stage does, before any library is made of it.

use foldback_example_tremolo::KIND;
use foldback_stage::{RawValue, StageFormat};
use foldback_stage_testkit::measure::tone_dbfs;
use foldback_stage_testkit::signal::tone;
use foldback_stage_testkit::stages::{build, must_be_sound, run};

foldback_stage_testkit::guard_allocations!();

#[test]
fn it_keeps_the_contract_of_stages() {
    must_be_sound(&KIND);
}

#[test]
fn a_tone_gets_neighbours_at_the_distance_of_the_rate() {
    let set = [("rate_hz", RawValue::Int(10)), ("depth_db", RawValue::Int(40))];
    let mut stage = build(&KIND, StageFormat::MONO, &set);
    let out = run(&mut *stage, &tone(1_000.0, -20.0, 2.0));
    // Half of the gain's swing of 0.99 goes to each side, and its mean of 0.505 stays.
    let [below, at, above] = [990.0, 1_000.0, 1_010.0].map(|hz| tone_dbfs(&out, hz));
    assert!((at + 25.9).abs() < 0.2, "{at} dBFS");
    assert!((below + 32.1).abs() < 0.2 && (above + 32.1).abs() < 0.2, "{below}, {above} dBFS");
}
