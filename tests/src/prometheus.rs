use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::Server;
use crate::child::TestChild;
use crate::installed::are_installed;
use crate::server::free_tcp_port;

/// What it needs, and where that comes from.
const NEEDED: [(&str, &str); 2] =
    [("prometheus", "`make setup` installs it"), ("promtool", "`make setup` installs it")];

/// A Prometheus of its own that scrapes a server once a second, with the rules that the repository
/// has for it.
#[derive(Debug)]
pub struct Prometheus {
    _process: TestChild,
    port: u16,
}

impl Prometheus {
    /// `None`, and a line that says why, where it is not installed.
    ///
    /// # Panics
    /// If it does not start within 30 s.
    pub async fn start(server: &Server) -> Option<Self> {
        if !are_installed(&NEEDED) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let rules = deployed("prometheus/foldback.rules.yml");
        let target = server.url("");
        let target = target.trim_start_matches("http://");
        let config = format!(
            "global: {{ evaluation_interval: 1s }}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs:\n\
             - {{ job_name: foldback, scrape_interval: 1s, scrape_timeout: 1s,\n\
             static_configs: [{{ targets: [\"{target}\"] }}] }}\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("a temporary folder takes a file");
        let port = free_tcp_port();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = TestChild::start(&mut command, folder);
        let ready = async |_: &str| {
            let answer = reqwest::get(format!("http://127.0.0.1:{port}/-/ready")).await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        };
        process.wait_until("ready", Duration::from_secs(30), ready).await;
        Some(Self { _process: process, port })
    }

    /// What an expression gives now: the series.
    ///
    /// # Panics
    /// If it does not answer, or the expression is none.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let url = reqwest::Url::parse_with_params(&url, [("query", expression)]);
        let answer = reqwest::get(url.expect("a valid address")).await.expect("Prometheus answers");
        let answer = answer.text().await.expect("text");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let series = answer["data"]["result"].as_array();
        series.unwrap_or_else(|| panic!("{expression}: {answer}")).clone()
    }
}

/// A file of the repository's `deploy/`.
#[must_use]
pub fn deployed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(path)
}

/// Runs Prometheus's own checker with these arguments and `input`. `None`, and a line that says why, where
/// it is not installed.
///
/// # Panics
/// If it finds a mistake.
pub fn promtool(arguments: &[&str], input: &str) -> Option<()> {
    if !are_installed(&NEEDED) {
        return None;
    }
    let mut file = tempfile::tempfile().expect("a temporary file");
    std::io::Write::write_all(&mut file, input.as_bytes()).expect("it takes text");
    std::io::Seek::rewind(&mut file).expect("it has a beginning");
    let output = Command::new("promtool").args(arguments).stdin(file).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    Some(())
}
