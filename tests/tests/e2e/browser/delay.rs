//! The delay from mouth to ear that a page measures.

use std::time::{Duration, Instant};

use foldback_testkit::measure::{align, rms_dbfs};
use foldback_testkit::signal::speech_like;
use foldback_tests::{Browser, SETTLING, Server};
use tokio::join;

use super::microphone_tone;
use super::rooms::usual_tone_dbfs;

const PARTS: &str = "return [...document.querySelectorAll('#delay-parts dd[data-part]')]
    .filter((part) => !['microphone', 'speaker'].includes(part.dataset.part))
    .map((part) => parseFloat(part.textContent))";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_measures_the_delay_by_a_marker_that_nobody_else_hears() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    join!(ann.join(&server, "delay", "Ann"), bob.join(&server, "delay", "Bob"));
    bob.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    // Who is muted measures too.
    ann.toggle_mute().await;
    tokio::time::sleep(SETTLING).await;
    ann.script("document.querySelector('#delay').open = true", vec![]).await;
    join!(ann.start_recording(), bob.start_recording());
    ann.click("#measure-delay").await;
    let measured = "return document.querySelector('#measured-delay').dataset.loopMs !== undefined";
    ann.wait_until("the delay is measured", measured).await;
    let parts = ann.script(PARTS, vec![]).await;
    let (ann_heard, bob_heard) = join!(ann.stop_recording(), bob.stop_recording());
    let parts: Vec<f64> = serde_json::from_value(parts).expect("all are known");
    let said = ann.script("return document.querySelector('#measured-delay').textContent", vec![]);
    println!("{} The parts: {parts:?}", said.await);
    let loop_ms = "return parseFloat(document.querySelector('#measured-delay').dataset.loopMs)";
    let loop_ms = ann.script(loop_ms, vec![]).await.as_f64().expect("a number");
    let sum: f64 = parts.iter().sum();
    assert!((loop_ms - sum).abs() < 25.0, "{loop_ms} ms measured, {sum} of {parts:?}");

    let loudest = |heard: &[f32]| heard.chunks(960).map(rms_dbfs).fold(f64::MIN, f64::max);
    let (own, others) = (loudest(&ann_heard), loudest(&bob_heard));
    println!("the marker comes back at {own:.1} dBFS; Bob hears {others:.1}");
    assert!(others < -60.0, "{others} dBFS");
    assert!(own > -30.0 && usual_tone_dbfs(&ann_heard, 660.0) > -25.0, "{own} dBFS");

    // The microphone is back, and still muted.
    let silent = bob.record(1.0).await;
    assert!(rms_dbfs(&silent) < -60.0);
    ann.toggle_mute().await;
    tokio::time::sleep(SETTLING).await;
    let heard = usual_tone_dbfs(&bob.record(2.0).await, 440.0);
    assert!((heard - super::TONE_DBFS).abs() < 3.0, "{heard} dBFS");
}

/// What the panel shows was measured over the last second, so of a delay that changes it tells what was...
const ROUND: Duration = Duration::from_secs(1);
/// ...and rounds count in which it has changed by less than this, as it does while the machine is busy.
const STEADY_MS: f64 = 5.0;
const STEADY_ROUNDS: usize = 10;
const MOST_ROUNDS: usize = 45;
/// Devices and jitter buffers find their places first.
const UNTIL_STEADY: Duration = Duration::from_secs(10);
/// More than any delay here.
const LATEST_SAMPLES: usize = 24_000;

const ALL_PARTS: &str = "return [...document.querySelectorAll('#delay-parts dd[data-part]')]
    .map((part) => parseFloat(part.textContent))";

/// Outside is the air before a microphone and a speaker, whose time the test keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_panel_agrees_with_a_measurement_outside_of_the_browsers() {
    let speech = speech_like(7, -20.0, 90.0);
    let Some(ann) = Browser::with_sound_card(speech.clone()).await else { return };
    let Some(bob) = Browser::with_sound_card(vec![0.0; 48_000]).await else { return };
    let server = Server::start_with_file("clean.toml").await;
    join!(ann.join(&server, "delay", "Ann"), bob.join(&server, "delay", "Bob"));
    bob.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    tokio::time::sleep(UNTIL_STEADY).await;
    let (mut differences_ms, mut last_ms) = (Vec::new(), f64::NAN);
    for _ in 0..MOST_ROUNDS {
        if differences_ms.len() == STEADY_ROUNDS {
            break;
        }
        let began = Instant::now();
        tokio::time::sleep(ROUND).await;
        let parts = bob.script(ALL_PARTS, vec![]).await;
        let (on, heard) = heard_until(&bob, began, 48_000 + LATEST_SAMPLES).await;
        let parts: Vec<f64> = serde_json::from_value(parts).expect("devices too are known");
        let said = since(began, ann.sound_card().spoken(), &speech, 48_000);
        let outside = align(said, since(began, on, &heard, 48_000 + LATEST_SAMPLES));
        let outside_ms = outside.delay_samples as f64 / 48.0;
        let inside_ms: f64 = parts.iter().sum();
        println!("{outside_ms:.1} ms outside, {inside_ms:.1} of {parts:?}");
        if (outside_ms - last_ms).abs() < STEADY_MS {
            differences_ms.push(inside_ms - outside_ms);
        }
        last_ms = outside_ms;
    }
    let rounds = differences_ms.len();
    assert_eq!(rounds, STEADY_ROUNDS, "the delay never stays what it is");
    differences_ms.sort_by(f64::total_cmp);
    let median_ms = differences_ms[rounds / 2];
    assert!(median_ms.abs() < 20.0, "the panel is {median_ms} ms off, of {differences_ms:.1?}");
}

/// What came out of a page's speaker, once `count` samples of it are there from `from` on: a busy
/// machine fetches them late.
async fn heard_until(page: &Browser, from: Instant, count: usize) -> (Instant, Vec<f32>) {
    let deadline = Instant::now() + SETTLING * 5;
    loop {
        let (on, heard) = page.sound_card().heard();
        if heard.len() >= samples_between(on, from) + count {
            return (on, heard);
        }
        assert!(Instant::now() < deadline, "the speaker has stopped");
        tokio::time::sleep(ROUND / 10).await;
    }
}

/// The `count` samples of `sound`, which began at `start`, that were in the air from `from` on.
fn since(from: Instant, start: Instant, sound: &[f32], count: usize) -> &[f32] {
    let skipped = samples_between(start, from);
    &sound[skipped..skipped + count]
}

fn samples_between(start: Instant, from: Instant) -> usize {
    (from.duration_since(start).as_secs_f64() * 48_000.0) as usize
}
