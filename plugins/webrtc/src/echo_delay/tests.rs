use foldback_stage_testkit::signal::{mix, samples, silence, speech_like, tone, white_noise};

use super::*;

/// Blocks pushed until the delay is known to within 1 ms of `expected_ms`.
fn blocks_to_find(finder: &mut EchoDelay, far: &[f32], heard: &[f32], expected_ms: f32) -> usize {
    let expected = (expected_ms * 48.0) as usize;
    let mut blocks = far.as_chunks().0.iter().zip(heard.as_chunks().0);
    let found = blocks.position(|(far, heard)| {
        finder.push(far, heard);
        finder.samples().is_some_and(|delay| delay.abs_diff(expected) <= 48)
    });
    found.unwrap_or_else(|| panic!("{expected_ms} ms: found {:?}", finder.samples()))
}

fn push_all(finder: &mut EchoDelay, far: &[f32], heard: &[f32]) {
    for (far, heard) in far.as_chunks().0.iter().zip(heard.as_chunks().0) {
        finder.push(far, heard);
    }
}

/// `far` after `delay_ms`, 12 dB lower, over a noise floor.
fn echo(far: &[f32], delay_ms: f64) -> Vec<f32> {
    let late: Vec<f32> = [&silence(delay_ms / 1000.0), far].concat();
    let quieter: Vec<f32> = late[..far.len()].iter().map(|sample| 0.25 * sample).collect();
    mix(&[&quieter, &white_noise(99, -75.0, far.len() as f64 / 48_000.0)])
}

#[test]
fn a_delay_of_any_length_is_found_within_a_second_of_its_echo() {
    let far = speech_like(1, -26.0, 5.0);
    for delay_ms in [0.0, 40.0, 333.0, 1000.0, 1800.0] {
        let blocks =
            blocks_to_find(&mut EchoDelay::new(), &far, &echo(&far, delay_ms), delay_ms as f32);
        assert!(blocks as f64 <= delay_ms / 10.0 + 100.0, "{delay_ms} ms took {blocks} blocks");
    }
}

#[test]
fn a_jump_is_followed_though_the_talker_pauses() {
    let far = speech_like(2, -26.0, 12.0);
    for (before_ms, after_ms) in [(120.0, 250.0), (700.0, 90.0), (200.0, 215.0)] {
        let at = samples(6.0);
        let heard = [&echo(&far, before_ms)[..at], &echo(&far, after_ms)[at..]].concat();
        let mut finder = EchoDelay::new();
        push_all(&mut finder, &far[..at], &heard[..at]);
        let blocks = blocks_to_find(&mut finder, &far[at..], &heard[at..], after_ms as f32);
        assert!(blocks <= 150, "{before_ms} to {after_ms} ms took {blocks} blocks");
    }
}

#[test]
fn another_voice_over_the_echo_neither_hides_nor_moves_it() {
    let far = speech_like(3, -26.0, 10.0);
    let heard = mix(&[&echo(&far, 300.0), &speech_like(8, -26.0, 10.0)]);
    let mut finder = EchoDelay::new();
    let start = blocks_to_find(&mut finder, &far, &heard, 300.0) * BLOCK_SAMPLES;
    for (far, heard) in far[start..].as_chunks().0.iter().zip(heard[start..].as_chunks().0) {
        finder.push(far, heard);
        assert!(finder.samples().is_some_and(|delay| delay.abs_diff(14_400) <= 48));
    }
}

#[test]
fn what_is_no_echo_is_not_taken_for_one() {
    let far = speech_like(4, -26.0, 20.0);
    let near = speech_like(9, -26.0, 20.0);
    let hum = tone(440.0, -26.0, 20.0);
    let nothing = silence(20.0);
    let cases = [(&far, &near), (&far, &nothing), (&nothing, &near), (&hum, &near), (&far, &hum)];
    for (case, (far, heard)) in cases.into_iter().enumerate() {
        let mut finder = EchoDelay::new();
        push_all(&mut finder, far, heard);
        assert_eq!(finder.samples(), None, "case {case}");
    }
}

#[test]
fn a_delay_is_kept_while_nothing_is_heard_of_it() {
    let far = speech_like(5, -26.0, 4.0);
    let mut finder = EchoDelay::new();
    push_all(&mut finder, &far, &echo(&far, 250.0));
    let found = finder.samples();
    assert!(found.is_some());
    push_all(&mut finder, &silence(10.0), &speech_like(9, -26.0, 10.0));
    push_all(&mut finder, &speech_like(6, -26.0, 10.0), &silence(10.0));
    assert_eq!(finder.samples(), found);
}

#[test]
fn what_the_jitter_buffer_inserts_is_added_at_once_and_kept() {
    let far = speech_like(5, -26.0, 8.0);
    let later = echo(&far, 280.0);
    // At the beginning of a frame of the correlation, and within one.
    for at in [4.0, 4.03, 4.06] {
        let at = samples(at);
        let mut finder = EchoDelay::new();
        push_all(&mut finder, &far[..at], &echo(&far, 250.0)[..at]);
        finder.shift(1440);
        for (far, heard) in far[at..].as_chunks().0.iter().zip(later[at..].as_chunks().0) {
            assert!(finder.samples().is_some_and(|delay| delay.abs_diff(13_440) <= 48));
            finder.push(far, heard);
        }
    }
}

#[test]
fn an_echo_that_moves_all_the_time_is_followed() {
    let far = speech_like(2, -26.0, 12.0);
    // From 4 s on it comes 8 ms later every 400 ms, ten times, as of a jitter buffer that grows.
    let delay_ms = |second: f64| 300.0 + 8.0 * ((second - 4.0) / 0.4).floor().clamp(0.0, 10.0);
    let blocks = samples(0.4);
    let heard: Vec<f32> = (0..far.len() / blocks)
        .flat_map(|n| {
            let echo = echo(&far, delay_ms(0.4 * n as f64 + 0.2));
            echo[n * blocks..(n + 1) * blocks].to_vec()
        })
        .collect();
    let mut finder = EchoDelay::new();
    let mut lost_blocks = 0;
    let both = far.as_chunks().0.iter().zip(heard.as_chunks().0);
    for (n, (far, heard)) in both.enumerate() {
        finder.push(far, heard);
        let expected = (48.0 * delay_ms(n as f64 / 100.0)) as usize;
        let is_within = finder.samples().is_some_and(|delay| delay.abs_diff(expected) <= 960);
        lost_blocks += u32::from(n > 400 && !is_within);
    }
    assert!(lost_blocks < 80, "{lost_blocks} of 800 blocks more than 20 ms away");
}

#[test]
fn a_drift_is_followed() {
    let far = speech_like(7, -26.0, 20.0);
    let echo = echo(&far, 200.0);
    // One sample in 10 000 is heard twice: 100 ppm, by which the echo is 96 samples late at last.
    let heard: Vec<f32> = (0..far.len()).map(|n| echo[n - n / 10_000]).collect();
    let mut finder = EchoDelay::new();
    push_all(&mut finder, &far, &heard);
    let delay = finder.samples().expect("an echo");
    assert!(delay.abs_diff(9_696) <= 30, "{delay}");
}
