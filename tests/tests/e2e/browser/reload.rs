//! Another configuration while people talk.

use std::time::Duration;

use foldback_testkit::measure::{clicks, tone_dbfs};
use foldback_tests::{Browser, Server};
use tokio::join;

use super::{TONE_DBFS, microphone_tone};

const SPEAKER_HZ: f64 = 440.0;

fn quieter_by(db: u32, look_ahead_ms: u32) -> String {
    format!(
        "[server]\nworkers = 1\n[chain.talk]\nstages = [\n\
         {{ kind = \"high-pass\" }},\n{{ kind = \"gain\", gain_db = -{db} }},\n\
         {{ kind = \"mix\" }},\n{{ kind = \"limiter\", lookahead_ms = {look_ahead_ms} }},\n]\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_100_times_leaves_no_click_and_a_mistake_in_it_changes_nothing() {
    let server = Server::start(&quieter_by(0, 5)).await;
    let (speaker, listener) = join!(
        Browser::with_microphone(microphone_tone(SPEAKER_HZ)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(speaker.join(&server, "room", "Speaker"), listener.join(&server, "room", "Listener"));
    tokio::time::sleep(Duration::from_secs(8)).await;

    listener.start_recording().await;
    for change in 1..=100 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let (db, look_ahead_ms) = if change % 2 == 0 { (0, 5) } else { (12, 9) };
        server.reload(&quieter_by(db, look_ahead_ms));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.reload(&quieter_by(12, 5));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let heard = listener.stop_recording().await;
    assert_eq!(server.log().matches("the configuration was read again").count(), 101);
    let found = clicks(&heard);
    assert!(found.is_empty(), "clicks at {found:?}");
    let level = |heard: &[f32]| tone_dbfs(&heard[heard.len() - 48_000..], SPEAKER_HZ);
    let quiet = level(&heard);
    assert!((quiet - (TONE_DBFS - 12.0)).abs() < 2.0, "{quiet} dBFS, 12 dB below {TONE_DBFS}");
    let taken = "foldback_config_last_reload_successful";
    assert_eq!(server.metrics().await.total(taken, &[]), 1.0);

    server.reload("[chain.talk]\nstages = [{ kind = \"gian\" }]\n");
    listener.start_recording().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let still = level(&listener.stop_recording().await);
    assert!((still - quiet).abs() < 1.0, "{still} dBFS after a mistake, {quiet} before");
    assert_eq!(server.metrics().await.total(taken, &[]), 0.0);
    assert!(server.log().contains("did you mean \"gain\"?"), "{}", server.log());
}
