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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_see_does_not_violate_wcag_either() {
    const TOKEN: &str = "0123456789abcdef0123";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).expect("a file");
    let path = file.display().to_string();
    let server = Server::start(&format!(
        "[server]\nworkers = 1\noperator_token_file = {path:?}\n[chain.talk]\nstages = [\
         {{ kind = \"high-pass\" }}, {{ kind = \"webrtc-apm\" }}, {{ kind = \"mix\" }}, \
         {{ kind = \"limiter\" }}]\n"
    ))
    .await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.join(&server, "lobby", "Ann").await;
    load_axe(&page).await;
    let known = "return document.querySelectorAll('#chain [data-param]').length > 5";
    page.wait_until("the settings are known", known).await;
    page.script("document.querySelectorAll('details').forEach(it => { it.open = true; })", vec![])
        .await;
    check(&page, "the room of one who looks on").await;
    page.fill("#operator-token", TOKEN).await;
    page.click("#operator-form button").await;
    let may = "return !document.querySelector('#compare').hidden";
    page.wait_until("the settings may be changed", may).await;
    check(&page, "the room of an operator").await;

    let admin = Browser::start().await;
    admin.open(&server.url("/admin")).await;
    load_axe(&admin).await;
    let asks = "return document.activeElement.id === 'token'";
    admin.wait_until("the token is asked for", asks).await;
    check(&admin, "the operator's page that asks for a token").await;
    admin.fill("#token", "wrong").await;
    admin.click("#token-form button").await;
    let refused = "return document.querySelector('#status').dataset.tone === 'bad' \
        && document.querySelector('#rooms-view').hidden";
    admin.wait_until("a wrong one is refused", refused).await;
    check(&admin, "the operator's page that refused a token").await;
    admin.fill("#token", TOKEN).await;
    admin.click("#token-form button").await;
    let shown = "return document.querySelector('#rooms li[data-id]') !== null \
        && document.querySelector('#status').textContent === ''";
    admin.wait_until("the rooms are shown", shown).await;
    admin.click("#config-details summary").await;
    let text = "return document.querySelector('#config-text').textContent !== ''";
    admin.wait_until("the configuration is shown", text).await;
    check(&admin, "the operator's page").await;
    admin.click("[data-action=kick]").await;
    check(&admin, "the question before somebody is taken out").await;
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
