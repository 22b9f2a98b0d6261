//! What hosts do to a room in the page, and what everybody else sees of it.

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::json;
use tempfile::TempDir;

use super::accessibility::{check, load_axe};
use super::{TONE_DBFS, microphone_tone};
use crate::tokens::{SECRET, token};

const ENTER: char = '\u{e007}';
const TAB: char = '\u{e004}';
const OPERATOR: &str = "0123456789abcdef";
const CONNECTED: &str = "return window.foldback.pc?.connectionState === 'connected'";
/// Lets tests take the page's socket away, as a network does that is gone.
const HOLD_SOCKET: &str = "const Original = window.WebSocket;
    window.WebSocket = class extends Original {
        constructor(...all) { super(...all); window.socket = this; }
    };";

/// A server that takes tokens alone, where this machine is not the operator; `rule` is said of its rooms too.
async fn invited(rule: &str) -> (Server, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("a file");
    let config = format!(
        "[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n[auth]\ntoken_secret_file = {secret:?}\n\
         [[room]]\nname = \"*\"\nchain = \"talk\"\n{rule}"
    );
    let operator = [("FOLDBACK_OPERATOR_TOKEN", OPERATOR)];
    (Server::start_with(&config, &operator).await, folder)
}

fn link(server: &Server, folder: &TempDir, role: &str, name: &str) -> String {
    let url = server.url("");
    let who = ["--room", "lobby", "--role", role, "--name", name, "--url", &url];
    token(folder, &who)
}

