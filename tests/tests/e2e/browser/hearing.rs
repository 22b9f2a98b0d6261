//! What a page asks for of each other person's sound, by the keyboard, and what it then hears.

use std::time::Duration;

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::json;
use tokio::join;

use super::rooms::usual_tone_dbfs;
use super::{Kind, TONE_DBFS, in_both_browsers, microphone_tone};

const ENTER: char = '\u{e007}';
const LEFT: char = '\u{e012}';
const HOME: char = '\u{e011}';

const STEREO: &str = "[server]\nworkers = 1\n[chain.wide]\nchannels = 2\n\
    stages = [{ kind = \"mix\" }]\n";

/// The number of the person of that name.
async fn number_of(page: &Browser, name: &str) -> String {
    let find = "return [...document.querySelectorAll('#participants li')]
        .find(row => row.querySelector('.name').textContent === arguments[0]).dataset.id";
    let id = page.script(find, vec![json!(name)]).await;
    id.as_str().expect("a number").to_owned()
}

/// Presses a key so many times, with the focus on an element.
async fn press_on(page: &Browser, selector: &str, key: char, times: usize) {
    let focus = "document.querySelector(arguments[0]).focus();
        return document.activeElement === document.querySelector(arguments[0])";
    let focused = page.script(focus, vec![json!(selector)]).await;
    assert_eq!(focused, json!(true), "{selector} takes the focus");
    for _ in 0..times {
        page.press(key).await;
    }
}

in_both_browsers!(a_volume_for_one_person_changes_what_this_page_hears_of_them_and_nothing_else);
async fn a_volume_for_one_person_changes_what_this_page_hears_of_them_and_nothing_else(kind: Kind) {
    let Some(cem) = kind.with_microphone(vec![0.0; 48_000]).await else { return };
    let server = Server::start_for_firefox_with_file("clean.toml").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    join!(
        ann.join(&server, "room", "Ann"),
        bob.join(&server, "room", "Bob"),
        cem.join(&server, "room", "Cem"),
    );
    cem.wait_for_participants(&["Ann", "Bob", "Cem"], Duration::from_secs(5)).await;
    tokio::time::sleep(SETTLING).await;
    let heard = async || {
        let (cem, bob) = join!(cem.record(2.0), bob.record(2.0));
        [usual_tone_dbfs(&cem, 440.0), usual_tone_dbfs(&cem, 660.0), usual_tone_dbfs(&bob, 440.0)]
    };
    let before = heard().await;

    let id = number_of(&cem, "Ann").await;
    let (button, gain) = (format!("[aria-controls=for-me-{id}]"), format!("#gain-{id}"));
    press_on(&cem, &button, ENTER, 1).await;
    press_on(&cem, &gain, LEFT, 12).await;
    let shown = format!("return document.querySelector('{button}').textContent");
    assert_eq!(cem.script(&shown, vec![]).await, json!("−12 dB"));
    let places = "return document.querySelectorAll('[id^=pan-]').length
        && [...document.querySelectorAll('[id^=pan-]')].every(place => !place.checkVisibility())";
    assert_eq!(cem.script(places, vec![]).await, json!(true), "a mono room has no sides");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let softer = heard().await;
    println!("Ann to Cem, Bob to Cem, Ann to Bob: {before:.2?} dBFS, then {softer:.2?}");
    let changed_by = |to: [f64; 3], it: usize, db: f64| (to[it] - before[it] - db).abs() < 3.0;
    assert!(changed_by(softer, 0, -12.0), "{softer:?} after {before:?}");
    for other in [1, 2] {
        assert!(changed_by(softer, other, 0.0), "{softer:?} after {before:?}");
    }

    press_on(&cem, &format!("#for-me-{id} input[type=checkbox]"), ' ', 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let muted = heard().await;
    assert!(muted[0] < before[0] - 40.0 && changed_by(muted, 1, 0.0), "{muted:?}");
    // The key that unmutes for oneself is not the one that talks.
    let own = "return document.querySelector('#mute').dataset.talking";
    assert_eq!(cem.script(own, vec![]).await, json!("false"));

    // Who comes back is heard as before, by their name.
    ann.leave().await;
    ann.enter("room", "Ann").await;
    cem.wait_for_participants(&["Ann", "Bob", "Cem"], Duration::from_secs(5)).await;
    tokio::time::sleep(SETTLING).await;
    let again = heard().await;
    assert!(again[0] < before[0] - 40.0 && changed_by(again, 2, 0.0), "{again:?}");
    let id = number_of(&cem, "Ann").await;
    press_on(&cem, &format!("[aria-controls=for-me-{id}]"), ENTER, 1).await;
    press_on(&cem, &format!("#for-me-{id} button.link"), ENTER, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let reset = heard().await;
    assert!(changed_by(reset, 0, 0.0), "{reset:?} after {before:?}");
}

in_both_browsers!(a_page_in_a_stereo_room_puts_a_voice_on_a_side);
async fn a_page_in_a_stereo_room_puts_a_voice_on_a_side(kind: Kind) {
    let Some(listener) = kind.with_microphone(vec![0.0; 48_000]).await else { return };
    let server = Server::start_for_firefox(STEREO).await;
    let talker = Browser::with_microphone(microphone_tone(440.0)).await;
    join!(talker.join(&server, "wide", "Ann"), listener.join(&server, "wide", "Bob"));
    listener.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    tokio::time::sleep(SETTLING).await;
    let sides = async || {
        let channels = listener.record_channels(2.0).await;
        channels.iter().map(|side| median_tone_dbfs(side, 440.0)).collect::<Vec<_>>()
    };
    let before = sides().await;
    let id = number_of(&listener, "Ann").await;
    press_on(&listener, &format!("[aria-controls=for-me-{id}]"), ENTER, 1).await;
    press_on(&listener, &format!("#pan-{id}"), HOME, 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let panned = sides().await;
    println!("the sides are at {before:.2?} dBFS, then at {panned:.2?}");
    assert!((before[0] - TONE_DBFS).abs() < 2.0 && (before[0] - before[1]).abs() < 1.0);
    assert!(panned[0] - panned[1] > 20.0 && (panned[0] - before[0] - 3.0).abs() < 1.0);
}
