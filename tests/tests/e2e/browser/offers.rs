//! `POST /offer`, by a page's own script.

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::json;

use super::{TONE_DBFS, microphone_tone};

/// Offers `connection` as it is and waits until it is connected.
const EXCHANGE: &str = "
    window.offered = connection;
    await connection.setLocalDescription();
    const response = await fetch('/offer', {
      method: 'POST', body: JSON.stringify(connection.localDescription),
    });
    if (!response.ok) throw new Error(response.status + ': ' + await response.text());
    await connection.setRemoteDescription(await response.json());
    await new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error('stays ' + connection.connectionState)), 15000);
      connection.onconnectionstatechange = check;
      function check() { if (connection.connectionState === 'connected') resolve(); }
      check();
    });
";

/// Sends strings over `channel` and returns what comes back.
const SEND_STRINGS: &str = "
    if (channel.readyState !== 'open') await new Promise(resolve => { channel.onopen = resolve; });
    const received = [];
    const strings = ['hello', 'foldback \\u{1F3A7}', 'x'.repeat(20000)];
    const all = new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error('only ' + JSON.stringify(received) + ' came')), 10000);
      channel.onmessage = ({ data }) => {
        received.push(data);
        if (received.length === strings.length) resolve();
      };
    });
    strings.forEach(text => channel.send(text));
    await all;
    return received;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_without_a_room_returns_the_own_voice_and_strings() {
    let server = Server::start_with_file("clean.toml").await;
    let browser = Browser::with_microphone(microphone_tone(440.0)).await;
    browser.open(&server.url("/")).await;
    let script = format!(
        "const microphone = await navigator.mediaDevices.getUserMedia({{ audio: {{
           echoCancellation: false, noiseSuppression: false, autoGainControl: false }} }});
         const connection = new RTCPeerConnection();
         connection.addTrack(microphone.getTracks()[0], microphone);
         connection.ontrack = ({{ track }}) => {{
           const player = document.createElement('audio');
           player.autoplay = true;
           player.srcObject = new MediaStream([track]);
           document.body.append(player);
         }};
         const channel = connection.createDataChannel('chat');
         {EXCHANGE} {SEND_STRINGS}"
    );
    let strings = browser.async_script(&script, vec![]).await;
    assert_eq!(strings, json!(["hello", "foldback \u{1F3A7}", "x".repeat(20_000)]));

    tokio::time::sleep(SETTLING).await;
    browser.record_connection("window.offered").await;
    tokio::time::sleep(SETTLING).await;
    let level_dbfs = median_tone_dbfs(&browser.stop_recording().await, 440.0);
    assert!((level_dbfs - TONE_DBFS).abs() < 3.0, "the own tone returns at {level_dbfs} dBFS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_with_only_a_data_channel_connects_and_echoes() {
    let server = Server::start_with_file("conference.toml").await;
    let browser = Browser::start().await;
    browser.open(&server.url("/")).await;
    let script = format!(
        "const connection = new RTCPeerConnection();
         const channel = connection.createDataChannel('chat');
         {EXCHANGE} {SEND_STRINGS}"
    );
    let strings = browser.async_script(&script, vec![]).await;
    assert_eq!(strings, json!(["hello", "foldback \u{1F3A7}", "x".repeat(20_000)]));
}

/// Has ICE start anew until the server takes no more offers: how many it answered, and why not the next.
const RESTART_ON_AND_ON: &str = "
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws');
    await new Promise(resolve => { socket.onopen = resolve; });
    const said = [];
    let wake = () => {};
    socket.onmessage = ({ data }) => { said.push(JSON.parse(data)); wake(); };
    const next = async (types) => {
      for (;;) {
        const at = said.findIndex(({ type }) => types.includes(type));
        if (at >= 0) return said.splice(at, 1)[0];
        await new Promise(resolve => { wake = resolve; });
      }
    };
    const say = (message) => socket.send(JSON.stringify(message));
    say({ type: 'join', room: 'restarts', name: 'Ann' });
    await next(['joined']);
    const connection = new RTCPeerConnection();
    connection.addTransceiver('audio');
    for (let answers = 0; answers < 20; answers++) {
      await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
      say({ type: 'offer', sdp: connection.localDescription.sdp });
      const answer = await next(['answer', 'error']);
      if (answer.type === 'error') return [answers, answer.code];
      await connection.setRemoteDescription(answer);
    }
    return [20, null];
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_restarts_ice_on_and_on_is_told_to_wait() {
    let server = Server::start_with_file("clean.toml").await;
    let browser = Browser::start().await;
    browser.open(&server.url("/")).await;
    let told = browser.async_script(RESTART_ON_AND_ON, vec![]).await;
    // The first offer, five restarts, and one more if the machine is slow.
    assert!(told == json!([6, "too-fast"]) || told == json!([7, "too-fast"]), "{told}");
}
