//! What whoever runs a server relies on: its log, whether it is well, and what a service manager is told.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use foldback_stage_testkit::libraries::built_by_cargo;
use foldback_tests::{Server, Talkers, foldback, free_tcp_port};
use serde_json::Value;

const CHAIN: &str = "[server]\nworkers = 1\n[chain.talk]\nstages = [{ kind = \"mix\" }]\n";

/// A chain whose stage stands still for so long in each block.
fn hanging_for_ms(ms: u32) -> String {
    let library = built_by_cargo("foldback-test-plugin");
    format!(
        "[server]\nworkers = 1\n[plugins]\nload = [{library:?}]\n\
         [chain.slow]\nstages = [{{ kind = \"hang\", for_ms = {ms} }}, {{ kind = \"mix\" }}]\n"
    )
}

async fn readiness(server: &Server) -> (u16, String) {
    let answer = reqwest::get(server.url("/readyz")).await.expect("the server answers");
    let status = answer.status().as_u16();
    (status, answer.text().await.expect("text").trim_end().to_owned())
}

async fn until_it_is(server: &Server, expected: (u16, &str)) {
    let start = Instant::now();
    loop {
        let found = readiness(server).await;
        if (found.0, found.1.as_str()) == expected {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{found:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_stage_is_too_slow_is_not_ready_and_says_why() {
    let server = Server::start(&hanging_for_ms(200)).await;
    assert_eq!(readiness(&server).await, (200, "ready".to_owned()));
    let talkers = Talkers::join(&server, 2, 2);
    until_it_is(&server, (503, "ticks missed")).await;
    assert_eq!(reqwest::get(server.url("/healthz")).await.expect("an answer").status(), 200);
    drop(talkers);
    until_it_is(&server, (200, "ready")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stands_still_is_told_from_one_that_is_slow() {
    let server = Server::start(&hanging_for_ms(10_000)).await;
    let _talkers = Talkers::join(&server, 2, 2);
    until_it_is(&server, (503, "a media worker hangs")).await;
}

#[tokio::test]
async fn health_is_asked_for_from_the_command_line() {
    let slow = Server::start(&hanging_for_ms(10_000)).await;
    let ask = |url: String| {
        let health = Command::new(foldback()).args(["health", &url]).output();
        let output = health.expect("foldback starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).trim_end().to_owned())
    };
    assert_eq!(ask(slow.url("")), (Some(0), "ready".to_owned()));
    let _talkers = Talkers::join(&slow, 2, 2);
    until_it_is(&slow, (503, "a media worker hangs")).await;
    assert_eq!(ask(slow.url("")), (Some(1), "a media worker hangs".to_owned()));

    let nobody = format!("http://127.0.0.1:{}", free_tcp_port());
    let (code, said) = ask(nobody.clone());
    assert!(code == Some(1) && said.starts_with(&nobody) && said.contains("refused"), "{said}");
    let (code, said) = ask("localhost:8080".to_owned());
    assert!(code == Some(2) && said.contains("such as http://127.0.0.1:8080"), "{said}");
}

#[tokio::test]
async fn the_log_is_lines_of_json_where_that_is_asked_for() {
    let asked =
        format!("{CHAIN}[log]\nformat = \"json\"\nlevel = \"info,foldback_server=debug\"\n");
    let mut server = Server::start(&asked).await;
    server.reload(&asked.replace("workers = 1", "workers = 1\nwatch_config = false"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.terminate();
    assert!(server.ended(Duration::from_secs(10)).await.success());
    let log = server.log();
    let lines: Vec<Value> = log
        .lines()
        // What is announced on standard output is for people.
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.len() >= 2 && lines.len() + 2 >= log.lines().count(), "{log}");
    for line in lines {
        for key in ["timestamp", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key} of {line}");
        }
    }
}

#[tokio::test]
async fn variables_stand_above_what_the_file_says_of_the_log() {
    let loud = format!("{CHAIN}[log]\nlevel = \"debug\"\n");
    let server = Server::start_with(&loud, &[("FOLDBACK_LOG_LEVEL", "off")]).await;
    server.reload(&loud.replace("\"mix\"", "\"mxi\""));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let log = server.log();
    assert!(!log.contains("mxi") && log.contains("Open http"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_start_reload_life_and_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let socket = socket.to_str().expect("UTF-8");
    let told = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).expect("something is told");
        String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned()
    };
    let variables = [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "600000")];
    let mut server = Server::start_with(CHAIN, &variables).await;
    // Which of the two comes first is not said.
    let first = [told(), told()];
    assert!(first.contains(&"READY=1".to_owned()), "{first:?}");
    let start = Instant::now();
    let fed = (0..5).filter(|_| told() == "WATCHDOG=1").count();
    assert!(fed == 5 && start.elapsed() < Duration::from_secs(3), "{fed} in {:?}", start.elapsed());

    server.reload(&CHAIN.replace("talk", "speak"));
    let next = || {
        let mut told = std::iter::repeat_with(told).take(50).filter(|it| it != "WATCHDOG=1");
        told.next().expect("more than that it lives")
    };
    let reloading = next();
    assert!(reloading.starts_with("RELOADING=1"), "{reloading}");
    assert_eq!(next(), "READY=1");
    server.terminate();
    assert_eq!(next(), "STOPPING=1");
    assert!(server.ended(Duration::from_secs(10)).await.success());
}

#[tokio::test]
async fn media_threads_have_real_time_priority_where_that_is_allowed() {
    let server = Server::start_with(CHAIN, &[("FOLDBACK_SERVER_REALTIME_PRIORITY", "7")]).await;
    let log = server.log();
    if log.contains("no real-time priority") {
        eprintln!("skipped: the system allows no real-time priority");
        return;
    }
    // Fields of proc_pid_stat(5), behind the name in brackets: 40 is the priority, 41 the policy.
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("its threads");
    let media: Vec<(String, String)> = tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok())
        .filter(|stat| stat.contains("(media-"))
        .map(|stat| {
            let (_, rest) = stat.rsplit_once(')').expect("a name in brackets");
            let fields: Vec<_> = rest.split_whitespace().collect();
            (fields[40 - 3].to_owned(), fields[41 - 3].to_owned())
        })
        .collect();
    assert!(
        !media.is_empty() && media.iter().all(|of| *of == ("7".to_owned(), "2".to_owned())),
        "{media:?}"
    );
}
