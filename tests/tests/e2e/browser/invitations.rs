//! The links that `foldback token create --url` makes.

use std::time::Duration;

use foldback_testkit::signal;
use foldback_tests::Server;
use serde_json::json;

use super::accessibility::{check, load_axe};
use super::{Kind, in_both_browsers};
use crate::tokens::{SECRET, token};

const CONNECTED: &str = "return window.foldback.pc?.connectionState === 'connected'";
const SOUND: &str = "const report = await window.foldback.pc.getStats();
    return [...report.values()].filter((it) => it.type === 'inbound-rtp')
        .reduce((sum, it) => sum + (it.totalAudioEnergy ?? 0), 0)";

in_both_browsers!(
    who_is_invited_to_listen_hears_the_room_without_a_microphone_and_a_host_mutes_in_it
);
async fn who_is_invited_to_listen_hears_the_room_without_a_microphone_and_a_host_mutes_in_it(
    kind: Kind,
) {
    let tone = signal::tone(440.0, -20.0, 60.0);
    let Some(host) = kind.with_microphone(tone).await else { return };
    let Some(listener) = kind.with_microphone(vec![0.0; 48_000]).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), SECRET).expect("a file");
    let secret = folder.path().join("secret");
    let config = format!(
        "[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n[auth]\ntoken_secret_file = {secret:?}\n\
         [[room]]\nname = \"*\"\nchain = \"talk\"\npin = \"471100\"\n"
    );
    let server = Server::start_for_firefox(&config).await;
    let link = |role: &str, name: &str| {
        let url = server.url("");
        let who = ["--room", "lobby", "--role", role, "--name", name, "--url", &url];
        token(&folder, &who)
    };

    // Browsers take a lasting tone for noise.
    let plainly = link("host", "Ann").replace("#", "?ec=off&ns=off&agc=off#");
    host.open(&plainly).await;
    let named = "const name = document.querySelector('#name');
        return name.value === 'Ann' && name.readOnly && document.querySelector('#pin-field').hidden";
    host.wait_until("the page knows who is invited", named).await;
    host.click("#join").await;
    host.wait_until("the host is in", CONNECTED).await;

    listener.open(&link("listener", "Bob")).await;
    let unasked =
        "navigator.mediaDevices.getUserMedia = () => { window.wasAsked = true; throw 0; }";
    listener.script(unasked, vec![]).await;
    listener.click("#join").await;
    listener.wait_until("the listener is in", CONNECTED).await;
    listener.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    let before = listener.async_script(SOUND, vec![]).await.as_f64().expect("a number");
    // Longer than the server waits for whoever is not heard of.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = listener.async_script(SOUND, vec![]).await.as_f64().expect("a number");
    // A tone of -20 dBFS (RMS) has 0.01 in each second (W3C webrtc-stats, totalAudioEnergy).
    assert!(after - before > 0.02, "{before} to {after}");
    let asked = listener.script("return window.wasAsked === true", vec![]).await;
    assert_eq!(asked, json!(false), "for the microphone");
    let shown =
        "return ['mic', 'processing', 'measure-delay', 'preview', 'denoise-here', 'speaker']
        .filter((id) => document.getElementById(id).checkVisibility())";
    assert_eq!(listener.script(shown, vec![]).await, json!(["speaker"]), "not what is for talkers");
    let mute_hidden = "return document.querySelector('#mute').hidden";
    assert_eq!(listener.script(mute_hidden, vec![]).await, json!(true));
    let tags = "return [...document.querySelectorAll('#participants li')].map((li) =>
        li.querySelector('.label').textContent.trim().replace(/\\s+/g, ' '))";
    assert_eq!(listener.script(tags, vec![]).await, json!(["Bob you", "Ann host"]));

    let state = "return document.querySelector('[data-self] .state').textContent";
    assert_eq!(listener.script(state, vec![]).await, json!("only listens"));

    // One comes back by the address, and others are sent it without the invitation.
    let kept = "return location.hash.startsWith('#token=')";
    assert_eq!(listener.script(kept, vec![]).await, json!(true));
    let copied = "Object.defineProperty(navigator, 'clipboard', {
            value: { writeText: async (text) => { window.copied = text; } } });
        document.querySelector('#copy-link').click();
        return window.copied";
    let copied = listener.script(copied, vec![]).await;
    assert_eq!(copied, json!(server.url("/r/lobby")));

    if matches!(kind, Kind::Chromium) {
        load_axe(&host).await;
        check(&host, "the room of a host").await;
        load_axe(&listener).await;
        check(&listener, "the room of a listener").await;
    }
    let may_host = "return document.querySelectorAll('.host-controls').length";
    assert_eq!(listener.script(may_host, vec![]).await, json!(0));
    assert_eq!(host.script(may_host, vec![]).await, json!(1), "for others alone");
    host.click("[data-action=take-out]").await;
    let taken_out = "return document.body.dataset.view === 'join'
        && document.querySelector('#status').textContent.includes('took you out of the room')";
    listener.wait_until("the listener is taken out", taken_out).await;
}
