//! Every metric of foldback: names, help texts and buckets in one place, [`declarations`].
//!
//! Media threads record into a [`WorkerMetrics`] of their own, which takes no lock (an observation
//! costs a few nanoseconds), and flush it into the shared [`Metrics`] about once a second.
//! No label has values that users can invent: chains and stages come from the configuration.

pub mod declarations;
mod document;
mod participants;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::local::LocalHistogram;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::declarations::{self as declared, Family, Kind};
pub use crate::document::markdown;
pub use crate::participants::{ParticipantFigure, ParticipantFigures};

/// Why people are gone: the values of the label `reason`.
pub const DEPARTURE_REASONS: [&str; 4] = ["left", "closed", "timeout", "kicked"];
/// What becomes of what webhooks are to be told: the values of the label `outcome`.
pub const WEBHOOK_OUTCOMES: [&str; 3] = ["told", "given-up", "dropped"];
/// Server latencies kept per worker for the live percentiles.
const RECENT: usize = 512;

/// The shared registry of one server.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    stage_duration: HistogramVec,
    tick_duration: Histogram,
    tick_lateness: Histogram,
    server_latency: Histogram,
    latency_parts: HistogramVec,
    jitter_buffer_delay: Histogram,
    counters: Counters<IntCounter>,
    gauges: Gauges<IntGauge>,
    worker_load: GaugeVec,
    shedding_level: IntGaugeVec,
    joins: IntCounter,
    departures: IntCounterVec,
    joins_refused: IntCounter,
    tcp_connections: IntGauge,
    tcp_connections_refused: IntCounter,
    draining: IntGauge,
    waiting: IntGauge,
    recordings: IntGauge,
    recorded_bytes: IntCounter,
    recording_missed: IntCounter,
    recording_failures: IntCounter,
    webhook_events: IntCounterVec,
    webhook_failures: IntCounter,
    last_reload: IntGauge,
    certificate_expiry: IntGaugeVec,
}

/// Where the server's certificate comes from: the values of the label `source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateOrigin {
    /// Files that others renew.
    File,
    /// By ACME.
    Acme,
    /// It was made for this run of the server.
    SelfMade,
}

/// Things that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters<T> {
    /// RTP packets of participants taken into a jitter buffer.
    pub packets_received: T,
    /// RTP packets that did not come before they were due.
    pub packets_lost: T,
    /// RTP packets that came too late or twice.
    pub packets_late: T,
    /// RTP packets that were no Opus.
    pub packets_invalid: T,
    /// Lost packets rebuilt with the help of the next one.
    pub packets_recovered: T,
    /// Samples made up because their packet was not there.
    pub samples_concealed: T,
    /// Samples taken out to shorten a delay.
    pub samples_removed: T,
    /// Ticks that ran.
    pub ticks: T,
    /// Ticks left out because the worker was held up.
    pub ticks_skipped: T,
    /// Stages taken out of a running chain (panic, or samples that are no numbers).
    pub stage_faults: T,
    /// Datagrams that came to the media port.
    pub datagrams_received: T,
    /// System calls that read them.
    pub receive_calls: T,
    /// Datagrams that the operating system took.
    pub datagrams_sent: T,
    /// System calls that sent them.
    pub send_calls: T,
    /// Datagrams on the media port that belonged to nobody.
    pub datagrams_unknown: T,
    /// Datagrams that the operating system did not take.
    pub datagrams_unsent: T,
    /// Datagrams that a connection had no room for.
    pub tcp_datagrams_dropped: T,
    /// Datagrams to a line of RTP from elsewhere.
    pub rtp_foreign: T,
    /// Those that were no RTP.
    pub rtp_malformed: T,
    /// Those of another payload type.
    pub rtp_other_payload: T,
    /// Those that were not of who has the key, or came before.
    pub rtp_unauthentic: T,
}

/// Things that are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges<T> {
    /// People in rooms whose browser sent an offer.
    pub participants: T,
    /// Rooms that somebody joined.
    pub rooms: T,
    /// Distinct mixes being encoded.
    pub encoders: T,
    /// Rooms whose work is divided among threads.
    pub divided: T,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(env!("CARGO_PKG_VERSION"))
    }
}

