//! What `vad` tells, and that it touches nothing.

mod common;

use common::{fan, mean, voice_probabilities};
use foldback_plugin_denoise::{denoise, vad::KIND};
use foldback_stage::{BLOCK_SAMPLES, BlockContext, RawValue, Stage, StageFormat};
use foldback_stage_testkit::signal::{mix, samples, silence, speech_like, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, reading, run, run_stereo};

foldback_stage_testkit::guard_allocations!();

fn vad(hold_ms: i64) -> Box<dyn Stage> {
    build(&KIND, StageFormat::MONO, &[("hold_ms", RawValue::Int(hold_ms))])
}

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn it_changes_no_sample_and_delays_none() {
    let left = mix(&[&speech_like(1, -20.0, 2.0), &fan(2, -40.0, 2.0)]);
    let right = white_noise(3, -10.0, 2.0);
    assert_eq!(run(&mut *vad(200), &left), left);
    let mut stereo = build(&KIND, StageFormat::STEREO, &[]);
    assert_eq!(run_stereo(&mut *stereo, &left, &right), (left, right));
    assert_eq!(stereo.delay_samples(), 0);
}

#[test]
fn it_tells_speech_from_noise_and_from_silence() {
    let speech = voice_probabilities(&mut *vad(0), &speech_like(1, -25.0, 4.0));
    let noise = voice_probabilities(&mut *vad(0), &fan(4, -35.0, 4.0));
    let silence = voice_probabilities(&mut *vad(0), &silence(2.0));
    let (speech, noise) = (mean(&speech[100..]), mean(&noise[100..]));
    println!("voice probability {speech:.2} in speech, {noise:.2} in noise");
    assert!(speech > 0.6 && noise < 0.2, "{speech} in speech, {noise} in noise");
    assert_eq!(silence[100..], [0.0; 100]);
}

#[test]
fn without_hold_it_tells_what_denoise_tells() {
    let both = mix(&[&speech_like(1, -25.0, 3.0), &fan(2, -45.0, 3.0)]);
    let mut denoise = build(&denoise::KIND, StageFormat::MONO, &[]);
    assert_eq!(voice_probabilities(&mut *vad(0), &both), voice_probabilities(&mut *denoise, &both));
}

#[test]
fn the_highest_probability_of_the_hold_time_is_kept() {
    let both = mix(&[&speech_like(1, -25.0, 4.0), &fan(2, -45.0, 4.0)]);
    let bare = voice_probabilities(&mut *vad(0), &both);
    let held = voice_probabilities(&mut *vad(150), &both);
    for (n, held) in held.iter().enumerate() {
        let highest = bare[n.saturating_sub(15)..=n].iter().copied().fold(0.0, f32::max);
        assert_eq!(*held, highest, "block {n}");
    }
    assert_ne!(bare, held);
}

#[test]
fn a_talker_who_falls_silent_is_no_longer_told_to_speak() {
    let mut vad = vad(200);
    let spoken = voice_probabilities(&mut *vad, &speech_like(1, -25.0, 2.0));
    assert!(spoken.iter().any(|p| *p > 0.8));
    for _ in 0..21 {
        vad.idle(&mut BlockContext::default());
    }
    assert_eq!(reading(&*vad, "voice_probability"), Some(0.0));
}

#[test]
fn stereo_is_heard_on_either_side() {
    let speech = speech_like(1, -20.0, 3.0);
    let silent = silence(3.0);
    for (left, right) in [(&speech, &silent), (&silent, &speech)] {
        let mut vad = build(&KIND, StageFormat::STEREO, &[("hold_ms", RawValue::Int(1000))]);
        let _ = run_stereo(&mut *vad, left, right);
        let told = reading(&*vad, "voice_probability").expect("a reading");
        assert!(told > 0.8, "{told}");
    }
}

#[test]
fn after_its_warm_up_a_fresh_stage_tells_what_one_tells_that_ran_all_along() {
    let both = mix(&[&speech_like(1, -25.0, 10.0), &white_noise(2, -40.0, 10.0)]);
    let along = voice_probabilities(&mut *vad(200), &both);
    let mut fresh = vad(200);
    let from = samples(5.0);
    let late = voice_probabilities(&mut *fresh, &both[from..]);
    let warm = fresh.warm_up_blocks();
    let along = &along[from / BLOCK_SAMPLES + warm..];
    let apart: Vec<f32> = along.iter().zip(&late[warm..]).map(|(a, b)| (a - b).abs()).collect();
    println!("{:.4} apart after warm-up", mean(&apart));
    assert!(mean(&apart) < 0.01, "{}", mean(&apart));
}