fn shows(selector: &str, words: &str) -> String {
    format!("return document.querySelector({selector:?}).textContent.includes({words:?})")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_locks_the_room_which_all_see_mutes_all_and_who_is_lost_comes_back() {
    let (server, folder) = invited("").await;
    let silence = || Browser::with_microphone(vec![0.0; 48_000]);
    let (ann, bob, eve) = tokio::join!(silence(), silence(), silence());
    for (page, role, name) in [(&ann, "host", "Ann"), (&bob, "talker", "Bob")] {
        page.open(&link(&server, &folder, role, name)).await;
        page.script(HOLD_SOCKET, vec![]).await;
        page.click("#join").await;
        page.wait_until("the page is in", CONNECTED).await;
    }
    let tools = "return document.querySelector('#host-tools').hidden";
    assert_eq!(bob.script(tools, vec![]).await, json!(true), "for hosts alone");
    ann.script("document.querySelector('#lock').focus()", vec![]).await;
    ann.press(ENTER).await;
    for page in [&ann, &bob] {
        page.wait_until("all see it", &shows("#room-locked", "This room is locked")).await;
    }
    bob.wait_until("and by whom", &shows("#status", "Ann, a host, locked the room.")).await;
    ann.wait_until("the button", &shows("#lock", "Unlock the room")).await;
    load_axe(&ann).await;
    check(&ann, "a locked room of a host").await;

    eve.open(&link(&server, &folder, "talker", "Eve")).await;
    eve.wait_until("the form says so", &shows("#room-closed", "This room is locked")).await;
    load_axe(&eve).await;
    check(&eve, "the join form of a locked room").await;
    eve.click("#join").await;
    eve.wait_until("she is told why", &shows("#status", "until a host unlocks it. Ask them")).await;

    let before = bob.script("return window.foldback.participantId", vec![]).await;
    bob.script("window.socket.close()", vec![]).await;
    let back = format!("{CONNECTED} && ![{before}, null].includes(window.foldback.participantId)");
    bob.wait_until("Bob is back", &back).await;
    bob.wait_until("where it is locked still", &shows("#room-locked", "is locked")).await;

    ann.click("#mute-all").await;
    bob.wait_until("Bob is muted", &shows("#status", "Ann, a host, muted you. Press Unmute")).await;
    bob.wait_until("the button", &shows("#mute", "Unmute")).await;
    let own = "return document.querySelector('#mute').dataset.muted";
    assert_eq!(ann.script(own, vec![]).await, json!("false"), "the host is not");
    bob.toggle_mute().await;
    let heard = "return document.querySelector('#participants li:not([data-self])').dataset.muted";
    ann.wait_until("Bob unmutes", &format!("{heard} === 'false'")).await;

    ann.click("#lock").await;
    bob.wait_until(
        "it is open",
        "return document.querySelector('#room-locked').textContent === ''",
    )
    .await;
    eve.click("#join").await;
    eve.wait_until("Eve is in", CONNECTED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_let_in_or_sent_away_by_a_host_and_types_nothing_anew() {
    let (server, folder) = invited("waiting_room = true\n").await;
    let silence = || Browser::with_microphone(vec![0.0; 48_000]);
    let (ann, bob, eve) = tokio::join!(silence(), silence(), silence());
    bob.open(&link(&server, &folder, "talker", "Bob")).await;
    bob.wait_until("the form says so", &shows("#room-closed", "has a waiting room")).await;
    bob.click("#join").await;
    let waits = "return document.body.dataset.view === 'waiting'
        && document.activeElement.textContent === 'Waiting to be let into lobby'";
    bob.wait_until("Bob waits", waits).await;
    bob.wait_until("and is told", &shows("#status", "Nobody hears you yet")).await;
    load_axe(&bob).await;
    check(&bob, "the waiting room").await;

    ann.open(&link(&server, &folder, "host", "Ann")).await;
    ann.click("#join").await;
    ann.wait_until("the host need not wait", CONNECTED).await;
    ann.wait_until("she sees him", &shows("#waiting-list", "Bob")).await;
    eve.open(&link(&server, &folder, "talker", "Eve")).await;
    eve.click("#join").await;
    eve.wait_until("Eve waits", waits).await;
    ann.wait_until("both are counted", &shows("#waiting-count", "2")).await;
    ann.wait_until("and told", &shows("#status", "Eve waits to be let in.")).await;
    load_axe(&ann).await;
    check(&ann, "the room of a host for whom people wait").await;

    // By keyboard: the focus goes on to the next one, and at last back to the room.
    ann.script("document.querySelector('#waiting-list [data-action=admit]').focus()", vec![]).await;
    ann.press(ENTER).await;
    bob.wait_until("Bob is in", CONNECTED).await;
    let named = "return document.activeElement.getAttribute('aria-label')";
    ann.wait_until("Eve is next", &format!("{named} === 'Let in: Eve'")).await;
    ann.press(TAB).await;
    ann.press(ENTER).await;
    eve.wait_until("Eve is told", &shows("#status", "did not let you in")).await;
    let form = "return document.body.dataset.view === 'join'";
    eve.wait_until("and is back at the form", form).await;
    let title = "return document.activeElement.id === 'room-title'
        && document.querySelector('#waiting').hidden";
    ann.wait_until("nobody waits", title).await;

    eve.click("#join").await;
    eve.wait_until("Eve waits again", waits).await;
    eve.click("#stop-waiting").await;
    eve.wait_until("she leaves", form).await;
    ann.wait_until("nobody waits", "return document.querySelector('#waiting').hidden").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_lets_people_into_a_room_without_a_host_locks_it_and_mutes_all() {
    let (server, folder) = invited("waiting_room = true\n").await;
    let silence = || Browser::with_microphone(vec![0.0; 48_000]);
    let (bob, eve, admin) = tokio::join!(silence(), silence(), Browser::start());
    for (page, name) in [(&bob, "Bob"), (&eve, "Eve")] {
        page.open(&link(&server, &folder, "talker", name)).await;
        page.click("#join").await;
        let waits = "return document.body.dataset.view === 'waiting'";
        page.wait_until("the page waits", waits).await;
    }
    admin.open(&server.url("/admin")).await;
    admin.fill("#token", OPERATOR).await;
    admin.click("#token-form button").await;
    let both = "return [...document.querySelectorAll('#waiting [data-room=lobby] .name')]
        .map(it => it.textContent).join() === 'Bob,Eve'";
    admin.wait_until("the operator sees both", both).await;
    admin.wait_until("and is told", &shows("#status", "Bob, Eve wait to be let into lobby.")).await;
    load_axe(&admin).await;
    check(&admin, "the operator's page where people wait").await;

    // By keyboard: the focus goes on to the next one, and at last to the rooms.
    admin.script("document.querySelector('#waiting [data-action=admit]').focus()", vec![]).await;
    admin.press(ENTER).await;
    bob.wait_until("Bob is in", CONNECTED).await;
    let named = "return document.activeElement.getAttribute('aria-label')";
    admin.wait_until("Eve is next", &format!("{named} === 'Let in: Eve'")).await;
    admin.press(TAB).await;
    admin.press(ENTER).await;
    eve.wait_until("Eve is told", &shows("#status", "did not let you in")).await;
    let title = "return document.activeElement.id === 'rooms-title'
        && document.querySelector('#waiting').hidden";
    admin.wait_until("nobody waits", title).await;

    admin.click("#rooms [data-action=mute-all]").await;
    bob.wait_until("Bob is muted", &shows("#status", "muted")).await;
    let muted = "return document.querySelector('#mute').dataset.muted === 'true'";
    bob.wait_until("and his page says so", muted).await;
    admin.click("#rooms [data-action=lock]").await;
    bob.wait_until("Bob sees it", &shows("#room-locked", "This room is locked")).await;
    let unlock = "return document.querySelector('#rooms [data-action=lock]').textContent";
    admin.wait_until("it can be opened", &format!("{unlock} === 'Unlock'")).await;
    check(&admin, "the operator's page with a locked room").await;
    admin.click("#rooms [data-action=lock]").await;
    bob.wait_until(
        "it is open",
        "return document.querySelector('#room-locked').textContent === ''",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_in_a_whisper_group_hear_each_other_and_the_others_do_not_hear_them() {
    let (server, folder) = invited("").await;
    let (ann, bob, eve) = tokio::join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
        Browser::with_microphone(microphone_tone(880.0)),
    );
    for (page, role, name) in
        [(&ann, "host", "Ann"), (&bob, "talker", "Bob"), (&eve, "talker", "Eve")]
    {
        let plainly = link(&server, &folder, role, name).replace('#', "?ec=off&ns=off&agc=off#");
        page.open(&plainly).await;
        page.click("#join").await;
        page.wait_until("the page is in", CONNECTED).await;
    }
    // By listener: Ann 440, Bob 660, Eve 880 Hz.
    let heard = async || {
        tokio::time::sleep(SETTLING).await;
        let (ann, bob, eve) = tokio::join!(ann.record(2.0), bob.record(2.0), eve.record(2.0));
        [ann, bob, eve].map(|it| [440.0, 660.0, 880.0].map(|hz| median_tone_dbfs(&it, hz)))
    };
    let expect = |what: &str, heard: [[f64; 3]; 3], expected: [[Option<f64>; 3]; 3]| {
        println!("{what}: {heard:.1?}");
        for (listener, tone) in (0..9).map(|at| (at / 3, at % 3)).filter(|(a, b)| a != b) {
            let (found, wanted) = (heard[listener][tone], expected[listener][tone]);
            let fits = match wanted {
                Some(dbfs) => (found - dbfs).abs() < 3.0,
                None => found < TONE_DBFS - 40.0,
            };
            assert!(fits, "{what}: {listener} hears {tone} at {found} dBFS, not {wanted:?}");
        }
    };
    let (own, all, none) = (None, Some(TONE_DBFS), None);
    let plain = [[own, all, all], [all, own, all], [all, all, own]];
    expect("at first", heard().await, plain);

    ann.click("#whisper summary").await;
    let choose = "for (const label of document.querySelectorAll('#whisper-people label'))
        if (/Bob|Eve/.test(label.textContent)) label.querySelector('input').click()";
    ann.script(choose, vec![]).await;
    load_axe(&ann).await;
    check(&ann, "the choice of a whisper group").await;
    ann.click("#whisper-form [type=submit]").await;
    bob.wait_until(
        "Bob is told",
        &shows("#whispering", "You whisper with Eve: nobody else hears you, and you do not hear"),
    )
    .await;
    load_axe(&bob).await;
    check(&bob, "the room of one who whispers").await;
    expect("whispering", heard().await, [[own, none, none], [none, own, all], [none, all, own]]);

    ann.click("#whisper-hear-room").await;
    ann.click("#whisper-form [type=submit]").await;
    bob.wait_until("Bob is told", &shows("#whispering", "you hear the others softly")).await;
    let soft = Some(TONE_DBFS - 20.0);
    expect("with the room", heard().await, [[own, none, none], [soft, own, all], [soft, all, own]]);

    ann.click("#end-whisper").await;
    bob.wait_until("it is over", "return document.querySelector('#whispering').textContent === ''")
        .await;
    expect("afterwards", heard().await, plain);
}
