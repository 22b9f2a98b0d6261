//! What `noise-suppress` does to a signal.

mod common;

use common::{SECOND, active_level, delay_between, level, noise, run, speech_like, stage};
use foldback_plugin_webrtc::noise_suppress::KIND;
use foldback_stage::RawValue;

const LEVELS: [&str; 4] = ["low", "moderate", "high", "very-high"];

#[test]
fn each_level_takes_more_of_a_steady_noise() {
    let hiss = noise(1, -45.0, 6 * SECOND);
    let reductions_db = LEVELS.map(|word| {
        let out = run(&mut *stage(&KIND, &[("level", RawValue::Text(word))]), &hiss);
        level(&hiss[3 * SECOND..]) - level(&out[3 * SECOND..])
    });
    println!("noise falls by {reductions_db:.1?} dB");
    assert!(reductions_db[0] > 5.0, "{reductions_db:?}");
    assert!(reductions_db.is_sorted_by(|less, more| less + 1.0 < *more), "{reductions_db:?}");
}

#[test]
fn speech_passes_at_every_level() {
    let speech = speech_like(1, -25.0, 6 * SECOND);
    let hiss = noise(2, -50.0, 6 * SECOND);
    let both: Vec<f32> = speech.iter().zip(&hiss).map(|(s, n)| s + n).collect();
    for word in LEVELS {
        let out = run(&mut *stage(&KIND, &[("level", RawValue::Text(word))]), &both);
        let loss_db = active_level(&speech[SECOND..]) - active_level(&out[SECOND..]);
        println!("{word}: speech loses {loss_db:.1} dB");
        assert!(loss_db.abs() < 4.0, "{word}: speech lost {loss_db} dB");
    }
}

#[test]
fn the_delay_is_what_it_reports() {
    for signal in [speech_like(3, -20.0, 3 * SECOND), noise(3, -20.0, 3 * SECOND)] {
        let mut suppressor = stage(&KIND, &[]);
        let out = run(&mut *suppressor, &signal);
        let (delay, _) = delay_between(&signal[SECOND..], &out[SECOND..], 1000);
        assert!(delay.abs_diff(suppressor.delay_samples()) <= 6, "measured {delay}");
    }
}
