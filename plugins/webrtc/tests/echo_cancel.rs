//! What `echo-cancel` does to a signal.

mod common;

use common::{SECOND, delay_between, level, noise, run, run_with_far_end, speech_like, stage};
use foldback_plugin_webrtc::echo_cancel::KIND;
use foldback_stage::{AudioBlock, AudioBuffer, BLOCK_SAMPLES, BlockContext, Stage, StageReport};

/// The far end as a loudspeaker and a room return it after `delay` samples: three reflections and
/// a noise floor.
fn echo_of(far_end: &[f32], delay: usize) -> Vec<f32> {
    let at = |n: usize, back: usize| if n >= back { far_end[n - back] } else { 0.0 };
    let floor = noise(77, -75.0, far_end.len());
    (0..far_end.len())
        .map(|n| 0.3 * at(n, delay) + 0.12 * at(n, delay + 301) - 0.06 * at(n, delay + 997))
        .zip(floor)
        .map(|(echo, floor)| echo + floor)
        .collect()
}

/// How far the echo fell, in dB, from second `from` to second `to`.
fn reduction_db(echo: &[f32], out: &[f32], from: usize, to: usize) -> f32 {
    let range = from * SECOND..to * SECOND;
    level(&echo[range.clone()]) - level(&out[range])
}

#[test]
fn echo_is_gone_after_two_seconds_at_any_delay_up_to_400_ms() {
    let far_end = speech_like(5, -20.0, 8 * SECOND);
    for delay_ms in [20, 120, 400] {
        let echo = echo_of(&far_end, delay_ms * 48);
        let out = run_with_far_end(&mut *stage(&KIND, &[]), &echo, Some(&far_end));
        let erle_db = reduction_db(&echo, &out, 3, 8);
        println!("{delay_ms} ms: {erle_db:.1} dB");
        assert!(erle_db > 30.0, "{delay_ms} ms: {erle_db} dB");
    }
}

#[test]
fn a_voice_passes_while_nothing_is_played() {
    let voice = speech_like(1, -25.0, 5 * SECOND);
    for far_end in [None, Some(vec![0.0; voice.len()])] {
        let mut canceller = stage(&KIND, &[]);
        let out = run_with_far_end(&mut *canceller, &voice, far_end.as_deref());
        let delay = canceller.delay_samples();
        let (_, likeness) = delay_between(&voice, &out, 600);
        let loss_db = level(&voice[..4 * SECOND]) - level(&out[delay..delay + 4 * SECOND]);
        assert!(likeness > 0.99, "correlation {likeness}");
        assert!(loss_db.abs() < 0.6, "voice lost {loss_db} dB");
    }
}

#[test]
fn a_voice_passes_under_the_far_end_it_does_not_echo() {
    let voice = speech_like(1, -25.0, 8 * SECOND);
    let far_end = speech_like(8, -25.0, 8 * SECOND);
    let out = run_with_far_end(&mut *stage(&KIND, &[]), &voice, Some(&far_end));
    let loss_db = level(&voice[2 * SECOND..]) - level(&out[2 * SECOND..]);
    println!("a voice with headphones loses {loss_db:.1} dB");
    assert!(loss_db < 3.0, "voice lost {loss_db} dB");
}

#[test]
fn an_idle_stretch_does_not_make_it_learn_the_room_again() {
    let far_end = speech_like(5, -20.0, 20 * SECOND);
    for delay in [960, 9600] {
        let echo = echo_of(&far_end, delay);
        let mut canceller = stage(&KIND, &[]);
        let before = 0..8 * SECOND;
        // From where on the echo is of something played after the idle stretch.
        let aligned = delay + SECOND / 10;
        let after = 15 * SECOND..17 * SECOND;
        run_with_far_end(&mut *canceller, &echo[before.clone()], Some(&far_end[before]));
        for block in far_end[8 * SECOND..15 * SECOND].chunks_exact(BLOCK_SAMPLES) {
            let mut cx = BlockContext { far_end: Some(block), ..BlockContext::default() };
            canceller.idle(&mut cx);
        }
        let echo = &echo[after.clone()];
        let out = run_with_far_end(&mut *canceller, echo, Some(&far_end[after]));
        let erle_db = level(&echo[aligned..]) - level(&out[aligned..]);
        println!("delay {delay}: {erle_db:.1} dB after 7 s idle");
        assert!(erle_db > 25.0, "delay {delay}: {erle_db} dB");
    }
}

#[test]
fn the_delay_is_what_it_reports() {
    for signal in [speech_like(3, -20.0, 3 * SECOND), noise(3, -20.0, 3 * SECOND)] {
        let mut canceller = stage(&KIND, &[]);
        let out = run(&mut *canceller, &signal);
        let (delay, _) = delay_between(&signal[SECOND..], &out[SECOND..], 1000);
        assert!(delay.abs_diff(canceller.delay_samples()) <= 4, "measured {delay}");
    }
}

#[test]
fn the_report_tells_the_echo_loss_and_the_delay_found() {
    let far_end = speech_like(5, -20.0, 6 * SECOND);
    let echo = echo_of(&far_end, 120 * 48);
    let mut canceller = stage(&KIND, &[]);
    run_with_far_end(&mut *canceller, &echo, Some(&far_end));
    let erle_db = reading(&*canceller, "echo_return_loss_enhancement_db");
    let delay_ms = reading(&*canceller, "echo_delay_ms");
    println!("reported: {erle_db} dB, {delay_ms} ms");
    assert!(erle_db > 5.0, "{erle_db} dB");
    assert!((80.0..=130.0).contains(&delay_ms), "{delay_ms} ms");
    assert_eq!(reading(&*canceller, "refused_blocks"), 0.0);
}

#[test]
fn a_block_of_another_form_is_left_alone_and_counted() {
    let mut canceller = stage(&KIND, &[]);
    let mut short = [0.5; 100];
    canceller.process(&mut AudioBlock::mono(&mut short), &mut BlockContext::default());
    assert_eq!(short, [0.5; 100]);
    let mut stereo = AudioBuffer::stereo();
    canceller.process(&mut stereo.block(), &mut BlockContext::default());
    let mut cx = BlockContext { far_end: Some(&[0.0; 7]), ..BlockContext::default() };
    canceller.process(&mut AudioBuffer::mono().block(), &mut cx);
    assert_eq!(reading(&*canceller, "refused_blocks"), 3.0);
}

fn reading(stage: &dyn Stage, name: &str) -> f32 {
    let mut report = StageReport::default();
    stage.report(&mut report);
    report.readings().find(|r| r.name == name).expect("a reading of that name").value
}
