//! What axe-core finds in the page, by WCAG 2.2 up to level AA.

use foldback_tests::{Browser, Server};
use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// As `scripts/web.sh` installs it.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/node_modules/axe-core/axe.min.js");

const SCREENS: [(u32, u32); 2] = [(1200, 900), (390, 844)];

const OPEN_DETAILS: &str =
    "document.querySelectorAll('details').forEach(it => { it.open = true; })";

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';
const ESCAPE: char = '\u{e00c}';
const LEFT: char = '\u{e012}';

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

    page.script(OPEN_DETAILS, vec![]).await;
    page.click("#preview-toggle").await;
    let heard = "return document.querySelector('#preview-sum').textContent !== ''";
    page.wait_until("the chain is heard", heard).await;
    check(&page, "the chain before one joins").await;

    page.enter("lobby", "Ann").await;
    let _bob = another_person(&server, "lobby").await;
    open_everything(&page).await;
    check(&page, "the room").await;
    page.script(
        "document.querySelector('#recording').textContent = 'This room is being recorded.'",
        vec![],
    )
    .await;
    check(&page, "the room while it is recorded").await;
    page.toggle_mute().await;
    check(&page, "the room while muted").await;
    page.script("document.querySelector('#hear').hidden = false", vec![]).await;
    check(&page, "the room whose sound the browser holds back").await;

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
    drop(stereo);
    let waiting = "return document.querySelector('#room-view').dataset.waiting === 'true'";
    page.wait_until("the page waits for the server", waiting).await;
    check(&page, "the room while the server is away").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_buttons_of_a_full_room_stay_in_sight() {
    const OTHERS: usize = 20;
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.join(&server, "lobby", "Ann").await;
    load_axe(&page).await;
    let mut others = Vec::new();
    for _ in 0..OTHERS {
        others.push(another_person(&server, "lobby").await);
    }
    let all = format!("return document.querySelectorAll('.person').length === {}", OTHERS + 1);
    page.wait_until("all are listed", &all).await;
    for screen in SCREENS {
        show(&page, screen, "light").await;
        let seen = "return ['#mute', '#hand', '#leave'].every((button) => {
            const { top, bottom } = document.querySelector(button).getBoundingClientRect();
            return top > 0 && bottom <= innerHeight; })";
        page.wait_until("the buttons are in sight", seen).await;
    }
    check(&page, "a full room").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_alone_leads_from_the_link_through_the_room_and_out_again() {
    let server = Server::start_with_file("conference.toml").await;
    let _bob = another_person(&server, "lobby").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    for (width, height) in SCREENS {
        page.open(&server.url("/r/lobby")).await;
        show(&page, (width, height), "light").await;
        tab_to(&page, "#name").await;
        let empty = "document.querySelector('#name').value = ''";
        page.script(empty, vec![]).await;
        write(&page, "Ann").await;
        page.press(ENTER).await;
        let connected = "return window.foldback.pc?.connectionState === 'connected'
            && !document.querySelector('#chat-text').disabled
            && document.querySelector('.for-me') !== null";
        page.wait_until("Ann is in, with Bob", connected).await;

        tab_to(&page, ".for-me").await;
        page.press(ENTER).await;
        tab_to(&page, "[id^=gain-]").await;
        page.press(LEFT).await;
        let softer = "return document.querySelector('.for-me').textContent";
        assert_eq!(page.script(softer, vec![]).await, json!("−1 dB"));
        tab_to(&page, ".for-me-panel .link").await;
        page.press(ENTER).await;
        tab_to(&page, "#mute").await;
        page.press(ENTER).await;
        let muted = "return document.querySelector('#mute').dataset.muted === 'true'";
        page.wait_until("Ann is muted", muted).await;
        tab_to(&page, "#hand").await;
        page.press(ENTER).await;
        let raised = "return document.querySelector('#hand').dataset.raised === 'true'";
        page.wait_until("her hand is up", raised).await;
        tab_to(&page, "#chat summary").await;
        page.press(ENTER).await;
        tab_to(&page, "#chat-text").await;
        write(&page, "hello").await;
        page.press(ENTER).await;
        let written = "return document.querySelector('.chat-words')?.textContent === 'hello'";
        page.wait_until("she wrote to the room", written).await;
        for panel in ["#delay summary", "#delay + .more summary", "#sound-view summary"] {
            tab_to(&page, panel).await;
            page.press(ENTER).await;
        }
        for control in ["#mic", "#echo-choice", "#chain .settings summary"] {
            tab_to(&page, control).await;
        }
        // Round, from the end to the beginning.
        tab_to(&page, "#show-help").await;
        page.press(ENTER).await;
        page.press(ESCAPE).await;
        tab_to(&page, "#leave").await;
        page.press(ENTER).await;
        let out = "return document.body.dataset.view === 'join' && document.activeElement.id";
        assert_eq!(page.script(out, vec![]).await, json!("join"));
    }
}

