use foldback_plugin_dynamics::de_esser::KIND;
use foldback_stage::StageFormat;
use foldback_stage_testkit::measure::{clicks, fit_tones, rms_dbfs, tone_dbfs};
use foldback_stage_testkit::signal::{mix, tone, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, reading, run, run_stereo};

use crate::{change_must_be_smooth, level_behind, set};

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

/// Frequency over corner, as the bilinear transform has it.
fn ratio(frequency_hz: f64, corner_hz: f64) -> f64 {
    let warped = |hz: f64| (std::f64::consts::PI * hz / 48_000.0).tan();
    warped(frequency_hz) / warped(corner_hz)
}

fn power_db(power: f64) -> f64 {
    10.0 * power.log10()
}

#[test]
fn what_is_above_the_threshold_is_lowered_to_it_by_a_shelf_and_by_the_range_at_most() {
    let set = set([("frequency_hz", 4000.0), ("threshold_dbfs", -30.0), ("range_db", 12.0)]);
    for frequency_hz in [4000.0, 6000.0, 10_000.0] {
        let fourth = ratio(frequency_hz, 4000.0).powi(4);
        // The level above the corner is that behind a Butterworth high-pass.
        let high_pass_db = power_db(fourth / (1.0 + fourth));
        for level_dbfs in [-50.0, -30.0, -24.0, -12.0, 0.0] {
            let reduction_db = (level_dbfs + high_pass_db + 30.0).clamp(0.0, 12.0);
            let gain = 10f64.powf(-reduction_db / 20.0);
            let shelf_db = power_db((1.0 + gain.powi(2) * fourth) / (1.0 + fourth));
            let found_db = level_behind(&KIND, &set, frequency_hz, level_dbfs) - level_dbfs;
            assert!(
                (found_db - shelf_db).abs() < 0.25,
                "{frequency_hz} Hz at {level_dbfs} dBFS: {found_db} dB, not {shelf_db}"
            );
        }
    }
}

#[test]
fn without_sibilants_no_bit_changes() {
    let vowel = mix(&[&tone(300.0, -3.0, 0.5), &white_noise(1, -60.0, 0.5)]);
    assert_eq!(run(&mut *build(&KIND, StageFormat::MONO, &[]), &vowel), vowel);
}

#[test]
fn a_sibilant_is_lowered_and_the_voice_under_it_stays() {
    let both = mix(&[&tone(440.0, -10.0, 1.0), &tone(9000.0, -12.0, 1.0)]);
    let output = run(&mut *build(&KIND, StageFormat::MONO, &[]), &both);
    let voice_db = tone_dbfs(&output[24_000..], 440.0) + 10.0;
    let sibilant_db = tone_dbfs(&output[24_000..], 9000.0) + 12.0;
    assert!(voice_db.abs() < 0.05, "voice at {voice_db} dB");
    assert!((-8.0..-6.5).contains(&sibilant_db), "sibilant at {sibilant_db} dB");
}

#[test]
fn it_is_there_within_5_ms_and_gone_for_the_vowel_after() {
    let hiss: Vec<f32> = white_noise(2, -12.0, 0.1);
    let vowel = tone(300.0, -10.0, 0.8);
    let input = [vowel.clone(), hiss.clone(), vowel.clone()].concat();
    let output = run(&mut *build(&KIND, StageFormat::MONO, &[]), &input);
    let start = vowel.len();
    let lowered_db =
        |range: std::ops::Range<usize>| rms_dbfs(&output[range.clone()]) - rms_dbfs(&input[range]);
    let steady_db = lowered_db(start + 2400..start + 4800);
    let early_db = lowered_db(start + 240..start + 480);
    assert!(steady_db < -4.0, "{steady_db} dB");
    assert!(early_db < 0.8 * steady_db, "{early_db} dB from 5 ms on, {steady_db} dB later");
    assert_eq!(output[start + 4800 + 28_800..], input[start + 4800 + 28_800..]);
    assert_eq!(clicks(&output), clicks(&input));
}

#[test]
fn lowering_distorts_nothing() {
    let output = run(&mut *build(&KIND, StageFormat::MONO, &[]), &tone(7300.0, -10.0, 2.0));
    let residual_db = fit_tones(&output[48_000..], &[7300.0]).residual_db;
    assert!(residual_db < -50.0, "{residual_db} dB");
}

#[test]
fn both_channels_are_lowered_together() {
    let (loud, soft) = (tone(9000.0, -10.0, 0.5), tone(9000.0, -40.0, 0.5));
    let (left, right) = run_stereo(&mut *build(&KIND, StageFormat::STEREO, &[]), &loud, &soft);
    let image_db = tone_dbfs(&left[12_000..], 9000.0) - tone_dbfs(&right[12_000..], 9000.0);
    assert!((image_db - 30.0).abs() < 0.05, "{image_db} dB apart");
}

#[test]
fn other_values_are_moved_to_without_a_click() {
    let values = |frequency, threshold, range| {
        set([("frequency_hz", frequency), ("threshold_dbfs", threshold), ("range_db", range)])
    };
    for (from, to, frequency_hz) in [
        (values(12_000.0, -60.0, 24.0), values(2000.0, -60.0, 24.0), 1000.0),
        (values(2000.0, -60.0, 24.0), values(12_000.0, -60.0, 24.0), 1000.0),
        (values(4000.0, 0.0, 24.0), values(4000.0, -60.0, 24.0), 6000.0),
        (values(4000.0, -60.0, 24.0), values(4000.0, -60.0, 0.0), 6000.0),
    ] {
        change_must_be_smooth(&KIND, &from, &to, frequency_hz, -10.0);
    }
}

#[test]
fn the_report_tells_reduction_and_sibilance() {
    let mut stage = build(&KIND, StageFormat::MONO, &[]);
    let _ = run(&mut *stage, &tone(11_000.0, -10.0, 0.5));
    let value = |name| reading(&*stage, name).expect("a reading");
    assert!((value("gain_reduction_db") - 8.0).abs() < 0.01, "{}", value("gain_reduction_db"));
    assert!((value("sibilance_dbfs") + 10.0).abs() < 0.3, "{}", value("sibilance_dbfs"));
}
