//! What `denoise` does to a signal.

mod common;

use common::{SECOND, delay_between, fan, level, noise, run, run_with_voice, speech_like, stage};
use foldback_plugin_denoise::denoise::KIND;
use foldback_stage::{BLOCK_SAMPLES, RawValue};

#[test]
fn steady_noise_falls() {
    let hum = fan(1, -40.0, 4 * SECOND);
    let out = run(&mut *stage(&KIND, &[]), &hum);
    let reduction_db = level(&hum[2 * SECOND..]) - level(&out[2 * SECOND..]);
    println!("noise falls by {reduction_db:.1} dB");
    assert!(reduction_db > 30.0, "{reduction_db} dB");
}

#[test]
fn speech_passes_where_the_noise_before_it_is_gone() {
    let speech = speech_like(1, -25.0, 4 * SECOND);
    let mut both = fan(2, -45.0, 6 * SECOND);
    both[2 * SECOND..].iter_mut().zip(&speech).for_each(|(b, s)| *b += s);
    let out = run(&mut *stage(&KIND, &[]), &both);
    let lead = SECOND..2 * SECOND;
    let noise_db = level(&both[lead.clone()]) - level(&out[lead]);
    let speech_db = level(&speech) - level(&out[2 * SECOND..]);
    println!("noise {noise_db:.1} dB less, speech {speech_db:.1} dB less");
    assert!(noise_db > 20.0, "noise only lost {noise_db} dB");
    assert!(speech_db.abs() < 1.5, "speech lost {speech_db} dB");
}

#[test]
fn the_delay_is_one_block() {
    let mut denoise = stage(&KIND, &[]);
    let speech = speech_like(3, -20.0, 3 * SECOND);
    let out = run(&mut *denoise, &speech);
    let (delay, likeness) = delay_between(&speech[SECOND..], &out[SECOND..], 1000);
    assert!(delay.abs_diff(denoise.delay_samples()) <= 3, "measured {delay}");
    assert!(likeness > 0.95, "correlation {likeness}");
}

#[test]
fn voice_probability_tells_speech_from_noise() {
    let speech = speech_like(1, -25.0, 4 * SECOND);
    let (_, of_speech) = run_with_voice(&mut *stage(&KIND, &[]), &speech);
    let (_, of_noise) = run_with_voice(&mut *stage(&KIND, &[]), &fan(4, -35.0, 4 * SECOND));
    let mean = |p: &[f32]| p[100..].iter().sum::<f32>() / (p.len() - 100) as f32;
    println!(
        "voice probability {:.2} in speech, {:.2} in noise",
        mean(&of_speech),
        mean(&of_noise)
    );
    assert!(mean(&of_speech) > 0.6 && mean(&of_noise) < 0.2);
}

#[test]
fn strength_bounds_how_far_noise_falls() {
    let hum = fan(1, -45.0, 4 * SECOND);
    for (strength, bound_db) in [(0.5, 6.0), (0.9, 20.0)] {
        let set = [("strength", RawValue::Float(strength))];
        let out = run(&mut *stage(&KIND, &set), &hum);
        let reduction_db = level(&hum[2 * SECOND..]) - level(&out[2 * SECOND..]);
        println!("strength {strength}: {reduction_db:.1} dB");
        assert!((bound_db - 1.5..=bound_db + 0.2).contains(&reduction_db), "{reduction_db} dB");
    }
}

#[test]
fn at_strength_0_the_signal_is_only_delayed() {
    let speech = speech_like(1, -20.0, SECOND);
    let out = run(&mut *stage(&KIND, &[("strength", RawValue::Int(0))]), &speech);
    assert_eq!(out[BLOCK_SAMPLES..], speech[..SECOND - BLOCK_SAMPLES]);
}

#[test]
fn after_its_warm_up_a_fresh_stage_sounds_like_one_that_ran_all_along() {
    let speech = speech_like(1, -25.0, 10 * SECOND);
    let hiss = noise(2, -40.0, 10 * SECOND);
    let both: Vec<f32> = speech.iter().zip(&hiss).map(|(s, n)| s + n).collect();
    let along = run(&mut *stage(&KIND, &[]), &both);
    let mut fresh = stage(&KIND, &[]);
    let from = 5 * SECOND;
    let late = run(&mut *fresh, &both[from..]);
    let warm = fresh.warm_up_blocks() * BLOCK_SAMPLES;
    let difference: Vec<f32> =
        along[from + warm..].iter().zip(&late[warm..]).map(|(a, b)| a - b).collect();
    let difference_db = level(&difference) - level(&along[from + warm..]);
    println!("difference after warm-up {difference_db:.1} dB");
    assert!(difference_db < -40.0, "{difference_db} dB");
}

#[test]
fn a_tail_ends_in_zeros_without_subnormal_samples_and_the_stage_wakes_again() {
    let speech = speech_like(1, -25.0, 2 * SECOND);
    let mut denoise = stage(&KIND, &[]);
    run(&mut *denoise, &speech);
    let tail = run(&mut *denoise, &vec![0.0; 2 * SECOND]);
    assert!(!tail.iter().any(|s| s.is_subnormal()));
    assert!(tail[SECOND / 2..].iter().all(|s| *s == 0.0));
    let out = run(&mut *denoise, &speech);
    let loss_db = level(&speech[SECOND..]) - level(&out[SECOND..]);
    assert!(loss_db.abs() < 1.5, "speech lost {loss_db} dB after the pause");
}

#[test]
fn a_fork_goes_on_as_the_original() {
    let speech = speech_like(1, -25.0, 2 * SECOND);
    let mut original = stage(&KIND, &[]);
    run(&mut *original, &speech);
    let mut fork = original.fork().expect("can be copied");
    assert_eq!(run(&mut *fork, &speech), run(&mut *original, &speech));
}
