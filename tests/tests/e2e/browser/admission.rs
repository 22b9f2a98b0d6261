//! What the page says to whoever is not let in, and what it asks for.

use std::time::Duration;

use foldback_tests::{Browser, Server};
use serde_json::json;

use super::accessibility::{check, load_axe};
use super::{Kind, in_both_browsers};
use crate::socket::Socket;

const CONFIG: &str = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n\
    [[room]]\nname = \"board\"\nchain = \"talk\"\npin = \"471100\"\n\
    [[room]]\nname = \"pair\"\nchain = \"talk\"\nmax_participants = 1\n\
    [[room]]\nname = \"*\"\nchain = \"talk\"\n";

const ENTER: char = '\u{e007}';
const TAB: char = '\u{e004}';
const FOCUS: &str = "return document.activeElement.id";
const PIN_ASKED: &str = "return !document.querySelector('#pin-field').hidden";
const CONNECTED: &str = "return window.foldback.pc?.connectionState === 'connected'";

fn says(words: &str) -> String {
    format!(
        "return document.querySelector('#status').textContent.includes({words:?}) \
        && document.querySelector('#status').dataset.tone === 'bad'"
    )
}

in_both_browsers!(
    the_page_asks_for_the_pin_of_a_room_says_that_one_is_wrong_and_takes_the_right_one
);
async fn the_page_asks_for_the_pin_of_a_room_says_that_one_is_wrong_and_takes_the_right_one(
    kind: Kind,
) {
    let Some(page) = kind.with_microphone(vec![0.0; 48_000]).await else { return };
    let server = Server::start_for_firefox(CONFIG).await;
    page.open(&server.url("/r/lobby")).await;
    let looked_up = "return document.querySelector('#chain li') !== null";
    page.wait_until("the room is known", looked_up).await;
    assert_eq!(page.script(PIN_ASKED, vec![]).await, json!(false), "the lobby has none");

    page.open(&server.url("/r/board")).await;
    page.wait_until("the PIN is asked for", PIN_ASKED).await;
    page.fill("#name", "Ann").await;
    page.click("#join").await;
    page.wait_until("a PIN is missing", &says("This room asks for a PIN.")).await;
    assert_eq!(page.script(FOCUS, vec![]).await, "pin");
    // From here on by keyboard alone.
    for digit in "000000".chars() {
        page.press(digit).await;
    }
    page.press(ENTER).await;
    page.wait_until("it is wrong", &says("This is not the PIN of this room. Type it again")).await;
    let form = "return ['name', 'room', 'pin'].map((id) => document.getElementById(id).value)";
    assert_eq!(page.script(form, vec![]).await, json!(["Ann", "board", "000000"]));
    let marked = "return document.activeElement.id === 'pin' \
        && document.activeElement.getAttribute('aria-invalid') === 'true'";
    page.wait_until("the field is marked", marked).await;
    if matches!(kind, Kind::Chromium) {
        load_axe(&page).await;
        check(&page, "the join form with a wrong PIN").await;
    }

    // What was typed is selected, so that the next PIN takes its place.
    for digit in "471100".chars() {
        page.press(digit).await;
    }
    page.press(TAB).await;
    assert_eq!(page.script(FOCUS, vec![]).await, "join");
    page.press(ENTER).await;
    page.wait_until("Ann is in", CONNECTED).await;
    let address = page.script("return location.href", vec![]).await;
    assert!(!address.to_string().contains("471100"), "{address}");

    let server = server.restart(Duration::from_secs(1)).await;
    page.wait_until("the page comes back with the same PIN", CONNECTED).await;
    let mut bob = Socket::connect(&server).await;
    let join = json!({ "type": "join", "room": "board", "name": "Bob", "pin": "471100" });
    let people = bob.join(join).await["participants"].to_string();
    assert!(people.contains("Ann"), "{people}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_in_a_room_with_a_pin_see_how_good_the_connections_of_the_others_are() {
    // Without a token this machine is the operator, who needs no PIN.
    let token = ("FOLDBACK_OPERATOR_TOKEN", "0123456789abcdef");
    let server = Server::start_with(CONFIG, &[token]).await;
    let (ann, bob) = tokio::join!(
        Browser::with_microphone(vec![0.0; 48_000]),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    for (page, name) in [(&ann, "Ann"), (&bob, "Bob")] {
        page.open(&server.url("/r/board")).await;
        page.wait_until("the PIN is asked for", PIN_ASKED).await;
        page.fill("#name", name).await;
        page.fill("#pin", "471100").await;
        page.click("#join").await;
        page.wait_until("the page is in", CONNECTED).await;
    }
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    let rated = "return document.querySelector(
        '#participants li:not([data-self]) .bars')?.dataset.quality !== undefined";
    let mut is_rated = json!(false);
    for _ in 0..60 {
        is_rated = ann.script(rated, vec![]).await;
        if is_rated == json!(true) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(is_rated, json!(true));
}

in_both_browsers!(the_page_says_that_a_room_is_full_keeps_the_form_and_gets_in_once_it_is_not);
async fn the_page_says_that_a_room_is_full_keeps_the_form_and_gets_in_once_it_is_not(kind: Kind) {
    let Some(page) = kind.with_microphone(vec![0.0; 48_000]).await else { return };
    let server = Server::start_for_firefox(CONFIG).await;
    let mut bob = Socket::connect(&server).await;
    bob.join(json!({ "type": "join", "room": "pair", "name": "Bob" })).await;
    page.open(&server.url("/r/pair")).await;
    page.fill("#name", "Ann").await;
    page.click("#join").await;
    page.wait_until("it is full", &says("is full: it takes 1 person. Wait until")).await;
    let form = "return ['name', 'room'].map((id) => document.getElementById(id).value)";
    assert_eq!(page.script(form, vec![]).await, json!(["Ann", "pair"]));
    assert_eq!(page.script(FOCUS, vec![]).await, "join");
    if matches!(kind, Kind::Chromium) {
        load_axe(&page).await;
        check(&page, "the join form of a full room").await;
    }
    drop(bob);
    tokio::time::sleep(Duration::from_millis(300)).await;
    page.press(ENTER).await;
    page.wait_until("Ann is in", CONNECTED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_place_was_taken_while_it_was_away_is_back_once_it_is_free() {
    let server = Server::start(CONFIG).await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.join(&server, "pair", "Ann").await;
    // Until Bob has its place the page does not find the server.
    let away = "const original = window.fetch; window.isAway = true;
        window.fetch = (...asked) =>
            window.isAway ? Promise.reject(new TypeError('away')) : original(...asked)";
    page.script(away, vec![]).await;
    let server = server.restart(Duration::ZERO).await;
    let mut bob = Socket::connect(&server).await;
    let joined = bob.join(json!({ "type": "join", "room": "pair", "name": "Bob" })).await;
    assert_eq!(joined["type"], "joined");
    page.script("window.isAway = false", vec![]).await;
    page.wait_until("its place is taken", &says("is full: it takes 1 person. Trying again in 3 s"))
        .await;
    let view = "return document.body.dataset.view";
    assert_eq!(page.script(view, vec![]).await, "room");
    drop(bob);
    page.wait_until("Ann is back", CONNECTED).await;
}
