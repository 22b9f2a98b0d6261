//! What `webrtc-apm` does to a signal.

use foldback_plugin_webrtc::combined::KIND;
use foldback_stage::{RawValue, Stage, StageFormat};
use foldback_stage_testkit::measure::{align, rms_dbfs};
use foldback_stage_testkit::signal::{mix, samples, speech_like, white_noise};
use foldback_stage_testkit::stages::{build, reading, run, run_with_far_end};

/// The stage with these parts on, and no others.
fn with(parts: &[&str]) -> Box<dyn Stage> {
    let all = ["high_pass", "echo_cancel", "noise_suppress", "auto_gain"];
    let set = all.map(|part| (part, RawValue::Bool(parts.contains(&part))));
    build(&KIND, StageFormat::MONO, &set)
}

#[test]
fn the_delay_is_what_it_reports_for_whatever_parts_are_on() {
    let voice = speech_like(3, -20.0, 3.0);
    for parts in [
        &["auto_gain"][..],
        &["noise_suppress"],
        &["echo_cancel"],
        &["echo_cancel", "noise_suppress"],
        &["echo_cancel", "noise_suppress", "auto_gain"],
    ] {
        let mut stage = with(parts);
        let out = run(&mut *stage, &voice);
        let found = align(&voice[..samples(2.0)], &out).delay_samples;
        let said = stage.delay_samples();
        assert!(found.abs_diff(said as isize) <= 6, "{parts:?}: {found}, it reports {said}");
    }
}

#[test]
fn echo_and_noise_go_in_one_stage() {
    let far_end = speech_like(5, -20.0, 9.0);
    let hiss = white_noise(2, -45.0, 9.0);
    let late = samples(0.3);
    let echo: Vec<f32> =
        (0..far_end.len()).map(|n| if n < late { 0.0 } else { 0.3 * far_end[n - late] }).collect();
    let microphone = mix(&[&echo, &hiss]);
    let left_dbfs = |parts: &[&str]| {
        let mut stage = with(parts);
        let out = run_with_far_end(&mut *stage, &microphone, &far_end);
        let found_ms = reading(&*stage, "echo_delay_ms");
        assert!(found_ms.is_none_or(|ms| (ms - 300.0).abs() < 1.0), "{found_ms:?}");
        rms_dbfs(&out[samples(4.5)..])
    };
    let (hiss_left, echo_left) = (left_dbfs(&["echo_cancel"]), left_dbfs(&["noise_suppress"]));
    let left = left_dbfs(&["echo_cancel", "noise_suppress"]);
    println!("without NS {hiss_left:.1}, without AEC {echo_left:.1}, with both {left:.1} dBFS");
    assert!(left < hiss_left - 6.0, "{left} dBFS, without suppressor {hiss_left}");
    assert!(left < echo_left - 20.0, "{left} dBFS, without canceller {echo_left}");
}

#[test]
fn a_part_that_is_off_does_nothing() {
    let quiet = speech_like(4, -40.0, 4.0);
    let level_dbfs = |parts: &[&str]| {
        let out = run(&mut *with(parts), &quiet);
        rms_dbfs(&out[samples(2.0)..])
    };
    let input_dbfs = rms_dbfs(&quiet[samples(2.0)..]);
    assert!((level_dbfs(&[]) - input_dbfs).abs() < 0.1);
    assert!(level_dbfs(&["auto_gain"]) > input_dbfs + 10.0);
}
