//! What was measured. `docs/load.md` is the contract of its JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde::Serialize;

use crate::statistics::Summary;

/// Own packets may be sent so late before the clients are the bottleneck, in ms.
const LATE_MS: f64 = 10.0;
/// A thread that computes for a larger share of the time, in percent, is.
const BUSY_PERCENT: f64 = 90.0;
/// A machine that is busier has nothing left, in percent.
const MACHINE_BUSY_PERCENT: f64 = 97.0;

/// The result of a load.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Rooms.
    pub rooms: usize,
    /// Participants of each room that were to join.
    pub participants_per_room: usize,
    /// Of these, those who were to talk.
    pub talkers_per_room: usize,
    /// Time measured, in s.
    pub seconds: f64,
    /// Getting in.
    pub joining: Joining,
    /// RTP packets.
    pub packets: Packets,
    /// The delay of sound, if any client was listened to.
    pub mouth_to_ear: MouthToEar,
    /// Of the server, where it was on this machine or said something of itself.
    pub server: ServerSide,
    /// Of the clients.
    pub client: ClientSide,
}

/// How clients got in.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Joining {
    /// Those that were to join.
    pub wanted: usize,
    /// Those that did.
    pub joined: usize,
    /// Why the others did not, and how many each.
    pub failures: BTreeMap<String, usize>,
    /// Sessions that ended before their time.
    pub broken_off: usize,
    /// From the beginning of signalling to ICE and DTLS being up.
    pub connected: Option<Summary>,
    /// From the beginning of signalling to the first packet, of those who joined while somebody else
    /// in their room talked.
    pub first_media: Option<Summary>,
}

/// RTP packets of all clients while it was measured.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Packets {
    /// Clients sent them.
    pub sent: u64,
    /// They came to clients.
    pub received: u64,
    /// They were sent to clients and did not come, by their sequence numbers.
    pub lost: u64,
    /// Lost by all that were sent to clients, in percent.
    pub lost_percent: f64,
    /// Times above 60 ms without a packet that were no intended silence.
    pub gaps: u64,
    /// Clients that had any.
    pub clients_with_gaps: usize,
    /// The longest such time, in ms, also below 60.
    pub longest_gap_ms: f64,
}

/// From the mouth of one to the ear of another.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct MouthToEar {
    /// Clients whose packets were decoded.
    pub listeners: usize,
    /// Markers that they should have heard.
    pub markers_expected: u64,
    /// Markers that they heard.
    pub markers_found: u64,
    /// The delays of these.
    pub delay: Option<Summary>,
    /// Silences above 60 ms in decoded sound while somebody was to be heard.
    pub holes: u64,
    /// Packets that were no Opus.
    pub undecodable: u64,
}

/// What the server used up, and how it kept time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ServerSide {
    /// CPU, in percent of a core.
    pub cpu_percent: Option<f64>,
    /// CPU by participants, in ms per second.
    pub cpu_ms_per_participant: Option<f64>,
    /// CPU by talkers, in ms per second.
    pub cpu_ms_per_talker: Option<f64>,
    /// Resident memory in the end, in MiB.
    pub memory_mib: Option<f64>,
    /// The 99th percentile of how late ticks began, in ms.
    pub tick_lateness_p99_ms: Option<f64>,
    /// Ticks that ran.
    pub ticks: Option<u64>,
    /// Ticks that were left out.
    pub ticks_skipped: Option<u64>,
}

/// How the clients kept up.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClientSide {
    /// How late they sent their packets.
    pub lateness: Option<Summary>,
    /// CPU of the busiest of their threads, in percent of a core.
    pub busiest_thread_percent: f64,
    /// CPU of all of their threads, in percent of a core.
    pub cpu_percent: f64,
    /// How busy the whole machine was, in percent of all cores.
    pub machine_percent: f64,
    /// Datagrams that came while the socket of a client was full.
    pub dropped_datagrams: u64,
    /// Datagrams that the operating system did not take.
    pub unsent_datagrams: u64,
    /// Why the figures tell of the clients rather than of the server; none, if the clients kept up.
    pub bottlenecks: Vec<Bottleneck>,
}

/// Where clients did not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bottleneck {
    /// Packets were sent more than 10 ms late (99th percentile).
    LateSending,
    /// A thread was busy for more than 90 % of the time.
    BusyThread,
    /// Sockets were full.
    DroppedDatagrams,
}

impl ClientSide {
    /// Says where it did not keep up.
    pub(crate) fn judge(mut self) -> Self {
        let late = self.lateness.is_some_and(|lateness| lateness.p99_ms > LATE_MS);
        self.bottlenecks = [
            (late, Bottleneck::LateSending),
            (self.busiest_thread_percent > BUSY_PERCENT, Bottleneck::BusyThread),
            (self.dropped_datagrams > 0, Bottleneck::DroppedDatagrams),
        ]
        .into_iter()
        .filter_map(|(found, bottleneck)| found.then_some(bottleneck))
        .collect();
        self
    }
}

