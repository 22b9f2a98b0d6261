//! Pages that come back by themselves.

use std::time::{Duration, Instant};

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::json;
use tokio::join;

use super::{TONE_DBFS, microphone_tone};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_back_by_their_names_within_five_seconds_of_a_server_that_was_restarted() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    bob.toggle_mute().await;

    let _server = server.restart(Duration::from_secs(4)).await;
    let back = Instant::now();
    let connected = "return window.foldback.pc?.connectionState === 'connected'";
    join!(ann.wait_until("Ann is back", connected), bob.wait_until("Bob is back", connected));
    let took = back.elapsed();
    println!("back after {took:?}");
    assert!(took < Duration::from_secs(5), "back after {took:?}");
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;

    let muted = "return document.querySelector('#participants li:not([data-self])').dataset.muted";
    ann.wait_until("Bob is muted still", &format!("{muted} === 'true'")).await;
    bob.toggle_mute().await;
    tokio::time::sleep(2 * SETTLING).await;
    let heard = median_tone_dbfs(&ann.record(2.0).await, 660.0);
    assert!((heard - TONE_DBFS).abs() < 3.0, "Ann hears Bob at {heard} dBFS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_waits_for_its_server_can_be_told_to_leave() {
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.join(&server, "room", "Ann").await;
    drop(server);
    let waiting = "return document.querySelector('#room-view').dataset.waiting === 'true'";
    page.wait_until("the page waits for the server", waiting).await;
    page.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_let_in_by_itself_when_a_busy_server_has_room_again() {
    // Whatever is busy, the server or a proxy before it, answers so.
    const BUSY_ONCE: &str = "
        const original = window.fetch;
        window.fetch = async () => {
          window.fetch = original;
          return new Response(null, { status: 503, headers: { 'Retry-After': '2' } });
        };
    ";
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.open(&server.url("/")).await;
    let known = "return document.querySelectorAll('#chain li').length > 0";
    page.wait_until("the room was looked up", known).await;
    page.fill("#name", "Ann").await;
    page.script(BUSY_ONCE, vec![]).await;
    page.click("#join").await;
    let says = "return document.querySelector('#status').textContent.includes('again in 2 s')";
    page.wait_until("the page says when it tries again", says).await;
    let connected = "return window.foldback.pc?.connectionState === 'connected'";
    page.wait_until("it is in", connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_that_is_unplugged_is_replaced_in_the_same_call() {
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.join(&server, "room", "Ann").await;
    // The browser's own event of a device that is gone; nothing unplugs a fake one.
    let unplug = "
        const [sender] = window.foldback.pc.getSenders();
        window.lostTrack = sender.track;
        window.callBefore = window.foldback.pc;
        sender.track.stop();
        sender.track.dispatchEvent(new Event('ended'));
    ";
    page.script(unplug, vec![]).await;
    let replaced = "
        const [sender] = window.foldback.pc.getSenders();
        return sender.track !== window.lostTrack && sender.track.readyState === 'live'
          && window.foldback.pc === window.callBefore;
    ";
    page.wait_until("another microphone is sent", replaced).await;
    assert_eq!(page.participants().await, ["Ann"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_holds_back_sound_is_asked_for_it_by_a_button() {
    const HOLD_BACK: &str = "
        const original = HTMLMediaElement.prototype.play;
        window.releaseSound = () => { HTMLMediaElement.prototype.play = original; };
        HTMLMediaElement.prototype.play = async () => {
          throw new DOMException('play() needs a gesture', 'NotAllowedError');
        };
    ";
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.open(&server.url("/")).await;
    page.script(HOLD_BACK, vec![]).await;
    page.enter("room", "Ann").await;
    page.wait_until("the button is there", "return !document.querySelector('#hear').hidden").await;
    page.script("window.releaseSound()", vec![]).await;
    page.click("#hear").await;
    page.wait_until("the button is gone", "return document.querySelector('#hear').hidden").await;
    let playing = page.script("return !document.querySelector('#audio').paused", vec![]).await;
    assert_eq!(playing, json!(true));
}
