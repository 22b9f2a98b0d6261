//! The page over HTTPS: by which certificate, and what becomes of it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use foldback_testkit::signal;
use foldback_tests::{
    Authority, Browser, Pair, Pebble, Scrape, Server, TlsClient, foldback, free_tcp_port,
};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

const CHAIN: &str = "[chain.talk]\nstages = [{ kind = \"mix\" }]\n";
const NAME: &str = "talk.example";
const EXPIRY: &str = "foldback_tls_certificate_expiry_timestamp_seconds";

/// Waits until the server on `port` shows what is `wanted`.
async fn until_shown(client: &TlsClient, port: u16, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let start = Instant::now();
    loop {
        let shown = client.shown(port, NAME).await;
        match shown {
            Ok(shown) if wanted(&shown) => return shown,
            shown => assert!(start.elapsed() < Duration::from_secs(30), "{shown:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_logged(server: &Server, words: &str) {
    let start = Instant::now();
    while !server.log().contains(words) {
        assert!(start.elapsed() < Duration::from_secs(20), "{words:?} is not in {}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn metrics(client: &TlsClient, port: u16) -> Scrape {
    let answer = client.get(port, NAME, "/metrics").await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    Scrape::parse(body).unwrap_or_else(|error| panic!("/metrics: {error}"))
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs_f64()
}

/// Files as certbot keeps them: links that lead to others after each renewal.
struct Renewed {
    folder: TempDir,
    count: u32,
}

impl Renewed {
    fn new(pair: &Pair) -> Self {
        let mut renewed = Self { folder: tempfile::tempdir().expect("a folder"), count: 0 };
        std::fs::create_dir(renewed.folder.path().join("live")).expect("a folder");
        renewed.renew(pair);
        renewed
    }

    fn renew(&mut self, pair: &Pair) {
        self.count += 1;
        let archive = self.folder.path().join(format!("archive-{}", self.count));
        std::fs::create_dir(&archive).expect("a folder");
        pair.write(&archive);
        for name in ["cert.pem", "key.pem"] {
            let draft = self.live("draft");
            symlink(archive.join(name), &draft).expect("a link");
            std::fs::rename(draft, self.live(name)).expect("it is replaced");
        }
    }

    fn live(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join("live").join(name)
    }

    fn config(&self) -> String {
        let (certificate, key) = (self.live("cert.pem"), self.live("key.pem"));
        format!(
            "{CHAIN}[auth]\nopen = true\n[tls]\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n"
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_to_those_who_come_and_who_is_there_stays() {
    let authority = Authority::new();
    let client = TlsClient::trusting(&authority.pem());
    let [first, second, third] =
        [2998, 2999, 3000].map(|year| authority.issue_until(&[NAME], year));
    let mut files = Renewed::new(&first);
    let port = free_tcp_port();
    let server = Server::start_over_tls(&files.config(), port).await;
    assert!(server.log().contains(&format!("Open https://{NAME}:{port}")), "{}", server.log());
    assert_eq!(client.shown(port, NAME).await.expect("a certificate"), first.der());
    assert!(client.shown(port, "other.example").await.is_err(), "it is for one name");
    assert!(reqwest::get(server.url("/healthz")).await.is_err(), "plain HTTP is not answered");
    let before = metrics(&client, port).await.total(EXPIRY, &[("source", "file")]);
    assert!(before > now(), "{before}");

    let stream = client.connect(port, NAME).await.expect("it takes connections");
    let url = format!("wss://{NAME}:{port}/ws");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.expect("a socket");
    let join = json!({ "type": "join", "room": "board", "name": "Ann" });
    socket.send(Message::text(join.to_string())).await.expect("sends");
    let answer = socket.next().await.expect("an answer").expect("a message");
    let answer: Value = serde_json::from_str(answer.to_text().expect("text")).expect("JSON");
    assert_eq!(answer["type"], "joined", "{answer}");

    files.renew(&second);
    until_shown(&client, port, |shown| shown == second.der()).await;
    let renewed = metrics(&client, port).await.total(EXPIRY, &[("source", "file")]);
    assert!(renewed > before, "{renewed}");

    // The key of another one: who comes is shown the one from before.
    std::fs::write(files.live("key.pem"), &third.key).expect("a file");
    until_logged(&server, "the certificate from before stays").await;
    assert!(server.log().contains("is not the key of the first certificate"), "{}", server.log());
    assert_eq!(client.shown(port, NAME).await.expect("a certificate"), second.der());
    std::fs::write(files.live("cert.pem"), &third.certificate).expect("a file");
    until_shown(&client, port, |shown| shown == third.der()).await;

    socket.send(Message::Ping("still there?".into())).await.expect("sends");
    let is_pong = |message: &Message| matches!(message, Message::Pong(_));
    let pong =
        async { while !is_pong(&socket.next().await.expect("it is open").expect("a message")) {} };
    tokio::time::timeout(Duration::from_secs(5), pong).await.expect("who was there stays");
    assert!(!server.log().contains("PRIVATE"), "no log shows a key");
}

/// Browsers give the microphone to no page of another machine without HTTPS.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_comes_by_a_name_talks_over_https() {
    let authority = Authority::new();
    let files = Renewed::new(&authority.issue(&[NAME]));
    let port = free_tcp_port();
    let _server = Server::start_over_tls(&files.config(), port).await;
    let browser = Browser::that_knows(NAME, signal::tone(440.0, -20.0, 30.0)).await;
    browser.open(&format!("https://{NAME}:{port}/?ec=off&ns=off&agc=off")).await;
    browser.enter("board", "Ann").await;
    let client = TlsClient::trusting(&authority.pem());
    let start = Instant::now();
    while metrics(&client, port).await.total("foldback_packets_received_total", &[]) < 50.0 {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing is heard of its microphone");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What a command says of a configuration.
fn told(command: &str, config: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.toml");
    std::fs::write(&file, config).expect("a file");
    let mut foldback = Command::new(foldback());
    match command {
        "check" => foldback.arg("check").arg(&file),
        _ => foldback.arg(command).arg("--config").arg(&file),
    };
    let Output { status, stdout, stderr } = foldback.output().expect("the command runs");
    let text = [stdout, stderr].concat();
    (status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_the_server_starts() {
    let authority = Authority::new();
    let (good, over) = (authority.issue(&[NAME]), authority.issue_until(&[NAME], 2020));
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "{CHAIN}[server]\nlisten = \"127.0.0.1:{}\"\nmedia_port = 42000\n[tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
        free_tcp_port(),
        folder.path().join("cert.pem"),
        folder.path().join("key.pem")
    );
    let mixed = Pair { key: authority.issue(&[NAME]).key, ..good.clone() };
    mixed.write(folder.path());
    for command in ["check", "serve", "doctor"] {
        let (well, words) = told(command, &config);
        assert!(!well && words.contains("is not the key of the first certificate"), "{words}");
    }
    good.write(folder.path());
    let (well, words) = told("check", &config);
    assert!(well && !words.contains("warning"), "{words}");
    let (_, words) = told("doctor", &config);
    assert!(words.contains("good  certificate"), "{words}");
    assert!(words.contains(&format!("for {NAME}, good until 4000-01-01T00:00:00Z")), "{words}");
    assert!(words.contains("POOR  names"), "no DNS has it: {words}");
    over.write(folder.path());
    for (command, expected) in [("check", "warning: [tls]: "), ("doctor", "POOR  certificate")] {
        let (_, words) = told(command, &config);
        assert!(words.contains(expected) && words.contains("it is over"), "{words}");
    }
}

fn modes(folder: &Path) -> Vec<u32> {
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut modes: Vec<_> = paths
        .flat_map(|path| {
            let within = if path.is_dir() { modes(&path) } else { Vec::new() };
            [vec![mode(&path)], within].concat()
        })
        .collect();
    modes.sort_unstable();
    modes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_had_by_acme_and_kept_for_the_next_start() {
    let port = free_tcp_port();
    let Some(pebble) = Pebble::start(port).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, cache) = (folder.path().join("ca.pem"), folder.path().join("acme"));
    std::fs::write(&ca, pebble.directory_pem()).expect("a file");
    let config = format!(
        "{CHAIN}[tls]\nacme_domains = [{NAME:?}, \"www.{NAME}\"]\nacme_email = \"admin@talk.example\"\nacme_agree_terms = true\n\
         acme_directory = {:?}\nacme_cache = {cache:?}\nacme_ca_file = {ca:?}\n",
        pebble.directory(),
    );
    let server = Server::start_over_tls(&config, port).await;
    // It is trusted by what pebble signs with, and by nothing else.
    let client = TlsClient::trusting(&pebble.root_pem().await);
    let first = until_shown(&client, port, |shown| !shown.is_empty()).await;
    client.shown(port, &format!("www.{NAME}")).await.expect("it is for both names");
    let expiry = metrics(&client, port).await.total(EXPIRY, &[("source", "acme")]);
    assert!(expiry > now(), "{expiry}");
    assert_eq!(
        modes(folder.path()),
        [0o600, 0o600, 0o644, 0o700, 0o700],
        "ca.pem alone is for others"
    );
    assert!(!server.log().contains("PRIVATE"), "no log shows a key");
    drop(server);

    // Nobody is there to be asked.
    drop(pebble);
    let server = Server::start_over_tls(&config, port).await;
    let second = client.shown(port, NAME).await.expect("it has one at once");
    assert_eq!(second, first);
    assert!(!server.log().contains("asks for a certificate"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_does_not_find_the_server_is_asked_again() {
    let port = free_tcp_port();
    let elsewhere = free_tcp_port();
    let Some(pebble) = Pebble::start(elsewhere).await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (ca, cache) = (folder.path().join("ca.pem"), folder.path().join("acme"));
    std::fs::write(&ca, pebble.directory_pem()).expect("a file");
    let config = format!(
        "{CHAIN}[tls]\nacme_domains = [{NAME:?}]\nacme_agree_terms = true\nacme_directory = {:?}\nacme_cache = {cache:?}\n\
         acme_ca_file = {ca:?}\n",
        pebble.directory(),
    );
    let server = Server::start_over_tls(&config, port).await;
    until_logged(&server, &format!("no certificate for {NAME}: ")).await;
    assert!(
        server.log().contains("Failed to connect to 127.0.0.1"),
        "it says what was found: {}",
        server.log()
    );
    let client = TlsClient::trusting(&pebble.root_pem().await);
    assert!(client.shown(port, NAME).await.is_err(), "there is none");
    server.reload(&server.config());
    let start = Instant::now();
    while server.log().matches("no certificate for").count() < 2 {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
