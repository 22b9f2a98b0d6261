//! A room to files: what is in them, whatever happens meanwhile, and who is told.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server};
use reqwest::Method;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::join;

use super::super::control::{Client, ask};
use super::rooms::usual_tone_dbfs;
use super::{TONE_DBFS, microphone_tone};

const RECORDING: &str = "/api/v1/rooms/lobby/recording";
const RATE: f64 = 48_000.0;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    async fn server(&self, rest: &str) -> Server {
        let folder = self.0.path().display();
        Server::start(&format!(
            "[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n\
             [recording]\ndirectory = \"{folder}\"\nmin_free_mb = 1\n{rest}"
        ))
        .await
    }

    fn path(&self, file: &Value) -> PathBuf {
        self.0.path().join(file.as_str().expect("the name of a file"))
    }

    /// The only file whose name ends so.
    fn find(&self, end: &str) -> PathBuf {
        let files = std::fs::read_dir(self.0.path()).expect("the folder is there");
        let mut files = files.map(|entry| entry.expect("an entry").path());
        let file = files.find(|path| path.to_string_lossy().ends_with(end));
        file.unwrap_or_else(|| panic!("no file ends in {end}"))
    }
}

/// What a player gets of a file, in mono, as far as it can be read.
fn played(path: &Path) -> Vec<f32> {
    use audiopus::coder::Decoder;
    use audiopus::packet::Packet;
    use audiopus::{Channels, MutSignals, SampleRate};

    let file = std::fs::File::open(path).expect("the file is there");
    let mut packets = ogg::PacketReader::new(std::io::BufReader::new(file));
    let head = packets.read_packet().expect("Ogg").expect("a header").data;
    let skip = usize::from(u16::from_le_bytes([head[10], head[11]]));
    packets.read_packet().expect("Ogg").expect("tags");
    let mut decoder = Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder");
    let (mut all, mut pcm) = (Vec::new(), vec![0.0_f32; 5760]);
    while let Ok(Some(packet)) = packets.read_packet() {
        let input = Packet::try_from(&packet.data[..]).expect("a packet");
        let output = MutSignals::try_from(&mut pcm[..]).expect("room for it");
        let samples = decoder.decode_float(Some(input), output, false).expect("it is Opus");
        all.extend_from_slice(&pcm[..samples]);
    }
    all.split_off(skip)
}

fn between(sound: &[f32], from: f64, to: f64) -> &[f32] {
    &sound[(from * RATE) as usize..(to * RATE) as usize]
}

#[track_caller]
fn assert_tone(sound: &[f32], frequency_hz: f64, what: &str) {
    let level = median_tone_dbfs(sound, frequency_hz);
    assert!((level - TONE_DBFS).abs() < 3.0, "{what}: {frequency_hz} Hz at {level:.1} dBFS");
}

#[track_caller]
fn assert_no_tone(sound: &[f32], frequency_hz: f64, what: &str) {
    let level = median_tone_dbfs(sound, frequency_hz);
    assert!(level < -60.0, "{what}: {frequency_hz} Hz at {level:.1} dBFS");
}

