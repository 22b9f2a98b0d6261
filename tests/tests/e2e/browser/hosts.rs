//! What hosts do to a room in the page, and what everybody else sees of it.

use foldback_tests::{Browser, Server};
use serde_json::json;
use tempfile::TempDir;

use super::accessibility::{check, load_axe};
use crate::tokens::{SECRET, token};

const ENTER: char = '\u{e007}';
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
    let operator = [("FOLDBACK_OPERATOR_TOKEN", "0123456789abcdef")];
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
