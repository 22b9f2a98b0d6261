//! What the filters do to a signal.

mod equaliser;
mod high_pass;
mod low_pass;

use foldback_stage::{RawValue, StageFormat, StageKind};
use foldback_stage_testkit::measure::{clicks, peak_dbfs, rms_dbfs, tone_dbfs};
use foldback_stage_testkit::signal::{pink_noise, tone, white_noise};
use foldback_stage_testkit::stages::{build, run, run_with_change};

foldback_stage_testkit::guard_allocations!();

type Set<'a> = &'a [(&'a str, RawValue<'a>)];

/// Gain in dB at `frequency_hz`, once settled.
fn response_db(kind: &StageKind, set: Set<'_>, frequency_hz: f64) -> f64 {
    let input = tone(frequency_hz, -6.0, 1.5);
    let output = run(&mut *build(kind, StageFormat::MONO, set), &input);
    tone_dbfs(&output[24_000..], frequency_hz) - tone_dbfs(&input[24_000..], frequency_hz)
}

/// Changes from one filter to the other, under tones low and high: without a click, without ringing
/// above both filters, and in the end as a stage that was built with the new values.
fn change_must_be_smooth(kind: &StageKind, from: Set<'_>, to: Set<'_>) {
    for frequency_hz in [60.0, 440.0, 3000.0] {
        let input = tone(frequency_hz, -6.0, 2.0);
        let (output, middle) = run_with_change(kind, from, to, &input);
        let what = format!("{from:?} to {to:?} under {frequency_hz} Hz");
        // A filter that begins clicks by itself.
        assert_eq!(clicks(&output[4800..]), [], "{what}");
        let ends = peak_dbfs(&output[middle - 9600..middle]).max(peak_dbfs(&output[86_400..]));
        let between = peak_dbfs(&output[middle..middle + 9600]);
        assert!(between < ends + 1.0, "{what}: {between} dBFS between, {ends} dBFS at the ends");
    }
    let input = white_noise(5, -20.0, 5.0);
    let (changed, _) = run_with_change(kind, from, to, &input);
    let built = run(&mut *build(kind, StageFormat::MONO, to), &input);
    let apart = difference_db(&changed[216_000..], &built[216_000..]);
    assert!(apart < -100.0, "{from:?} to {to:?} ends {apart} dB from a stage built as {to:?}");
}

/// A stage that begins in the middle of a signal sounds, after its warm-up, like one that ran all along.
fn warm_up_must_be_enough(kind: &StageKind, set: Set<'_>) {
    let input = pink_noise(6, -20.0, 3.0);
    let whole = run(&mut *build(kind, StageFormat::MONO, set), &input);
    let mut fresh = build(kind, StageFormat::MONO, set);
    let late = run(&mut *fresh, &input[48_000..]);
    let warm = fresh.warm_up_blocks() * 480;
    let apart = difference_db(&late[warm..][..480], &whole[48_000 + warm..][..480]);
    assert!(apart < -45.0, "{set:?}: {apart} dB after {warm} samples");
}

fn difference_db(signal: &[f32], reference: &[f32]) -> f64 {
    let difference: Vec<f32> = signal.iter().zip(reference).map(|(a, b)| a - b).collect();
    rms_dbfs(&difference) - rms_dbfs(reference)
}

/// Noise, then silence: no subnormal sample, and zeros from a second after the noise on.
fn tail_must_end(kind: &StageKind, set: Set<'_>) {
    let mut input = white_noise(3, -10.0, 1.0);
    input.resize(48_000 * 4, 0.0);
    let output = run(&mut *build(kind, StageFormat::MONO, set), &input);
    assert!(!output.iter().any(|s| s.is_subnormal()), "{set:?}");
    assert!(output[48_000 * 3..].iter().all(|s| *s == 0.0), "{set:?}");
}
