//! The HTTP API against its own description.

use std::path::Path;
use std::process::{Command, Stdio};

use foldback_tests::{Server, free_line_ports};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// So many are in the room, as participants from 1 on: some will be taken out.
const PEOPLE: u64 = 40;
const OPERATOR: &str = "0123456789abcdef";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_a_fault_or_another_than_described() {
    let folder = tempfile::tempdir().expect("a folder");
    let tone = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(folder.path().join("tone.wav"), tone).expect("a file");
    (0..48_000).try_for_each(|_| file.write_sample(0_i16)).expect("one second");
    file.finalize().expect("a file");
    let config = format!(
        "[server]\nworkers = 1\n[chain.talk]\nstages = [{{ kind = \"gain\" }}, {{ kind = \"mix\" }}, {{ kind = \"limiter\" }}]\n\
         [chain.conference]\nstages = [{{ kind = \"gate\" }}, {{ kind = \"mix\" }}, {{ kind = \"limiter\" }}]\n\
         [[room]]\nname = \"lobby\"\nchain = \"talk\"\n[[room]]\nname = \"pin-*\"\nchain = \"talk\"\npin = \"471100\"\n\
         [[room]]\nname = \"*\"\nchain = \"talk\"\nwaiting_room = true\n[rtp]\nfirst_port = {1}\nports = 8\n\
         [recording]\ndirectory = {0:?}\n[playing]\ndirectory = {0:?}\n[flight_recorder]\ndirectory = {0:?}\n",
        folder.path(),
        free_line_ports()
    );
    let server = Server::start(&config).await;
    for number in 0..PEOPLE {
        stay(&server, &format!("P{number}")).await;
    }
    // With people in the room; with any room; and as nobody who may.
    let settings = "[parameters]\nroom = \"lobby\"\nparticipant = { dictionary = \"people\" }\nversion = 1\nfile = \"tone.wav\"\n";
    let people: Vec<_> = (1..=PEOPLE).collect();
    let settings = format!("[dictionaries]\npeople = {{ values = {people:?} }}\n{settings}");
    let known = folder.path().join("schemathesis.toml");
    std::fs::write(&known, settings).expect("a file");
    try_out(&server, Some(&known), 12).await;
    try_out(&server, None, 3).await;
    let guarded = Server::start_with(&config, &[("FOLDBACK_OPERATOR_TOKEN", OPERATOR)]).await;
    try_out(&guarded, None, 1).await;
}

/// Has Schemathesis send what is described, and what is not.
async fn try_out(server: &Server, settings: Option<&Path>, examples: u32) {
    const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
        response_headers_conformance,response_schema_conformance,unsupported_method";
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/.venv/bin/schemathesis");
    let mut command = Command::new(program);
    if let Some(settings) = settings {
        command.arg("--config-file").arg(settings);
    }
    let (url, examples) = (server.url("/api/openapi.json"), examples.to_string());
    let folder = tempfile::tempdir().expect("a folder");
    command
        .args(["run", &url, "--checks", CHECKS, "--max-examples", &examples, "--seed", "1"])
        // Streams without an end, which tests of their own read.
        .args(["--exclude-path-regex", "/events$", "--phases", "examples,coverage,fuzzing"])
        .args(["--continue-on-failure", "--request-timeout", "20"])
        .current_dir(&folder)
        .stdin(Stdio::null());
    let ran = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let ran = ran.expect("scripts/setup.sh installs Schemathesis");
    let said = String::from_utf8_lossy(&ran.stdout);
    println!("{said}");
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
}

/// Brings somebody into the room who reads what they are told until the end.
async fn stay(server: &Server, name: &str) {
    let (mut socket, _) =
        tokio_tungstenite::connect_async(server.websocket_url()).await.expect("a socket");
    let join = json!({ "type": "join", "room": "lobby", "name": name });
    socket.send(Message::text(join.to_string())).await.expect("it is open");
    tokio::spawn(async move { while socket.next().await.is_some_and(|it| it.is_ok()) {} });
}

#[tokio::test]
async fn the_page_that_shows_it_needs_nothing_from_elsewhere() {
    let server = Server::start("[chain.talk]\nstages = [{ kind = \"mix\" }]\n").await;
    let get = async |path: &str| {
        let answer = reqwest::get(server.url(path)).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        let policy = &answer.headers()["content-security-policy"];
        assert!(policy.to_str().is_ok_and(|it| it.starts_with("default-src 'self';")), "{path}");
        answer.text().await.expect("text")
    };
    let page = get("/api/docs/").await;
    let attributes = page.split(['"', ' ']).filter_map(|it| it.strip_prefix("./"));
    let files: Vec<_> = attributes.collect();
    assert!(files.iter().any(|file| file.ends_with(".js")) && !page.contains("//"), "{page}");
    for file in files {
        get(&format!("/api/docs/{file}")).await;
    }
    let start = get("/api/docs/swagger-initializer.js").await;
    assert!(start.contains("/api/openapi.json") && !start.contains("http"), "{start}");
}

#[tokio::test]
async fn every_operation_is_told_apart_and_says_what_it_is_for() {
    let server = Server::start("[chain.talk]\nstages = [{ kind = \"mix\" }]\n").await;
    let api = reqwest::get(server.url("/api/openapi.json")).await.expect("an answer");
    let api: Value = api.json().await.expect("JSON");
    let mut names = Vec::new();
    for (path, item) in api["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let at = format!("{method} {path}");
            names.push(operation["operationId"].as_str().expect("a name").to_owned());
            assert!(operation["summary"].as_str().is_some_and(|it| !it.is_empty()), "{at}");
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{at}");
            let missing = operation["responses"].as_object().expect("answers").values();
            assert!(missing.clone().all(|it| it["description"].is_string()), "{at}");
        }
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
    assert!(!api.to_string().contains("[`"), "links of Rust's documentation lead nowhere here");
}
