//! How soon one hears a room that one joins.

use foldback_tests::{Browser, SETTLING, Server};

use super::microphone_tone;

const JOINS: usize = 10;
const MOST_MS: f64 = 1_000.0;

/// Notes, by the page's clock, when the button was clicked and when the first sample came out of the
/// jitter buffer that is not silent.
const WATCH: &str = "
    const SILENCE = 0.001;
    const now = () => performance.now();
    document.querySelector('#join').addEventListener('click', ({ timeStamp }) => {
      window.joinTimes = { clicked: timeStamp };
    }, { capture: true });
    async function listen({ receiver, track }, times) {
      if ('MediaStreamTrackProcessor' in window) {
        const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
        while (times.heard === undefined) {
          const { value } = await reader.read();
          const samples = new Float32Array(value.numberOfFrames);
          value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
          value.close();
          if (samples.some((sample) => Math.abs(sample) > SILENCE)) times.heard = now();
        }
        await reader.cancel();
      } else {
        // Looked at every few ms.
        while (times.heard === undefined) {
          const reports = [...(await receiver.getStats()).values()];
          const inbound = reports.find(({ type }) => type === 'inbound-rtp');
          if (inbound?.audioLevel > SILENCE) times.heard = now();
        }
      }
    }
    const original = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
      const times = window.joinTimes;
      times.answered = now();
      this.addEventListener('track', (event) => listen(event, times));
      this.addEventListener('connectionstatechange', () => {
        if (this.connectionState === 'connected') times.connected = now();
      });
      return original.call(this, answer);
    };
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_heard_within_a_second_of_the_click_that_joins_it() {
    let server = Server::start_for_firefox_with_file("clean.toml").await;
    let bob = Browser::with_microphone(microphone_tone(440.0)).await;
    bob.join(&server, "room", "Bob").await;
    tokio::time::sleep(SETTLING).await;
    time_joins("Chromium", &Browser::with_microphone(vec![0.0; 48_000]).await, &server).await;
    if let Some(firefox) = Browser::firefox(500).await {
        time_joins("Firefox", &firefox, &server).await;
    }
}

async fn time_joins(name: &str, page: &Browser, server: &Server) {
    page.open(&server.url("/r/room?ec=off&ns=off&agc=off")).await;
    page.script(WATCH, vec![]).await;
    page.fill("#name", "Ann").await;
    let mut times_ms = Vec::new();
    for _ in 0..JOINS {
        page.click("#join").await;
        page.wait_until("the room is heard", "return window.joinTimes?.heard !== undefined").await;
        let times = "const { clicked, answered, connected, heard } = window.joinTimes;
            return [answered, connected, heard].map((time) => time - clicked)";
        let times = page.script(times, vec![]).await;
        let [answered, connected, heard] =
            [0, 1, 2].map(|index| times[index].as_f64().unwrap_or(f64::NAN));
        println!("{name}: answered {answered:.0} ms, connected {connected:.0}, heard {heard:.0}");
        times_ms.push(heard);
        page.leave().await;
    }
    times_ms.sort_by(f64::total_cmp);
    let median_ms = (times_ms[(JOINS - 1) / 2] + times_ms[JOINS / 2]) / 2.0;
    println!("{name}: from the click to sound, median of {JOINS}: {median_ms:.0} ms");
    assert!(median_ms < MOST_MS, "{name} hears the room after {times_ms:.0?} ms");
}
