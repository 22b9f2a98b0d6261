//! What a flight recorder saves of rooms of the real server, and what comes of it when it is run again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use foldback_stage_testkit::libraries::built_by_cargo;
use foldback_tests::{RtcClient, Server, foldback};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(10);

fn config(folder: &Path, more: &str) -> String {
    format!(
        "{more}[server]\nworkers = 1\n[chain.talk]\nstages = [{{ kind = \"high-pass\" }}, {{ kind = \"auto-gain\" }}, {{ kind = \"mix\" }}, \
         {{ kind = \"limiter\" }}]\n[flight_recorder]\ndirectory = {folder:?}\n"
    )
}

fn replay(file: &Path, options: &[&str]) -> (bool, String) {
    let ran = Command::new(foldback()).arg("replay").arg(file).args(options).output();
    let ran = ran.expect("the command runs");
    let said =
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    (ran.status.success(), said)
}

async fn save(server: &Server, room: &str) -> (u16, Value) {
    let url = server.url(&format!("/api/v1/rooms/{room}/flight"));
    let answer = reqwest::Client::new().post(url).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_saved_of_a_room_gives_the_packets_that_were_sent_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&config(folder.path(), "")).await;
    assert_eq!(save(&server, "lobby").await.0, 404, "nobody is there");
    let (mut ann, first) = RtcClient::join(&server, "lobby", "Ann", None).await;
    let (mut bob, second) = RtcClient::join(&server, "lobby", "Bob", None).await;
    let both = tokio::task::spawn_blocking(move || {
        std::thread::scope(|scope| {
            scope.spawn(|| ann.talk_for(Duration::from_secs(3)));
            bob.talk_for(Duration::from_secs(3));
        });
        (ann, bob)
    });
    let gain = server.url(&format!("/api/v1/rooms/lobby/participants/{first}/gain"));
    let gain = reqwest::Client::new().put(gain).body("{\"gain_db\":-6}").send();
    assert_eq!(gain.await.expect("an answer").status(), 204);
    let stage = server.url("/api/v1/rooms/lobby/chain/stages/high-pass");
    let stage = reqwest::Client::new().patch(stage).body("{\"params\":{\"cutoff_hz\":200}}").send();
    assert_eq!(stage.await.expect("an answer").status(), 200);
    let people = both.await.expect("they talked");
    let (status, saved) = save(&server, "lobby").await;
    assert_eq!(status, 201, "{saved}");
    let file = folder.path().join(saved["file"].as_str().expect("a name"));
    assert_eq!(std::fs::metadata(&file).expect("it is there").len(), saved["bytes"]);

    let heard = folder.path().join("heard");
    let (fine, said) = replay(&file, &["--out", heard.to_str().expect("UTF-8")]);
    println!("{said}");
    assert!(fine && said.contains("those that were sent, bit for bit"), "{said}");
    for id in [first, second] {
        let sound = hound::WavReader::open(heard.join(format!("participant-{id}.wav")));
        let sound: Vec<f32> = sound.expect("a file").samples::<f32>().flatten().collect();
        let peak = sound.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!(peak > 0.01, "participant {id} heard nothing: {peak}");
    }
    // Another packet is no longer what was sent.
    let text = std::fs::read_to_string(&file).expect("text");
    let lines: Vec<_> = text.lines().collect();
    let is_packet = |line: &&&str| line.starts_with("{\"packet\"");
    let lost = lines.iter().skip(100).find(is_packet).expect("a packet");
    let without: Vec<_> = lines.iter().filter(|line| *line != lost).copied().collect();
    let other = folder.path().join("other.flight");
    std::fs::write(&other, without.join("\n")).expect("a file");
    let (fine, said) = replay(&other, &[]);
    assert!(!fine && said.contains("are not those that were sent"), "{said}");
    std::fs::write(&other, "{}").expect("a file");
    let (fine, said) = replay(&other, &[]);
    assert!(!fine && said.contains("other.flight: line 1 is not that of a flight"), "{said}");
    drop(people);
}

#[tokio::test]
async fn without_a_folder_nothing_is_kept_and_whoever_asks_is_told() {
    let server = Server::start("[chain.talk]\nstages = [{ kind = \"mix\" }]\n").await;
    let (_ann, _) = RtcClient::join(&server, "lobby", "Ann", None).await;
    let (status, refused) = save(&server, "lobby").await;
    assert_eq!((status, &refused["code"]), (409, &Value::from("flight-recorder-off")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stage_that_had_to_be_taken_out_saves_what_led_to_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = built_by_cargo("foldback-test-plugin");
    let load = format!("[plugins]\nload = [{plugin:?}]\n");
    let config = config(folder.path(), &load)
        .replace("kind = \"auto-gain\"", "kind = \"panic\", after_blocks = 100");
    let server = Server::start(&config).await;
    let (mut ann, _) = RtcClient::join(&server, "lobby", "Ann", None).await;
    tokio::task::spawn_blocking(move || ann.talk_for(Duration::from_secs(3)))
        .await
        .expect("talked");
    let saved = async {
        loop {
            let files = std::fs::read_dir(folder.path()).expect("a folder").flatten();
            let mut names = files.map(|file| file.path());
            if let Some(file) = names.find(|it| it.extension().is_some_and(|end| end == "flight")) {
                return file;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let file = tokio::time::timeout(PATIENCE, saved).await.expect("it is saved");
    let with = folder.path().join("t.toml");
    std::fs::write(&with, format!("{load}[chain.talk]\nstages = []\n")).expect("a file");
    let (_, said) = replay(&file, &["--config", with.to_str().expect("UTF-8")]);
    assert!(said.contains("saved fault"), "{said}");
}
