//! Who treats the microphone: the browser, or the room's chain.

use std::time::Duration;

use foldback_tests::{Browser, Server};
use serde_json::json;

fn chain(stages: &str) -> String {
    format!("[server]\nworkers = 1\n[chain.talk]\nstages = [{stages}]\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_browser_cancels_echo_only_while_the_chain_does_not() {
    let cancels = chain("{ kind = \"echo-cancel\" }, { kind = \"mix\" }");
    let does_not = chain("{ kind = \"mix\" }");
    let server = Server::start(&cancels).await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    // What is on all the while is what Chromium would keep the rest to.
    page.open(&server.url("/?ns=off&agc=on")).await;
    page.enter("room", "Ann").await;
    expect_canceller(&page, false).await;

    server.reload(&does_not);
    expect_canceller(&page, true).await;
    server.reload(&cancels);
    expect_canceller(&page, false).await;
    server.reload(&chain("{ kind = \"webrtc-apm\", echo_cancel = false }, { kind = \"mix\" }"));
    expect_canceller(&page, true).await;
    server.reload(&chain("{ kind = \"webrtc-apm\" }, { kind = \"mix\" }"));
    expect_canceller(&page, false).await;
    let said = page.script("return document.querySelector('#processing').textContent", vec![]);
    let said = said.await;
    assert!(said.as_str().is_some_and(|said| said.contains("webrtc-apm")), "{said}");
    let view = page.script("return window.foldback.pc.connectionState", vec![]).await;
    assert_eq!(view, json!("connected"), "it is the same call all the while");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_does_not_take_the_place_of_a_stage_that_is_switched_off_to_compare() {
    let server = Server::start(&chain("{ kind = \"echo-cancel\" }, { kind = \"mix\" }")).await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.open(&server.url("/?ns=off&agc=off")).await;
    page.enter("room", "Ann").await;
    expect_canceller(&page, false).await;
    page.script("window.trackBefore = window.foldback.pc.getSenders()[0].track", vec![]).await;
    let switch = "document.querySelector('#chain [data-name=echo-cancel] .runs')";
    page.wait_until("the switch is there", &format!("return {switch}?.disabled === false")).await;
    for _ in 0..4 {
        page.script(&format!("{switch}.click()"), vec![]).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let same = "return window.foldback.pc.getSenders()[0].track === window.trackBefore";
        assert_eq!(page.script(same, vec![]).await, json!(true));
    }
    page.script(&format!("{switch}.click()"), vec![]).await;
    expect_canceller(&page, true).await;
}

/// Waits until the track that is sent was asked for with, or without, the browser's canceller.
async fn expect_canceller(page: &Browser, on: bool) {
    let script = format!(
        "const track = window.foldback.pc.getSenders()[0].track;
         return track.readyState === 'live'
           && track.getConstraints().echoCancellation === {on}
           && Boolean(track.getSettings().echoCancellation) === {on};"
    );
    page.wait_until(&format!("echoCancellation is {on}"), &script).await;
}
