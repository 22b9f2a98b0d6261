//! What `high-pass` does to a signal.

mod common;

use common::{amplitude_at, run, stage, tone};
use foldback_plugin_filter::high_pass::KIND;
use foldback_stage::{AudioBuffer, BlockContext, RawValue, StageFormat};

/// Gain in dB at `frequency_hz`, from the impulse response.
fn response_db(cutoff_hz: f64, order: i64, frequency_hz: f64) -> f64 {
    let set = [("cutoff_hz", RawValue::Float(cutoff_hz)), ("order", RawValue::Int(order))];
    let mut impulse = vec![0.0; 96_000];
    impulse[0] = 1.0;
    let ringing = run(&mut *stage(&KIND, StageFormat::MONO, &set), &impulse);
    20.0 * (amplitude_at(&ringing, frequency_hz) * ringing.len() as f64 / 2.0).log10()
}

#[test]
fn the_response_is_3_db_down_at_the_cutoff() {
    for order in 1..=4 {
        for cutoff_hz in [20.0, 80.0, 1000.0] {
            let db = response_db(cutoff_hz, order, cutoff_hz);
            assert!((db + 3.01).abs() < 0.02, "order {order}, {cutoff_hz} Hz: {db} dB");
        }
    }
}

#[test]
fn each_order_adds_6_db_per_octave() {
    for order in 1..=4 {
        let slope = response_db(400.0, order, 100.0) - response_db(400.0, order, 50.0);
        assert!((slope - 6.02 * order as f64).abs() < 0.3, "order {order}: {slope} dB");
    }
}

#[test]
fn nothing_above_the_cutoff_is_amplified_or_lost() {
    for order in 1..=4 {
        for frequency_hz in [800.0, 3000.0, 15_000.0] {
            let db = response_db(80.0, order, frequency_hz);
            assert!(db.abs() < 0.05, "order {order}, {frequency_hz} Hz: {db} dB");
        }
    }
}

#[test]
fn hum_goes_and_the_voice_stays() {
    let hum = tone(50.0, 0.3, 96_000);
    let voice = tone(440.0, 0.3, 96_000);
    let both: Vec<f32> = hum.iter().zip(&voice).map(|(h, v)| h + v).collect();
    let set = [("cutoff_hz", RawValue::Int(150)), ("order", RawValue::Int(4))];
    let out = run(&mut *stage(&KIND, StageFormat::MONO, &set), &both);
    let settled = &out[48_000..];
    let hum_db = 20.0 * (amplitude_at(settled, 50.0) / 0.3).log10();
    let voice_db = 20.0 * (amplitude_at(settled, 440.0) / 0.3).log10();
    assert!(hum_db < -37.0, "hum at {hum_db} dB");
    assert!(voice_db.abs() < 0.1, "voice at {voice_db} dB");
}

#[test]
fn the_channels_of_a_stereo_block_do_not_meet() {
    let mut filter = stage(&KIND, StageFormat::STEREO, &[]);
    let mut buffer = AudioBuffer::stereo();
    buffer.plane_mut(0).fill(0.5);
    filter.process(&mut buffer.block(), &mut BlockContext::default());
    assert!(buffer.plane(0).iter().any(|s| *s != 0.0));
    assert!(buffer.plane(1).iter().all(|s| *s == 0.0));
}

#[test]
fn a_fork_goes_on_as_the_original() {
    let mut original = stage(&KIND, StageFormat::MONO, &[]);
    run(&mut *original, &tone(100.0, 0.5, 4800));
    let mut fork = original.fork().expect("can be copied");
    let more = tone(300.0, 0.5, 4800);
    assert_eq!(run(&mut *fork, &more), run(&mut *original, &more));
}

#[test]
fn a_tail_ends_in_zeros_without_subnormal_samples() {
    for cutoff_hz in [20, 80, 1000] {
        for order in 1..=4 {
            let set = [("cutoff_hz", RawValue::Int(cutoff_hz)), ("order", RawValue::Int(order))];
            let mut signal = common::noise(3, 48_000);
            signal.resize(48_000 * 4, 0.0);
            let out = run(&mut *stage(&KIND, StageFormat::MONO, &set), &signal);
            assert!(!out.iter().any(|s| s.is_subnormal()), "{cutoff_hz} Hz, order {order}");
            assert!(out[48_000 * 3..].iter().all(|s| *s == 0.0), "{cutoff_hz} Hz, order {order}");
        }
    }
}
