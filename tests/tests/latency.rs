//! Server latency over real UDP with real clients: a measurement, not a test.
//!
//! `cargo test -p foldback-tests --test latency -- --ignored --nocapture`

use std::time::{Duration, Instant};

use foldback_tests::{RtcClient, Scrape, Server};

const CLIENTS: usize = 10;
const PACKET_TIME: Duration = Duration::from_millis(20);
const SETTLE: Duration = Duration::from_secs(20);
const MEASURE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for a minute and a half, and its figures depend on the machine"]
async fn latency_over_udp() {
    foldback_peer::install_crypto(Instant::now());
    for (mode, median_ms, most_ms) in [("low", 20.0, 28.0), ("balanced", 25.0, 40.0)] {
        let config = format!(
            "[server]\nworkers = 1\n[latency]\nmode = \"{mode}\"\n\
             [chain.clean]\nstages = [{{ kind = \"mix\", max_talkers = 16 }}]\n\
             [[room]]\nname = \"*\"\nchain = \"clean\"\n"
        );
        let server = Server::start(&config).await;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let (mut client, _) = RtcClient::join(&server, "r", &format!("n{number}"), None).await;
            // Each at its own place between two ticks.
            client.delay(PACKET_TIME * number as u32 / CLIENTS as u32);
            clients.push(client);
        }
        let talking = std::thread::spawn(move || talk(clients, SETTLE + MEASURE));
        tokio::time::sleep(SETTLE).await;
        let before = server.metrics().await;
        tokio::time::sleep(MEASURE).await;
        let after = server.metrics().await;
        talking.join().expect("the clients talk to the end");
        let latency = "foldback_server_latency_seconds";
        let at = |share| quantile_ms(&before, &after, latency, share);
        println!(
            "{mode}: median {:.1} ms, 95 % {:.1} ms, 99 % {:.1} ms (wanted: {median_ms}, {most_ms})",
            at(0.5),
            at(0.95),
            at(0.99),
        );
        for part in ["jitter_buffer", "tick_wait", "chain", "encode"] {
            let name = "foldback_server_latency_part_seconds";
            let total = |suffix: &str| {
                let name = format!("{name}_{suffix}");
                after.total(&name, &[("part", part)]) - before.total(&name, &[("part", part)])
            };
            println!("  {part}: mean {:.2} ms", total("sum") / total("count") * 1e3);
        }
        for counter in ["foldback_samples_concealed_total", "foldback_ticks_skipped_total"] {
            println!("  {counter}: {}", after.total(counter, &[]) - before.total(counter, &[]));
        }
    }
}

/// Of what came between two scrapes, evenly spread within each bucket.
fn quantile_ms(before: &Scrape, after: &Scrape, name: &str, share: f64) -> f64 {
    let buckets = |scrape: &Scrape| -> Vec<(f64, f64)> {
        let mut buckets: Vec<_> = scrape
            .samples(&format!("{name}_bucket"), &[])
            .filter_map(|sample| Some((sample.labels.get("le")?.parse().ok()?, sample.value)))
            .collect();
        buckets.sort_by(|a: &(f64, f64), b| a.0.total_cmp(&b.0));
        buckets
    };
    let counts: Vec<(f64, f64)> = buckets(after)
        .into_iter()
        .zip(buckets(before))
        .map(|((le, now), (_, then))| (le, now - then))
        .collect();
    let wanted = share * counts.last().expect("buckets").1;
    let (mut low, mut below) = (0.0, 0.0);
    for (le, count) in counts {
        if count >= wanted {
            let within = (wanted - below) / (count - below).max(1.0);
            return (low + within * (le - low)) * 1e3;
        }
        (low, below) = (le, count);
    }
    f64::INFINITY
}

fn talk(mut clients: Vec<RtcClient>, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        for client in &mut clients {
            client.run(Instant::now());
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    assert!(clients.iter().all(|client| client.connected), "everybody was connected");
}
