//! Pages that are not ours, in rooms by WHIP and WHEP.

use std::time::Duration;

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{TONE_DBFS, microphone_tone};

const ANN_HZ: f64 = 440.0;
const WALL_HZ: f64 = 660.0;

/// As in docs/doors.md; `url` and `direction` are its arguments.
const COMES: &str = "
    const [url, direction] = arguments;
    const pc = new RTCPeerConnection();
    pc.ontrack = ({ track }) => {
      window.audio = new Audio();
      window.audio.srcObject = new MediaStream([track]);
      window.audio.play();
    };
    if (direction === 'sendonly') {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false,
        noiseSuppression: false, autoGainControl: false } });
      pc.addTransceiver(stream.getAudioTracks()[0], { direction });
    } else {
      pc.addTransceiver('audio', { direction });
    }
    await pc.setLocalDescription();
    const answered = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp', Authorization: 'Bearer none' },
      body: pc.localDescription.sdp,
    });
    if (answered.status !== 201) throw new Error(await answered.text());
    await pc.setRemoteDescription({ type: 'answer', sdp: await answered.text() });
    const session = new URL(answered.headers.get('Location'), answered.url);
    (window.came ??= []).push({ pc, session });
    return answered.headers.get('ETag') !== null;";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_origin_speaks_and_listens_and_goes() {
    let elsewhere = page_elsewhere().await;
    let origin = elsewhere.trim_end_matches('/');
    let server = Server::start(&format!(
        "[chain.clean]\nstages = [{{ kind = \"mix\" }}]\n[auth]\nallowed_origins = [\"{origin}\"]\n"
    ))
    .await;
    let ann = Browser::with_microphone(microphone_tone(ANN_HZ)).await;
    let wall = Browser::with_microphone(microphone_tone(WALL_HZ)).await;
    ann.join(&server, "lobby", "Ann").await;
    wall.open(&elsewhere).await;
    for (way, name, direction) in [("whep", "Ear", "recvonly"), ("whip", "Mouth", "sendonly")] {
        let url = server.url(&format!("/{way}/lobby?name={name}"));
        let has_tag = wall.async_script(COMES, vec![json!(url), json!(direction)]).await;
        assert_eq!(has_tag, true, "the page is told the tag");
    }
    ann.wait_for_participants(&["Ann", "Ear", "Mouth"], Duration::from_secs(5)).await;
    let states =
        "return [...document.querySelectorAll('#participants li:not([data-self])')].map((li) =>
        [li.querySelector('.name').textContent, li.querySelector('.state').textContent,
         li.querySelector('button') !== null])";
    tokio::time::sleep(SETTLING).await;
    let states = ann.script(states, vec![]).await;
    assert_eq!(states, json!([["Ear", "only listens", false], ["Mouth", "talking", true]]));

    wall.record_connection("window.came[0].pc").await;
    let at_ann = ann.record(3.0).await;
    let at_wall = wall.stop_recording().await;
    let level = |heard: &[f32], hz| median_tone_dbfs(heard, hz);
    println!("Ann hears the wall at {:.1} dBFS", level(&at_ann, WALL_HZ));
    assert!((level(&at_ann, WALL_HZ) - TONE_DBFS).abs() < 3.0);
    // Who listens is nobody who speaks, so the wall hears itself too.
    for hz in [ANN_HZ, WALL_HZ] {
        println!("the wall hears {hz} Hz at {:.1} dBFS", level(&at_wall, hz));
        assert!((level(&at_wall, hz) - TONE_DBFS).abs() < 3.0);
    }

    let goes = "return Promise.all(window.came.map(async ({ session }) =>
        (await fetch(session, { method: 'DELETE' })).status))";
    assert_eq!(wall.async_script(goes, vec![]).await, json!([200, 200]));
    ann.wait_for_participants(&["Ann"], Duration::from_secs(5)).await;
}

/// The address of an empty page of an origin of its own, for as long as the test lasts.
async fn page_elsewhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((mut browser, _)) = listener.accept().await {
            let page = "<!doctype html><title>Elsewhere</title>";
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n{page}",
                page.len()
            );
            // What it asks for is a page in any case.
            let _ = browser.read(&mut [0; 4096]).await;
            let _ = browser.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/")
}
