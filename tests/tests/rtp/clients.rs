//! Sound from and to GStreamer and FFmpeg.

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Foreign, Software};

use super::server;

const SAID_DBFS: f64 = -20.0;
/// What the one says, and what the other.
const HZ: [f64; 2] = [440.0, 1000.0];
const SECONDS: f64 = 8.0;

type Line = (&'static str, u32, u8);
const OPUS: Line = ("opus", 48_000, 1);
const MU: Line = ("PCMU", 8_000, 1);
const A: Line = ("PCMA", 8_000, 1);
const L16: Line = ("L16", 48_000, 1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_by_mu_law_and_by_opus_hear_each_other() {
    both_hear([MU, OPUS], [&[], &[]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_by_a_law_and_by_linear_samples_hear_each_other() {
    both_hear([A, L16], [&[], &[]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_with_both_suites_of_srtp_hears_itself_there() {
    let suites = [&[("SUITE", "AES_CM_128_HMAC_SHA1_80")][..], &[("SUITE", "AEAD_AES_128_GCM")]];
    both_hear([MU, OPUS], suites).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamer_by_an_offer_of_sdp_in_stereo_and_encrypted_is_heard_and_hears() {
    let secure = [("SDP", "1"), ("SUITE", "AES_CM_128_HMAC_SHA1_80")];
    both_hear([("L16", 16_000, 2), ("PCMA", 8_000, 1)], [&[("SDP", "1")], &secure]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_speaks_and_hears_by_the_description_of_its_line() {
    let server = server("").await;
    let url = server.url("/api/v1/rooms/lobby/rtp");
    let speaker = Foreign::speak(Software::FfmpegRtp, &url, HZ[0], SECONDS + 8.0, &[]);
    let listener = Foreign::listen(Software::FfmpegRtp, &url, SECONDS, &[]);
    let (heard, _) = listener.done().await;
    is_heard(&heard, HZ[0], HZ[1]);
    speaker.done().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_and_webrtc_hear_each_other() {
    let server = server("").await;
    let line = server.url("/api/v1/rooms/lobby/rtp");
    let (whip, whep) = (server.url("/whip/lobby"), server.url("/whep/lobby"));
    let speaker = Foreign::speak(Software::Aiortc, &whip, HZ[1], SECONDS + 12.0, &[]);
    let line = Foreign::line(&line, MU, HZ[0], SECONDS + 8.0, &[]);
    let listener = Foreign::listen(Software::Aiortc, &whep, SECONDS, &[]);
    let (by_webrtc, _) = listener.done().await;
    let (by_line, _) = line.done().await;
    is_heard(&by_webrtc, HZ[0], 1700.0);
    is_heard(&by_line, HZ[1], HZ[0]);
    speaker.done().await;
}

/// Has two lines in a room: each must hear what the other says at its level, and not itself.
async fn both_hear(lines: [Line; 2], variables: [&[(&str, &str)]; 2]) {
    let server = server("").await;
    let url = server.url("/api/v1/rooms/lobby/rtp");
    let [first, second] =
        [0, 1].map(|i| Foreign::line(&url, lines[i], HZ[i], SECONDS, variables[i]));
    let (first, second) = tokio::join!(first.done(), second.done());
    for ((heard, said), [other, own]) in [(first, [HZ[1], HZ[0]]), (second, HZ)] {
        assert!(said.contains("POST 201\n") && said.contains("DELETE 204\n"), "{said}");
        is_heard(&heard, other, own);
    }
    let log = server.log();
    assert!(!log.contains("imeout") && !log.contains("panic"), "{log}");
}

fn is_heard(heard: &[f32], said_hz: f64, unsaid_hz: f64) {
    let seconds: Vec<_> = heard
        .chunks_exact(48_000)
        .map(|second| [said_hz, unsaid_hz].map(|hz| median_tone_dbfs(second, hz)))
        .collect();
    println!("{said_hz} Hz is heard, and {unsaid_hz} is not: {seconds:.1?} dBFS");
    // They do not begin and end at the same time.
    let good = seconds.iter().filter(|[said, _]| (said - SAID_DBFS).abs() < 3.0);
    assert!(good.count() >= 4, "{said_hz} Hz in {} s: {seconds:.1?}", seconds.len());
    assert!(seconds.iter().all(|[_, unsaid]| *unsaid < SAID_DBFS - 30.0), "{seconds:.1?}");
}
