//! What `echo-cancel` does to a signal.

use foldback_plugin_webrtc::echo_cancel::KIND;
use foldback_stage::{
    AudioBlock, AudioBuffer, BLOCK_SAMPLES, BlockContext, CaptureTimeline, Stage, StageFormat,
};
use foldback_stage_testkit::measure::{align, rms_dbfs};
use foldback_stage_testkit::signal::{mix, samples, speech_like, white_noise};
use foldback_stage_testkit::stages::{self, reading, run, run_with, run_with_far_end};

fn canceller() -> Box<dyn Stage> {
    stages::build(&KIND, StageFormat::MONO, &[])
}

/// The far end as a loudspeaker and a room return it after `delay_ms`: three reflections and a
/// noise floor.
fn echo_of(far_end: &[f32], delay_ms: f64) -> Vec<f32> {
    let delay = samples(delay_ms / 1000.0);
    let at = |n: usize, back: usize| if n >= back { far_end[n - back] } else { 0.0 };
    let echo: Vec<f32> = (0..far_end.len())
        .map(|n| 0.3 * at(n, delay) + 0.12 * at(n, delay + 301) - 0.06 * at(n, delay + 997))
        .collect();
    mix(&[&echo, &white_noise(77, -75.0, far_end.len() as f64 / 48_000.0)])
}

/// How far the echo fell, in dB, from second `from` to second `to`.
fn reduction_db(echo: &[f32], out: &[f32], from: f64, to: f64) -> f64 {
    let range = samples(from)..samples(to);
    rms_dbfs(&echo[range.clone()]) - rms_dbfs(&out[range])
}

#[test]
fn echo_is_gone_four_seconds_after_it_came_at_any_delay_up_to_1500_ms() {
    let far_end = speech_like(5, -20.0, 9.0);
    for delay_ms in [20.0, 120.0, 400.0, 700.0, 1500.0] {
        let echo = echo_of(&far_end, delay_ms);
        let mut canceller = canceller();
        let out = run_with_far_end(&mut *canceller, &echo, &far_end);
        let erle_db = reduction_db(&echo, &out, 4.0 + delay_ms / 1000.0, 9.0);
        println!("{delay_ms} ms: {erle_db:.1} dB");
        assert!(erle_db > 20.0, "{delay_ms} ms: {erle_db} dB");
        let found_ms = reading(&*canceller, "echo_delay_ms").expect("an echo");
        assert!((f64::from(found_ms) - delay_ms).abs() < 1.0, "{delay_ms} ms: {found_ms}");
        assert_eq!(reading(&*canceller, "refused_blocks"), Some(0.0));
    }
}

#[test]
fn a_jump_of_the_delay_is_healed_within_two_seconds() {
    let far_end = speech_like(6, -20.0, 14.0);
    for (before_ms, after_ms) in [(120.0, 250.0), (900.0, 150.0)] {
        let at = samples(7.0);
        let echo =
            [&echo_of(&far_end, before_ms)[..at], &echo_of(&far_end, after_ms)[at..]].concat();
        let out = run_with_far_end(&mut *canceller(), &echo, &far_end);
        let erle_db = reduction_db(&echo, &out, 9.0, 14.0);
        println!("{before_ms} to {after_ms} ms: {erle_db:.1} dB");
        assert!(erle_db > 25.0, "{before_ms} to {after_ms} ms: {erle_db} dB");
    }
}

#[test]
fn a_stretch_of_the_jitter_buffer_lets_no_echo_through() {
    let far_end = speech_like(6, -20.0, 12.0);
    let at = samples(7.0);
    let echo = [&echo_of(&far_end, 200.0)[..at], &echo_of(&far_end, 240.0)[at..]].concat();
    let out = run_with(&mut *canceller(), &echo, |number| BlockContext {
        far_end: far_end.get(number * BLOCK_SAMPLES..(number + 1) * BLOCK_SAMPLES),
        timeline: CaptureTimeline {
            shift_samples: if number * BLOCK_SAMPLES == at { 1920 } else { 0 },
            ..CaptureTimeline::default()
        },
        ..BlockContext::default()
    });
    let erle_db = reduction_db(&echo, &out, 7.0, 8.0);
    println!("{erle_db:.1} dB in the second after the stretch");
    assert!(erle_db > 20.0, "{erle_db} dB");
}

