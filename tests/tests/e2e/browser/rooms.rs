//! What people in one room hear of each other.

use std::time::Duration;

use foldback_testkit::measure::{align_envelopes, median_tone_dbfs, peak_dbfs, rms_dbfs};
use foldback_testkit::signal::{shared_audio, speech};
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::Value;
use tokio::join;

use super::{TONE_DBFS, microphone_tone};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_pages_hear_the_other_two_tones_and_not_their_own() {
    const TONES_HZ: [f64; 3] = [440.0, 660.0, 880.0];
    let server = Server::start_with_file("clean.toml").await;
    let (first, second, third) = join!(
        Browser::with_microphone(microphone_tone(TONES_HZ[0])),
        Browser::with_microphone(microphone_tone(TONES_HZ[1])),
        Browser::with_microphone(microphone_tone(TONES_HZ[2])),
    );
    join!(
        first.join(&server, "tones", "Ann"),
        second.join(&server, "tones", "Bob"),
        third.join(&server, "tones", "Cem"),
    );
    for page in [&first, &second, &third] {
        page.wait_for_participants(&["Ann", "Bob", "Cem"], Duration::from_secs(5)).await;
    }
    tokio::time::sleep(SETTLING).await;

    let recordings = join!(first.record(3.0), second.record(3.0), third.record(3.0));
    let recordings = [recordings.0, recordings.1, recordings.2];
    for (own, heard) in recordings.iter().enumerate() {
        let levels = TONES_HZ.map(|frequency_hz| usual_tone_dbfs(heard, frequency_hz));
        println!("page {own} of {TONES_HZ:?} Hz hears {levels:.1?} dBFS");
        for other in (0..3).filter(|other| *other != own) {
            assert!((levels[other] - TONE_DBFS).abs() < 3.0, "page {own} hears {levels:?} dBFS");
            assert!(levels[own] < levels[other] - 40.0, "page {own} hears {levels:?} dBFS");
        }
    }
    tells_where_the_delay_comes_from(&first).await;
}

async fn tells_where_the_delay_comes_from(page: &Browser) {
    let told = page
        .script(
            "const ms = (it) => parseFloat(it.textContent.replace('about ', ''));
             const parts = [...document.querySelectorAll('#delay-parts dd[data-part]')];
             // What the browser does not tell of is not in the sum.
             const isDevice = ({ dataset }) => ['microphone', 'speaker'].includes(dataset.part);
             const known = (part) => isDevice(part) && part.textContent === '–' ? 0 : ms(part);
             return [ms(document.querySelector('#delay-total')), parts.map(known)];",
            vec![],
        )
        .await;
    let (total, parts): (f64, Vec<f64>) = serde_json::from_value(told).expect("all are known");
    println!("{total} ms from mouth to ear: {parts:?}");
    assert_eq!(parts.len(), 10);
    // A packet and the codec take 33 ms; the room has packets of 20 ms.
    assert!((40.0..300.0).contains(&total), "{total} ms");
    // Each is rounded.
    assert!((parts.iter().sum::<f64>() - total).abs() <= 4.0, "{total} ms of {parts:?}");
}

/// As [`usual_dbfs`], of a tone.
pub(super) fn usual_tone_dbfs(heard: &[f32], frequency_hz: f64) -> f64 {
    usual_dbfs(heard, |span| median_tone_dbfs(span, frequency_hz))
}

