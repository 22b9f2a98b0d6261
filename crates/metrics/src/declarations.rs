//! Every family of series once, with all that is said of it: what is registered, exposed and
//! documented comes from here.

/// A metric with all of its series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// `foldback_WHAT_UNIT`, and `_total` where it counts.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What tells its series apart; none has values that users can invent.
    pub labels: &'static [Label],
    /// The sentence that is exposed with it.
    pub help: &'static str,
    /// What the documentation says beyond that.
    pub more: &'static str,
    /// When there is something to be seen.
    pub shown: Shown,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Is now.
    Gauge,
    /// Counts in buckets up to these bounds.
    Histogram(&'static [f64]),
}

/// When a family has series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// From the start, at zero.
    Always,
    /// While stages that read something run, or so on: once there is something to tell.
    WhenThereIsSome,
    /// With `participant_readings = true` in `[metrics]`.
    WhenAskedFor,
    /// While the page is served over HTTPS.
    OverTls,
}

/// A label and what values it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values, in words.
    pub values: &'static str,
}

impl Family {
    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, labels: &[], help, more: "", shown: Shown::Always }
    }

    const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Counter, help)
    }

    const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Gauge, help)
    }

    const fn histogram(name: &'static str, bounds: &'static [f64], help: &'static str) -> Self {
        Self::new(name, Kind::Histogram(bounds), help)
    }

    const fn by(mut self, labels: &'static [Label]) -> Self {
        self.labels = labels;
        self
    }

    const fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    const fn shown(mut self, shown: Shown) -> Self {
        self.shown = shown;
        self
    }
}

