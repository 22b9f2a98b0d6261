//! Files and chimes into a room, and what is heard in it out to a program.

use std::path::Path;
use std::time::{Duration, Instant};

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::join;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::super::control::{Client, ask};
use super::rooms::usual_tone_dbfs;
use super::{TONE_DBFS, microphone_tone};

const PLAY: &str = "/api/v1/rooms/lobby/play";

fn write_tone(folder: &Path, name: &str, frequency_hz: f64, rate: u32, seconds: f64) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(folder.join(name), spec).expect("a file");
    let samples = (seconds * f64::from(rate)) as usize;
    let amplitude = 10_f64.powf(TONE_DBFS / 20.0) * 32_768.0;
    for n in 0..samples {
        let phase = std::f64::consts::TAU * frequency_hz * n as f64 / f64::from(rate);
        file.write_sample((amplitude * phase.sin()) as i16).expect("writes");
    }
    file.finalize().expect("writes");
}

#[track_caller]
fn assert_tone(sound: &[f32], frequency_hz: f64, level_dbfs: f64, what: &str) {
    let level = median_tone_dbfs(sound, frequency_hz);
    assert!((level - level_dbfs).abs() < 3.0, "{what}: {frequency_hz} Hz at {level:.1} dBFS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_heard_by_all_beside_the_talkers_and_stops_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    write_tone(folder.path(), "jingle.wav", 880.0, 44_100, 60.0);
    std::fs::write(folder.path().join("text.wav"), "no sound").expect("writes");
    let server = Server::start(&format!(
        "[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n[playing]\ndirectory = \"{}\"\n",
        folder.path().display()
    ))
    .await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(ann.join(&server, "lobby", "Ann"), bob.join(&server, "lobby", "Bob"));
    for (wanted, status, code) in [
        (json!({ "file": "no.wav" }), 404, "not-found"),
        (json!({ "file": "../jingle.wav" }), 404, "not-found"),
        (json!({ "file": "/etc/passwd" }), 404, "not-found"),
        (json!({ "file": ".." }), 404, "not-found"),
        (json!({ "file": "text.wav" }), 422, "bad-value"),
        (json!({ "file": "jingle.wav", "gain_db": 13 }), 422, "bad-value"),
        (json!({ "gain_db": 0 }), 400, "missing-field"),
    ] {
        let (found, told) = ask(&server, Method::POST, PLAY, Some(wanted.clone())).await;
        assert_eq!((found.as_u16(), &told["code"]), (status, &json!(code)), "{wanted}: {told}");
    }
    let wanted = json!({ "file": "jingle.wav", "gain_db": -6 });
    let (status, report) = ask(&server, Method::POST, PLAY, Some(wanted.clone())).await;
    assert_eq!((status.as_u16(), &report["seconds"]), (201, &json!(60.0)), "{report}");
    let again = ask(&server, Method::POST, PLAY, Some(wanted)).await;
    assert_eq!((again.0.as_u16(), &again.1["code"]), (409, &json!("already-playing")));
    tokio::time::sleep(SETTLING).await;
    let (ann_heard, bob_heard) = join!(ann.record(2.0), bob.record(2.0));
    assert_tone(&ann_heard, 880.0, TONE_DBFS - 6.0, "Ann hears the file");
    assert_tone(&bob_heard, 880.0, TONE_DBFS - 6.0, "Bob hears the file");
    assert_tone(&bob_heard, 440.0, TONE_DBFS, "Bob hears Ann too");
    assert!(median_tone_dbfs(&ann_heard, 440.0) < -60.0, "Ann does not hear herself");

    let (status, _) = ask(&server, Method::DELETE, PLAY, None).await;
    assert_eq!(status.as_u16(), 204);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let heard = bob.record(1.5).await;
    assert!(median_tone_dbfs(&heard, 880.0) < -60.0, "it has stopped");
    assert_tone(&heard, 440.0, TONE_DBFS, "Bob hears Ann still");
    assert_eq!(ask(&server, Method::DELETE, PLAY, None).await.0.as_u16(), 409);

    // One that ends by itself makes room for the next.
    write_tone(folder.path(), "short.wav", 880.0, 48_000, 0.5);
    let short = json!({ "file": "short.wav" });
    assert_eq!(ask(&server, Method::POST, PLAY, Some(short.clone())).await.0.as_u16(), 201);
    let deadline = Instant::now() + Duration::from_secs(10);
    while ask(&server, Method::GET, PLAY, None).await.1["file"] != Value::Null {
        assert!(Instant::now() < deadline, "it plays on and on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ask(&server, Method::POST, PLAY, Some(short)).await.0.as_u16(), 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chime_says_that_somebody_came_in() {
    let server = Server::start(
        "[chain.talk]\nstages = [{ kind = \"mix\" }]\n[[room]]\nname = \"*\"\nchain = \"talk\"\nchime = true\n",
    )
    .await;
    let ann = Browser::with_microphone(vec![0.0; 48_000]).await;
    let bob = Browser::with_microphone(vec![0.0; 48_000]).await;
    ann.join(&server, "lobby", "Ann").await;
    tokio::time::sleep(SETTLING).await;
    ann.start_recording().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bob.join(&server, "lobby", "Bob").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let heard = ann.stop_recording().await;
    let loudest = |hz: f64| {
        let levels = heard.chunks_exact(4800).map(|span| median_tone_dbfs(span, hz));
        levels.fold(-200.0, f64::max)
    };
    for hz in [587.33, 880.0] {
        let level = loudest(hz);
        assert!((-36.0..-24.0).contains(&level), "{hz} Hz at {level:.1} dBFS");
    }
}

/// A program that takes samples at 16 kHz.
struct Ear(
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>,
);

/// What it was sent in some time: samples, when the first of each frame was, and how many were told to be lost.
#[derive(Default)]
struct Taken {
    samples: Vec<f32>,
    times_us: Vec<u64>,
    lost: u64,
}

impl Ear {
    async fn open(server: &Server, query: &str) -> Result<Self, u16> {
        let url = server.websocket_url().replace("/ws", &format!("/api/v1/rooms/lobby/tap{query}"));
        let request = url.into_client_request().expect("an address");
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("no socket: {error}"),
        }
    }

    async fn say(&mut self, kind: &str) {
        let text = json!({ "type": kind }).to_string();
        self.0.send(Message::text(text)).await.expect("sends");
    }

    /// The next message of that type; all others are left out.
    async fn told(&mut self, kind: &str) -> Value {
        loop {
            if let Message::Text(text) = self.0.next().await.expect("more").expect("a message") {
                let told: Value = serde_json::from_str(&text).expect("JSON");
                if told["type"] == kind {
                    return told;
                }
            }
        }
    }

    async fn take(&mut self, time: Duration) -> Taken {
        let mut taken = Taken::default();
        let deadline = tokio::time::Instant::now() + time;
        while let Ok(message) = tokio::time::timeout_at(deadline, self.0.next()).await {
            match message.expect("more").expect("a message") {
                Message::Binary(bytes) => {
                    let (time, samples) = bytes.split_at(8);
                    taken.times_us.push(u64::from_le_bytes(time.try_into().expect("8 bytes")));
                    let sample =
                        |pair: &[u8]| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0;
                    taken.samples.extend(samples.chunks_exact(2).map(sample));
                }
                Message::Text(text) => {
                    let told: Value = serde_json::from_str(&text).expect("JSON");
                    taken.lost += told["samples"].as_u64().unwrap_or(0);
                }
                _ => {}
            }
        }
        taken
    }
}

/// Of 16 kHz, as if it were of 48: a tone is then three times as high.
fn tone_at_16k(samples: &[f32], frequency_hz: f64) -> f64 {
    median_tone_dbfs(samples, 3.0 * frequency_hz)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_gives_the_mix_or_one_voice_as_samples_and_who_reads_slowly_loses_some_and_is_told() {
    let server = Server::start_with_file("clean.toml").await;
    assert_eq!(Ear::open(&server, "").await.err(), Some(404), "nobody is there");
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    join!(ann.join(&server, "lobby", "Ann"), bob.join(&server, "lobby", "Bob"));
    let _cem = Client::join(&server, "Cem").await;
    tokio::time::sleep(SETTLING).await;
    for (query, status) in [("?rate=44100", 422), ("?of=Ann", 422), ("?of=999", 404)] {
        assert_eq!(Ear::open(&server, query).await.err(), Some(status), "{query}");
    }
    let people = ask(&server, Method::GET, "/api/v1/rooms/lobby/participants", None).await.1;
    let people = people.as_array().expect("a list");
    let anns = people.iter().find(|it| it["name"] == "Ann").expect("Ann is there")["id"].clone();

    let mut mix = Ear::open(&server, "?of=mix&rate=16000").await.expect("a socket");
    let mut voice = Ear::open(&server, &format!("?of={anns}")).await.expect("a socket");
    let ready = mix.told("ready").await;
    assert_eq!((&ready["rate"], &ready["format"]), (&json!(16_000), &json!("s16le")), "{ready}");
    let nothing = mix.take(Duration::from_millis(300)).await;
    assert!(nothing.samples.is_empty(), "it has not been asked to start");
    join!(mix.say("start"), voice.say("start"));
    let (heard, alone) =
        join!(mix.take(Duration::from_secs(3)), voice.take(Duration::from_secs(3)));
    for (what, taken, bob_level) in [("mix", &heard, TONE_DBFS), ("voice", &alone, -200.0)] {
        let seconds = taken.samples.len() as f64 / 16_000.0;
        assert!((seconds - 3.0).abs() < 0.6 && taken.lost == 0, "{what}: {seconds} s");
        let sound = &taken.samples[16_000..];
        let (ann, bob) = (tone_at_16k(sound, 440.0), tone_at_16k(sound, 660.0));
        assert!((ann - TONE_DBFS).abs() < 3.0, "{what}: Ann at {ann:.1} dBFS");
        let fits = (bob - bob_level).abs() < 3.0 || (bob_level < -100.0 && bob < -60.0);
        assert!(fits, "{what}: Bob at {bob:.1} dBFS");
    }
    let steps: Vec<_> = heard.times_us.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let even = steps.iter().filter(|step| step.abs_diff(20_000) < 100).count();
    // Where the machine is busy the server leaves ticks out, which the times tell.
    assert!(even * 10 > steps.len() * 9, "{steps:?}");
    assert!(steps.iter().all(|step| (step + 100) % 20_000 < 200), "{steps:?}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after");
    let last = Duration::from_micros(*heard.times_us.last().expect("frames"));
    assert!(now.abs_diff(last) < Duration::from_secs(1), "{last:?} is not about {now:?}");

    // Nobody reads for a while, and others hear no gap.
    voice.say("stop").await;
    let listening = async {
        ann.start_recording().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        ann.stop_recording().await
    };
    let heard = listening.await;
    let level = usual_tone_dbfs(&heard, 660.0);
    assert!((level - TONE_DBFS).abs() < 3.0, "Ann hears 660 Hz at {level:.1} dBFS meanwhile");
    mix.say("stop").await;
    mix.told("stopped").await;
    let nothing = mix.take(Duration::from_millis(500)).await;
    assert!(nothing.samples.is_empty(), "it has stopped");
}
