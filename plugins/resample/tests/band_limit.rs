//! What `band-limit` lets through, and when.

use foldback_plugin_resample::band_limit::KIND;
use foldback_stage::{RawValue, Stage, StageFormat};
use foldback_stage_testkit::measure::{align, clicks, rms_dbfs, tone_dbfs};
use foldback_stage_testkit::signal::{mix, samples, silence, speech_like, tone, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, run, run_stereo};

foldback_stage_testkit::guard_allocations!();

/// Each choice, and where in Hz its response is 3 dB down.
const BANDS: [(&str, f64); 3] =
    [("narrowband", 3_170.0), ("wideband", 7_170.0), ("super-wideband", 11_170.0)];

fn band_limit(bandwidth: &str) -> Box<dyn Stage> {
    build(&KIND, StageFormat::MONO, &[("bandwidth", RawValue::Text(bandwidth))])
}

/// How much louder a tone leaves than it came.
fn response_db(bandwidth: &str, frequency_hz: f64) -> f64 {
    let out = run(&mut *band_limit(bandwidth), &tone(frequency_hz, -20.0, 1.0));
    tone_dbfs(&out[samples(0.1)..], frequency_hz) + 20.0
}

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn the_band_passes_and_nothing_above_it() {
    for (bandwidth, corner_hz) in BANDS {
        for frequency_hz in [50.0, 300.0, 1000.0, 0.8 * corner_hz, corner_hz - 170.0] {
            let passed_db = response_db(bandwidth, frequency_hz);
            assert!(passed_db.abs() < 0.3, "{bandwidth}: {passed_db} dB at {frequency_hz} Hz");
        }
        let passed_db = response_db(bandwidth, corner_hz);
        assert!((passed_db + 3.0).abs() < 0.2, "{bandwidth}: {passed_db} dB at {corner_hz} Hz");
        for frequency_hz in [corner_hz + 630.0, 1.5 * corner_hz, 19_000.0] {
            let left = run(&mut *band_limit(bandwidth), &tone(frequency_hz, -20.0, 1.0));
            let left_dbfs = rms_dbfs(&left[samples(0.1)..]);
            assert!(left_dbfs < -140.0, "{bandwidth}: {left_dbfs} dBFS of {frequency_hz} Hz");
        }
    }
}

#[test]
fn the_delay_is_what_it_reports_to_the_sample() {
    let noise = white_noise(1, -20.0, 2.0);
    for (bandwidth, corner_hz) in BANDS {
        let mut stage = band_limit(bandwidth);
        let out = run(&mut *stage, &noise);
        let found = align(&noise, &out);
        assert_eq!(found.delay_samples, stage.delay_samples() as isize, "{bandwidth}: {found:?}");
        // What passes of white noise is the share of the band.
        let expected = (corner_hz / 24_000.0).sqrt();
        assert!((found.correlation - expected).abs() < 0.02, "{bandwidth}: {found:?}");
    }
}

#[test]
fn what_is_in_the_band_is_only_delayed() {
    let [low, middle, high] = [440.0, 1_000.0, 2_500.0].map(|hz| tone(hz, -20.0, 1.0));
    let sound = mix(&[&low, &middle, &high]);
    for (bandwidth, _) in BANDS {
        let mut stage = band_limit(bandwidth);
        let out = run(&mut *stage, &sound);
        let (from, delay) = (samples(0.1), stage.delay_samples());
        let apart: Vec<f32> =
            out[from + delay..].iter().zip(&sound[from..]).map(|(a, b)| a - b).collect();
        println!("{bandwidth}: {:.1} dBFS apart", rms_dbfs(&apart));
        assert!(rms_dbfs(&apart) < -120.0, "{bandwidth}: {} dBFS apart", rms_dbfs(&apart));
    }
}

#[test]
fn blocks_join_without_a_click() {
    let speech = speech_like(1, -20.0, 4.0);
    for (bandwidth, _) in BANDS {
        assert_eq!(clicks(&run(&mut *band_limit(bandwidth), &speech)), [], "{bandwidth}");
    }
}

#[test]
fn two_blocks_after_a_sound_there_is_digital_silence() {
    let sound = [white_noise(1, -10.0, 0.5), silence(0.5)].concat();
    for (bandwidth, _) in BANDS {
        let mut stage = band_limit(bandwidth);
        let out = run(&mut *stage, &sound);
        let tail = 480 * stage.warm_up_blocks();
        assert!(out[samples(0.5) + tail..].iter().all(|s| *s == 0.0), "{bandwidth}");
    }
}

#[test]
fn channels_do_not_mix() {
    let mut stage = build(&KIND, StageFormat::STEREO, &[]);
    let (left, right) = (tone(1_000.0, -20.0, 1.0), tone(2_000.0, -20.0, 1.0));
    let (out_left, out_right) = run_stereo(&mut *stage, &left, &right);
    assert_eq!(out_left, run(&mut *band_limit("narrowband"), &left));
    assert_eq!(out_right, run(&mut *band_limit("narrowband"), &right));
}