impl Bottleneck {
    fn sentence(self) -> &'static str {
        match self {
            Self::LateSending => "its packets were sent more than 10 ms late",
            Self::BusyThread => "one of its threads was busy all the time (see --threads)",
            Self::DroppedDatagrams => "its sockets were full and lost datagrams",
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rooms, participants_per_room, talkers_per_room, seconds, .. } = self;
        writeln!(
            f,
            "rooms            {rooms} of {participants_per_room} with {talkers_per_room} talking, \
             for {seconds} s"
        )?;
        write!(f, "{}{}{}", self.joining, self.packets, self.mouth_to_ear)?;
        write!(f, "{}{}", self.server, self.client)
    }
}

impl fmt::Display for Joining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "joined           {} of {}", self.joined, self.wanted)?;
        for (reason, count) in &self.failures {
            writeln!(f, "                 {count} not: {reason}")?;
        }
        if self.broken_off > 0 {
            writeln!(f, "                 {} broke off", self.broken_off)?;
        }
        writeln!(f, "connected after  {}", text(self.connected))?;
        writeln!(f, "sound after      {}", text(self.first_media))
    }
}

impl fmt::Display for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, lost, lost_percent, gaps, clients_with_gaps, .. } = self;
        writeln!(
            f,
            "packets          {sent} sent, {received} received, {lost} lost ({lost_percent} %)"
        )?;
        writeln!(
            f,
            "gaps over 60 ms  {gaps} at {clients_with_gaps} clients, the longest time without a \
             packet {} ms",
            self.longest_gap_ms
        )
    }
}

impl fmt::Display for MouthToEar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.listeners == 0 {
            return writeln!(f, "mouth to ear     nobody was listened to");
        }
        let Self { listeners, markers_expected, markers_found, holes, undecodable, .. } = self;
        writeln!(
            f,
            "mouth to ear     {}\n                 {markers_found} of {markers_expected} markers \
             found, {holes} holes in the sound, {undecodable} undecodable packets, at {listeners} \
             clients",
            text(self.delay)
        )
    }
}

impl fmt::Display for ServerSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(cpu), Some(participant)) = (self.cpu_percent, self.cpu_ms_per_participant) {
            write!(
                f,
                "server           {cpu} % of a core, ms of CPU per second: {participant} per \
                       participant"
            )?;
            if let Some(talker) = self.cpu_ms_per_talker {
                write!(f, ", {talker} per talker")?;
            }
            if let Some(memory) = self.memory_mib {
                write!(f, "; {memory} MiB")?;
            }
            writeln!(f)?;
        }
        if let (Some(ticks), Some(skipped)) = (self.ticks, self.ticks_skipped) {
            let p99 = self.tick_lateness_p99_ms;
            let p99 = p99.map_or("beyond measure".to_owned(), |ms| format!("at most {ms} ms"));
            writeln!(
                f,
                "ticks            {ticks} ran, 99 % of them {p99} late, {skipped} skipped"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept_up = match self.bottlenecks.is_empty() {
            true => "kept up".to_owned(),
            false => {
                let reasons: Vec<_> = self.bottlenecks.iter().map(|b| b.sentence()).collect();
                format!("WAS THE BOTTLENECK: {}", reasons.join("; "))
            }
        };
        writeln!(f, "this side        {kept_up}")?;
        if self.machine_percent > MACHINE_BUSY_PERCENT {
            writeln!(f, "                 the machine was at its limit: all on it waited")?;
        }
        writeln!(f, "sent late by     {}", text(self.lateness))?;
        writeln!(
            f,
            "                 {} % of a core, the busiest thread {} %, the whole machine {} %, {} \
             datagrams dropped, {} not taken",
            self.cpu_percent,
            self.busiest_thread_percent,
            self.machine_percent,
            self.dropped_datagrams,
            self.unsent_datagrams,
        )
    }
}

fn text(summary: Option<Summary>) -> String {
    let Some(Summary { median_ms, p95_ms, p99_ms, max_ms }) = summary else {
        return "not measured".to_owned();
    };
    let mut text = String::new();
    for (name, ms) in [("median", median_ms), ("95 %", p95_ms), ("99 %", p99_ms), ("max", max_ms)] {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{name} {ms:.1} ms");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_plainly_when_the_clients_were_the_bottleneck() {
        let calm = ClientSide { busiest_thread_percent: 40.0, ..ClientSide::default() }.judge();
        assert_eq!(calm.bottlenecks, []);
        assert!(calm.to_string().contains("kept up"));
        let late = Summary { median_ms: 1.0, p95_ms: 5.0, p99_ms: 12.0, max_ms: 20.0 };
        let busy = ClientSide {
            lateness: Some(late),
            busiest_thread_percent: 99.0,
            dropped_datagrams: 3,
            ..ClientSide::default()
        }
        .judge();
        assert_eq!(busy.bottlenecks.len(), 3);
        let text = busy.to_string();
        assert!(text.contains("WAS THE BOTTLENECK: its packets were sent more than 10 ms late; "));
        let json = serde_json::to_value(&busy).expect("serialises");
        assert_eq!(json["bottlenecks"][0], "late-sending");
    }
}
