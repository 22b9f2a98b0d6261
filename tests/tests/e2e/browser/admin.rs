//! The operator's page.

use std::time::Duration;

use foldback_testkit::signal::speech_like;
use foldback_tests::{Browser, Server};
use serde_json::json;
use tokio::join;

use super::{Kind, MICROPHONE_SECONDS, in_both_browsers};

const ENTER: char = '\u{e007}';

const CHAINS: &str = "[server]\nworkers = 1\nwatch_config = false\n\
    [chain.talk]\nstages = [{ kind = \"gain\" }, { kind = \"mix\" }]\n\
    [chain.quiet]\nstages = [{ kind = \"gate\" }, { kind = \"mix\" }]\n\
    [[room]]\nname = \"*\"\nchain = \"talk\"\n";

/// The entry of somebody in the page, as an expression.
fn entry(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#rooms li[data-id]')]\
         .find(it => it.querySelector('.name').textContent === '{name}')"
    )
}

in_both_browsers!(an_operator_sees_rooms_and_workers_mutes_takes_out_and_changes_chains);
async fn an_operator_sees_rooms_and_workers_mutes_takes_out_and_changes_chains(kind: Kind) {
    let silence = || vec![0.0; 48_000];
    let pages = join!(kind.with_microphone(silence()), kind.with_microphone(silence()));
    let (Some(bob), Some(admin)) = pages else { return };
    let server = Server::start_for_firefox(CHAINS).await;
    let ann = Browser::with_microphone(speech_like(1, -20.0, MICROPHONE_SECONDS)).await;
    join!(ann.join(&server, "lobby", "Ann"), bob.join(&server, "lobby", "Bob"));
    admin.open(&server.url("/admin")).await;
    let (anns, bobs) = (entry("Ann"), entry("Bob"));
    let talks = format!(
        "return {anns}?.dataset.talking === 'true' && {anns}.querySelector('.meter').ariaValueNow > -60 \
         && {anns}.querySelector('[data-field=quality]').textContent.includes('connection') \
         && {bobs}?.dataset.talking === 'false'"
    );
    admin.wait_until("Ann talks and Bob does not", &talks).await;
    let worker = "const worker = document.querySelector('#workers li[data-worker=\"0\"]'); \
        return /1 room.*, 2 participants/.test(worker?.textContent) \
          && worker.querySelector('.meter').ariaValueNow > 0 \
          && /Ticks begin [0-9.]+ ms late/.test(worker.textContent)";
    admin.wait_until("the worker tells of itself", worker).await;

    // By keyboard.
    let mute = format!("{anns}.querySelector('[data-action=mute]')");
    admin.script(&format!("{mute}.focus()"), vec![]).await;
    admin.press(ENTER).await;
    let muted = "return document.querySelector('#mute').dataset.muted === 'true' \
        && document.querySelector('#status').textContent.includes('muted you') \
        && window.foldback.pc.getSenders()[0].track.enabled === false";
    ann.wait_until("Ann's page says that she is muted, and sends nothing", muted).await;
    let seen = "return document.querySelector('#participants li:not([data-self])').dataset.muted === 'true'";
    bob.wait_until("Bob sees it", seen).await;
    let by_you = format!("return {anns}.querySelector('.state').textContent === 'muted by you'");
    admin.wait_until("so does the operator", &by_you).await;
    assert_eq!(
        admin.script(&format!("return document.activeElement === {mute}"), vec![]).await,
        json!(true)
    );
    admin.press(ENTER).await;
    let unmuted = "return document.querySelector('#mute').dataset.muted === 'false' \
        && window.foldback.pc.getSenders()[0].track.enabled";
    ann.wait_until("Ann is unmuted again", unmuted).await;
    ann.toggle_mute().await;
    let left_so =
        format!("return {mute}.disabled && {anns}.querySelector('.state').textContent === 'muted'");
    admin.wait_until("who muted herself is left so", &left_so).await;
    ann.toggle_mute().await;

    choose(&admin, "document.querySelector('#rooms article[data-room=lobby] select')", "quiet")
        .await;
    let has = |kind: &str| {
        format!("return document.querySelector('#chain li').dataset.kind === '{kind}'")
    };
    bob.wait_until("the room has another chain", &has("gate")).await;
    choose(&admin, &format!("{anns}.querySelector('select')"), "talk").await;
    ann.wait_until("Ann has one of her own", &has("gain")).await;
    assert_eq!(bob.script(&has("gate"), vec![]).await, json!(true));
    choose(&admin, &format!("{anns}.querySelector('select')"), "").await;
    ann.wait_until("and the room's again", &has("gate")).await;
    choose(&admin, "document.querySelector('#rooms article[data-room=lobby] select')", "").await;
    bob.wait_until("the room is as configured", &has("gain")).await;

    // The chain as it runs, and its stages turned by keyboard.
    admin.click("#rooms article[data-room=lobby] .room-chain > summary").await;
    let live = "const stages = [...document.querySelectorAll('.room-chain li')];
        return stages.map(it => it.dataset.name).join() === 'gain,mix' && /µs/.test(stages[0].textContent)";
    admin.wait_until("its stages are shown, and what they take", live).await;
    let switch = "document.querySelector('.room-chain li[data-name=gain] input[role=switch]')";
    admin.script(&format!("{switch}.focus()"), vec![]).await;
    admin.press(' ').await;
    let off = "return document.querySelector('#chain li[data-name=gain]').dataset.off === ''";
    bob.wait_until("the stage is off in the room", off).await;
    // As the server tells it too, with the focus where it was.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let kept = format!("return {switch} === document.activeElement && !{switch}.checked");
    assert_eq!(admin.script(&kept, vec![]).await, json!(true));

    admin.script(&format!("{bobs}.querySelector('[data-action=kick]').click()"), vec![]).await;
    admin.click("#kick-cancel").await;
    assert_eq!(ann.participants().await, ["Ann", "Bob"]);
    admin.script(&format!("{bobs}.querySelector('[data-action=kick]').focus()"), vec![]).await;
    admin.press(ENTER).await;
    admin.click("#kick-sure").await;
    let out = "return document.body.dataset.view === 'join' \
        && document.querySelector('#status').textContent.includes('took you out')";
    bob.wait_until("Bob's page says that he was taken out", out).await;
    ann.wait_for_participants(&["Ann"], Duration::from_secs(5)).await;
    admin.wait_until("he is in the list no more", &format!("return {bobs} === undefined")).await;
    let focused = "return document.activeElement.id";
    assert_eq!(admin.script(focused, vec![]).await, json!("rooms-title"));
    // Longer than a page takes to come back that lost its connection.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(ann.participants().await, ["Ann"]);
    assert_eq!(bob.script(out, vec![]).await, json!(true), "it still says so");
    bob.click("#join").await;
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(10)).await;
}

