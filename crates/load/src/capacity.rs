//! How much a server carries: loads of more and more rooms.

use std::fmt;

use serde::Serialize;

use crate::report::Report;
use crate::statistics::rounded;

/// Ticks that may be skipped, of all: more than that is heard.
const MAX_SKIPPED: f64 = 1e-4;

/// What still counts as carried.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The 99th percentile of tick lateness, in ms.
    pub tick_lateness_ms: f64,
    /// Packets that did not come to the clients, in percent.
    pub lost_percent: f64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct CapacityReport {
    /// The largest load that was carried; none, if not even the first was.
    pub carried: Option<Carried>,
    /// What ended the search.
    pub limit: Limit,
    /// Every load that was tried, in this order.
    pub steps: Vec<Step>,
}

/// A load that was carried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Carried {
    /// Rooms.
    pub rooms: usize,
    /// Participants of all of them.
    pub participants: usize,
    /// Talkers of all of them.
    pub talkers: usize,
    /// CPU of the server, in percent of a core.
    pub server_cpu_percent: Option<f64>,
    /// Talkers by the cores' worth of CPU that the server spent on all of it.
    pub talkers_per_core: Option<f64>,
}

/// What more was not possible for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The server passed a bound.
    Server,
    /// The clients did not keep up: it carries at least what is reported.
    Clients,
    /// The largest load that was asked for was carried.
    Asked,
}

/// One load and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Rooms.
    pub rooms: usize,
    /// Why it was not carried; none, if it was.
    pub exceeded: Vec<String>,
    /// All that was measured.
    pub report: Report,
}

impl Step {
    fn is_carried(&self) -> bool {
        self.exceeded.is_empty()
    }

    /// Whether its figures tell of the clients.
    fn is_of_clients(&self) -> bool {
        !self.report.client.bottlenecks.is_empty()
    }
}

impl Bounds {
    /// What of a report is beyond them.
    fn exceeded(&self, report: &Report) -> Vec<String> {
        let (server, joining) = (&report.server, &report.joining);
        let late = match server.tick_lateness_p99_ms {
            None => Some("tick lateness is beyond measure".to_owned()),
            Some(ms) => (ms > self.tick_lateness_ms).then(|| {
                format!("99 % of ticks are up to {ms} ms late, {} allowed", self.tick_lateness_ms)
            }),
        };
        let lost = report.packets.lost_percent;
        let lost = (lost > self.lost_percent)
            .then(|| format!("{lost} % of packets are lost, {} allowed", self.lost_percent));
        let (ran, skipped) = (server.ticks.unwrap_or(0), server.ticks_skipped.unwrap_or(0));
        let skipped = (skipped as f64 > MAX_SKIPPED * (ran + skipped) as f64)
            .then(|| format!("{skipped} of {} ticks are skipped", ran + skipped));
        let out = joining.wanted - joining.joined + joining.broken_off;
        let out = (out > 0).then(|| format!("{out} of {} did not stay in", joining.wanted));
        [late, lost, skipped, out].into_iter().flatten().collect()
    }
}

/// Doubles the rooms from one up to `most` until they are no longer carried, and then halves the
/// way between, until what is carried is known to an eighth.
///
/// `load` measures that many rooms; `tell` is told each step.
///
/// # Errors
/// What `load` says.
pub fn capacity(
    most: usize,
    bounds: Bounds,
    mut load: impl FnMut(usize) -> Result<Report, String>,
    mut tell: impl FnMut(&Step),
) -> Result<CapacityReport, String> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut carried, mut beyond): (Option<usize>, Option<usize>) = (None, None);
    let mut limit = Limit::Asked;
    let mut rooms = 1;
    loop {
        let report = load(rooms)?;
        let step = Step { rooms, exceeded: bounds.exceeded(&report), report };
        tell(&step);
        if step.is_of_clients() {
            limit = Limit::Clients;
            beyond = Some(rooms);
        } else if step.is_carried() {
            carried = Some(rooms);
        } else {
            limit = Limit::Server;
            beyond = Some(rooms);
        }
        steps.push(step);
        match next(carried, beyond, most) {
            Some(more) => rooms = more,
            None => break,
        }
    }
    let carried = carried.and_then(|rooms| steps.iter().find(|step| step.rooms == rooms));
    Ok(CapacityReport { carried: carried.map(carried_by), limit, steps })
}

/// How many rooms are to be tried next.
fn next(carried: Option<usize>, beyond: Option<usize>, most: usize) -> Option<usize> {
    let carried = carried.unwrap_or(0);
    let rooms = match beyond {
        None => (2 * carried).min(most),
        Some(beyond) => carried + (beyond - carried).div_ceil(2),
    };
    let is_known = match beyond {
        None => rooms == carried,
        Some(beyond) => rooms >= beyond || (beyond - carried) * 8 <= carried,
    };
    (!is_known).then_some(rooms)
}

