//! Sound from and to the WebRTC software of others, through the real server.

use std::time::{Duration, Instant};

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Foreign, Server, Software};
use serde_json::Value;

const CHAIN: &str = "[server]\nworkers = 1\n[chain.talk]\nstages = [{ kind = \"mix\" }]\n";
/// What the clients say, and how loud that is.
const SAID_HZ: f64 = 440.0;
const SAID_DBFS: f64 = -20.0;
/// Nobody says this.
const UNSAID_HZ: f64 = 1000.0;

/// The clients listen for so long, in seconds, while others speak for longer.
const LISTENS: f64 = 6.0;
/// Longer than a session lasts whose ICE is not heard of.
const LISTENS_LONG: f64 = 20.0;
/// By how much longer they speak.
const BEYOND: f64 = 8.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aiortc_is_heard_and_hears() {
    let (said, _) = passes(Software::Aiortc, Software::Aiortc, LISTENS, &[]).await;
    assert!(said.contains("DELETE 200"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whip_whep_on_libwebrtc_trickles_is_heard_and_hears() {
    for said in
        <[String; 2]>::from(passes(Software::WhipWhep, Software::WhipWhep, LISTENS, &[]).await)
    {
        assert!(said.contains("POST 201\n"), "{said}");
        assert!(said.contains("PATCH 204\n") && !said.contains("PATCH 4"), "{said}");
        // It closes its connection first: the session may be gone by then.
        assert!(said.contains("DELETE "), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whip_whep_on_libwebrtc_has_ice_start_anew_without_losing_sound() {
    let restart = [("RESTART", "1")];
    let both = passes(Software::WhipWhep, Software::WhipWhep, LISTENS, &restart).await;
    for said in <[String; 2]>::from(both) {
        assert!(said.contains("PATCH 200\n"), "{said}");
        assert!(said.contains("restarted true\n"), "{said}");
        assert!(!said.contains("ice failed"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_is_heard_and_hears() {
    passes(Software::Gstreamer, Software::Gstreamer, LISTENS_LONG, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_is_heard() {
    passes(Software::Ffmpeg, Software::Aiortc, LISTENS_LONG, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_with_a_pin_takes_those_that_show_it() {
    let config = format!("{CHAIN}[[room]]\nname = \"lobby\"\nchain = \"talk\"\npin = \"471100\"\n");
    let server = Server::start_for_firefox(&config).await;
    let shown = [("TOKEN", "471100")];
    for software in [Software::WhipWhep, Software::Gstreamer, Software::Ffmpeg] {
        let url = server.url("/whip/lobby");
        let _ = Foreign::speak(software, &url, SAID_HZ, 1.0, &shown).done().await;
    }
    assert!(!server.log().contains("471100"), "the log has a secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_dies_loses_its_place_and_its_session() {
    let server = Server::start_for_firefox(CHAIN).await;
    let url = server.url("/whip/lobby?name=Desk");
    let speaker = Foreign::speak(Software::Aiortc, &url, SAID_HZ, 60.0, &[]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while packets_of(&server, "Desk").await == 0 {
        assert!(Instant::now() < deadline, "nothing comes: {}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    speaker.kill();
    while !people(&server).await.is_empty() {
        assert!(Instant::now() < deadline, "it is still there: {}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Has one client speak and another listen in a room: the tone must come through at its level, all the time and alone.
/// Returns what they said.
async fn passes(
    speaker: Software,
    listener: Software,
    seconds: f64,
    variables: &[(&str, &str)],
) -> (String, String) {
    let server = Server::start_for_firefox(CHAIN).await;
    let (whip, whep) = (server.url("/whip/lobby?name=Desk"), server.url("/whep/lobby?name=Ear"));
    let speaker = Foreign::speak(speaker, &whip, SAID_HZ, seconds + BEYOND, variables);
    let deadline = Instant::now() + Duration::from_secs(30);
    while packets_of(&server, "Desk").await < 25 {
        assert!(Instant::now() < deadline, "nothing comes: {}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let listener = Foreign::listen(listener, &whep, seconds, variables);
    let (heard, listener_said) = listener.done().await;
    let names: Vec<_> = people(&server).await.iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["Desk"], "who listened is gone, who speaks is there");
    let (_, speaker_said) = speaker.done().await;
    assert_eq!(people(&server).await, Vec::<Value>::new(), "both said that they go");
    assert!(!server.log().contains("imeout"), "{}", server.log());

    let heard_for = heard.len() as f64 / 48_000.0;
    assert!(heard_for > seconds - 2.0, "only {heard_for} s were heard\n{listener_said}");
    // Of the first second jitter buffers make what they can.
    for (number, second) in heard.chunks_exact(48_000).enumerate().skip(1) {
        let [said, unsaid] = [SAID_HZ, UNSAID_HZ].map(|hz| median_tone_dbfs(second, hz));
        println!("second {number}: {said:.1} dBFS of what is said, {unsaid:.1} of what is not");
        assert!((said - SAID_DBFS).abs() < 3.0, "second {number}: it comes at {said} dBFS");
        assert!(unsaid < said - 40.0, "second {number}: {unsaid} dBFS of what nobody says");
    }
    (speaker_said, listener_said)
}

/// How many packets came of somebody, in the figures of the last second.
async fn packets_of(server: &Server, name: &str) -> u64 {
    let people = people(server).await;
    let person = people.iter().find(|person| person["name"] == name);
    person.and_then(|person| person["inbound"]["packetsReceived"].as_u64()).unwrap_or_default()
}

async fn people(server: &Server) -> Vec<Value> {
    let url = server.url("/api/v1/rooms/lobby/participants");
    let people: Value = reqwest::get(url).await.expect("an answer").json().await.expect("JSON");
    people.as_array().cloned().unwrap_or_else(|| panic!("{people}"))
}
