//! What the server tells Prometheus: as declared, as documented, and as rules and dashboards use it.

use std::collections::BTreeSet;
use std::time::Duration;

use foldback_metrics::declarations::{ALL, Shown};
use foldback_tests::{Prometheus, Server, Talkers, deployed, promtool};
use serde_json::Value;

/// How long Prometheus watches; two minutes are for whoever asks for them.
const WATCHED: Duration = Duration::from_secs(25);

/// The conference of the repository, with all that may be told of participants, in which people talk
/// until it is dropped.
struct Busy {
    server: Server,
    _talkers: Talkers,
}

impl Busy {
    async fn start() -> Self {
        let config = include_str!("../../config/conference.toml");
        let limit = "[metrics]\nparticipant_readings = true\nmax_participants = 3\n";
        let server = Server::start(&format!("{config}\n{limit}")).await;
        let talkers = Talkers::join(&server, 5, 2);
        let busy = Self { server, _talkers: talkers };
        let talking = async {
            while busy.server.metrics().await.total("foldback_server_latency_seconds_count", &[])
                < 1.0
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), talking).await.expect("people talk");
        busy
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shows_what_is_declared_and_nothing_else() {
    let busy = Busy::start().await;
    // Round trips come with the first reports.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let metrics = busy.server.metrics().await;
    let plain = || ALL.iter().filter(|family| family.shown != Shown::OverTls);
    for family in plain() {
        assert_eq!(metrics.kind(family.name), Some(family.kind.name()), "{}", family.name);
        let labels = BTreeSet::from_iter(family.labels.iter().map(|label| label.name));
        let series = ["", "_count"].map(|suffix| format!("{}{suffix}", family.name));
        let found = series.iter().flat_map(|name| metrics.samples(name, &[])).next();
        let found = found.unwrap_or_else(|| panic!("{} has no series", family.name));
        assert_eq!(BTreeSet::from_iter(found.labels.keys().map(String::as_str)), labels);
    }
    assert_eq!(metrics.families().count(), plain().count(), "{:?}", metrics.families());
    let shown = "foldback_participant_packets_received_total";
    assert_eq!(metrics.samples(shown, &[]).count(), 3, "as many as are allowed");
    assert_eq!(metrics.total("foldback_participants_left_out", &[]), 2.0);
    assert_eq!(metrics.total("foldback_joins_total", &[]), 5.0);
    assert_eq!(metrics.total("foldback_departures_total", &[]), 0.0);
    drop(busy);

    let quiet = Server::start_with_file("conference.toml").await;
    let metrics = quiet.metrics().await;
    for family in ALL {
        let expected = family.shown == Shown::Always;
        assert_eq!(metrics.kind(family.name).is_some(), expected, "{}", family.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_takes_all_of_it_and_every_panel_has_data() {
    let busy = Busy::start().await;
    let text = reqwest::get(busy.server.url("/metrics")).await.expect("the server answers");
    let text = text.text().await.expect("text");
    if promtool(&["check", "metrics"], &text).is_none() {
        return;
    }
    let rules = deployed("prometheus/foldback.rules.yml");
    let tests = deployed("prometheus/foldback.rules.test.yml");
    let example = deployed("prometheus/prometheus.yml");
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    promtool(&["check", "rules", &path(&rules)], "");
    promtool(&["test", "rules", &path(&tests)], "");
    promtool(&["check", "config", &path(&example)], "");

    let Some(prometheus) = Prometheus::start(&busy.server).await else { return };
    let seconds = std::env::var("FOLDBACK_PROMETHEUS_SECONDS").ok();
    let seconds =
        seconds.map(|text| text.parse().expect("FOLDBACK_PROMETHEUS_SECONDS is a number"));
    tokio::time::sleep(seconds.map_or(WATCHED, Duration::from_secs)).await;
    let scraped = prometheus.query("count_over_time(up{job=\"foldback\"}[1h])").await;
    println!("scraped: {scraped:?}");
    let failed = prometheus.query("count_over_time((up == 0)[1h:1s])").await;
    assert_eq!(failed, Vec::<Value>::new(), "scrapes that failed");
    let dashboard = std::fs::read_to_string(deployed("grafana/foldback.json"));
    let dashboard: Value = serde_json::from_str(&dashboard.expect("it is there")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let mut expressions = 0;
    for (panel, target) in panels.iter().flat_map(|panel| {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(|target| (&panel["title"], target))
    }) {
        let expression = target["expr"].as_str().expect("text");
        // As Grafana does with "All", and its least interval.
        let expression = expression
            .replace("$job", ".*")
            .replace("$instance", ".*")
            .replace("$__rate_interval", "10s");
        assert!(!expression.contains('$'), "{expression}");
        let series = prometheus.query(&expression).await;
        let is_number = |series: &Value| {
            let value = series["value"][1].as_str().and_then(|value| value.parse::<f64>().ok());
            value.is_some_and(f64::is_finite)
        };
        assert!(series.iter().any(is_number), "{panel}: {expression}: {series:?}");
        expressions += 1;
    }
    println!("{expressions} expressions have data");
    assert!(expressions > 40);
    let recorded = std::fs::read_to_string(rules).expect("the rules are there");
    for name in recorded.lines().filter_map(|line| line.trim().strip_prefix("- record: ")) {
        assert!(!prometheus.query(name).await.is_empty(), "{name}");
    }
    let alerts = prometheus.query("ALERTS{alertstate=\"firing\"}").await;
    println!("alerts: {alerts:?}");
}
