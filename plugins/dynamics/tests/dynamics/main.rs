//! What the level stages do to a signal.

mod compressor;
mod de_esser;
mod gain;
mod gate;
mod limiter;

use foldback_stage::{RawValue, StageFormat, StageKind};
use foldback_stage_testkit::measure::{clicks, rms_dbfs, tone_dbfs};
use foldback_stage_testkit::signal::tone;
use foldback_stage_testkit::stages::{build, run, run_with_change};

foldback_stage_testkit::guard_allocations!();

type Set<'a> = &'a [(&'a str, RawValue<'a>)];

/// The values as parameters of a stage.
fn set<const N: usize>(values: [(&'static str, f64); N]) -> [(&'static str, RawValue<'static>); N] {
    values.map(|(name, value)| (name, RawValue::Float(value)))
}

/// The level of a steady tone behind the stage, in dBFS.
fn level_behind(kind: &StageKind, set: Set<'_>, frequency_hz: f64, level_dbfs: f64) -> f64 {
    let input = tone(frequency_hz, level_dbfs, 2.0);
    let output = run(&mut *build(kind, StageFormat::MONO, set), &input);
    tone_dbfs(&output[48_000..], frequency_hz)
}

/// The gain in dB at each sample, for a signal that is nowhere 0.
fn gains_db(input: &[f32], output: &[f32]) -> Vec<f32> {
    input.iter().zip(output).map(|(before, after)| 20.0 * (after / before).log10()).collect()
}

/// `level` for `ms`.
fn steady(level: f32, ms: usize) -> Vec<f32> {
    vec![level; 48 * ms]
}

/// Changes from one setting to the other under a steady tone: without a click, and in the end as a
/// stage that was built with the new values.
fn change_must_be_smooth(
    kind: &StageKind,
    from: Set<'_>,
    to: Set<'_>,
    frequency_hz: f64,
    level_dbfs: f64,
) {
    let input = tone(frequency_hz, level_dbfs, 4.0);
    let (output, _) = run_with_change(kind, from, to, &input);
    let what = format!("{from:?} to {to:?}");
    assert_eq!(clicks(&output[48_000..]), [], "{what}");
    let built = run(&mut *build(kind, StageFormat::MONO, to), &input);
    let apart = difference_db(&output[168_000..], &built[168_000..]);
    assert!(apart < -60.0, "{what} ends {apart} dB from a stage that was built so");
    let unchanged = run(&mut *build(kind, StageFormat::MONO, from), &input);
    let moved = difference_db(&output[168_000..], &unchanged[168_000..]);
    assert!(moved > -30.0, "{what} moves by {moved} dB only");
}

fn difference_db(signal: &[f32], reference: &[f32]) -> f64 {
    let difference: Vec<f32> = signal.iter().zip(reference).map(|(a, b)| a - b).collect();
    rms_dbfs(&difference) - rms_dbfs(reference)
}