async fn record(server: &Server, wanted: Value) -> Instant {
    let (status, report) = ask(server, Method::POST, RECORDING, Some(wanted)).await;
    assert_eq!((status.as_u16(), &report["state"]), (201, &json!("recording")), "{report}");
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_hold_the_mix_and_each_voice_in_its_place_but_nothing_of_who_is_muted() {
    let folder = Folder::new();
    let server = folder.server("").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    join!(ann.join(&server, "lobby", "Ann"), bob.join(&server, "lobby", "Bob"));
    let mut cem = Client::join(&server, "Cem").await;
    tokio::time::sleep(SETTLING).await;
    let before = server.metrics().await;

    let begun = record(&server, json!({})).await;
    let since = || begun.elapsed().as_secs_f64();
    assert_eq!(cem.next("recording").await, json!({ "type": "recording", "recording": true }));
    let badge =
        "return document.querySelector('#recording').textContent.includes('being recorded')";
    join!(ann.wait_until("Ann sees it", badge), bob.wait_until("Bob sees it", badge));
    let info = ask(&server, Method::GET, "/api/v1/rooms/lobby", None).await.1;
    assert_eq!((&info["recording"], &info["participants"]), (&json!(true), &json!(3)), "{info}");
    let again = ask(&server, Method::POST, RECORDING, None).await;
    assert_eq!((again.0.as_u16(), &again.1["code"]), (409, &json!("already-recording")));

    tokio::time::sleep(Duration::from_secs(3)).await;
    let people = ask(&server, Method::GET, "/api/v1/rooms/lobby/participants", None).await.1;
    let people = people.as_array().expect("a list");
    assert_eq!(people.len(), 3, "who records is nobody in the room");
    let bobs = people.iter().find(|it| it["name"] == "Bob").expect("Bob is there")["id"].clone();
    let mute = format!("/api/v1/rooms/lobby/participants/{bobs}/mute");
    // His page goes on sending to begin with; nothing of it is kept from here on.
    let muted = since();
    ask(&server, Method::PUT, &mute, Some(json!({ "muted": true }))).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let unmuted = since();
    ask(&server, Method::PUT, &mute, Some(json!({ "muted": false }))).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (status, report) = ask(&server, Method::DELETE, RECORDING, None).await;
    let ended = since();
    assert_eq!((status.as_u16(), &report["state"]), (200, &json!("stopped")), "{report}");
    assert_eq!(cem.next("recording").await, json!({ "type": "recording", "recording": false }));
    let again = ask(&server, Method::DELETE, RECORDING, None).await;
    assert_eq!((again.0.as_u16(), &again.1["code"]), (409, &json!("not-recording")));

    let files = report["files"].as_array().expect("files");
    assert_eq!(files.len(), 3, "{report}");
    let file = |name: Value| {
        let info = files.iter().find(|it| it["name"] == name).expect("a file");
        let sound = played(&folder.path(&info["file"]));
        let seconds = sound.len() as f64 / RATE;
        // Where the machine is busy the browser's first packets may come late, and all is as late in the file.
        assert!((seconds - ended).abs() < 0.6, "{name}: {seconds:.2} of {ended:.2} s");
        (folder.path(&info["file"]), sound)
    };
    let (mix_path, mix) = file(Value::Null);
    let ((_, ann_alone), (_, bob_alone)) = (file(json!("Ann")), file(json!("Bob")));
    for (from, to, bob_speaks) in [
        (0.7, muted - 0.2, true),
        (muted + 0.7, unmuted - 0.3, false),
        (unmuted + 1.2, ended - 0.4, true),
    ] {
        let part = format!("from {from:.1} to {to:.1} s");
        assert_tone(between(&mix, from, to), 440.0, &format!("the mix {part}"));
        assert_tone(between(&ann_alone, from, to), 440.0, &format!("Ann {part}"));
        assert_no_tone(between(&ann_alone, from, to), 660.0, &format!("Ann {part}"));
        assert_no_tone(between(&bob_alone, from, to), 440.0, &format!("Bob {part}"));
        let assert_bob = if bob_speaks { assert_tone } else { assert_no_tone };
        assert_bob(between(&mix, from, to), 660.0, &format!("the mix {part}"));
        assert_bob(between(&bob_alone, from, to), 660.0, &format!("Bob {part}"));
    }

    // As a player that is not ours has it.
    let bytes = BASE64.encode(std::fs::read(&mix_path).expect("the file is there"));
    let decode = "const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const sound = await new OfflineAudioContext(1, 48000, 48000).decodeAudioData(bytes.buffer);
        return [sound.length, Array.from(sound.getChannelData(0).slice(48000, 96000))]";
    let decoded = ann.async_script(decode, vec![json!(bytes)]).await;
    let length = decoded[0].as_f64().expect("a length");
    assert!((length - mix.len() as f64).abs() < 960.0, "{length} samples, not {}", mix.len());
    let samples = decoded[1].as_array().expect("samples").iter();
    let samples: Vec<_> = samples.filter_map(Value::as_f64).map(|it| it as f32).collect();
    assert_tone(&samples, 440.0, "in Chromium");
    assert_tone(&samples, 660.0, "in Chromium");

    let after = server.metrics().await;
    let grown = |name: &str| after.total(name, &[]) - before.total(name, &[]);
    assert_eq!(grown("foldback_recorded_bytes_total"), report["bytes"].as_f64().expect("bytes"));
    assert_eq!(grown("foldback_recording_packets_missed_total"), 0.0);
    assert_eq!(grown("foldback_recording_failures_total"), 0.0);
    assert_eq!(after.total("foldback_recordings", &[]), 0.0);
    assert_eq!(after.total("foldback_participants", &[]), 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_files_play_to_within_the_last_second() {
    let folder = Folder::new();
    let server = folder.server("").await;
    let ann = Browser::with_microphone(microphone_tone(440.0)).await;
    ann.join(&server, "lobby", "Ann").await;
    tokio::time::sleep(SETTLING).await;
    let begun = record(&server, json!({ "mix": true, "tracks": true })).await;
    tokio::time::sleep(Duration::from_millis(5300)).await;
    let elapsed = begun.elapsed().as_secs_f64();
    // By SIGKILL.
    drop(server);
    let voice = std::fs::read_dir(folder.0.path()).expect("the folder is there");
    let voice = voice.map(|entry| entry.expect("an entry").path());
    let files: Vec<_> = voice.collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in files {
        let sound = played(&file);
        let seconds = sound.len() as f64 / RATE;
        let what = file.display().to_string();
        assert!(seconds > elapsed - 1.0, "{what}: {seconds:.2} of {elapsed:.2} s");
        assert_tone(between(&sound, 1.0, seconds), 440.0, &what);
        assert_tone(between(&sound, seconds - 0.3, seconds), 440.0, &what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_ends_the_recording_which_all_are_told_and_nobody_hears() {
    let folder = Folder::new();
    let server = folder.server("").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(ann.join(&server, "lobby", "Ann"), bob.join(&server, "lobby", "Bob"));
    let mut cem = Client::join(&server, "Cem").await;
    tokio::time::sleep(SETTLING).await;
    bob.start_recording().await;
    record(&server, json!({ "tracks": false })).await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    // No file of the server may grow beyond this; its own log is smaller.
    let size = std::fs::metadata(folder.find("-mix.opus")).expect("the file is there").len();
    let limit = Rlimit { current: Some(size + 2000), maximum: None };
    let pid = Pid::from_raw(server.pid() as i32).expect("a process");
    prlimit(Some(pid), Resource::Fsize, limit).expect("the limit is taken");
    cem.next("recording").await;
    let told = cem.next("recording").await;
    assert_eq!(told, json!({ "type": "recording", "recording": false, "failed": true }));
    let said =
        "return document.querySelector('#status').textContent.includes('recording has stopped')
        && document.querySelector('#recording').textContent === ''";
    join!(ann.wait_until("Ann is told", said), bob.wait_until("Bob is told", said));
    let (_, report) = ask(&server, Method::GET, RECORDING, None).await;
    assert_eq!(report["state"], "failed", "{report}");
    let failure = report["failure"].as_str().expect("a sentence");
    assert!(failure.starts_with("Cannot write to "), "{failure}");
    assert_eq!(server.metrics().await.total("foldback_recording_failures_total", &[]), 1.0);

    tokio::time::sleep(Duration::from_secs(2)).await;
    let heard = bob.stop_recording().await;
    let level = usual_tone_dbfs(&heard, 440.0);
    assert!((level - TONE_DBFS).abs() < 3.0, "Bob hears 440 Hz at {level:.1} dBFS meanwhile");
    let sound = played(&folder.find("-mix.opus"));
    assert_tone(between(&sound, 0.5, 1.5), 440.0, "what was written plays");

    // Another one begins once there is room again.
    let limit = Rlimit { current: None, maximum: None };
    prlimit(Some(pid), Resource::Fsize, limit).expect("the limit is taken");
    record(&server, json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_records_by_the_page_and_who_comes_sees_it_before() {
    const ENTER: char = '\u{e007}';
    let folder = Folder::new();
    let server = folder.server("[[room]]\nname = \"board\"\nchain = \"talk\"\nrecord = true\n[[room]]\nname = \"*\"\nchain = \"talk\"\n").await;
    let ann = Browser::with_microphone(microphone_tone(440.0)).await;
    let bob = Browser::with_microphone(vec![0.0; 48_000]).await;
    ann.join(&server, "lobby", "Ann").await;
    let press = async |words: &str| {
        let shown = format!("return document.querySelector('#record').textContent === '{words}'");
        ann.wait_until(&format!("the button says {words}"), &shown).await;
        ann.script("document.querySelector('#record').focus()", vec![]).await;
        ann.press(ENTER).await;
    };
    press("Record").await;
    let badge = "return document.querySelector('#recording').textContent !== ''";
    ann.wait_until("Ann sees it", badge).await;
    bob.open(&server.url("/r/lobby")).await;
    let before =
        "return document.querySelector('#room-recorded').textContent.includes('is recorded')";
    bob.wait_until("Bob is told before he joins", before).await;
    bob.enter("lobby", "Bob").await;
    bob.wait_until("Bob sees it in the room", badge).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    press("Stop recording").await;
    let over = "return document.querySelector('#recording').textContent === ''";
    bob.wait_until("Bob is told that it is over", over).await;
    assert_tone(between(&played(&folder.find("-mix.opus")), 0.7, 1.7), 440.0, "the mix");
    ann.leave().await;
    bob.leave().await;

    // By the rule of the room.
    bob.open(&server.url("/r/board")).await;
    bob.wait_until("Bob is told before anybody is in", before).await;
    bob.enter("board", "Bob").await;
    bob.wait_until("Bob sees it in the room", badge).await;
    bob.leave().await;
    let (status, _) = ask(&server, Method::GET, "/api/v1/rooms/board/recording", None).await;
    assert_eq!(status.as_u16(), 404, "the room is gone, and its recording over");
    let open = async || server.metrics().await.total("foldback_recordings", &[]);
    let deadline = Instant::now() + Duration::from_secs(5);
    while open().await > 0.0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(open().await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_to_end_closes_the_files_first() {
    let folder = Folder::new();
    let mut server = folder.server("").await;
    let ann = Browser::with_microphone(microphone_tone(440.0)).await;
    ann.join(&server, "lobby", "Ann").await;
    tokio::time::sleep(SETTLING).await;
    let begun = record(&server, json!({})).await;
    tokio::time::sleep(Duration::from_millis(2300)).await;
    let elapsed = begun.elapsed().as_secs_f64();
    server.terminate();
    assert!(server.ended(Duration::from_secs(10)).await.success());
    let path = folder.find("-mix.opus");
    let seconds = played(&path).len() as f64 / RATE;
    assert!((seconds - elapsed).abs() < 0.6, "{seconds:.2} of {elapsed:.2} s");
    let mut packets = ogg::PacketReader::new(std::fs::File::open(path).expect("the file is there"));
    let mut ends = false;
    while let Ok(Some(packet)) = packets.read_packet() {
        ends = packet.last_in_stream();
    }
    assert!(ends, "the last page says that it is the last");
}

#[tokio::test]
async fn the_chain_of_a_room_changes_while_it_is_recorded() {
    let folder = Folder::new();
    let directory = folder.0.path().display();
    let server = Server::start(&format!(
        "[chain.talk]\nstages = [{{ kind = \"gain\" }}, {{ kind = \"mix\" }}, {{ kind = \"limiter\" }}]\n\
         [recording]\ndirectory = \"{directory}\"\n"
    ))
    .await;
    let mut ann = Client::join(&server, "Ann").await;
    record(&server, json!({})).await;
    for stage in ["gain", "limiter"] {
        let path = format!("/api/v1/rooms/lobby/chain/stages/{stage}");
        let off = json!({ "enabled": false });
        let (status, told) = ask(&server, Method::PATCH, &path, Some(off)).await;
        assert_eq!(status.as_u16(), 200, "{stage}: {told}");
        ann.next("chain-changed").await;
    }
    let (status, report) = ask(&server, Method::DELETE, RECORDING, None).await;
    assert_eq!((status.as_u16(), &report["state"]), (200, &json!("stopped")), "{report}");
}

#[tokio::test]
async fn where_nothing_can_be_recorded_that_is_told_at_once() {
    let server = Server::start_with_file("clean.toml").await;
    let missing = ask(&server, Method::POST, RECORDING, None).await;
    assert_eq!((missing.0.as_u16(), &missing.1["code"]), (404, &json!("not-found")));
    let mut ann = Client::join(&server, "Ann").await;
    let off = ask(&server, Method::POST, RECORDING, None).await;
    assert_eq!((off.0.as_u16(), &off.1["code"]), (409, &json!("recording-off")), "{}", off.1);
    ann.say(&json!({ "type": "record", "recording": true })).await;
    assert_eq!(ann.next("error").await["code"], "recording-off");

    let folder = Folder::new();
    let server = folder.server("").await;
    let _ann = Client::join(&server, "Ann").await;
    let nothing = json!({ "mix": false, "tracks": false });
    let nothing = ask(&server, Method::POST, RECORDING, Some(nothing)).await;
    assert_eq!((nothing.0.as_u16(), &nothing.1["code"]), (400, &json!("missing-field")));
    let state = ask(&server, Method::GET, RECORDING, None).await.1;
    assert_eq!(state["state"], "none", "{state}");
    let full = server.config().replace("min_free_mb = 1", "min_free_mb = 100_000_000");
    server.reload(&full);
    let deadline = Instant::now() + Duration::from_secs(10);
    let refused = loop {
        let (status, told) = ask(&server, Method::POST, RECORDING, None).await;
        if status.as_u16() != 201 || Instant::now() > deadline {
            break (status.as_u16(), told);
        }
        ask(&server, Method::DELETE, RECORDING, None).await;
    };
    assert_eq!((refused.0, &refused.1["code"]), (507, &json!("cannot-record")), "{}", refused.1);
    let words = refused.1["message"].as_str().expect("a sentence");
    assert!(words.contains("are to stay free"), "{words}");
}