#[test]
fn a_voice_passes_while_nothing_is_played() {
    let voice = speech_like(1, -25.0, 5.0);
    for far_end in [None, Some(vec![0.0; voice.len()])] {
        let mut canceller = canceller();
        let out = match far_end {
            None => run(&mut *canceller, &voice),
            Some(far_end) => run_with_far_end(&mut *canceller, &voice, &far_end),
        };
        assert!(loss_db(&voice, &out, canceller.delay_samples()).abs() < 0.6);
    }
}

#[test]
fn a_headset_is_left_alone() {
    let voice = speech_like(1, -25.0, 8.0);
    let far_end = speech_like(8, -25.0, 8.0);
    let mut canceller = canceller();
    let out = run_with_far_end(&mut *canceller, &voice, &far_end);
    assert_eq!(reading(&*canceller, "echo_delay_ms"), None);
    let loss_db = loss_db(&voice, &out, canceller.delay_samples());
    println!("a voice with headphones loses {loss_db:.1} dB");
    assert!(loss_db.abs() < 0.6, "voice lost {loss_db} dB");
}

/// What a voice lost from its level on the way through.
fn loss_db(voice: &[f32], out: &[f32], delay: usize) -> f64 {
    rms_dbfs(&voice[..voice.len() - delay]) - rms_dbfs(&out[delay..])
}

#[test]
fn an_idle_stretch_does_not_make_it_learn_the_room_again() {
    let far_end = speech_like(5, -20.0, 20.0);
    for delay_ms in [20.0, 200.0, 1000.0] {
        let echo = echo_of(&far_end, delay_ms);
        let mut canceller = canceller();
        let before = 0..samples(8.0);
        let idle = samples(8.0)..samples(15.0);
        let after = samples(15.0)..samples(17.0);
        let _ = run_with_far_end(&mut *canceller, &echo[before.clone()], &far_end[before]);
        for block in far_end[idle].chunks_exact(BLOCK_SAMPLES) {
            canceller.idle(&mut BlockContext { far_end: Some(block), ..BlockContext::default() });
        }
        let echo = &echo[after.clone()];
        let out = run_with_far_end(&mut *canceller, echo, &far_end[after]);
        // AEC3 never heard the last 20 ms before.
        let erle_db = reduction_db(echo, &out, 0.1, 2.0);
        println!("{delay_ms} ms: {erle_db:.1} dB after 7 s idle");
        assert!(erle_db > 25.0, "{delay_ms} ms: {erle_db} dB");
    }
}

#[test]
fn the_delay_is_what_it_reports() {
    for signal in [speech_like(3, -20.0, 3.0), white_noise(3, -20.0, 3.0)] {
        let mut canceller = canceller();
        let out = run(&mut *canceller, &signal);
        let found = align(&signal[..samples(2.0)], &out);
        assert!(found.delay_samples.abs_diff(canceller.delay_samples() as isize) <= 4, "{found:?}");
    }
}

#[test]
fn a_block_of_another_form_is_left_alone_and_counted() {
    let mut canceller = canceller();
    let mut short = [0.5; 100];
    canceller.process(&mut AudioBlock::mono(&mut short), &mut BlockContext::default());
    assert_eq!(short, [0.5; 100]);
    let mut stereo = AudioBuffer::stereo();
    canceller.process(&mut stereo.block(), &mut BlockContext::default());
    let mut cx = BlockContext { far_end: Some(&[0.0; 7]), ..BlockContext::default() };
    canceller.process(&mut AudioBuffer::mono().block(), &mut cx);
    assert_eq!(reading(&*canceller, "refused_blocks"), Some(3.0));
}
