//! What `tone` sounds like.

use foldback_plugin_utility::tone::KIND;
use foldback_stage::{RawValue, Stage, StageFormat};
use foldback_stage_testkit::measure::{clicks, fit_tones};
use foldback_stage_testkit::signal::{samples, silence, tone, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, params, run, run_stereo};

foldback_stage_testkit::guard_allocations!();

fn stage(set: &[(&str, RawValue<'_>)]) -> Box<dyn Stage> {
    build(&KIND, StageFormat::MONO, set)
}

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn it_has_its_frequency_and_level_and_nothing_else() {
    for (frequency_hz, level_dbfs) in
        [(1000.0, -20.0), (20.0, 0.0), (997.3, -6.0), (19_999.0, -90.0)]
    {
        let set = [
            ("frequency_hz", RawValue::Float(frequency_hz)),
            ("level_dbfs", RawValue::Float(level_dbfs)),
        ];
        let out = run(&mut *stage(&set), &silence(1.0));
        // As the parameter holds it.
        let fit = fit_tones(&out, &[f64::from(frequency_hz as f32)]);
        assert!((fit.tones[0].level_dbfs - level_dbfs).abs() < 0.01, "{:?}", fit.tones);
        println!("{frequency_hz} Hz: what is not the tone is at {:.0} dB", fit.residual_db);
        assert!(fit.residual_db < -110.0, "{} dB at {frequency_hz} Hz", fit.residual_db);
    }
}

#[test]
fn it_replaces_the_signal_or_is_added_to_it() {
    let noise = white_noise(1, -30.0, 0.5);
    let alone = run(&mut *stage(&[]), &silence(0.5));
    assert_eq!(run(&mut *stage(&[]), &noise), alone);
    let added = run(&mut *stage(&[("mode", RawValue::Text("add"))]), &noise);
    let sum: Vec<f32> = alone.iter().zip(&noise).map(|(tone, noise)| noise + tone).collect();
    assert_eq!(added, sum);
}

#[test]
fn it_is_the_same_in_both_channels() {
    let mut stereo = build(&KIND, StageFormat::STEREO, &[]);
    let (left, right) = run_stereo(&mut *stereo, &silence(0.2), &white_noise(1, -20.0, 0.2));
    assert_eq!(left, right);
    assert_eq!(left, run(&mut *stage(&[]), &silence(0.2)));
}

#[test]
fn another_frequency_and_level_are_moved_to_without_a_click() {
    let mut moving = stage(&[]);
    let mut out = run(&mut *moving, &silence(0.5));
    let set = [("frequency_hz", RawValue::Int(440)), ("level_dbfs", RawValue::Int(-6))];
    moving.adjust(&params(&KIND, &set));
    out.extend(run(&mut *moving, &silence(0.5)));
    assert_eq!(clicks(&out), []);
    let settled = fit_tones(&out[samples(0.6)..], &[440.0]);
    assert!((settled.tones[0].level_dbfs + 6.0).abs() < 0.01, "{:?}", settled.tones);
    assert!(settled.residual_db < -100.0, "{} dB", settled.residual_db);
}

#[test]
fn a_minute_later_it_is_still_in_step() {
    // Whole periods fit into a second: each is like the first.
    let out = run(&mut *stage(&[]), &silence(60.0));
    let last = &out[samples(59.0)..];
    let first = tone(1000.0, -20.0, 1.0);
    let apart = last.iter().zip(&first).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart < 1e-6, "{apart}");
}
