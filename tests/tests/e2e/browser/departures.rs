//! Those who fall silent, leave, or vanish.

use std::time::{Duration, Instant};

use foldback_testkit::measure::{clicks, gaps, median_tone_dbfs};
use foldback_tests::{Browser, SETTLING, Server};
use tokio::join;

use super::{TONE_DBFS, microphone_tone};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_page_is_gone_within_ten_seconds_and_nobody_hears_a_click() {
    // The system closes the sockets of the dead: the server sees its signalling end.
    assert_gone_without_a_click(|page| {
        page.kill();
        None
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_page_is_gone_within_ten_seconds_and_nobody_hears_a_click() {
    // Its sockets stay open: only the packets that do not come tell.
    assert_gone_without_a_click(|page| {
        page.freeze();
        Some(page)
    })
    .await;
}

async fn assert_gone_without_a_click(vanish: impl Fn(Browser) -> Option<Browser>) {
    let mut attempts = 0;
    while !gone_without_a_click(&vanish).await {
        attempts += 1;
        assert!(attempts < 3, "no recording is undisturbed");
    }
}

/// Whether the machine let the recordings be, so that they could be judged.
async fn gone_without_a_click(vanish: impl Fn(Browser) -> Option<Browser>) -> bool {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob, cem) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
        Browser::with_microphone(microphone_tone(880.0)),
    );
    join!(
        ann.join(&server, "room", "Ann"),
        bob.join(&server, "room", "Bob"),
        cem.join(&server, "room", "Cem"),
    );
    ann.wait_for_participants(&["Ann", "Bob", "Cem"], Duration::from_secs(5)).await;
    tokio::time::sleep(2 * SETTLING).await;
    assert_eq!(server.metrics().await.total("foldback_participants", &[]), 3.0);

    ann.start_recording().await;
    bob.start_recording().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let vanished = Instant::now();
    let _frozen = vanish(cem);
    let patience = Duration::from_secs(10);
    join!(
        ann.wait_for_participants(&["Ann", "Bob"], patience),
        bob.wait_for_participants(&["Ann", "Bob"], patience),
    );
    println!("gone from the pages after {:?}", vanished.elapsed());
    while server.metrics().await.total("foldback_participants", &[]) != 2.0 {
        assert!(vanished.elapsed() < patience, "still counted after {:?}", vanished.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("gone from the metrics after {:?}", vanished.elapsed());
    tokio::time::sleep(Duration::from_secs(1)).await;

    let (ann, bob) = join!(ann.stop_undisturbed_recording(), bob.stop_undisturbed_recording());
    let (Some(ann), Some(bob)) = (ann, bob) else { return false };
    for (name, heard, other_hz) in [("Ann", ann, 660.0), ("Bob", bob, 440.0)] {
        let (before, after) = (&heard[..24_000], &heard[heard.len() - 24_000..]);
        assert!(
            median_tone_dbfs(before, 880.0) > TONE_DBFS - 3.0,
            "{name} heard Cem to begin with"
        );
        assert!(median_tone_dbfs(after, 880.0) < TONE_DBFS - 60.0, "{name} hears Cem still");
        assert!(
            (median_tone_dbfs(after, other_hz) - TONE_DBFS).abs() < 3.0,
            "{name} lost the other"
        );
        assert_eq!(clicks(&heard), [0_usize; 0], "clicks {name} hears in {} samples", heard.len());
        assert_eq!(gaps(&heard, TONE_DBFS - 30.0, 10.0), [], "gaps that {name} hears");
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mute_silences_leave_removes_and_joining_again_is_heard_again() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(5)).await;
    let bob_at_anns = async || {
        tokio::time::sleep(SETTLING).await;
        median_tone_dbfs(&ann.record(1.5).await, 660.0)
    };
    let heard = |level_dbfs: f64| (level_dbfs - TONE_DBFS).abs() < 3.0;

    let talking = bob_at_anns().await;
    assert!(heard(talking), "Bob talks and is at {talking} dBFS");
    bob.toggle_mute().await;
    let muted = bob_at_anns().await;
    assert!(muted < TONE_DBFS - 60.0, "Bob is muted and at {muted} dBFS");
    bob.toggle_mute().await;
    let unmuted = bob_at_anns().await;
    assert!(heard(unmuted), "Bob is no longer muted and at {unmuted} dBFS");

    bob.leave().await;
    ann.wait_for_participants(&["Ann"], Duration::from_secs(2)).await;
    bob.enter("room", "Bob").await;
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(2)).await;
    let back = bob_at_anns().await;
    assert!(heard(back), "Bob is back and at {back} dBFS");
}