/// The median over half seconds: a jitter buffer, the server's or the browser's, that takes out a
/// pitch period shifts the phase, and over a longer span such tones cancel themselves.
pub(super) fn usual_dbfs(heard: &[f32], level_dbfs: impl Fn(&[f32]) -> f64) -> f64 {
    let mut levels: Vec<_> = heard.chunks_exact(24_000).map(level_dbfs).collect();
    levels.sort_by(f64::total_cmp);
    levels[levels.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_told_who_is_heard_in_the_packets_that_it_plays() {
    let server = Server::start_with_file("clean.toml").await;
    let (first, second) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    first.join(&server, "names", "Ann").await;
    second.join(&server, "names", "Bob").await;
    let heard = "return window.foldback.pc.getReceivers()[0].getContributingSources()
        .filter((source) => source.audioLevel > 0).map((source) => source.source).join() === '2';";
    first.wait_until("told that the second participant is heard, and nobody else", heard).await;
    let negotiated =
        "return window.foldback.pc.remoteDescription.sdp.includes('abs-capture-time');";
    assert_eq!(first.script(negotiated, vec![]).await, Value::Bool(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speech_arrives_through_the_conference_chain_and_every_stage_is_measured() {
    let server = Server::start_with_file("conference.toml").await;
    let [ann_says, bob_says] = [spoken("f2", "en+f3"), spoken("m2", "en+m3")];
    let (ann, bob) = join!(
        Browser::with_microphone(repeated(&ann_says)),
        Browser::with_microphone(repeated(&bob_says)),
    );
    join!(ann.join(&server, "talk", "Ann"), bob.join(&server, "talk", "Bob"));
    // Automatic gain and canceller find their place.
    tokio::time::sleep(2 * SETTLING).await;
    let (ann_hears, bob_hears) = join!(ann.record(8.0), bob.record(8.0));

    let pages =
        [("Ann", ann_hears, &bob_says, &ann_says), ("Bob", bob_hears, &ann_says, &bob_says)];
    for (name, heard, other, own) in pages {
        let looks_like =
            |says: &[f32]| align_envelopes(&repeated(says), &heard, 15_000).correlation;
        let (other, own) = (looks_like(other), looks_like(own));
        println!(
            "{name} hears {:.1} dBFS rms, peak {:.1}; correlation with the other {other:.3}, with \
             themselves {own:.3}",
            rms_dbfs(&heard),
            peak_dbfs(&heard),
        );
        assert!(other > 0.6, "{name} hears something that correlates by {other} with what is said");
        assert!(own < other - 0.2, "{name} hears themselves: {own}, and the other {other}");
    }

    let metrics = server.metrics().await;
    let stages = stage_names(&server, "talk").await;
    assert!(stages.len() >= 5, "the conference chain has the stages {stages:?}");
    for stage in &stages {
        let labels = [("chain", "conference"), ("stage", stage.as_str())];
        let count = metrics.total("foldback_stage_duration_seconds_count", &labels);
        assert!(count > 100.0, "stage {stage} of {stages:?} was measured {count} times");
    }
}

/// The stages of a room's chain but the mix, which is the room itself.
async fn stage_names(server: &Server, room: &str) -> Vec<String> {
    let url = server.url(&format!("/api/v1/rooms/{room}"));
    let room: Value = reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
    let stages = room["chain"]["stages"].as_array().expect("a chain has stages");
    let is_stage = |stage: &&Value| stage["kind"] != "mix";
    let name = |stage: &Value| stage["name"].as_str().expect("a stage has a name").to_owned();
    stages.iter().filter(is_stage).map(name).collect()
}

/// A clip of the developers' audio set, or something like it where that is not at hand.
fn spoken(clip: &str, voice: &str) -> Vec<f32> {
    const TEXT: &str = "The birch canoe slid on the smooth planks. Glue the sheet to the dark \
        blue background. It is easy to tell the depth of a well. Four hours of steady work \
        faced us. The box was thrown beside the parked truck.";
    const OTHER_TEXT: &str = "Rice is often served in round bowls. The juice of lemons makes \
        fine punch. A large size in stockings is hard to sell. The boy was there when the sun \
        rose. The hogs were fed chopped corn and garbage.";
    let text = if voice.contains('f') { TEXT } else { OTHER_TEXT };
    shared_audio(&format!("audio/clean/{clip}.flac")).unwrap_or_else(|| {
        eprintln!("no developers' audio set: espeak-ng speaks");
        speech(text, voice).expect("`make setup` installs espeak-ng")
    })
}

fn repeated(signal: &[f32]) -> Vec<f32> {
    signal.repeat(3)
}