impl Kind {
    /// As the text format names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// Every label there is.
pub const LABELS: &[Label] =
    &[CHAIN, STAGE, READING, PART, WORKER, REASON, OUTCOME, CAUSE, PARTICIPANT, VERSION, SOURCE];

const CHAIN: Label = Label { name: "chain", values: "chains of the configuration" };
const STAGE: Label = Label { name: "stage", values: "stages of that chain" };
const READING: Label =
    Label { name: "reading", values: "what the stage's kind reads, ending in its unit" };
const PART: Label = Label {
    name: "part",
    values: "`jitter_buffer` (held back for later packets or for FEC), `tick_wait` (arrival to the first tick \
             that could take it), `chain` (delay of the stages, decoding, computing, mixing), `encode` \
             (encoding and sending)",
};
const WORKER: Label = Label { name: "worker", values: "media threads, from 0" };
const OUTCOME: Label = Label { name: "outcome", values: "`told`, `given-up`, `dropped`" };
const REASON: Label = Label {
    name: "reason",
    values: "`left` (said so), `closed` (socket or audio connection), `timeout` (no packet for 8 s), `kicked` \
             (by a host or an operator)",
};
const CAUSE: Label = Label {
    name: "cause",
    values: "`foreign` (from another address), `malformed` (no RTP, or out of any count), `payload_type` (another \
             one: comfort noise, keys of a telephone), `unauthentic` (not of who has the key, or a replay)",
};
const PARTICIPANT: Label = Label {
    name: "participant",
    values: "numbers of participants, the first `max_participants` of `[metrics]` of those inside",
};
const SOURCE: Label = Label {
    name: "source",
    values: "`file` (`certificate_file` of `[tls]`), `acme` (`acme_domains`), `self-made` (`--dev-tls`)",
};
const VERSION: Label = Label { name: "version", values: "the one that runs" };

/// Computing time of one stage for one 10 ms block: 2 µs to the whole budget.
const STAGE_BUCKETS: &[f64] = &[
    2e-6, 5e-6, 10e-6, 20e-6, 35e-6, 50e-6, 75e-6, 100e-6, 150e-6, 250e-6, 500e-6, 1e-3, 2.5e-3,
    5e-3, 10e-3,
];
/// Computing time and lateness of a tick of 10 ms.
const TICK_BUCKETS: &[f64] = &[
    25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 8e-3, 10e-3,
    15e-3, 20e-3, 50e-3,
];
/// Delays of sound.
const DELAY_BUCKETS: &[f64] = &[
    5e-3, 8e-3, 10e-3, 12e-3, 15e-3, 18e-3, 20e-3, 22e-3, 25e-3, 28e-3, 30e-3, 35e-3, 40e-3, 50e-3,
    60e-3, 80e-3, 100e-3, 150e-3, 200e-3, 300e-3, 500e-3,
];
/// Parts of such delays.
const PART_BUCKETS: &[f64] = &[
    100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 15e-3, 20e-3, 30e-3, 40e-3, 60e-3, 100e-3,
    200e-3, 500e-3,
];

/// Declares the families, and [`ALL`] of them in this order.
macro_rules! families {
    ($($(#[$about:meta])* $name:ident = $family:expr;)*) => {
        $($(#[$about])* pub(crate) const $name: Family = $family;)*
        /// Every family, in the order of the documentation.
        pub const ALL: &[Family] = &[$($name),*];
    };
}

families! {
    PARTICIPANTS = Family::gauge(
        "foldback_participants", "People in rooms whose browser sent an offer.");
    ROOMS = Family::gauge("foldback_rooms", "Rooms that somebody joined.");
    WAITING = Family::gauge(
        "foldback_waiting", "People who wait to be let into a room that has a waiting room.");
    ENCODERS = Family::gauge("foldback_encoders", "Distinct mixes being encoded now.")
        .more("By class of listeners: what sharing spares shows beside `foldback_participants`.");
    ROOMS_DIVIDED = Family::gauge(
        "foldback_rooms_divided", "Open rooms whose work is divided among several threads.")
        .more("Among `threads_per_room` of `[server]`.");
    JOINS = Family::counter("foldback_joins_total", "People who were let into a room.");
    DEPARTURES = Family::counter("foldback_departures_total", "People who are in their room no more.")
        .by(&[REASON])
        .more("`timeout` growing faster than usual is a network that broke.");
    JOINS_REFUSED = Family::counter(
        "foldback_joins_refused_total",
        "People who were not let in because the server had too much to do.");
    DRAINING = Family::gauge(
        "foldback_draining", "1 while the server is about to end and lets nobody new in, else 0.");
    RECORDINGS = Family::gauge("foldback_recordings", "Rooms that are being recorded.");
    RECORDED_BYTES = Family::counter(
        "foldback_recorded_bytes_total", "Bytes that recordings wrote to files.");
    RECORDING_MISSED = Family::counter(
        "foldback_recording_packets_missed_total",
        "Packets that recordings left out because the disk did not keep up.")
        .more("Each is a gap of some 20 ms in a file; nobody in the room hears anything of it.");
    RECORDING_FAILURES = Family::counter(
        "foldback_recording_failures_total",
        "Recordings that could not begin, or not go on.")
        .more("Alert on any: a disk is full, or a folder cannot be written to. The log says why.");
    WEBHOOK_EVENTS = Family::counter(
        "foldback_webhook_events_total", "What webhooks were to be told of, by what came of it.").by(&[OUTCOME])
        .more("`given-up`: after an hour of attempts or because it is gone; `dropped`: too much waited for it already.");
    WEBHOOK_FAILURES = Family::counter(
        "foldback_webhook_failures_total", "Attempts to tell a webhook that failed.")
        .more("Each is tried again. The log says which, and why.");
    SERVER_LATENCY = Family::histogram(
        "foldback_server_latency_seconds", DELAY_BUCKETS,
        "From the arrival of an RTP packet to the sending of the mixed packet that holds its last sample.")
        .more("The delay of stages included.");
    LATENCY_PARTS = Family::histogram(
        "foldback_server_latency_part_seconds", PART_BUCKETS,
        "What foldback_server_latency_seconds is made of.").by(&[PART]);
    JITTER_BUFFER_DELAY = Family::histogram(
        "foldback_jitter_buffer_delay_seconds", DELAY_BUCKETS,
        "Time from a packet's arrival until its last sample was played, by participant, sampled once a second.");
    STAGE_DURATION = Family::histogram(
        "foldback_stage_duration_seconds", STAGE_BUCKETS,
        "Computing time of one stage for one 10 ms block.")
        .by(&[CHAIN, STAGE])
        .more("`chain` is the one that the stage is of, also where only one participant has it.");
    STAGE_READING = Family::gauge(
        "foldback_stage_reading", "What a stage reads: the mean over the chains that run it now.")
        .by(&[CHAIN, STAGE, READING])
        .more("Such as `gain_reduction_db`; those that ran in the last second.")
        .shown(Shown::WhenThereIsSome);
    STAGE_FAULTS = Family::counter(
        "foldback_stage_faults_total",
        "Stages taken out of a running chain (panic, or samples that are no numbers).")
        .more("Alert on any: a stage is broken, and its participants go on without it.");
    TICKS = Family::counter("foldback_ticks_total", "Ticks of 10 ms that ran.");
    TICKS_SKIPPED = Family::counter(
        "foldback_ticks_skipped_total",
        "Ticks left out because their worker was held up for too long.")
        .more("For more than 50 ms. Each is 10 ms without sound for everybody on that worker.");
    TICK_DURATION = Family::histogram(
        "foldback_tick_duration_seconds", TICK_BUCKETS,
        "Computing time of one tick over all rooms of a worker.");
    TICK_LATENESS = Family::histogram(
        "foldback_tick_lateness_seconds", TICK_BUCKETS,
        "How long after its deadline a tick began.");
    WORKER_LOAD = Family::gauge(
        "foldback_worker_load",
        "The share of its time that a media thread was busy; above 1 if it cannot keep up.")
        .by(&[WORKER])
        .more("Of the last 100 ms, told once a second.");
    SHEDDING_LEVEL = Family::gauge(
        "foldback_shedding_level",
        "How much the rooms of a media thread do without for its load; 0 is nothing.")
        .by(&[WORKER])
        .more("Up to 6: [overload.md](overload.md).");
    PACKETS_RECEIVED = Family::counter(
        "foldback_packets_received_total", "RTP packets of participants taken into a jitter buffer.");
    PACKETS_LOST = Family::counter(
        "foldback_packets_lost_total", "RTP packets that did not come before they were due.")
        .more("Those that came back by FEC or as a copy included.");
    PACKETS_LATE = Family::counter(
        "foldback_packets_late_total", "RTP packets that came after they were due, or twice.");
    PACKETS_INVALID = Family::counter(
        "foldback_packets_invalid_total", "RTP packets that were no Opus.");
    PACKETS_RECOVERED = Family::counter(
        "foldback_packets_recovered_total",
        "Lost packets that were rebuilt with the help of the next one.")
        .more("By its in-band FEC or the copy it carried (RED).");
    SAMPLES_CONCEALED = Family::counter(
        "foldback_samples_concealed_total",
        "Samples (48 kHz) made up because their packet was not there.");
    SAMPLES_REMOVED = Family::counter(
        "foldback_samples_removed_total", "Samples (48 kHz) taken out to shorten a delay.");
    DATAGRAMS_RECEIVED = Family::counter(
        "foldback_datagrams_received_total", "Datagrams that came to a media port.");
    RECEIVE_CALLS = Family::counter(
        "foldback_receive_calls_total",
        "System calls that read datagrams; each reads as many as there are, up to a bound.");
    DATAGRAMS_SENT = Family::counter(
        "foldback_datagrams_sent_total", "Datagrams that the operating system took.");
    SEND_CALLS = Family::counter(
        "foldback_send_calls_total",
        "System calls that sent datagrams; each sends as many as there are, up to a bound.");
    DATAGRAMS_UNKNOWN = Family::counter(
        "foldback_datagrams_unknown_total",
        "Datagrams on a media port that belonged to no participant.");
    DATAGRAMS_UNSENT = Family::counter(
        "foldback_datagrams_unsent_total", "Datagrams that the operating system did not take.");
    TCP_CONNECTIONS = Family::gauge(
        "foldback_tcp_connections", "Connections on the media port of TCP.")
        .more("Of those whose UDP is shut: `media_tcp_port` of `[server]`.");
    TCP_CONNECTIONS_REFUSED = Family::counter(
        "foldback_tcp_connections_refused_total",
        "Connections on the media port of TCP that were closed: too many, or they named no session within 5 s.");
    TCP_DATAGRAMS_DROPPED = Family::counter(
        "foldback_tcp_datagrams_dropped_total",
        "Datagrams left out because a connection had no room for them.")
        .more("Its network takes less than is sent; it hears gaps rather than everything too late.");
    RTP_DATAGRAMS_DROPPED = Family::counter(
        "foldback_rtp_datagrams_dropped_total", "Datagrams to ports of RTP lines that were not taken.")
        .by(&[CAUSE])
        .more("[rtp.md](rtp.md). `foreign` is what a scan of the ports looks like; `unauthentic` a wrong key, or a replay.");
    LAST_RELOAD = Family::gauge(
        "foldback_config_last_reload_successful",
        "Whether the configuration file could be taken when it was read last; restoring an earlier version \
         leaves this as it is.")
        .more("0: the file had mistakes; the server runs on as before, and would not start again. Alert on 0.");
    CERTIFICATE_EXPIRY = Family::gauge(
        "foldback_tls_certificate_expiry_timestamp_seconds",
        "Until when the certificate is good that new connections are shown, in s since 1970; 0 while there is none.")
        .by(&[SOURCE])
        .more("Alert on two weeks before: whoever renews it should have by then.")
        .shown(Shown::OverTls);
    BUILD_INFO = Family::gauge("foldback_build_info", "The version that runs; always 1.").by(&[VERSION]);
    PARTICIPANT_READING = Family::gauge(
        "foldback_participant_stage_reading", "What a stage reads for one participant.")
        .by(&[PARTICIPANT, CHAIN, STAGE, READING])
        .more("Of the stages before `mix`.")
        .shown(Shown::WhenAskedFor);
    PARTICIPANT_RECEIVED = Family::counter(
        "foldback_participant_packets_received_total", "RTP packets of one participant that were taken.")
        .by(&[PARTICIPANT]).shown(Shown::WhenAskedFor);
    PARTICIPANT_LOST = Family::counter(
        "foldback_participant_packets_lost_total",
        "RTP packets of one participant that did not come before they were due.")
        .by(&[PARTICIPANT]).shown(Shown::WhenAskedFor);
    PARTICIPANT_DELAY = Family::gauge(
        "foldback_participant_jitter_buffer_delay_seconds",
        "How long packets of one participant now wait for later ones.")
        .by(&[PARTICIPANT]).shown(Shown::WhenAskedFor);
    PARTICIPANT_ROUND_TRIP = Family::gauge(
        "foldback_participant_round_trip_seconds",
        "Server to one participant and back, by RTCP; absent until the first report.")
        .by(&[PARTICIPANT]).shown(Shown::WhenAskedFor);
    PARTICIPANTS_LEFT_OUT = Family::gauge(
        "foldback_participants_left_out",
        "Participants beyond max_participants, who have no series of their own.")
        .shown(Shown::WhenAskedFor);
}
