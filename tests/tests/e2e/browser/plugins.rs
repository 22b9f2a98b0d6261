//! Stages from libraries, in a room.

use std::path::Path;
use std::time::Duration;

use foldback_stage_testkit::libraries::{built_by_cargo, compile};
use foldback_testkit::measure::tone_dbfs;
use foldback_tests::{Browser, Server};
use tokio::join;

use super::rooms::usual_dbfs;
use super::{TONE_DBFS, microphone_tone};

const SPEAKER_HZ: f64 = 440.0;

fn talking_through(libraries: &[&Path], stage: &str) -> String {
    let libraries: Vec<_> = libraries.iter().map(|path| format!("{path:?}")).collect();
    format!(
        "[server]\nworkers = 1\n[plugins]\nload = [{}]\n\
         [chain.talk]\nstages = [{{ {stage} }}, {{ kind = \"mix\" }}]\n",
        libraries.join(", ")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stages_of_libraries_change_the_sound_of_a_room_and_one_that_panics_loses_nobody() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ring_mod = folder.path().join("ring_mod.so");
    compile("examples/plugins/ring-mod-c/ring_mod.c", &[], &ring_mod);
    let tremolo = built_by_cargo("foldback-example-tremolo");
    let panicking = built_by_cargo("foldback-test-plugin");

    let in_c = talking_through(&[&ring_mod], "kind = \"ring-mod\", frequency_hz = 100");
    let server = Server::start(&in_c).await;
    assert!(server.log().contains("plugin library loaded"), "{}", server.log());
    let (speaker, listener) = join!(
        Browser::with_microphone(microphone_tone(SPEAKER_HZ)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(speaker.join(&server, "room", "Speaker"), listener.join(&server, "room", "Listener"));
    tokio::time::sleep(Duration::from_secs(6)).await;
    // Levels at the tone and at so many Hz around it, above that of the microphone.
    let heard = async |around_hz: f64| {
        let heard = listener.record(2.5).await;
        let frequencies = [SPEAKER_HZ - around_hz, SPEAKER_HZ, SPEAKER_HZ + around_hz];
        frequencies.map(|hz| usual_dbfs(&heard, |span| tone_dbfs(span, hz)) - TONE_DBFS)
    };

    let [below, at, above] = heard(100.0).await;
    assert!((below + 6.0).abs() < 3.0 && (above + 6.0).abs() < 3.0, "{below} and {above} dB");
    assert!(at < -30.0, "{at} dB of the tone are left");

    let in_rust = "kind = \"tremolo\", rate_hz = 10, depth_db = 40";
    server.reload(&talking_through(&[&tremolo], in_rust));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let [below, at, above] = heard(10.0).await;
    assert!((below + 12.1).abs() < 3.0 && (above + 12.1).abs() < 3.0, "{below} and {above} dB");
    assert!((at + 5.9).abs() < 3.0, "{at} dB");

    let faults = async || server.metrics().await.total("foldback_stage_faults_total", &[]);
    assert_eq!(faults().await, 0.0);
    let breaks = "kind = \"panic\", after_blocks = 100";
    server.reload(&talking_through(&[&panicking], breaks));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let [below, at, above] = heard(10.0).await;
    assert!(at.abs() < 3.0 && below < -30.0 && above < -30.0, "{below}, {at}, {above} dB");
    assert!(faults().await >= 1.0);
    assert_eq!(server.metrics().await.total("foldback_participants", &[]), 2.0);

    // A file that does not name a library has none of its kinds, though it stays loaded.
    server.reload(&talking_through(&[&panicking], in_rust));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let taken = "foldback_config_last_reload_successful";
    assert_eq!(server.metrics().await.total(taken, &[]), 0.0);
    assert!(server.log().contains("`kind` is \"tremolo\""), "{}", server.log());

    // A library that changed is not loaded again.
    let changed = folder.path().join("changed.so");
    let broken = "crates/plugin-host/tests/libraries/broken.c";
    compile(broken, &["-DMISTAKE=NONE"], &changed);
    std::fs::rename(&changed, &ring_mod).expect("one file takes the place of another");
    server.reload(&in_c);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(server.log().contains("has changed since it was loaded"), "{}", server.log());
    let [below, _, above] = heard(100.0).await;
    assert!((below + 6.0).abs() < 3.0 && (above + 6.0).abs() < 3.0, "{below} and {above} dB");
}