/// Presses Tab until the focus is there; each stop on the way can be seen.
async fn tab_to(page: &Browser, selector: &str) {
    const AT: &str = "
        const it = document.activeElement;
        if (it === document.body) return { reached: false };
        const { left, top, right, bottom } = it.getBoundingClientRect();
        const middle = (from, to, end) => (Math.max(from, 0) + Math.min(to, end)) / 2;
        const seen = document.elementFromPoint(middle(left, right, innerWidth), middle(top, bottom, innerHeight));
        const outlined = getComputedStyle(it).outlineStyle !== 'none';
        const problem = !outlined ? 'no outline' : !(seen && (it.contains(seen) || seen.contains(it))) ?
          `under ${seen?.outerHTML.slice(0, 80)}` : undefined;
        return { reached: it.matches(arguments[0]), problem, html: it.outerHTML.slice(0, 120) };
    ";
    for _ in 0..120 {
        page.press(TAB).await;
        let at = page.script(AT, vec![json!(selector)]).await;
        assert_eq!(at["problem"], Value::Null, "{at}");
        if at["reached"] == json!(true) {
            return;
        }
    }
    panic!("no key leads to {selector}");
}

async fn write(page: &Browser, text: &str) {
    for key in text.chars() {
        page.press(key).await;
    }
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
    page.script(OPEN_DETAILS, vec![]).await;
    page.script("document.querySelectorAll('.for-me').forEach(it => it.click());", vec![]).await;
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
    page.script(OPEN_DETAILS, vec![]).await;
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
    admin.click(".room-chain > summary").await;
    let stages = "return document.querySelector('.room-chain li') !== null";
    admin.wait_until("a room's chain is shown", stages).await;
    check(&admin, "the operator's page").await;
    admin.click("[data-action=kick]").await;
    check(&admin, "the question before somebody is taken out").await;
    admin.click("#kick-cancel").await;
    drop(server);
    let away = "return document.querySelector('#status').dataset.tone === 'bad'";
    admin.wait_until("the server is away", away).await;
    check(&admin, "the operator's page while the server is away").await;
}

pub(super) async fn load_axe(page: &Browser) {
    let axe = std::fs::read_to_string(AXE)
        .unwrap_or_else(|error| panic!("{AXE}: {error}; `make setup` installs it"));
    page.script(&axe, vec![]).await;
}

pub(super) async fn check(page: &Browser, view: &str) {
    for (width, height) in SCREENS {
        for scheme in ["light", "dark"] {
            show(page, (width, height), scheme).await;
            let result = page.async_script(FIND_VIOLATIONS, vec![]).await;
            let place = format!("{view}, {width} wide, {scheme}");
            assert_eq!(result["found"], json!([]), "{place}");
            assert!(result["passed"].as_u64() > Some(10), "{place}: {result}");
            let wider = "return document.documentElement.scrollWidth > innerWidth";
            assert_eq!(page.script(wider, vec![]).await, Value::Bool(false), "{place} scrolls");
        }
    }
}

async fn show(page: &Browser, (width, height): (u32, u32), scheme: &str) {
    let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1,
        "mobile": width < 500 });
    page.devtools("Emulation.setDeviceMetricsOverride", screen).await;
    let media = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
    page.devtools("Emulation.setEmulatedMedia", json!({ "features": media })).await;
    let shown = format!(
        "return innerWidth === {width} && matchMedia('(prefers-color-scheme: {scheme})').matches"
    );
    page.wait_until("the screen is as asked", &shown).await;
}
