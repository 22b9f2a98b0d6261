//! Who comes in by a token, and who does not.

use std::process::Command;
use std::time::{Duration, Instant};

use foldback_tests::{Server, foldback};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use crate::socket::Socket;

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A server that lets nobody in without a token but into room `board`, and the folder of its secret.
pub(crate) async fn guarded() -> (Server, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("a file");
    let config = format!(
        "[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n[auth]\ntoken_secret_file = {secret:?}\n\
         allowed_origins = [\"https://app.example\"]\n\
         [[room]]\nname = \"board\"\nchain = \"talk\"\npin = \"471100\"\n\
         [[room]]\nname = \"*\"\nchain = \"talk\"\n"
    );
    // Without it this machine would be the operator.
    let operator = [("FOLDBACK_OPERATOR_TOKEN", "0123456789abcdef")];
    (Server::start_with(&config, &operator).await, folder)
}

/// What `foldback token create` prints.
pub(crate) fn token(folder: &TempDir, options: &[&str]) -> String {
    let mut command = Command::new(foldback());
    command.args(["token", "create", "--secret-file"]).arg(folder.path().join("secret"));
    let made = command.args(options).output().expect("the command runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("ASCII").trim().to_owned()
}

pub(crate) fn join(room: &str, token: &str) -> Value {
    json!({ "type": "join", "room": room, "name": "Eve", "token": token })
}

#[tokio::test]
async fn a_token_opens_its_room_and_nothing_else_does() {
    let (server, folder) = guarded().await;
    let brief = token(&folder, &["--room", "lobby", "--for", "1s"]);
    let mut socket = Socket::connect(&server).await;
    let plain = json!({ "type": "join", "room": "lobby", "name": "Eve" });
    assert_eq!(socket.join(plain).await["code"], "token-required");
    assert_eq!(socket.join(join("lobby", "a.b.c")).await["code"], "bad-token");
    let elsewhere = token(&folder, &["--room", "team-*"]);
    assert_eq!(socket.join(join("lobby", &elsewhere)).await["code"], "wrong-room");
    let forged = token(&folder, &["--room", "lobby"]).replace('.', ".x");
    assert_eq!(socket.join(join("lobby", &forged)).await["code"], "bad-token");

    let info = reqwest::get(server.url("/api/v1/rooms/lobby")).await.expect("an answer");
    let info: Value = info.json().await.expect("JSON");
    assert_eq!((&info["token_required"], &info["pin_required"]), (&json!(true), &json!(false)));

    let ann = token(&folder, &["--room", "lobby", "--name", "Ann", "--role", "listener"]);
    let joined = socket.join(join("lobby", &ann)).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    let person = &joined["participants"][0];
    assert_eq!((&person["name"], &person["role"]), (&json!("Ann"), &json!("listener")));
    assert_eq!(person["muted"], true);
    socket.say(Message::text(json!({ "type": "mute", "muted": false }).to_string())).await;
    let refused = socket.next("error").await;
    assert_eq!(refused["code"], "forbidden", "{refused}");

    // A room with a PIN takes it or a token.
    let mut bob = Socket::connect(&server).await;
    let by_pin = json!({ "type": "join", "room": "board", "name": "Bob", "pin": "471100" });
    assert_eq!(bob.join(by_pin).await["type"], "joined");
    let mut cleo = Socket::connect(&server).await;
    let board = token(&folder, &["--room", "board"]);
    assert_eq!(cleo.join(join("board", &board)).await["type"], "joined");

    server.reload(&server.config().replace("[auth]\n", "[auth]\ntoken_leeway_s = 0\n"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut late = Socket::connect(&server).await;
    let expired = late.join(join("lobby", &brief)).await;
    assert_eq!(expired["code"], "token-expired", "{expired}");
    let log = server.log();
    for secret in [SECRET, &ann, &brief] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_token_for_one_takes_one_at_a_time() {
    let (server, folder) = guarded().await;
    let one = token(&folder, &["--room", "team-*", "--max", "1"]);
    let mut ann = Socket::connect(&server).await;
    let mut eve = Socket::connect(&server).await;
    assert_eq!(ann.join(join("team-a", &one)).await["type"], "joined");
    let refused = eve.join(join("team-b", &one)).await;
    assert_eq!(refused["code"], "token-in-use", "{refused}");
    drop(ann);
    let start = Instant::now();
    while eve.join(join("team-b", &one)).await["type"] != "joined" {
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_host_mutes_and_removes_people_in_their_room_and_nowhere_else() {
    let (server, folder) = guarded().await;
    let host = token(&folder, &["--room", "lobby", "--role", "host"]);
    let talker = token(&folder, &["--room", "*"]);
    let mut bob = Socket::connect(&server).await;
    let id = bob.join(join("lobby", &talker)).await["participant"].clone();
    let client = reqwest::Client::new();
    let mute = async |room: &str, token: &str| {
        let url = server.url(&format!("/api/v1/rooms/{room}/participants/{id}/mute"));
        let asked = client.put(url).bearer_auth(token).body("{\"muted\":true}").send();
        asked.await.expect("an answer").status().as_u16()
    };
    assert_eq!(mute("lobby", &talker).await, 403);
    assert_eq!(mute("other", &host).await, 403);
    assert_eq!(mute("lobby", &host.replace('.', ".x")).await, 401);
    assert_eq!(mute("lobby", &host).await, 204);
    assert_eq!(bob.next("participant-muted").await["by_operator"], true);
    let url = server.url(&format!("/api/v1/rooms/lobby/participants/{id}"));
    let kicked = client.delete(&url).bearer_auth(&host).send().await.expect("an answer");
    assert_eq!(kicked.status(), 204);
    // What the room sounds like, and all of the server, is the operator's.
    for path in ["/api/v1/rooms", "/api/v1/workers"] {
        let answer = client.get(server.url(path)).bearer_auth(&host).send().await;
        assert_eq!(answer.expect("an answer").status(), 401, "{path}");
    }
    let chain = client.put(server.url("/api/v1/rooms/lobby/chain")).bearer_auth(&host);
    let chain = chain.body("{\"chain\":\"talk\"}").send().await.expect("an answer");
    assert_eq!(chain.status(), 401);
}

#[tokio::test]
async fn pages_of_other_sites_cannot_come_in_unless_they_are_named() {
    let (server, _folder) = guarded().await;
    let own = server.url("");
    for (origin, is_let) in [
        (own.as_str(), true),
        ("https://app.example", true),
        ("https://evil.example", false),
        ("null", false),
    ] {
        let socket = Socket::with_headers(&server, &[("origin", origin)]).await;
        assert_eq!(socket.is_ok(), is_let, "{origin}");
        let offer = reqwest::Client::new().post(server.url("/offer")).header("origin", origin);
        let answer = offer.body("{}").send().await.expect("an answer");
        assert_eq!(answer.status() != 403, is_let, "{origin}: {answer:?}");
    }
}

#[test]
fn a_server_that_others_can_reach_does_not_start_before_it_is_told_who_may_join() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("t.toml");
    let text = "[server]\nlisten = \"0.0.0.0:0\"\n[chain.talk]\nstages = [{ kind = \"mix\" }]\n";
    std::fs::write(&file, text).expect("a file");
    let refused = Command::new(foldback()).args(["serve", "--config"]).arg(&file).output();
    let refused = refused.expect("the command runs");
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(words.contains("nothing says who may join rooms called \"*\""), "{words}");
    assert!(words.contains("--open") && words.contains("token_secret_file"), "{words}");
}

#[test]
fn a_token_that_cannot_be_made_says_why() {
    let make = |arguments: &[&str]| {
        let made = Command::new(foldback()).args(["token", "create"]).args(arguments).output();
        let made = made.expect("the command runs");
        assert!(!made.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&made.stderr).into_owned()
    };
    assert!(make(&["--room", "lobby"]).contains("--secret-file"));
    assert!(make(&["--room", " "]).contains("must be a room's name"));
    assert!(make(&["--room", "a", "--for", "never"]).contains("--for"));
    let missing = make(&["--room", "lobby", "--private-key", "/no/such/key"]);
    assert!(missing.contains("cannot read /no/such/key"), "{missing}");
}
