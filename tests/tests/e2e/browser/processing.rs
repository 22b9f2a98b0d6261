//! Who treats the microphone: the browser, or the room's chain.

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
