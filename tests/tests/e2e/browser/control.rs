//! An operator at work while people talk.

use std::time::Duration;

use foldback_testkit::measure::{clicks, median_tone_dbfs};
use foldback_tests::{Browser, Server};
use serde_json::{Value, json};
use tokio::join;

use super::{TONE_DBFS, microphone_tone};

const SPEAKER_HZ: f64 = 440.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_turns_one_voice_down_without_a_click_and_the_page_shows_what_stages_read() {
    let chains = "[server]\nworkers = 1\n[chain.talk]\nstages = [{ kind = \"gain\" }, \
        { kind = \"compressor\" }, { kind = \"mix\" }]\n[chain.own]\nstages = [{ kind = \"gate\" }, \
        { kind = \"mix\" }]\n[[room]]\nname = \"*\"\nchain = \"talk\"\n";
    let server = Server::start(chains).await;
    let (speaker, listener) = join!(
        Browser::with_microphone(microphone_tone(SPEAKER_HZ)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(speaker.join(&server, "room", "Speaker"), listener.join(&server, "room", "Listener"));
    let known = "return document.querySelector('#chain [data-name=compressor] .readings')\
        ?.textContent.includes('dB') ?? false;";
    speaker.wait_until("the compressor's reading is shown", known).await;
    tokio::time::sleep(Duration::from_secs(6)).await;

    let people = server.url("/api/v1/rooms/room/participants");
    let people: Value = reqwest::get(people).await.expect("answers").json().await.expect("JSON");
    let people = people.as_array().expect("a list");
    let speaking = people.iter().find(|it| it["name"] == "Speaker").expect("the speaker");
    let own = format!("/api/v1/rooms/room/participants/{}/chain", speaking["id"]);
    let path = format!("{own}/stages/gain");
    let changes = async || {
        for change in 1..=8 {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let gain_db = if change % 2 == 0 { -12 } else { 0 };
            let change = json!({ "params": { "gain_db": gain_db } });
            let client = reqwest::Client::new();
            let response = client.patch(server.url(&path)).json(&change).send().await;
            assert_eq!(response.expect("the server answers").status(), 200);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    let heard = listener.record_while(changes).await;
    let found = clicks(&heard);
    assert!(found.is_empty(), "clicks at {found:?}");
    let level = median_tone_dbfs(&heard[heard.len() - 48_000..], SPEAKER_HZ);
    // Down by 12 dB it is below the compressor's threshold.
    assert!((level - (TONE_DBFS - 12.0)).abs() < 2.5, "{level} dBFS, 12 dB below {TONE_DBFS}");
    let series = [("chain", "talk"), ("stage", "compressor")];
    let read = server.metrics().await.samples("foldback_stage_reading", &series).count();
    assert!(read > 0, "the compressor reads nothing in the metrics");

    let put = reqwest::Client::new().put(server.url(&own)).json(&json!({ "chain": "own" }));
    assert_eq!(put.send().await.expect("the server answers").status(), 200);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (series, metrics) = ([("chain", "own"), ("stage", "gate")], server.metrics().await);
    let timed = metrics.total("foldback_stage_duration_seconds_count", &series);
    assert!(timed > 100.0, "the stage of the speaker's own chain was timed {timed} times");
    let read = metrics.samples("foldback_stage_reading", &series).count();
    assert!(read > 0, "the stage of the speaker's own chain reads nothing in the metrics");
}
