//! What people write to each other, and whose hand is up.

use std::time::Duration;

use foldback_tests::{Browser, Server};
use serde_json::{Value, json};
use tokio::join;

use super::{Kind, in_both_browsers};

const ENTER: char = '\u{e007}';
/// What stands in the log of the chat, a line each.
const LINES: &str = "return [...document.querySelectorAll('.chat-line')].map(line =>
    line.querySelector('strong').textContent + ': ' + line.querySelector('.chat-words').textContent)";

async fn quiet_page() -> Browser {
    Browser::with_microphone(vec![0.0; 48_000]).await
}

async fn write(page: &Browser, text: &str) {
    let ready = "const chat = document.querySelector('#chat'); chat.open = true;
        return !document.querySelector('#chat-text').disabled";
    page.wait_until("the chat is connected", ready).await;
    page.fill("#chat-text", text).await;
    page.press(ENTER).await;
}

async fn wait_for_lines(page: &Browser, lines: &[&str]) {
    let found = format!("return JSON.stringify((() => {{ {LINES} }})()) === arguments[0]");
    let expected = serde_json::to_string(lines).expect("JSON");
    for _ in 0..100 {
        if page.script(&found, vec![json!(expected)]).await == json!(true) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the chat shows {}, not {expected}", page.script(LINES, vec![]).await);
}

async fn text_of(page: &Browser, selector: &str) -> Value {
    page.script("return document.querySelector(arguments[0]).textContent", vec![json!(selector)])
        .await
}

in_both_browsers!(what_one_writes_everybody_in_the_room_reads_and_what_was_not_seen_is_marked);
async fn what_one_writes_everybody_in_the_room_reads_and_what_was_not_seen_is_marked(kind: Kind) {
    let Some(ann) = kind.with_microphone(vec![0.0; 48_000]).await else { return };
    let server = Server::start_for_firefox_with_file("clean.toml").await;
    let (bob, elsewhere) = join!(quiet_page(), quiet_page());
    join!(
        ann.join(&server, "room", "Ann"),
        bob.join(&server, "room", "Bob"),
        elsewhere.join(&server, "another", "Eve"),
    );
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    bob.wait_until(
        "Bob's channel is open",
        "return !document.querySelector('#chat-text').disabled",
    )
    .await;
    // Words are words, whatever they look like.
    write(&ann, "hello <b>Bob</b> & \"all\" 🎧").await;
    wait_for_lines(&ann, &["You: hello <b>Bob</b> & \"all\" 🎧"]).await;
    wait_for_lines(&bob, &["Ann: hello <b>Bob</b> & \"all\" 🎧"]).await;
    assert_eq!(text_of(&bob, "#chat-unread").await, json!("1 new"));
    assert_eq!(text_of(&ann, "#chat-unread").await, json!(""), "Ann's own are seen");
    let told = text_of(&bob, "#status").await;
    assert!(told.as_str().is_some_and(|told| told.starts_with("Ann: hello")), "{told}");

    bob.click("#chat summary").await;
    bob.wait_until(
        "the mark goes when the chat is opened",
        "return document.querySelector('#chat-unread').hidden",
    )
    .await;
    write(&bob, "hello Ann").await;
    wait_for_lines(&ann, &["You: hello <b>Bob</b> & \"all\" 🎧", "Bob: hello Ann"]).await;
    assert_eq!(elsewhere.script(LINES, vec![]).await, json!([]), "another room hears nothing");

    // The keys of the page are letters here.
    write(&ann, "mh?").await;
    wait_for_lines(&bob, &["Ann: hello <b>Bob</b> & \"all\" 🎧", "You: hello Ann", "Ann: mh?"])
        .await;
    let muted = "return document.querySelector('#mute').dataset.muted";
    assert_eq!(ann.script(muted, vec![]).await, json!("false"));

    write(&ann, "see https://example.org/a?b=1.").await;
    let link = "const link = document.querySelector('.chat-words a');
        return link && [link.textContent, link.href, link.target, link.rel].join(' ')
          === 'https://example.org/a?b=1 https://example.org/a?b=1 _blank noopener noreferrer'
          && link.closest('.chat-words').textContent === 'see https://example.org/a?b=1.'";
    bob.wait_until("Bob can follow the link", link).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_too_much_too_fast_is_told_and_the_others_get_what_was_taken() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob) = join!(quiet_page(), quiet_page());
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    bob.wait_until(
        "Bob's channel is open",
        "return !document.querySelector('#chat-text').disabled",
    )
    .await;
    write(&ann, "first").await;
    let flood = "for (let i = 0; i < 40; i++) {
        document.querySelector('#chat-text').value = 'again ' + i;
        document.querySelector('#chat-form').requestSubmit();
    }";
    ann.script(flood, vec![]).await;
    let told = "return document.querySelector('#chat-state').textContent.includes('not passed on')";
    ann.wait_until("Ann is told", told).await;
    let came = bob.script("return document.querySelectorAll('.chat-line').length", vec![]).await;
    assert!(came.as_u64().is_some_and(|came| (8..=12).contains(&came)), "{came} messages came");
    tokio::time::sleep(Duration::from_secs(2)).await;
    write(&ann, "last").await;
    let last = "return document.querySelector('.chat-line:last-child .chat-words')?.textContent === 'last'";
    bob.wait_until("Bob gets what is written later", last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_without_a_data_channel_says_so_and_talks_all_the_same() {
    let server = Server::start_with_file("clean.toml").await;
    let page = quiet_page().await;
    page.open(&server.url("/")).await;
    let without = "RTCPeerConnection.prototype.createDataChannel = () => {
        throw new DOMException('there are none', 'OperationError'); }";
    page.script(without, vec![]).await;
    page.enter("room", "Ann").await;
    let says = "return document.querySelector('#chat-state').textContent.includes('is not there')
        && document.querySelector('#chat-text').disabled";
    page.wait_until("the chat says that it is not there", says).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raised_hands_are_shown_in_the_order_in_which_they_went_up() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob, late) = join!(quiet_page(), quiet_page(), quiet_page());
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    let shown = async |page: &Browser, hands: &str| {
        let places = format!(
            "return [...document.querySelectorAll('#participants li')].map(row =>
               row.querySelector('.name').textContent + row.dataset.hand).sort().join() === '{hands}'"
        );
        page.wait_until(hands, &places).await;
    };
    bob.click("#hand").await;
    shown(&ann, "Ann,Bob1").await;
    let told = text_of(&ann, "#status").await;
    assert_eq!(told, json!("Bob raised a hand."));
    ann.press('h').await;
    shown(&bob, "Ann2,Bob1").await;
    late.join(&server, "room", "Cem").await;
    shown(&late, "Ann2,Bob1,Cem").await;
    bob.click("#hand").await;
    shown(&late, "Ann1,Bob,Cem").await;
    bob.press('h').await;
    shown(&ann, "Ann1,Bob2,Cem").await;
    ann.leave().await;
    shown(&bob, "Bob1,Cem").await;
}