/// Another option of a select, as a person chooses it.
async fn choose(page: &Browser, select: &str, value: &str) {
    let ready = format!("return [...{select}.options].some(it => it.value === '{value}')");
    page.wait_until("the option is there", &ready).await;
    let choose = format!(
        "const select = {select}; select.value = '{value}'; select.dispatchEvent(new Event('change'))"
    );
    page.script(&choose, vec![]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_reads_the_file_again_sees_why_it_was_refused_and_goes_back() {
    let server = Server::start(CHAINS).await;
    let (ann, admin) = join!(Browser::with_microphone(vec![0.0; 48_000]), Browser::start());
    ann.join(&server, "lobby", "Ann").await;
    admin.open(&server.url("/admin")).await;
    let runs = |version: u32| {
        format!(
            "return document.querySelector('#config-running').textContent.startsWith('Version {version} runs')"
        )
    };
    admin.wait_until("the first version runs", &runs(1)).await;

    server.write_config(&CHAINS.replace("{ kind = \"gain\" }", "{ kind = \"delay\" }"));
    admin.click("#reload").await;
    admin.wait_until("the second version runs", &runs(2)).await;
    let has = |kind: &str| {
        format!("return document.querySelector('#chain li').dataset.kind === '{kind}'")
    };
    ann.wait_until("the room has another chain", &has("delay")).await;
    admin.click("#config-details summary").await;
    let text = "return document.querySelector('#config-text').textContent.includes('\"delay\"')";
    admin.wait_until("its text is shown", text).await;

    server.write_config(&CHAINS.replace("\"gain\"", "\"gian\""));
    admin.click("#reload").await;
    let refused = "return document.querySelector('#config-last').dataset.tone === 'bad' \
        && document.querySelector('#config-last').textContent.includes('did you mean') \
        && document.querySelector('#status').dataset.tone === 'bad'";
    admin.wait_until("the mistake is shown", refused).await;
    assert_eq!(admin.script(&runs(2), vec![]).await, json!(true));

    admin.click("#versions li[data-version='1'] button").await;
    admin.wait_until("the first version's text runs as the third", &runs(3)).await;
    ann.wait_until("the room has its first chain again", &has("gain")).await;
    let listed =
        "return [...document.querySelectorAll('#versions li')].map(it => it.dataset.version)";
    assert_eq!(admin.script(listed, vec![]).await, json!(["3", "2", "1"]));
}
