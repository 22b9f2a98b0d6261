//! The configuration of a running server: read again, refused, listed and restored.

use std::time::{Duration, Instant};

use foldback_tests::Server;
use serde_json::{Value, json};

const MIX: &str = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n";
const LOUDER: &str =
    "[chain.talk]\nstages = [{ kind = \"gain\", gain_db = 6 }, { kind = \"mix\" }]\n";
const MISTAKE: &str = "[chain.talk]\nstages = [{ kind = \"gian\" }]\n";
const TAKEN: &str = "foldback_config_last_reload_successful";

#[tokio::test]
async fn a_file_that_an_editor_replaced_is_read_again_and_one_with_a_mistake_changes_nothing() {
    let server = Server::start(MIX).await;
    server.replace_config(LOUDER);
    let versions = wait_for(&server, |versions| versions.len() == 2).await;
    assert_eq!((&versions[1]["origin"], &versions[1]["running"]), (&json!("file"), &json!(true)));
    assert_eq!(stages(&server).await, ["gain"]);
    assert_eq!(server.metrics().await.total(TAKEN, &[]), 1.0);

    server.replace_config(MISTAKE);
    let told = async || server.metrics().await.total(TAKEN, &[]) == 0.0;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !told().await {
        assert!(Instant::now() < deadline, "the mistake is not told: {}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(versions_of(&server).await, versions, "a file with a mistake is no version");
    assert_eq!(stages(&server).await, ["gain"]);
    assert!(server.log().contains("did you mean \"gain\"?"), "{}", server.log());
}

#[tokio::test]
async fn where_the_file_is_not_watched_it_is_read_when_asked_for() {
    let off = "[server]\nwatch_config = false\n";
    let server = Server::start(&format!("{off}{MIX}")).await;
    server.replace_config(&format!("{off}{LOUDER}"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(versions_of(&server).await.len(), 1);
    server.reload(&format!("{off}{LOUDER}"));
    let versions = wait_for(&server, |versions| versions.len() == 2).await;
    assert_eq!(versions[1]["origin"], "signal");
}

#[tokio::test]
async fn a_reload_says_what_changed_and_what_needs_a_restart() {
    let server = unwatched(MIX).await;
    let more = "[chain.more]\nstages = []\n[[room]]\nname = \"*\"\nchain = \"talk\"\n";
    server.write_config(&format!("[opus]\ncomplexity = 3\n{LOUDER}{more}"));
    let (status, answer) = post(&server, "/api/v1/reload").await;
    assert_eq!(status, 200, "{answer}");
    let expected = json!({
        "version": 2, "changed": true, "rooms": 0,
        "chainsAdded": ["more"], "chainsChanged": ["talk"], "chainsRemoved": [],
        "needsRestart": ["server.watch_config", "opus.complexity"],
    });
    assert_eq!(answer, expected);
    assert!(server.log().contains("needs a restart: server.watch_config, opus.complexity"));
    let (_, again) = post(&server, "/api/v1/reload").await;
    assert_eq!((&again["version"], &again["changed"]), (&json!(2), &json!(false)));
}

#[tokio::test]
async fn a_reload_of_a_file_with_mistakes_is_refused_in_the_words_of_check() {
    let server = unwatched(MIX).await;
    server.write_config(MISTAKE);
    let (status, answer) = post(&server, "/api/v1/reload").await;
    assert_eq!((status, &answer["code"]), (422, &json!("bad-config")));
    let told = answer["message"].as_str().expect("text");
    assert!(told.contains("foldback.toml:2:20: `kind` is \"gian\", must be "), "{told}");
    assert!(told.contains("2 | stages = [{ kind = \"gian\" }]"), "{told}");
    assert_eq!(server.metrics().await.total(TAKEN, &[]), 0.0);
    assert_eq!(stages(&server).await, [""; 0]);
}

#[tokio::test]
async fn an_earlier_version_is_restored_and_the_file_stays_as_it_is() {
    let server = unwatched(MIX).await;
    let started = server.config();
    server.write_config(LOUDER);
    post(&server, "/api/v1/reload").await;
    let (status, answer) = post(&server, "/api/v1/config/versions/1/restore").await;
    assert_eq!((status, &answer["version"]), (200, &json!(3)), "{answer}");
    assert_eq!(stages(&server).await, [""; 0]);
    assert_eq!(server.config(), LOUDER);
    assert!(server.log().contains("version 1 of the configuration was restored; the file stays"));

    let listed = versions_of(&server).await;
    let told: Vec<_> = listed
        .iter()
        .map(|it| (it["version"].clone(), it["origin"].clone(), it["running"].clone()))
        .collect();
    let expected = [
        (json!(1), json!("start"), json!(false)),
        (json!(2), json!("api"), json!(false)),
        (json!(3), json!("rollback"), json!(true)),
    ];
    assert_eq!(told, expected);
    assert_eq!(listed[2]["restores"], 1);
    let text = reqwest::get(server.url("/api/v1/config/versions/3")).await.expect("it answers");
    assert_eq!(text.text().await.expect("text"), started);
}

#[tokio::test]
async fn what_is_restored_does_not_hide_that_the_file_has_a_mistake() {
    let server = unwatched(MIX).await;
    server.write_config(LOUDER);
    post(&server, "/api/v1/reload").await;
    server.write_config(MISTAKE);
    post(&server, "/api/v1/reload").await;
    let (status, _) = post(&server, "/api/v1/config/versions/1/restore").await;
    assert_eq!(status, 200);
    assert_eq!(server.metrics().await.total(TAKEN, &[]), 0.0, "the file is as it was");
    server.write_config(LOUDER);
    post(&server, "/api/v1/reload").await;
    assert_eq!(server.metrics().await.total(TAKEN, &[]), 1.0);
}

#[tokio::test]
async fn a_file_that_is_only_touched_does_not_undo_what_was_restored() {
    let server = Server::start(MIX).await;
    server.write_config(LOUDER);
    wait_for(&server, |versions| versions.len() == 2).await;
    post(&server, "/api/v1/config/versions/1/restore").await;
    server.write_config(LOUDER);
    // Longer than a change takes to be read.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let versions = versions_of(&server).await;
    assert_eq!((versions.len(), &versions[2]["origin"]), (3, &json!("rollback")));
}

#[tokio::test]
async fn versions_that_are_not_there_and_a_file_that_is_not_there_are_refused() {
    let server = Server::start_without_file().await;
    let (status, answer) = post(&server, "/api/v1/reload").await;
    assert_eq!((status, &answer["code"]), (409, &json!("no-config-file")), "{answer}");
    for version in ["0", "2", "-1", "x"] {
        let (status, answer) =
            post(&server, &format!("/api/v1/config/versions/{version}/restore")).await;
        assert_eq!((status, &answer["code"]), (404, &json!("no-such-version")), "{version}");
    }
    assert_eq!(server.metrics().await.total(TAKEN, &[]), 1.0, "no file was read");
    let text = reqwest::get(server.url("/api/v1/config/versions/1")).await.expect("it answers");
    assert!(text.text().await.expect("text").contains("[chain.conference]"));
}

/// A server whose file is read only when it is asked to.
async fn unwatched(config: &str) -> Server {
    Server::start(&format!("[server]\nwatch_config = false\n{config}")).await
}

async fn post(server: &Server, path: &str) -> (u16, Value) {
    let response = reqwest::Client::new().post(server.url(path)).send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

async fn versions_of(server: &Server) -> Vec<Value> {
    let response = reqwest::get(server.url("/api/v1/config/versions")).await.expect("an answer");
    response.json().await.expect("a list")
}

async fn wait_for(server: &Server, is: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let versions = versions_of(server).await;
        if is(&versions) {
            return versions;
        }
        assert!(Instant::now() < deadline, "{versions:?}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The names of the stages of a room that opens now.
async fn stages(server: &Server) -> Vec<String> {
    let room = reqwest::get(server.url("/api/v1/rooms/lobby")).await.expect("an answer");
    let room: Value = room.json().await.expect("JSON");
    let stages = room["chain"]["stages"].as_array().unwrap_or_else(|| panic!("{room}"));
    let names = stages.iter().map(|stage| stage["name"].as_str().unwrap_or_default().to_owned());
    names.filter(|name| name != "mix").collect()
}