impl Metrics {
    /// A registry with every metric, for a server of that version.
    ///
    /// # Panics
    /// If two metrics share a name (a bug in this file).
    #[must_use]
    pub fn new(version: &str) -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        let info = make.gauges_by(&declared::BUILD_INFO);
        info.with_label_values(&[version]).set(1);
        let last_reload = make.gauge(&declared::LAST_RELOAD);
        last_reload.set(1);
        let departures = make.counters_by(&declared::DEPARTURES);
        for reason in DEPARTURE_REASONS {
            departures.with_label_values(&[reason]);
        }
        let webhook_events = make.counters_by(&declared::WEBHOOK_EVENTS);
        for outcome in WEBHOOK_OUTCOMES {
            webhook_events.with_label_values(&[outcome]);
        }
        Self {
            stage_duration: make.histograms_by(&declared::STAGE_DURATION),
            latency_parts: make.histograms_by(&declared::LATENCY_PARTS),
            tick_duration: make.histogram(&declared::TICK_DURATION),
            tick_lateness: make.histogram(&declared::TICK_LATENESS),
            server_latency: make.histogram(&declared::SERVER_LATENCY),
            jitter_buffer_delay: make.histogram(&declared::JITTER_BUFFER_DELAY),
            counters: make.counters(),
            gauges: make.gauges(),
            worker_load: make.floats_by(&declared::WORKER_LOAD),
            shedding_level: make.gauges_by(&declared::SHEDDING_LEVEL),
            joins: make.counter(&declared::JOINS),
            departures,
            joins_refused: make.counter(&declared::JOINS_REFUSED),
            tcp_connections: make.gauge(&declared::TCP_CONNECTIONS),
            tcp_connections_refused: make.counter(&declared::TCP_CONNECTIONS_REFUSED),
            draining: make.gauge(&declared::DRAINING),
            waiting: make.gauge(&declared::WAITING),
            recordings: make.gauge(&declared::RECORDINGS),
            recorded_bytes: make.counter(&declared::RECORDED_BYTES),
            recording_missed: make.counter(&declared::RECORDING_MISSED),
            recording_failures: make.counter(&declared::RECORDING_FAILURES),
            webhook_events,
            webhook_failures: make.counter(&declared::WEBHOOK_FAILURES),
            last_reload,
            certificate_expiry: make.gauges_by(&declared::CERTIFICATE_EXPIRY),
            registry,
        }
    }

    /// So many people wait to be let into rooms now.
    pub fn set_waiting(&self, people: usize) {
        self.waiting.set(people as i64);
    }

    /// A room is recorded from now on.
    pub fn recording_began(&self) {
        self.recordings.inc();
    }

    /// Its files are closed.
    pub fn recording_ended(&self) {
        self.recordings.dec();
    }

    /// A recording could not begin, or not go on.
    pub fn recording_failed(&self) {
        self.recording_failures.inc();
    }

    /// A webhook was to be told of something, with one of [`WEBHOOK_OUTCOMES`].
    pub fn webhook(&self, outcome: &str) {
        self.webhook_events.with_label_values(&[outcome]).inc();
    }

    /// An attempt to tell a webhook failed.
    pub fn webhook_failed(&self) {
        self.webhook_failures.inc();
    }

    /// So many bytes went to files, and so many packets did not.
    pub fn recorded(&self, bytes: u64, missed: u64) {
        self.recorded_bytes.inc_by(bytes);
        self.recording_missed.inc_by(missed);
    }

    /// The configuration file was read again, and could be taken or not.
    pub fn file_read(&self, taken: bool) {
        self.last_reload.set(taken.into());
    }

    /// The certificate that new connections are shown is good until then, in s since 1970; 0: there is none.
    pub fn certificate_expiry(&self, origin: CertificateOrigin, until: u64) {
        let source = match origin {
            CertificateOrigin::File => "file",
            CertificateOrigin::Acme => "acme",
            CertificateOrigin::SelfMade => "self-made",
        };
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        self.certificate_expiry.with_label_values(&[source]).set(until);
    }

    /// A media thread was busy for that share of its time, and its rooms do without so much.
    pub fn worker_load(&self, worker: usize, busy: f32, shedding_level: u8) {
        let worker = worker.to_string();
        self.worker_load.with_label_values(&[&worker]).set(busy.into());
        self.shedding_level.with_label_values(&[&worker]).set(shedding_level.into());
    }

    /// Somebody was let in.
    pub fn joined(&self) {
        self.joins.inc();
    }

    /// Somebody is gone, for one of [`DEPARTURE_REASONS`].
    pub fn left(&self, reason: &str) {
        self.departures.with_label_values(&[reason]).inc();
    }

    /// The server is about to end.
    pub fn draining(&self) {
        self.draining.set(1);
    }

    /// Somebody was not let in because there is too much to do.
    pub fn join_refused(&self) {
        self.joins_refused.inc();
    }

    /// So many connections are open on the media port of TCP.
    pub fn tcp_connections(&self, count: usize) {
        self.tcp_connections.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// One was closed before it was known whose it is.
    pub fn tcp_refused(&self) {
        self.tcp_connections_refused.inc();
    }

    /// The recorder of one media thread.
    #[must_use]
    pub fn for_worker(&self) -> WorkerMetrics {
        WorkerMetrics {
            tick_duration: self.tick_duration.local(),
            tick_lateness: self.tick_lateness.local(),
            server_latency: self.server_latency.local(),
            latency_parts: LatencyParts::NAMES
                .map(|part| self.latency_parts.with_label_values(&[part]).local()),
            recent_parts: Default::default(),
            jitter_buffer_delay: self.jitter_buffer_delay.local(),
            chains: Vec::new(),
            counted: Counters::default(),
            last_gauges: Gauges::default(),
            recent_us: Vec::with_capacity(RECENT),
            sorted_us: Vec::with_capacity(RECENT),
            next_recent: 0,
            shared: self.clone(),
        }
    }

    /// Everything in Prometheus text format 0.0.4, with what stages read now, and figures of
    /// participants where they are asked for.
    #[must_use]
    pub fn encode(
        &self,
        readings: &[StageReading],
        participants: Option<&ParticipantFigures>,
    ) -> String {
        let mut families = self.registry.gather();
        families.extend(stage_readings(readings));
        families.extend(participants.into_iter().flat_map(ParticipantFigures::families));
        let mut text = Vec::new();
        // Writing to memory cannot fail, and the metrics were checked when registered.
        let _ = TextEncoder::new().encode(&families, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

/// What a stage reads, as the mean over the chains of that name that run it.
#[derive(Clone, Debug, PartialEq)]
pub struct StageReading {
    /// Of that participant alone.
    pub participant: Option<u64>,
    /// The chain's name.
    pub chain: String,
    /// The stage's name.
    pub stage: String,
    /// What is read; ends in its unit.
    pub reading: &'static str,
    /// The mean.
    pub mean: f32,
}

/// Made anew for each scrape, so that what no longer runs no longer shows.
fn stage_readings(readings: &[StageReading]) -> Vec<MetricFamily> {
    let gauge = unregistered_floats(&declared::STAGE_READING);
    let of_one = unregistered_floats(&declared::PARTICIPANT_READING);
    for StageReading { participant, chain, stage, reading, mean } in readings {
        let series = match participant {
            None => gauge.with_label_values(&[chain.as_str(), stage, reading]),
            Some(id) => of_one.with_label_values(&[&id.to_string(), chain, stage, *reading]),
        };
        series.set((*mean).into());
    }
    // One without series is no family in the text format.
    let families = gauge.collect().into_iter().chain(of_one.collect());
    families.filter(|family| !family.get_metric().is_empty()).collect()
}

/// What a packet's way through the server is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyParts {
    /// Held back so that later ones could still come in time, or wait for their FEC.
    pub jitter_buffer: Duration,
    /// From the arrival to the first tick that could have taken it.
    pub tick_wait: Duration,
    /// Stages: their algorithmic delay, decoding, computing and mixing.
    pub chain: Duration,
    /// Encoding and sending.
    pub encode: Duration,
}

impl LatencyParts {
    const NAMES: [&str; 4] = ["jitter_buffer", "tick_wait", "chain", "encode"];

    /// The parts of `total`: what is not known to be one of the others is the jitter buffer's.
    #[must_use]
    pub fn of(total: Duration, tick_wait: Duration, chain: Duration, encode: Duration) -> Self {
        let jitter_buffer = total.saturating_sub(tick_wait + chain + encode);
        Self { jitter_buffer, tick_wait, chain, encode }
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.jitter_buffer + self.tick_wait + self.chain + self.encode
    }
}

/// How long packets took through the server of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentLatency {
    /// Median of the latest.
    pub p50: Duration,
    /// 95th percentile of the latest.
    pub p95: Duration,
    /// Means of those since this was asked last; `None` if there were none.
    pub parts: Option<LatencyParts>,
}

/// Stages of a chain that were resolved to their series, so that recording looks nothing up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHandle(usize);

#[derive(Debug)]
struct Chain {
    name: String,
    stages: Vec<String>,
    durations: Vec<LocalHistogram>,
}

/// What one media thread records. `flush` and `chain` may allocate and take locks; nothing else.
#[derive(Debug)]
pub struct WorkerMetrics {
    tick_duration: LocalHistogram,
    tick_lateness: LocalHistogram,
    server_latency: LocalHistogram,
    latency_parts: [LocalHistogram; 4],
    /// Sums of as many since somebody asked.
    recent_parts: ([Duration; 4], u32),
    jitter_buffer_delay: LocalHistogram,
    chains: Vec<Chain>,
    counted: Counters<u64>,
    last_gauges: Gauges<i64>,
    recent_us: Vec<u32>,
    /// Where they are sorted.
    sorted_us: Vec<u32>,
    next_recent: usize,
    shared: Metrics,
}

impl WorkerMetrics {
    /// Resolves stages of a chain; their series show from now on, at zero. Allocates and takes a lock
    /// for those that it was not asked for before.
    pub fn chain<'a>(
        &mut self,
        name: &str,
        stages: impl Iterator<Item = &'a str> + Clone,
    ) -> ChainHandle {
        // A chain of that name may have had other stages before.
        let same = |known: &Chain| known.name == name && stages.clone().eq(&known.stages);
        if let Some(known) = self.chains.iter().position(same) {
            return ChainHandle(known);
        }
        let series = |stage| self.shared.stage_duration.with_label_values(&[name, stage]).local();
        let durations = stages.clone().map(series).collect();
        let stages = stages.map(str::to_owned).collect();
        self.chains.push(Chain { name: name.to_owned(), stages, durations });
        ChainHandle(self.chains.len() - 1)
    }

    /// A stage of a chain took `ns` nanoseconds for a block.
    pub fn stage_took(&mut self, chain: ChainHandle, stage: usize, ns: u64) {
        if let Some(histogram) = self.chains.get(chain.0).and_then(|c| c.durations.get(stage)) {
            histogram.observe(ns as f64 * 1e-9);
        }
    }

    /// A tick began `lateness` after its deadline and took `duration`.
    pub fn tick(&mut self, lateness: Duration, duration: Duration) {
        self.tick_lateness.observe(lateness.as_secs_f64());
        self.tick_duration.observe(duration.as_secs_f64());
        self.counted.ticks += 1;
    }

    /// A talker's packet took that long through the server.
    pub fn server_latency(&mut self, parts: LatencyParts) {
        let latency = parts.total();
        self.server_latency.observe(latency.as_secs_f64());
        let LatencyParts { jitter_buffer, tick_wait, chain, encode } = parts;
        let parts = [jitter_buffer, tick_wait, chain, encode];
        let (sums, count) = &mut self.recent_parts;
        *count += 1;
        for ((histogram, sum), part) in self.latency_parts.iter().zip(sums).zip(parts) {
            histogram.observe(part.as_secs_f64());
            *sum += part;
        }
        let us = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        if self.recent_us.len() < RECENT {
            self.recent_us.push(us);
        } else {
            self.recent_us[self.next_recent] = us;
            self.next_recent = (self.next_recent + 1) % RECENT;
        }
    }

    /// A participant's jitter buffer delay.
    pub fn jitter_buffer_delay(&mut self, delay: Duration) {
        self.jitter_buffer_delay.observe(delay.as_secs_f64());
    }

    /// What was counted since the last flush, to add to.
    pub fn count(&mut self) -> &mut Counters<u64> {
        &mut self.counted
    }

    /// The latest server latencies; `None` before the first.
    #[must_use]
    pub fn recent_latency(&mut self) -> Option<RecentLatency> {
        let sorted = &mut self.sorted_us;
        sorted.clear();
        sorted.extend_from_slice(&self.recent_us);
        sorted.sort_unstable();
        let at = |share: f64| {
            let index = (sorted.len().checked_sub(1)? as f64 * share).round() as usize;
            Some(Duration::from_micros(u64::from(*sorted.get(index)?)))
        };
        let (p50, p95) = (at(0.5)?, at(0.95)?);
        let (sums, count) = std::mem::take(&mut self.recent_parts);
        let parts = (count > 0).then(|| {
            let [jitter_buffer, tick_wait, chain, encode] = sums.map(|sum| sum / count);
            LatencyParts { jitter_buffer, tick_wait, chain, encode }
        });
        Some(RecentLatency { p50, p95, parts })
    }

    /// Adds what was recorded to the shared registry. Takes locks.
    pub fn flush(&mut self, now: Gauges<i64>) {
        self.tick_duration.flush();
        self.tick_lateness.flush();
        self.server_latency.flush();
        self.latency_parts.iter().for_each(LocalHistogram::flush);
        self.jitter_buffer_delay.flush();
        for stage in self.chains.iter().flat_map(|chain| &chain.durations) {
            stage.flush();
        }
        let (shared, new) = (&self.shared.counters, std::mem::take(&mut self.counted));
        shared.packets_received.inc_by(new.packets_received);
        shared.packets_lost.inc_by(new.packets_lost);
        shared.packets_late.inc_by(new.packets_late);
        shared.packets_invalid.inc_by(new.packets_invalid);
        shared.packets_recovered.inc_by(new.packets_recovered);
        shared.samples_concealed.inc_by(new.samples_concealed);
        shared.samples_removed.inc_by(new.samples_removed);
        shared.ticks.inc_by(new.ticks);
        shared.ticks_skipped.inc_by(new.ticks_skipped);
        shared.stage_faults.inc_by(new.stage_faults);
        shared.datagrams_received.inc_by(new.datagrams_received);
        shared.receive_calls.inc_by(new.receive_calls);
        shared.datagrams_sent.inc_by(new.datagrams_sent);
        shared.send_calls.inc_by(new.send_calls);
        shared.datagrams_unknown.inc_by(new.datagrams_unknown);
        shared.datagrams_unsent.inc_by(new.datagrams_unsent);
        shared.tcp_datagrams_dropped.inc_by(new.tcp_datagrams_dropped);
        shared.rtp_foreign.inc_by(new.rtp_foreign);
        shared.rtp_malformed.inc_by(new.rtp_malformed);
        shared.rtp_other_payload.inc_by(new.rtp_other_payload);
        shared.rtp_unauthentic.inc_by(new.rtp_unauthentic);
        // Workers add up: each gives the difference to what it gave before.
        let (gauges, before) = (&self.shared.gauges, self.last_gauges);
        gauges.participants.add(now.participants - before.participants);
        gauges.rooms.add(now.rooms - before.rooms);
        gauges.encoders.add(now.encoders - before.encoders);
        gauges.divided.add(now.divided - before.divided);
        self.last_gauges = now;
    }
}

