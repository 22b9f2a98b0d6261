//! What `delay` does to a signal.

use foldback_plugin_utility::delay::KIND;
use foldback_stage::{RawValue, Stage, StageFormat};
use foldback_stage_testkit::signal::{speech_like, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, run, run_stereo};

foldback_stage_testkit::guard_allocations!();

fn delay(format: StageFormat, delay_ms: f64) -> Box<dyn Stage> {
    build(&KIND, format, &[("delay_ms", RawValue::Float(delay_ms))])
}

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn every_sample_comes_later_by_what_is_reported_and_is_unchanged() {
    let signal = white_noise(1, -20.0, 1.5);
    // Shorter and longer than a block, of whole blocks, and the ends of the range.
    for (delay_ms, samples) in
        [(0.0, 0), (0.02, 1), (3.33, 160), (10.0, 480), (37.5, 1_800), (1000.0, 48_000)]
    {
        let mut stage = delay(StageFormat::MONO, delay_ms);
        assert_eq!(stage.delay_samples(), samples, "{delay_ms} ms");
        let out = run(&mut *stage, &signal);
        assert!(out[..samples].iter().all(|s| *s == 0.0), "{delay_ms} ms");
        assert_eq!(out[samples..], signal[..signal.len() - samples], "{delay_ms} ms");
    }
}

#[test]
fn both_channels_come_later_by_the_same_time() {
    let (left, right) = (speech_like(1, -20.0, 1.0), speech_like(2, -20.0, 1.0));
    let out = run_stereo(&mut *delay(StageFormat::STEREO, 25.0), &left, &right);
    for (out, input) in [(out.0, left), (out.1, right)] {
        assert_eq!(out[1_200..], input[..input.len() - 1_200]);
    }
}
