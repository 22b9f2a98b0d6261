//! What axe-core finds in the page, by WCAG 2.2 up to level AA.

use foldback_tests::{Browser, Server};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// As `scripts/web.sh` installs it.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/node_modules/axe-core/axe.min.js");

const FIND_VIOLATIONS: &str = "
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'];
    const { violations, passes } = await axe.run(document, {
      runOnly: { type: 'tag', values: tags }, rules: { 'target-size': { enabled: true } },
    });
    const found = violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
    return { found, passed: passes.length };
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_view_violates_wcag_in_light_or_dark_on_a_wide_screen_or_a_phone() {
    let server = Server::start_with_file("conference.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.open(&server.url("/r/lobby")).await;
    load_axe(&page).await;
    check(&page, "the join form").await;

    page.click("#join").await;
    let problem = "return document.querySelector('#status').dataset.tone === 'bad'";
    page.wait_until("the page says that a name is missing", problem).await;
    check(&page, "the join form with a mistake").await;

    page.click("#preview-toggle").await;
    let heard = "return document.querySelector('#preview-sum').textContent !== ''";
    page.wait_until("the chain is heard", heard).await;
    check(&page, "the chain before one joins").await;

    page.enter("lobby", "Ann").await;
    let _bob = another_person(&server, "lobby").await;
    open_everything(&page).await;
    check(&page, "the room").await;
    page.toggle_mute().await;
    check(&page, "the room while muted").await;

    page.press('?').await;
    page.wait_until("help is open", "return document.querySelector('#help').open").await;
    check(&page, "the help").await;

    let stereo = Server::start_with_file("music.toml").await;
    page.open(&stereo.url("/r/band")).await;
    load_axe(&page).await;
    page.enter("band", "Ann").await;
    let _bob = another_person(&stereo, "band").await;
    open_everything(&page).await;
    check(&page, "a stereo room").await;
}

/// Somebody without audio, whose hand is up.
async fn another_person(server: &Server, room: &str) -> impl Sized + use<> {
    let connected = tokio_tungstenite::connect_async(server.websocket_url()).await;
    let (mut socket, _) = connected.expect("the server takes sockets");
    for message in [
        json!({ "type": "join", "room": room, "name": "Bob the builder" }),
        json!({ "type": "hand", "raised": true }),
    ] {
        socket.send(Message::text(message.to_string())).await.expect("sends");
    }
    socket
}

async fn open_everything(page: &Browser) {
    page.wait_until("Bob is there", "return !!document.querySelector('.hand:not([hidden])')").await;
    let open = "document.querySelectorAll('details').forEach(it => { it.open = true; });
        document.querySelectorAll('.for-me').forEach(it => it.click());";
    page.script(open, vec![]).await;
    let connected = "return !document.querySelector('#chat-text').disabled";
    page.wait_until("the chat is connected", connected).await;
    page.fill("#chat-text", "As long as two lines on a phone are, https://example.org/").await;
    page.click("#chat-send").await;
    page.wait_until("it is there", "return !!document.querySelector('.chat-line')").await;
}

async fn load_axe(page: &Browser) {
    let axe = std::fs::read_to_string(AXE)
        .unwrap_or_else(|error| panic!("{AXE}: {error}; `make setup` installs it"));
    page.script(&axe, vec![]).await;
}

async fn check(page: &Browser, view: &str) {
    for (width, height) in [(1200, 900), (390, 844)] {
        for scheme in ["light", "dark"] {
            let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1,
                "mobile": width < 500 });
            page.devtools("Emulation.setDeviceMetricsOverride", screen).await;
            let media = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
            page.devtools("Emulation.setEmulatedMedia", json!({ "features": media })).await;
            let shown = format!(
                "return innerWidth === {width} && matchMedia('(prefers-color-scheme: {scheme})').matches"
            );
            page.wait_until("the screen is as asked", &shown).await;
            let result = page.async_script(FIND_VIOLATIONS, vec![]).await;
            let place = format!("{view}, {width} wide, {scheme}");
            assert_eq!(result["found"], json!([]), "{place}");
            assert!(result["passed"].as_u64() > Some(10), "{place}: {result}");
            let wider = "return document.documentElement.scrollWidth > innerWidth";
            assert_eq!(page.script(wider, vec![]).await, Value::Bool(false), "{place} scrolls");
        }
    }
}