/// Makes what is declared.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> C {
        self.0.register(Box::new(collector.clone())).expect("metric names are unique");
        collector
    }

    fn histogram(&self, family: &Family) -> Histogram {
        self.register(Histogram::with_opts(with_buckets(family)).expect("valid metric"))
    }

    fn histograms_by(&self, family: &Family) -> HistogramVec {
        let made = HistogramVec::new(with_buckets(family), &labels(family));
        self.register(made.expect("valid metric"))
    }

    fn counter(&self, family: &Family) -> IntCounter {
        self.register(IntCounter::with_opts(opts(family)).expect("valid metric"))
    }

    fn counters_by(&self, family: &Family) -> IntCounterVec {
        let made = IntCounterVec::new(opts(family), &labels(family));
        self.register(made.expect("valid metric"))
    }

    fn gauge(&self, family: &Family) -> IntGauge {
        self.register(IntGauge::with_opts(opts(family)).expect("valid metric"))
    }

    fn gauges_by(&self, family: &Family) -> IntGaugeVec {
        let made = IntGaugeVec::new(opts(family), &labels(family));
        self.register(made.expect("valid metric"))
    }

    fn floats_by(&self, family: &Family) -> GaugeVec {
        self.register(unregistered_floats(family))
    }

    fn counters(&self) -> Counters<IntCounter> {
        let dropped = self.counters_by(&declared::RTP_DATAGRAMS_DROPPED);
        let rtp_dropped = |cause| dropped.with_label_values(&[cause]);
        Counters {
            packets_received: self.counter(&declared::PACKETS_RECEIVED),
            packets_lost: self.counter(&declared::PACKETS_LOST),
            packets_late: self.counter(&declared::PACKETS_LATE),
            packets_invalid: self.counter(&declared::PACKETS_INVALID),
            packets_recovered: self.counter(&declared::PACKETS_RECOVERED),
            samples_concealed: self.counter(&declared::SAMPLES_CONCEALED),
            samples_removed: self.counter(&declared::SAMPLES_REMOVED),
            ticks: self.counter(&declared::TICKS),
            ticks_skipped: self.counter(&declared::TICKS_SKIPPED),
            stage_faults: self.counter(&declared::STAGE_FAULTS),
            datagrams_received: self.counter(&declared::DATAGRAMS_RECEIVED),
            receive_calls: self.counter(&declared::RECEIVE_CALLS),
            datagrams_sent: self.counter(&declared::DATAGRAMS_SENT),
            send_calls: self.counter(&declared::SEND_CALLS),
            datagrams_unknown: self.counter(&declared::DATAGRAMS_UNKNOWN),
            datagrams_unsent: self.counter(&declared::DATAGRAMS_UNSENT),
            tcp_datagrams_dropped: self.counter(&declared::TCP_DATAGRAMS_DROPPED),
            rtp_foreign: rtp_dropped("foreign"),
            rtp_malformed: rtp_dropped("malformed"),
            rtp_other_payload: rtp_dropped("payload_type"),
            rtp_unauthentic: rtp_dropped("unauthentic"),
        }
    }

    fn gauges(&self) -> Gauges<IntGauge> {
        Gauges {
            participants: self.gauge(&declared::PARTICIPANTS),
            rooms: self.gauge(&declared::ROOMS),
            encoders: self.gauge(&declared::ENCODERS),
            divided: self.gauge(&declared::ROOMS_DIVIDED),
        }
    }
}