fn carried_by(step: &Step) -> Carried {
    let Report { joining, server, talkers_per_room, .. } = &step.report;
    let talkers = step.rooms * talkers_per_room;
    let cores = server.cpu_percent.map(|percent| percent / 100.0).filter(|cores| *cores > 0.0);
    Carried {
        rooms: step.rooms,
        participants: joining.joined,
        talkers,
        server_cpu_percent: server.cpu_percent,
        talkers_per_core: cores.map(|cores| rounded(talkers as f64 / cores)),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { joining, packets, mouth_to_ear, server, client, .. } = &self.report;
        write!(f, "{} rooms, {} participants: ", self.rooms, joining.joined)?;
        let ms = |ms: Option<f64>| ms.map_or("?".to_owned(), |ms| format!("{ms:.2}"));
        write!(
            f,
            "ticks {} ms late (99 %), {} % lost, mouth to ear {} ms, server {} % of a core",
            ms(server.tick_lateness_p99_ms),
            packets.lost_percent,
            ms(mouth_to_ear.delay.map(|delay| delay.median_ms)),
            ms(server.cpu_percent),
        )?;
        match (self.is_of_clients(), self.is_carried()) {
            (true, _) => write!(f, "; the clients did not keep up: {:?}", client.bottlenecks),
            (false, true) => write!(f, "; carried"),
            (false, false) => write!(f, "; not carried: {}", self.exceeded.join("; ")),
        }
    }
}

impl fmt::Display for CapacityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.carried {
            None => writeln!(f, "not even one room is carried")?,
            Some(Carried {
                rooms,
                participants,
                talkers,
                server_cpu_percent,
                talkers_per_core,
            }) => {
                let least = if self.limit == Limit::Server { "" } else { "at least " };
                writeln!(
                    f,
                    "carries {least}{rooms} rooms, {participants} participants, {talkers} talkers"
                )?;
                if let (Some(cpu), Some(per_core)) = (server_cpu_percent, talkers_per_core) {
                    writeln!(f, "at {cpu} % of a core: {per_core} talkers per core")?;
                }
            }
        }
        match self.limit {
            Limit::Server => Ok(()),
            Limit::Clients => writeln!(
                f,
                "beyond, the clients of this machine did not keep up: load it from another one"
            ),
            Limit::Asked => writeln!(f, "more was not asked for"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Bottleneck, ClientSide, Joining, Packets, ServerSide};

    const BOUNDS: Bounds = Bounds { tick_lateness_ms: 5.0, lost_percent: 0.1 };

    /// A server that carries so many rooms of four, each with a talker that costs it 10 %.
    fn measured(rooms: usize, carries: usize, clients_carry: usize) -> Report {
        let joined = rooms * 4;
        let late = if rooms > carries { 20.0 } else { 0.3 };
        let bottlenecks =
            if rooms > clients_carry { vec![Bottleneck::LateSending] } else { vec![] };
        Report {
            rooms,
            talkers_per_room: 1,
            joining: Joining { wanted: joined, joined, ..Joining::default() },
            server: ServerSide {
                cpu_percent: Some(rooms as f64 * 10.0),
                tick_lateness_p99_ms: Some(late),
                ticks: Some(1_000),
                ticks_skipped: Some(0),
                ..ServerSide::default()
            },
            client: ClientSide { bottlenecks, ..ClientSide::default() },
            ..Report::default()
        }
    }

    fn find(most: usize, carries: usize, clients_carry: usize) -> CapacityReport {
        let load = |rooms| Ok(measured(rooms, carries, clients_carry));
        capacity(most, BOUNDS, load, |_| {}).expect("loads")
    }

    #[test]
    fn what_is_carried_is_found_to_an_eighth() {
        for carries in 1..200 {
            let report = find(1_000, carries, 1_000);
            let found = report.carried.expect("one is carried").rooms;
            assert!(found <= carries && carries - found <= found / 8, "{found} for {carries}");
            assert_eq!(report.limit, Limit::Server);
        }
    }

    #[test]
    fn a_report_says_what_ended_the_search() {
        assert_eq!(find(1_000, 0, 1_000).carried, None);
        let asked = find(10, 1_000, 1_000);
        assert_eq!((asked.carried.map(|c| c.rooms), asked.limit), (Some(10), Limit::Asked));
        let clients = find(1_000, 1_000, 16);
        let carried = clients.carried.expect("some are");
        assert_eq!((carried.rooms, clients.limit), (16, Limit::Clients));
        assert_eq!((carried.participants, carried.talkers_per_core), (64, Some(10.0)));
        assert!(clients.to_string().starts_with("carries at least 16 rooms, 64 participants"));
    }

    #[test]
    fn every_bound_that_is_passed_is_told() {
        let mut report = measured(3, 2, 9);
        report.packets = Packets { lost_percent: 0.5, ..Packets::default() };
        report.server.ticks_skipped = Some(7);
        report.joining.joined = 11;
        let exceeded = BOUNDS.exceeded(&report);
        assert_eq!(exceeded.len(), 4, "{exceeded:?}");
        assert_eq!(BOUNDS.exceeded(&measured(2, 2, 9)), Vec::<String>::new());
    }
}
