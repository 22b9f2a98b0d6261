//! A person's way through the page: the link, the trial of the microphone, the keys.

use std::time::Duration;

use foldback_testkit::signal::speech_like;
use foldback_tests::{Browser, Server};
use serde_json::json;
use tokio::join;

use super::MICROPHONE_SECONDS;

const ENTER: char = '\u{e007}';
const ESCAPE: char = '\u{e00c}';

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_a_name_and_the_enter_key_lead_into_its_room() {
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.open(&server.url("/r/stand-up.2")).await;
    page.fill("#name", "Ann").await;
    page.press(ENTER).await;
    page.wait_for_participants(&["Ann"], Duration::from_secs(10)).await;
    let title = page.script("return document.querySelector('#room-title').textContent", vec![]);
    assert_eq!(title.await, json!("stand-up.2"));

    page.open(&server.url("/")).await;
    let remembered = "return ['#name', '#room'].map(id => document.querySelector(id).value)";
    assert_eq!(page.script(remembered, vec![]).await, json!(["Ann", "stand-up.2"]));

    page.open(&server.url("/r/my%20room")).await;
    let told =
        "return document.querySelector('#chain-sum').textContent.includes('1 to 64 characters')";
    page.wait_until("a link to what cannot be a room's name says so at once", told).await;
    page.click("#join").await;
    let says = "return document.querySelector('#status').textContent.includes('1 to 64 characters')
        && document.activeElement.id === 'room'";
    page.wait_until("the page says what a room's name may be", says).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_shows_its_level_before_one_joins() {
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(voice()).await;
    page.open(&server.url("/?ec=off&ns=off&agc=off")).await;
    let open = "const trial = document.querySelector('#mic-trial');
        if (trial.hidden) document.querySelector('#try-mic').click();
        return !trial.hidden;";
    page.wait_until("the microphone is tried", open).await;
    let level = "return document.querySelector('#mic-level').ariaValueNow > -40";
    page.wait_until("the level shows", level).await;
    page.enter("room", "Ann").await;
    let heard = "return document.querySelector('#participants .meter').ariaValueNow > -40";
    page.wait_until("the same microphone is heard in the room", heard).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_mute_and_talk_and_who_speaks_while_muted_is_told() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob) =
        join!(Browser::with_microphone(voice()), Browser::with_microphone(vec![0.0; 48_000]));
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    bob.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    let seen_muted = async |muted: bool| {
        let muted = format!(
            "return document.querySelector('#participants li:not([data-self])').dataset.muted === '{muted}'"
        );
        bob.wait_until("Bob sees whether Ann is muted", &muted).await;
    };

    ann.press('m').await;
    seen_muted(true).await;
    let hint = "return document.querySelector('#muted-hint').textContent";
    ann.wait_until("Ann is told that she is muted", &format!("{hint} !== ''")).await;
    ann.hold(' ').await;
    seen_muted(false).await;
    ann.wait_until("the hint is gone", &format!("{hint} === ''")).await;
    ann.let_go().await;
    seen_muted(true).await;

    for clicked in ["#chat summary", ".for-me", "input[id^=gain-]"] {
        ann.click(clicked).await;
        ann.hold(' ').await;
        seen_muted(false).await;
        ann.let_go().await;
        seen_muted(true).await;
    }
    ann.wait_until(
        "the space bar did nothing else",
        "return document.querySelector('#chat').open
           && !document.querySelector('.for-me-panel').hidden",
    )
    .await;
    ann.wait_until("one can write", "return !document.querySelector('#chat-text').disabled").await;
    // Not by a click, which would miss where something comes above the field meanwhile.
    ann.script("document.querySelector('#chat-text').focus()", vec![]).await;
    for key in ['m', 'h', '?', ' ', 'x'] {
        ann.press(key).await;
    }
    let written = "return [document.querySelector('#chat-text').value,
        document.querySelector('#mute').dataset.muted, document.querySelector('#hand').dataset.raised]";
    assert_eq!(ann.script(written, vec![]).await, json!(["mh? x", "true", "false"]));
    ann.script("document.activeElement.blur()", vec![]).await;

    ann.press('?').await;
    let open = "return document.querySelector('#help').open";
    ann.wait_until("help is open", open).await;
    // There the keys are the dialog's.
    ann.press('m').await;
    ann.click("#keys-enabled").await;
    ann.press(ESCAPE).await;
    ann.wait_until("help is closed", &format!("{open} === false")).await;
    ann.press('m').await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    seen_muted(true).await;
    ann.toggle_mute().await;
    seen_muted(false).await;
}

fn voice() -> Vec<f32> {
    speech_like(1, -20.0, MICROPHONE_SECONDS)
}