/// For what is made anew with each scrape.
fn unregistered_floats(family: &Family) -> GaugeVec {
    GaugeVec::new(opts(family), &labels(family)).expect("valid metric")
}

fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

fn with_buckets(family: &Family) -> HistogramOpts {
    let bounds = match family.kind {
        Kind::Histogram(bounds) => bounds,
        Kind::Counter | Kind::Gauge => &[],
    };
    HistogramOpts::new(family.name, family.help).buckets(bounds.to_vec())
}

fn labels(family: &Family) -> Vec<&'static str> {
    family.labels.iter().map(|label| label.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_recorded_shows_after_its_flush() {
        let metrics = Metrics::new("1.2.3");
        let mut worker = metrics.for_worker();
        let chain = worker.chain("conference", ["denoise", "limiter"].into_iter());
        worker.stage_took(chain, 1, 40_000);
        worker.tick(Duration::from_micros(80), Duration::from_micros(300));
        worker.count().packets_lost += 3;
        worker.flush(Gauges { participants: 2, rooms: 1, encoders: 2, divided: 0 });
        let text = metrics.encode(&[], None);
        for line in [
            "foldback_build_info{version=\"1.2.3\"} 1",
            "foldback_stage_duration_seconds_count{chain=\"conference\",stage=\"denoise\"} 0",
            "foldback_stage_duration_seconds_count{chain=\"conference\",stage=\"limiter\"} 1",
            "foldback_tick_lateness_seconds_bucket{le=\"0.0001\"} 1",
            "foldback_packets_lost_total 3",
            "foldback_participants 2",
        ] {
            assert!(text.lines().any(|l| l == line), "no line `{line}` in\n{text}");
        }
    }

    #[test]
    fn readings_show_as_long_as_there_are_any() {
        let metrics = Metrics::default();
        let reading = StageReading {
            participant: None,
            chain: "talk".to_owned(),
            stage: "gate".to_owned(),
            reading: "gain_db",
            mean: -1.5,
        };
        let series =
            "foldback_stage_reading{chain=\"talk\",reading=\"gain_db\",stage=\"gate\"} -1.5\n";
        let of_one = StageReading { participant: Some(7), mean: -2.0, ..reading.clone() };
        let text = metrics.encode(&[reading, of_one], None);
        assert!(text.contains(series), "{text}");
        assert!(
            text.contains("participant=\"7\",reading=\"gain_db\",stage=\"gate\"} -2\n"),
            "{text}"
        );
        assert!(!metrics.encode(&[], None).contains("foldback_stage_reading"));
    }

    #[test]
    fn gauges_of_several_workers_add_up_and_fall_again() {
        let metrics = Metrics::default();
        let (mut one, mut two) = (metrics.for_worker(), metrics.for_worker());
        one.flush(Gauges { participants: 5, rooms: 1, encoders: 1, divided: 1 });
        two.flush(Gauges { participants: 2, rooms: 1, encoders: 1, divided: 0 });
        assert!(metrics.encode(&[], None).contains("foldback_participants 7\n"));
        one.flush(Gauges::default());
        assert!(metrics.encode(&[], None).contains("foldback_participants 2\n"));
    }

    #[test]
    fn percentiles_are_those_of_the_latest_latencies() {
        let metrics = Metrics::default();
        let mut worker = metrics.for_worker();
        assert_eq!(worker.recent_latency(), None);
        let taking = |taking_ms| {
            let ms = Duration::from_millis;
            LatencyParts::of(ms(taking_ms), ms(7), ms(3), ms(1))
        };
        (0..RECENT).for_each(|_| worker.server_latency(taking(90)));
        (0..RECENT).for_each(|_| worker.server_latency(taking(30)));
        let thirty = Duration::from_millis(30);
        let parts = Some(taking(60));
        let latest = RecentLatency { p50: thirty, p95: thirty, parts };
        assert_eq!(worker.recent_latency(), Some(latest));
        assert_eq!(worker.recent_latency(), Some(RecentLatency { parts: None, ..latest }));
        worker.flush(Gauges::default());
        let text = metrics.encode(&[], None);
        for (part, ms) in [("jitter_buffer", 79 + 19), ("tick_wait", 14), ("chain", 6)] {
            let sum = f64::from(ms) * 1e-3 * RECENT as f64;
            let start = format!("foldback_server_latency_part_seconds_sum{{part=\"{part}\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&start));
            let value: f64 = value.and_then(|v| v.parse().ok()).expect(&start);
            assert!((value - sum).abs() < 1e-6 * sum, "{part}: {value} for {sum}");
        }
    }
}
