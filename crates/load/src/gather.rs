//! The report out of what all parts counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::Url;

use crate::client::Client;
use crate::ears::HeardReport;
use crate::engine::EngineReport;
use crate::plan::LoadPlan;
use crate::report::{ClientSide, Joining, MouthToEar, Packets, Report, ServerSide};
use crate::server::Ticks;
use crate::statistics::{Summary, rounded};
use crate::system::{self, MachineTime};

/// What was used up until an instant.
pub(crate) struct Usage {
    at: Instant,
    machine: Option<MachineTime>,
    server_cpu: Option<Duration>,
    server_memory_bytes: Option<u64>,
    ticks: Option<Ticks>,
}

impl Usage {
    /// Asks the operating system, and the server at `url`.
    pub(crate) async fn now(server_pid: Option<u32>, url: &Url) -> Self {
        let ticks = Ticks::of(url).await;
        Self {
            at: Instant::now(),
            machine: MachineTime::now(),
            // A server that is gone has nothing more to tell; what its clients saw is told.
            server_cpu: server_pid.and_then(|pid| system::process_cpu_time(pid).ok()),
            server_memory_bytes: server_pid.and_then(system::process_memory_bytes),
            ticks,
        }
    }
}

/// The report of the time between two looks.
pub(crate) fn gather(
    plan: &LoadPlan,
    failures: BTreeMap<String, usize>,
    engines: &[EngineReport],
    heard: HeardReport,
    (before, after): (&Usage, &Usage),
) -> Report {
    let clients: Vec<&Client> = engines.iter().flat_map(|engine| &engine.clients).collect();
    let talkers = clients.iter().filter(|client| is_up(client) && client.role.talks()).count();
    let joining = joining(plan, &clients, failures);
    Report {
        rooms: plan.rooms,
        participants_per_room: plan.participants,
        talkers_per_room: plan.talkers,
        seconds: rounded((after.at - before.at).as_secs_f64()),
        packets: packets(&clients),
        mouth_to_ear: mouth_to_ear(heard),
        server: server_side(before, after, joining.joined, talkers),
        client: client_side(engines, &clients, before, after),
        joining,
    }
}

fn is_up(client: &&Client) -> bool {
    client.progress.connected.is_some()
}

fn joining(plan: &LoadPlan, clients: &[&Client], mut failures: BTreeMap<String, usize>) -> Joining {
    let up: Vec<_> = clients.iter().copied().filter(is_up).collect();
    if up.len() < clients.len() {
        let reason = "ICE and DTLS did not come up".to_owned();
        failures.insert(reason, clients.len() - up.len());
    }
    let after = |at: fn(&Client) -> Option<Instant>| {
        let waits = up.iter().filter_map(|client| Some(at(client)? - client.progress.began));
        Summary::of(waits)
    };
    Joining {
        wanted: plan.everybody(),
        joined: up.len(),
        failures,
        broken_off: up.iter().filter(|client| client.progress.ended).count(),
        connected: after(|client| client.progress.connected),
        first_media: after(|client| {
            client.progress.first_media.filter(|_| client.progress.found_talking)
        }),
    }
}

fn packets(clients: &[&Client]) -> Packets {
    let received: u64 = clients.iter().map(|client| client.reception.received).sum();
    let lost: u64 = clients.iter().map(|client| client.reception.lost()).sum();
    let longest = clients.iter().map(|client| client.reception.longest).max();
    Packets {
        sent: clients.iter().map(|client| client.sent).sum(),
        received,
        lost,
        lost_percent: percent(lost as f64 / (received + lost).max(1) as f64),
        gaps: clients.iter().map(|client| client.reception.gaps).sum(),
        clients_with_gaps: clients.iter().filter(|client| client.reception.gaps > 0).count(),
        longest_gap_ms: rounded(longest.unwrap_or_default().as_secs_f64() * 1e3),
    }
}

fn mouth_to_ear(heard: HeardReport) -> MouthToEar {
    MouthToEar {
        listeners: heard.listeners,
        markers_expected: heard.markers_expected,
        markers_found: heard.delays.len() as u64,
        delay: Summary::of(heard.delays),
        holes: heard.holes,
        undecodable: heard.undecodable,
    }
}

fn server_side(before: &Usage, after: &Usage, joined: usize, talkers: usize) -> ServerSide {
    let seconds = (after.at - before.at).as_secs_f64();
    let cpu_s = after.server_cpu.zip(before.server_cpu);
    let cpu_share =
        cpu_s.map(|(after, before)| after.saturating_sub(before).as_secs_f64() / seconds);
    let by = |count: usize| cpu_share.map(|share| rounded(share * 1e3 / count.max(1) as f64));
    let ticks = after.ticks.as_ref().zip(before.ticks.as_ref());
    let ticks = ticks.map(|(after, before)| after.since(before));
    let lateness = ticks.and_then(|ticks| ticks.p99_lateness);
    let mib = |bytes: u64| rounded(bytes as f64 / f64::from(1 << 20));
    ServerSide {
        cpu_percent: cpu_share.map(percent),
        cpu_ms_per_participant: by(joined),
        cpu_ms_per_talker: by(talkers).filter(|_| talkers > 0),
        memory_mib: after.server_memory_bytes.map(mib),
        tick_lateness_p99_ms: lateness.map(|lateness| rounded(lateness.as_secs_f64() * 1e3)),
        ticks: ticks.map(|ticks| ticks.ran),
        ticks_skipped: ticks.map(|ticks| ticks.skipped),
    }
}

fn client_side(
    engines: &[EngineReport],
    clients: &[&Client],
    before: &Usage,
    after: &Usage,
) -> ClientSide {
    let seconds = (after.at - before.at).as_secs_f64();
    let machine = after.machine.zip(before.machine);
    let machine = machine.map_or(0.0, |(after, before)| after.busy_since(&before));
    let share = |engine: &EngineReport| engine.cpu_time.as_secs_f64() / seconds;
    ClientSide {
        lateness: Summary::of(clients.iter().flat_map(|client| client.lateness.iter().copied())),
        busiest_thread_percent: percent(engines.iter().map(share).fold(0.0, f64::max)),
        cpu_percent: percent(engines.iter().map(share).sum()),
        dropped_datagrams: engines.iter().map(|engine| engine.dropped).sum(),
        unsent_datagrams: clients.iter().map(|client| client.unsent).sum(),
        machine_percent: percent(machine),
        ..ClientSide::default()
    }
    .judge()
}

fn percent(share: f64) -> f64 {
    rounded(share * 100.0)
}
