//! What `denoise` does to a signal.

mod common;

use common::{fan, mean, voice_probabilities};
use foldback_plugin_denoise::denoise::KIND;
use foldback_plugin_denoise::prime_thread;
use foldback_stage::{BLOCK_SAMPLES, RawValue, Stage, StageFormat};
use foldback_stage_testkit::alloc::no_alloc;
use foldback_stage_testkit::measure::{align, rms_dbfs};
use foldback_stage_testkit::signal::{mix, samples, silence, speech_like, white_noise};
use foldback_stage_testkit::stages::{build, must_be_sound, run};

foldback_stage_testkit::guard_allocations!();

fn denoise() -> Box<dyn Stage> {
    build(&KIND, StageFormat::MONO, &[])
}

#[test]
fn it_is_sound() {
    must_be_sound(&KIND);
}

#[test]
fn it_does_not_allocate_on_another_thread_that_was_primed() {
    let mut stage = denoise();
    let mut speech = speech_like(1, -25.0, 1.0);
    let media = std::thread::spawn(move || {
        prime_thread();
        no_alloc(|| {
            for block in speech.chunks_exact_mut(BLOCK_SAMPLES) {
                let mut block = foldback_stage::AudioBlock::mono(block);
                stage.process(&mut block, &mut foldback_stage::BlockContext::default());
            }
        });
    });
    media.join().expect("no panic");
}

#[test]
fn steady_noise_falls() {
    let hum = fan(1, -40.0, 4.0);
    let out = run(&mut *denoise(), &hum);
    let reduction_db = rms_dbfs(&hum[samples(2.0)..]) - rms_dbfs(&out[samples(2.0)..]);
    println!("noise falls by {reduction_db:.1} dB");
    assert!(reduction_db > 30.0, "{reduction_db} dB");
}

#[test]
fn speech_passes_where_the_noise_before_it_is_gone() {
    let speech = speech_like(1, -25.0, 4.0);
    let both = mix(&[&fan(2, -45.0, 6.0), &[silence(2.0), speech.clone()].concat()]);
    let out = run(&mut *denoise(), &both);
    let lead = samples(1.0)..samples(2.0);
    let noise_db = rms_dbfs(&both[lead.clone()]) - rms_dbfs(&out[lead]);
    let speech_db = rms_dbfs(&speech) - rms_dbfs(&out[samples(2.0)..]);
    println!("noise {noise_db:.1} dB less, speech {speech_db:.1} dB less");
    assert!(noise_db > 20.0, "noise only lost {noise_db} dB");
    assert!(speech_db.abs() < 1.5, "speech lost {speech_db} dB");
}

#[test]
fn the_delay_is_one_block() {
    let mut denoise = denoise();
    let speech = speech_like(3, -20.0, 3.0);
    let out = run(&mut *denoise, &speech);
    let found = align(&speech[samples(1.0)..], &out[samples(1.0)..]);
    let reported = denoise.delay_samples() as isize;
    assert!((found.delay_samples - reported).abs() <= 3, "{found:?}");
    assert!(found.correlation > 0.95, "{found:?}");
}

#[test]
fn voice_probability_tells_speech_from_noise() {
    let of_speech = voice_probabilities(&mut *denoise(), &speech_like(1, -25.0, 4.0));
    let of_noise = voice_probabilities(&mut *denoise(), &fan(4, -35.0, 4.0));
    let (speech, noise) = (mean(&of_speech[100..]), mean(&of_noise[100..]));
    println!("voice probability {speech:.2} in speech, {noise:.2} in noise");
    assert!(speech > 0.6 && noise < 0.2, "{speech} in speech, {noise} in noise");
}

#[test]
fn strength_bounds_how_far_noise_falls() {
    let hum = fan(1, -45.0, 4.0);
    for (strength, bound_db) in [(0.5, 6.0), (0.9, 20.0)] {
        let set = [("strength", RawValue::Float(strength))];
        let out = run(&mut *build(&KIND, StageFormat::MONO, &set), &hum);
        let reduction_db = rms_dbfs(&hum[samples(2.0)..]) - rms_dbfs(&out[samples(2.0)..]);
        println!("strength {strength}: {reduction_db:.1} dB");
        assert!((bound_db - 1.5..=bound_db + 0.2).contains(&reduction_db), "{reduction_db} dB");
    }
}

#[test]
fn at_strength_0_the_signal_is_only_delayed() {
    let speech = speech_like(1, -20.0, 1.0);
    let set = [("strength", RawValue::Int(0))];
    let out = run(&mut *build(&KIND, StageFormat::MONO, &set), &speech);
    assert_eq!(out[BLOCK_SAMPLES..], speech[..speech.len() - BLOCK_SAMPLES]);
}

#[test]
fn after_its_warm_up_a_fresh_stage_sounds_like_one_that_ran_all_along() {
    let both = mix(&[&speech_like(1, -25.0, 10.0), &white_noise(2, -40.0, 10.0)]);
    let along = run(&mut *denoise(), &both);
    let mut fresh = denoise();
    let from = samples(5.0);
    let late = run(&mut *fresh, &both[from..]);
    let warm = fresh.warm_up_blocks() * BLOCK_SAMPLES;
    let along = &along[from + warm..];
    let difference: Vec<f32> = along.iter().zip(&late[warm..]).map(|(a, b)| a - b).collect();
    let difference_db = rms_dbfs(&difference) - rms_dbfs(along);
    println!("difference after warm-up {difference_db:.1} dB");
    assert!(difference_db < -40.0, "{difference_db} dB");
}

#[test]
fn a_tail_ends_in_zeros_and_the_stage_wakes_again() {
    let speech = speech_like(1, -25.0, 2.0);
    let mut denoise = denoise();
    let _ = run(&mut *denoise, &speech);
    let tail = run(&mut *denoise, &silence(2.0));
    assert!(tail[samples(0.5)..].iter().all(|s| *s == 0.0));
    let out = run(&mut *denoise, &speech);
    let loss_db = rms_dbfs(&speech[samples(1.0)..]) - rms_dbfs(&out[samples(1.0)..]);
    assert!(loss_db.abs() < 1.5, "speech lost {loss_db} dB after the pause");
}
