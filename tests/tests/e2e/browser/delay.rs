//! The delay from mouth to ear that a page measures.

use std::time::Duration;

use foldback_testkit::measure::rms_dbfs;
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
