//! People in Firefox ESR, in one room with others in Chromium. Where there is no Firefox ESR, as on
//! Ubuntu, these tests say so and do nothing.

use std::time::{Duration, Instant};

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::json;
use tokio::join;

use super::{TONE_DBFS, microphone_tone};

const ENTER: char = '\u{e007}';

const ANN_HZ: u32 = 660;
const BOB_HZ: f64 = 440.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_in_firefox_comes_by_a_link_and_talks_with_one_in_chromium() {
    let server = Server::start_for_firefox_with_file("clean.toml").await;
    let Some((ann, bob)) = browsers().await else { return };
    ann.open(&server.url("/r/mixed?ec=off&ns=off&agc=off")).await;
    ann.fill("#name", "Ann").await;
    ann.press(ENTER).await;
    bob.join(&server, "mixed", "Bob").await;
    let connected = "return window.foldback.pc?.connectionState === 'connected'";
    ann.wait_until("Ann is in", connected).await;
    for page in [&ann, &bob] {
        page.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    }
    tokio::time::sleep(SETTLING).await;

    let (ann_hears, bob_hears) = join!(ann.record(3.0), bob.record(3.0));
    for (name, heard, other, own) in [
        ("Ann", ann_hears, (BOB_HZ, TONE_DBFS), ANN_HZ.into()),
        ("Bob", bob_hears, (ANN_HZ.into(), TONE_DBFS), BOB_HZ),
    ] {
        let [other_dbfs, own_dbfs] = [other.0, own].map(|hz| median_tone_dbfs(&heard, hz));
        println!("{name} hears the other at {other_dbfs:.1} dBFS, themselves at {own_dbfs:.1}");
        assert!((other_dbfs - other.1).abs() < 3.0, "{name} hears the other at {other_dbfs} dBFS");
        assert!(own_dbfs < other_dbfs - 40.0, "{name} hears themselves at {own_dbfs} dBFS");
    }
    let talking =
        "return document.querySelector('#participants li:not([data-self])').dataset.talking";
    ann.wait_until("Ann sees that Bob talks", &format!("{talking} === 'true'")).await;
    let figures = "return ['#server-latency', '#network-rtt', '#jitter-buffer', '#packets-lost']
        .every((id) => /\\d/.test(document.querySelector(id).textContent))";
    ann.wait_until("Ann is shown the figures of her connection", figures).await;

    let ann_at_bobs = async || {
        tokio::time::sleep(SETTLING).await;
        median_tone_dbfs(&bob.record(1.0).await, ANN_HZ.into())
    };
    ann.press('m').await;
    let muted = ann_at_bobs().await;
    assert!(muted < TONE_DBFS - 60.0, "Ann is muted and at {muted} dBFS");
    ann.hold(' ').await;
    let held = ann_at_bobs().await;
    assert!((held - TONE_DBFS).abs() < 3.0, "Ann holds the space bar and is at {held} dBFS");
    ann.let_go().await;
    let let_go = ann_at_bobs().await;
    assert!(let_go < TONE_DBFS - 60.0, "Ann let go of the space bar and is at {let_go} dBFS");
    ann.leave().await;
    bob.wait_for_participants(&["Bob"], Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firefox_is_back_within_five_seconds_of_a_server_that_was_restarted() {
    const COUNT_SOCKETS: &str = "
        const original = window.WebSocket;
        window.sockets = 0;
        window.WebSocket = function (url) { window.sockets += 1; return new original(url); };
        window.WebSocket.OPEN = original.OPEN;
    ";
    let server = Server::start_for_firefox_with_file("clean.toml").await;
    let Some((ann, bob)) = browsers().await else { return };
    join!(ann.join(&server, "mixed", "Ann"), bob.join(&server, "mixed", "Bob"));

    ann.script(COUNT_SOCKETS, vec![]).await;

    let _server = server.restart(Duration::from_secs(4)).await;
    let back = Instant::now();
    let connected = "return window.foldback.pc?.connectionState === 'connected'";
    ann.wait_until("Ann is back", connected).await;
    let took = back.elapsed();
    println!("back after {took:?}");
    assert!(took < Duration::from_secs(5), "back after {took:?}");
    // From failed socket to failed socket Firefox lets a page wait longer, up to a minute.
    let sockets = ann.script("return window.sockets", vec![]).await;
    assert_eq!(sockets, json!(1), "sockets until it was back");
    bob.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    tokio::time::sleep(2 * SETTLING).await;
    let (ann_hears, bob_hears) = join!(ann.record(1.0), bob.record(1.0));
    let bob_dbfs = median_tone_dbfs(&ann_hears, BOB_HZ);
    let ann_dbfs = median_tone_dbfs(&bob_hears, ANN_HZ.into());
    assert!((bob_dbfs - TONE_DBFS).abs() < 3.0, "Ann hears Bob at {bob_dbfs} dBFS");
    assert!((ann_dbfs - TONE_DBFS).abs() < 3.0, "Bob hears Ann at {ann_dbfs} dBFS");
}

/// Ann's Firefox and Bob's Chromium.
async fn browsers() -> Option<(Browser, Browser)> {
    let ann = Browser::firefox(ANN_HZ).await?;
    Some((ann, Browser::with_microphone(microphone_tone(BOB_HZ)).await))
}
