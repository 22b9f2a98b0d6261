//! Pages that come back by themselves.

use std::time::{Duration, Instant};

use foldback_testkit::measure::{gaps, median_tone_dbfs};
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::json;
use tokio::join;

use super::accessibility::{check, load_axe};
use super::{Kind, TONE_DBFS, in_both_browsers, microphone_tone};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_back_by_their_names_within_five_seconds_of_a_server_that_was_restarted() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    bob.toggle_mute().await;

    let _server = server.restart(Duration::from_secs(4)).await;
    let back = Instant::now();
    let connected = "return window.foldback.pc?.connectionState === 'connected'";
    join!(ann.wait_until("Ann is back", connected), bob.wait_until("Bob is back", connected));
    let took = back.elapsed();
    println!("back after {took:?}");
    assert!(took < Duration::from_secs(5), "back after {took:?}");
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;

    let muted = "return document.querySelector('#participants li:not([data-self])').dataset.muted";
    ann.wait_until("Bob is muted still", &format!("{muted} === 'true'")).await;
    bob.toggle_mute().await;
    tokio::time::sleep(2 * SETTLING).await;
    let heard = median_tone_dbfs(&ann.record(2.0).await, 660.0);
    assert!((heard - TONE_DBFS).abs() < 3.0, "Ann hears Bob at {heard} dBFS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_says_that_its_server_is_about_to_end_and_is_back_when_it_is() {
    let clean = include_str!("../../../../config/clean.toml");
    let mut server = Server::start_with(clean, &[("FOLDBACK_SERVER_DRAIN_SECONDS", "60")]).await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    ann.join(&server, "room", "Ann").await;
    server.terminate();
    let says = "return document.querySelector('#draining').textContent.includes('within 60 s')";
    ann.wait_until("the page says how long the server is there", says).await;
    load_axe(&ann).await;
    check(&ann, "the room of a server that is about to end").await;

    bob.open(&server.url("/r/room")).await;
    bob.fill("#name", "Bob").await;
    bob.click("#join").await;
    let waits = "return document.querySelector('#status').textContent.includes('nobody new')";
    bob.wait_until("who comes now is told to wait", waits).await;
    tokio::time::sleep(SETTLING).await;
    let state = ann.script("return window.foldback.pc.connectionState", vec![]).await;
    assert_eq!(state, json!("connected"), "those inside talk on");

    server.terminate();
    let status = server.ended(Duration::from_secs(3)).await;
    assert!(status.success(), "{status}");
    let _server = server.restart(Duration::from_secs(2)).await;
    let back = Instant::now();
    let connected = "return window.foldback.pc?.connectionState === 'connected'";
    ann.wait_until("Ann is back", connected).await;
    let took = back.elapsed();
    assert!(took < Duration::from_secs(5), "back after {took:?}");
    let silent = "return document.querySelector('#draining').textContent === ''";
    ann.wait_until("the page says no more of an end", silent).await;
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_waits_for_its_server_can_be_told_to_leave() {
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.join(&server, "room", "Ann").await;
    drop(server);
    let waiting = "return document.querySelector('#room-view').dataset.waiting === 'true'";
    page.wait_until("the page waits for the server", waiting).await;
    page.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_let_in_by_itself_when_a_busy_server_has_room_again() {
    // Whatever is busy, the server or a proxy before it, answers so.
    const BUSY_ONCE: &str = "
        const original = window.fetch;
        window.fetch = async () => {
          window.fetch = original;
          return new Response(null, { status: 503, headers: { 'Retry-After': '2' } });
        };
    ";
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.open(&server.url("/")).await;
    let known = "return document.querySelectorAll('#chain li').length > 0";
    page.wait_until("the room was looked up", known).await;
    page.fill("#name", "Ann").await;
    page.script(BUSY_ONCE, vec![]).await;
    page.click("#join").await;
    let says = "return document.querySelector('#status').textContent.includes('again in 2 s')";
    page.wait_until("the page says when it tries again", says).await;
    let connected = "return window.foldback.pc?.connectionState === 'connected'";
    page.wait_until("it is in", connected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_that_is_unplugged_is_replaced_in_the_same_call() {
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.join(&server, "room", "Ann").await;
    // The browser's own event of a device that is gone; nothing unplugs a fake one.
    let unplug = "
        const [sender] = window.foldback.pc.getSenders();
        window.lostTrack = sender.track;
        window.callBefore = window.foldback.pc;
        sender.track.stop();
        sender.track.dispatchEvent(new Event('ended'));
    ";
    page.script(unplug, vec![]).await;
    let replaced = "
        const [sender] = window.foldback.pc.getSenders();
        return sender.track !== window.lostTrack && sender.track.readyState === 'live'
          && window.foldback.pc === window.callBefore;
    ";
    page.wait_until("another microphone is sent", replaced).await;
    assert_eq!(page.participants().await, ["Ann"]);
}

/// Takes a device away, as the browser tells a page of it: nothing unplugs a fake one. `leave` says which
/// microphones are left.
const UNPLUG: &str = "
    const [gone, leave] = arguments;
    const media = navigator.mediaDevices;
    window.plugged ??= { list: media.enumerateDevices.bind(media), open: media.getUserMedia.bind(media) };
    const { list, open } = window.plugged;
    media.enumerateDevices = async () => (await list()).filter(({ kind, label }) =>
      kind !== 'audioinput' || (leave && label !== gone));
    media.getUserMedia = async (wanted) => {
      if (!leave) throw new DOMException('there is none', 'NotFoundError');
      return open(wanted);
    };
    const [sender] = window.foldback.pc.getSenders();
    sender.track.stop();
    sender.track.dispatchEvent(new Event('ended'));
    media.dispatchEvent(new Event('devicechange'));
";
const PLUG_IN: &str = "
    const media = navigator.mediaDevices;
    [media.enumerateDevices, media.getUserMedia] = [window.plugged.list, window.plugged.open];
    media.dispatchEvent(new Event('devicechange'));
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_microphone_that_was_chosen_is_taken_again_when_it_is_plugged_in_again() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    ann.script("window.callBefore = window.foldback.pc", vec![]).await;
    let sent = "const { pc } = window.foldback; const [{ track }] = pc.getSenders();
        return pc === window.callBefore && track.readyState === 'live' ? track.label : ''";
    let choose = "const mic = document.querySelector('#mic');
        const other = [...mic.options].find(({ value, text }) => value && !text.includes('Default'));
        mic.value = other.value; mic.dispatchEvent(new Event('change')); return other.text";
    let chosen = ann.script(choose, vec![]).await;
    let is_sent = format!("return (() => {{ {sent} }})() === {chosen}");
    ann.wait_until("another microphone is sent", &is_sent).await;

    ann.script(UNPLUG, vec![chosen.clone(), json!(true)]).await;
    let another = format!("return ![{chosen}, ''].includes((() => {{ {sent} }})())");
    ann.wait_until("what is left is sent", &another).await;
    ann.script(PLUG_IN, vec![]).await;
    ann.wait_until("what was chosen is sent", &is_sent).await;

    ann.script(UNPLUG, vec![chosen.clone(), json!(false)]).await;
    let told = "return document.querySelector('#status').dataset.tone === 'bad'
        && document.querySelector('#status').textContent.includes('No microphone was found')";
    ann.wait_until("Ann is told that there is none", told).await;
    assert_eq!(ann.participants().await, ["Ann", "Bob"]);
    bob.click("#hand").await;
    let mentions = "return document.querySelector('#status').textContent === 'Bob raised a hand.'";
    ann.wait_until("Ann sees what happens meanwhile", mentions).await;
    ann.wait_until("and what is wrong stands again", told).await;
    ann.script(PLUG_IN, vec![]).await;
    ann.wait_until("it is sent again by itself", &is_sent).await;
    let good = "return document.querySelector('#status').dataset.tone === 'good'
        && document.querySelector('#status').textContent.includes('Your microphone is')";
    ann.wait_until("Ann is told so", good).await;
    tokio::time::sleep(SETTLING).await;
    let heard = median_tone_dbfs(&bob.record(1.0).await, 440.0);
    assert!((heard - TONE_DBFS).abs() < 3.0, "Bob hears Ann at {heard} dBFS");
}

in_both_browsers!(a_laptop_that_slept_is_back_in_its_room_and_heard);
async fn a_laptop_that_slept_is_back_in_its_room_and_heard(kind: Kind) {
    let Some(ann) = kind.with_microphone(microphone_tone(660.0)).await else { return };
    let server = Server::start_for_firefox_with_file("clean.toml").await;
    let bob = Browser::with_microphone(microphone_tone(440.0)).await;
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    bob.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    tokio::time::sleep(SETTLING).await;
    ann.freeze();
    bob.wait_for_participants(&["Bob"], Duration::from_secs(15)).await;
    tokio::time::sleep(SETTLING).await;
    ann.thaw();
    let opened = Instant::now();
    bob.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(15)).await;
    println!("back after {:.1?}", opened.elapsed());
    tokio::time::sleep(2 * SETTLING).await;
    let (ann_hears, bob_hears) = join!(ann.record(2.0), bob.record(2.0));
    for (name, heard, tone_hz) in [("Ann", ann_hears, 440.0), ("Bob", bob_hears, 660.0)] {
        let level_dbfs = median_tone_dbfs(&heard, tone_hz);
        assert!((level_dbfs - TONE_DBFS).abs() < 3.0, "{name} hears {level_dbfs} dBFS");
    }
}

in_both_browsers!(a_page_behind_another_tab_hears_and_is_heard_without_a_gap);
async fn a_page_behind_another_tab_hears_and_is_heard_without_a_gap(kind: Kind) {
    const HIDDEN: Duration = Duration::from_secs(15);
    let Some(ann) = kind.with_microphone(microphone_tone(660.0)).await else { return };
    let server = Server::start_for_firefox_with_file("clean.toml").await;
    let bob = Browser::with_microphone(microphone_tone(440.0)).await;
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    tokio::time::sleep(2 * SETTLING).await;
    join!(ann.start_recording(), bob.start_recording());
    ann.look_elsewhere(HIDDEN).await;
    let (ann_hears, bob_hears) = join!(ann.stop_recording(), bob.stop_recording());
    for (name, heard, tone_hz) in [("Ann", ann_hears, 440.0), ("Bob", bob_hears, 660.0)] {
        let seconds = heard.len() as f64 / 48_000.0;
        println!("{name} heard {seconds:.1} s");
        // Where the machine is busy a sound card is not served in time now and then.
        assert!(seconds > 0.9 * HIDDEN.as_secs_f64(), "{name} heard {seconds} s");
        let level_dbfs = median_tone_dbfs(&heard, tone_hz);
        assert!((level_dbfs - TONE_DBFS).abs() < 3.0, "{name} hears {level_dbfs} dBFS");
        assert_eq!(gaps(&heard, TONE_DBFS - 30.0, 20.0), [], "gaps that {name} hears");
    }
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(1)).await;
}

/// Browsers play to a page that has the microphone, whatever their policy: no real one holds sound back
/// here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_holds_back_sound_is_asked_for_it_by_a_button() {
    const HOLD_BACK: &str = "
        const original = HTMLMediaElement.prototype.play;
        window.releaseSound = () => { HTMLMediaElement.prototype.play = original; };
        HTMLMediaElement.prototype.play = async () => {
          throw new DOMException('play() needs a gesture', 'NotAllowedError');
        };
    ";
    let server = Server::start_with_file("clean.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.open(&server.url("/")).await;
    page.script(HOLD_BACK, vec![]).await;
    page.enter("room", "Ann").await;
    page.wait_until("the button is there", "return !document.querySelector('#hear').hidden").await;
    // What the connection has to say does not take its place.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told = "return [document.querySelector('#status').dataset.tone,
        document.querySelector('#status').textContent.includes('Let me hear the room')]";
    assert_eq!(page.script(told, vec![]).await, json!(["bad", true]));
    page.script("window.releaseSound(); document.querySelector('#hear').focus()", vec![]).await;
    page.press('\u{e007}').await;
    page.wait_until("the button is gone", "return document.querySelector('#hear').hidden").await;
    let playing = "return [document.querySelector('#audio').paused, document.activeElement.id,
        document.querySelector('#status').dataset.tone]";
    assert_eq!(page.script(playing, vec![]).await, json!([false, "mute", "good"]));
}
