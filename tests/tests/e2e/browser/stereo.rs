//! Rooms in stereo: what the page asks of the browser and the server, and what it hears.

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use serde_json::json;
use tokio::join;

use super::{TONE_DBFS, microphone_tone};

const PANNED: &str = "[server]\nworkers = 1\n[chain.left]\nchannels = 2\n\
    stages = [{ kind = \"pan\", position = -1 }, { kind = \"mix\" }]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_hears_a_voice_on_the_side_that_it_was_panned_to() {
    let server = Server::start(PANNED).await;
    let (talker, listener) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(talker.join(&server, "panned", "Ann"), listener.join(&server, "panned", "Bob"));
    tokio::time::sleep(SETTLING).await;
    let channels = listener.record_channels(2.0).await;
    let levels: Vec<_> = channels.iter().map(|side| median_tone_dbfs(side, 440.0)).collect();
    println!("the sides are at {levels:.1?} dBFS");
    let [left, right] = levels[..] else { panic!("{} channels", levels.len()) };
    assert!((left - TONE_DBFS - 3.0).abs() < 3.0 && left - right > 20.0, "{levels:?} dBFS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_plays_in_stereo_another_one_hears_in_stereo() {
    const SIDES_HZ: [f64; 2] = [440.0, 660.0];
    let server = Server::start_with_file("music.toml").await;
    let [left, right] = SIDES_HZ.map(microphone_tone);
    let (player, listener) = join!(
        Browser::with_stereo_microphone(left, right),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(player.join(&server, "band", "Ann"), listener.join(&server, "band", "Bob"));
    tokio::time::sleep(SETTLING).await;
    let channels = listener.record_channels(2.0).await;
    for (own, side) in channels.iter().enumerate() {
        let levels = SIDES_HZ.map(|hz| median_tone_dbfs(side, hz));
        println!("side {own} has {levels:.1?} dBFS of {SIDES_HZ:?} Hz");
        assert!((levels[own] - TONE_DBFS).abs() < 3.0, "side {own}: {levels:?} dBFS");
        assert!(levels[own] - levels[1 - own] > 20.0, "side {own}: {levels:?} dBFS");
    }
    assert_eq!(channels.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_asks_for_a_microphone_in_stereo_that_nobody_treats() {
    let server = Server::start_with_file("music.toml").await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.join(&server, "band", "Ann").await;
    let asked = page.script(
        "const asked = window.foldback.pc.getSenders()[0].track.getConstraints();
         return [asked.channelCount, asked.echoCancellation, asked.noiseSuppression, asked.autoGainControl];",
        vec![],
    );
    assert_eq!(asked.await, json!([2, false, false, false]));
}
