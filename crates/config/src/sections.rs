//! The sections `[server]`, `[opus]` and `[latency]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use foldback_stage::{ParamSpec, Params};
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::settings::{Section, Setting};

/// Section `[server]`: where the server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where HTTP and WebSocket are served. Default 127.0.0.1:8080: this machine only.
    pub listen: SocketAddr,
    /// The UDP port of the first worker; worker n, counted from 0, has `media_port + n`.
    pub media_port: u16,
    /// The TCP port at which those whose UDP is shut reach all workers. 0, the default: none.
    pub media_tcp_port: u16,
    /// Addresses at which browsers reach the media ports. Empty: the machine's own.
    pub public_addresses: Vec<IpAddr>,
    /// Media threads. 0: one per core, of which no more than [`Self::MAX_WORKERS`].
    pub workers: usize,
    /// Threads that a room which is too much for one core may be divided among. 0: one per core, of
    /// which no more than [`Self::MOST_THREADS_UNASKED`].
    pub threads_per_room: usize,
    /// The share of its time in percent that a media thread may be busy before it sheds load. 0
    /// never sheds. Default 85.
    pub max_load_percent: u8,
    /// Whether the server reads its file again by itself when it changes. Default true.
    pub watch_config: bool,
    /// For how long those inside may talk on when the server is asked to end, in s. 0: it ends at
    /// once. Default 20.
    pub drain_seconds: u32,
    /// The real-time priority of media threads, where the system allows one. 0: none. Default 10.
    pub realtime_priority: u8,
    /// A file with the token that whoever changes sound must show. `None`: this machine alone may,
    /// unless a token is set otherwise.
    pub operator_token_file: Option<PathBuf>,
}

impl ServerConfig {
    /// Most media threads there can be.
    pub const MAX_WORKERS: usize = 64;

    /// Most threads for one room, unless more are asked for: each worker has its own.
    pub const MOST_THREADS_UNASKED: usize = 8;

    /// The declaration of `listen`. It must be an address too: [`check_listen`].
    pub const LISTEN: ParamSpec = ParamSpec::text(
        "listen",
        "127.0.0.1:8080",
        "Where the page, its WebSocket and the metrics are served: an IP address and a port.",
    );

    /// The declaration of `media_port`.
    pub const MEDIA_PORT: ParamSpec = ParamSpec::int(
        "media_port",
        "",
        1,
        65_535,
        8000,
        "The UDP port of the first worker; the next has the next port.",
    );

    /// The declaration of `media_tcp_port`.
    pub const MEDIA_TCP_PORT: ParamSpec = ParamSpec::int(
        "media_tcp_port",
        "",
        0,
        65_535,
        0,
        "The TCP port for those whose UDP is shut, one for all workers; 0 is none.",
    );

    /// The declaration of an entry of `public_addresses`: [`check_public_address`].
    pub const PUBLIC_ADDRESSES: ParamSpec = ParamSpec::text(
        "public_addresses",
        "",
        "Addresses at which browsers reach the media ports; none stands for the machine's own.",
    );

    /// The declaration of `workers`.
    pub const WORKERS: ParamSpec = ParamSpec::int(
        "workers",
        "",
        0,
        Self::MAX_WORKERS as i64,
        0,
        "Media threads; 0 is one per core.",
    );

    /// The declaration of `threads_per_room`.
    pub const THREADS_PER_ROOM: ParamSpec = ParamSpec::int(
        "threads_per_room",
        "",
        0,
        Self::MAX_WORKERS as i64,
        0,
        "Threads that a large room is divided among; 0 is one per core, but no more than 8.",
    );

    /// The declaration of `max_load_percent`.
    pub const MAX_LOAD_PERCENT: ParamSpec = ParamSpec::int(
        "max_load_percent",
        "%",
        0,
        100,
        85,
        "The share of its time that a media thread may be busy before it sheds load; 0 never sheds.",
    );

    /// The declaration of `watch_config`.
    pub const WATCH_CONFIG: ParamSpec = ParamSpec::bool(
        "watch_config",
        true,
        "Whether the server reads its file again by itself when it changes.",
    );

    /// The declaration of `drain_seconds`.
    pub const DRAIN_SECONDS: ParamSpec = ParamSpec::int(
        "drain_seconds",
        "s",
        0,
        86_400,
        20,
        "For how long those inside may talk on when the server is asked to end (SIGTERM); 0 ends at once.",
    );

    /// The declaration of `realtime_priority`.
    pub const REALTIME_PRIORITY: ParamSpec = ParamSpec::int(
        "realtime_priority",
        "",
        0,
        99,
        10,
        "The real-time priority of media threads, where the system allows one; 0 is none.",
    );

    /// The declaration of `operator_token_file`.
    pub const OPERATOR_TOKEN_FILE: ParamSpec = ParamSpec::text(
        "operator_token_file",
        "",
        "A file with the token that whoever changes sound must show, as a path from the folder of \
         this file.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "server",
        about: "Where the server is reached.",
        settings: &[
            Setting::one(Self::LISTEN, |a, b| a.server.listen != b.server.listen),
            Setting::one(Self::MEDIA_PORT, |a, b| a.server.media_port != b.server.media_port),
            Setting::one(Self::MEDIA_TCP_PORT, |a, b| {
                a.server.media_tcp_port != b.server.media_tcp_port
            }),
            Setting::list(Self::PUBLIC_ADDRESSES, |a, b| {
                a.server.public_addresses != b.server.public_addresses
            }),
            Setting::one(Self::WORKERS, |a, b| a.server.workers != b.server.workers),
            Setting::one(Self::THREADS_PER_ROOM, |a, b| {
                a.server.threads_per_room != b.server.threads_per_room
            }),
            Setting::one(Self::MAX_LOAD_PERCENT, |a, b| {
                a.server.max_load_percent != b.server.max_load_percent
            }),
            Setting::one(Self::WATCH_CONFIG, |a, b| a.server.watch_config != b.server.watch_config),
            Setting::one(Self::DRAIN_SECONDS, |a, b| {
                a.server.drain_seconds != b.server.drain_seconds
            }),
            Setting::one(Self::REALTIME_PRIORITY, |a, b| {
                a.server.realtime_priority != b.server.realtime_priority
            }),
            Setting::one(Self::OPERATOR_TOKEN_FILE, |a, b| {
                a.server.operator_token_file != b.server.operator_token_file
            }),
        ],
    };

    /// What is checked by its declaration alone.
    const PARAMS: &'static [ParamSpec] = &[
        Self::MEDIA_PORT,
        Self::MEDIA_TCP_PORT,
        Self::WORKERS,
        Self::THREADS_PER_ROOM,
        Self::MAX_LOAD_PERCENT,
        Self::WATCH_CONFIG,
        Self::DRAIN_SECONDS,
        Self::REALTIME_PRIORITY,
    ];

    /// Checks that every worker gets a port. A file is checked by itself; this is for values
    /// that options of the command line have changed since.
    ///
    /// # Errors
    /// What `media_port` must be instead.
    pub fn check_ports(&self) -> Result<(), String> {
        let (most, whose) = match self.workers {
            0 => (Self::MAX_WORKERS, format!("one worker per core (up to {})", Self::MAX_WORKERS)),
            1 => (1, "1 worker".to_owned()),
            workers => (workers, format!("{workers} workers")),
        };
        let highest = usize::from(u16::MAX) - (most - 1);
        if usize::from(self.media_port) <= highest {
            return Ok(());
        }
        Err(format!("must be at most {highest}, for each of {whose} takes one port"))
    }

    fn set(&mut self, given: &Params) {
        set_int(&mut self.media_port, given, &Self::MEDIA_PORT);
        set_int(&mut self.media_tcp_port, given, &Self::MEDIA_TCP_PORT);
        set_int(&mut self.workers, given, &Self::WORKERS);
        set_int(&mut self.threads_per_room, given, &Self::THREADS_PER_ROOM);
        set_int(&mut self.max_load_percent, given, &Self::MAX_LOAD_PERCENT);
        set_int(&mut self.drain_seconds, given, &Self::DRAIN_SECONDS);
        set_int(&mut self.realtime_priority, given, &Self::REALTIME_PRIORITY);
        if is_given(given, &Self::WATCH_CONFIG) {
            self.watch_config = given.bool(&Self::WATCH_CONFIG);
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        let public_addresses = Vec::new();
        let mut server = Self {
            listen,
            media_port: 0,
            media_tcp_port: 0,
            public_addresses,
            workers: 0,
            threads_per_room: 0,
            max_load_percent: 0,
            watch_config: true,
            drain_seconds: 0,
            realtime_priority: 0,
            operator_token_file: None,
        };
        server.set(&Params::defaults(Self::PARAMS));
        server
    }
}

pub(crate) fn is_given(given: &Params, spec: &ParamSpec) -> bool {
    given.iter().any(|(name, _)| name == spec.name)
}

/// Sets what is given; a value outside of `T` cannot be, by its declaration.
pub(crate) fn set_int<T: TryFrom<i64>>(slot: &mut T, given: &Params, spec: &ParamSpec) {
    if is_given(given, spec)
        && let Ok(value) = T::try_from(given.int(spec))
    {
        *slot = value;
    }
}

/// Section `[opus]`: how what participants hear is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusConfig {
    /// Bits per second of one outgoing stream in mono; in stereo twice as many. 6000..=128000,
    /// default 80000.
    pub bitrate_bps: u32,
    /// The encoder's effort, 0..=10, default 7: what it costs in processor time.
    pub complexity: u32,
    /// The packet loss in percent that in-band FEC is tuned for, 0..=100, default 5.
    pub expected_loss_percent: u32,
    /// What the encoder is tuned for. Default: voices.
    pub application: OpusApplication,
    /// Whether packets stop in silence for clients that ask for it. Default true.
    pub dtx: bool,
}

/// What an encoder is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpusApplication {
    /// Voices.
    Voice,
    /// Music.
    Audio,
}

impl OpusConfig {
    /// The declaration of `bitrate_bps`.
    pub const BITRATE_BPS: ParamSpec = ParamSpec::int(
        "bitrate_bps",
        "bit/s",
        6000,
        128_000,
        80_000,
        "What one outgoing stream takes in mono; stereo takes twice as much.",
    );

    /// The declaration of `complexity`.
    pub const COMPLEXITY: ParamSpec = ParamSpec::int(
        "complexity",
        "",
        0,
        10,
        7,
        "The encoder's effort: more sounds better and costs more processor time.",
    );

    /// The declaration of `expected_loss_percent`.
    pub const EXPECTED_LOSS_PERCENT: ParamSpec = ParamSpec::int(
        "expected_loss_percent",
        "%",
        0,
        100,
        5,
        "The packet loss that in-band FEC is tuned for.",
    );

    /// The declaration of `application`.
    pub const APPLICATION: ParamSpec = ParamSpec::choice(
        "application",
        &["voice", "audio"],
        "voice",
        "What the encoder is tuned for: audio is for music.",
    );

    /// The declaration of `dtx`.
    pub const DTX: ParamSpec = ParamSpec::bool(
        "dtx",
        true,
        "Whether packets stop in silence for clients that ask for it.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "opus",
        about: "How what participants hear is encoded.",
        settings: &[
            Setting::one(Self::BITRATE_BPS, |a, b| a.opus.bitrate_bps != b.opus.bitrate_bps),
            Setting::one(Self::COMPLEXITY, |a, b| a.opus.complexity != b.opus.complexity),
            Setting::one(Self::EXPECTED_LOSS_PERCENT, |a, b| {
                a.opus.expected_loss_percent != b.opus.expected_loss_percent
            }),
            Setting::one(Self::APPLICATION, |a, b| a.opus.application != b.opus.application),
            Setting::one(Self::DTX, |a, b| a.opus.dtx != b.opus.dtx),
        ],
    };

    const PARAMS: &'static [ParamSpec] = &[
        Self::BITRATE_BPS,
        Self::COMPLEXITY,
        Self::EXPECTED_LOSS_PERCENT,
        Self::APPLICATION,
        Self::DTX,
    ];

    fn set(&mut self, given: &Params) {
        set_int(&mut self.bitrate_bps, given, &Self::BITRATE_BPS);
        set_int(&mut self.complexity, given, &Self::COMPLEXITY);
        set_int(&mut self.expected_loss_percent, given, &Self::EXPECTED_LOSS_PERCENT);
        if is_given(given, &Self::APPLICATION) {
            self.application = match given.choice(&Self::APPLICATION) {
                "audio" => OpusApplication::Audio,
                _ => OpusApplication::Voice,
            };
        }
        if is_given(given, &Self::DTX) {
            self.dtx = given.bool(&Self::DTX);
        }
    }
}

impl Default for OpusConfig {
    fn default() -> Self {
        let mut opus = Self {
            bitrate_bps: 0,
            complexity: 0,
            expected_loss_percent: 0,
            application: OpusApplication::Voice,
            dtx: true,
        };
        opus.set(&Params::defaults(Self::PARAMS));
        opus
    }
}

/// What is traded for delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LatencyMode {
    /// 10 ms packets and the shortest jitter buffers: for good networks.
    Low,
    /// The default.
    #[default]
    Balanced,
    /// Jitter buffers with some reserve.
    Robust,
}

impl LatencyMode {
    /// The declaration of `mode`.
    pub const MODE: ParamSpec = ParamSpec::choice(
        "mode",
        &["low", "balanced", "robust"],
        "balanced",
        "low: packets of 10 ms and the shortest jitter buffers; robust: jitter buffers with reserve.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "latency",
        about: "What is traded for delay.",
        settings: &[Setting::one(Self::MODE, |a, b| a.latency != b.latency)],
    };

    fn set(&mut self, given: &Params) {
        if is_given(given, &Self::MODE) {
            *self = match given.choice(&Self::MODE) {
                "low" => Self::Low,
                "robust" => Self::Robust,
                _ => Self::Balanced,
            };
        }
    }
}

/// Section `[metrics]`: what is shown beyond the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// What stages read, and figures of the connection, are shown for each participant too. Default
    /// false: a series for each participant and reading is much for who has many.
    pub participant_readings: bool,
    /// Of how many participants at most. Default 100.
    pub max_participants: usize,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        let mut metrics = Self { participant_readings: false, max_participants: 0 };
        metrics.set(&Params::defaults(Self::PARAMS));
        metrics
    }
}

impl MetricsConfig {
    /// The declaration of `participant_readings`.
    pub const PARTICIPANT_READINGS: ParamSpec = ParamSpec::bool(
        "participant_readings",
        false,
        "Whether what stages read, and figures of the connection, are shown for each participant too.",
    );
    /// The declaration of `max_participants`.
    pub const MAX_PARTICIPANTS: ParamSpec = ParamSpec::int(
        "max_participants",
        "",
        1,
        10_000,
        100,
        "Of how many participants at most; those who came first.",
    );

    const PARAMS: &'static [ParamSpec] = &[Self::PARTICIPANT_READINGS, Self::MAX_PARTICIPANTS];

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "metrics",
        about: "What is shown beyond the ordinary.",
        settings: &[
            Setting::one(Self::PARTICIPANT_READINGS, |a, b| {
                a.metrics.participant_readings != b.metrics.participant_readings
            }),
            Setting::one(Self::MAX_PARTICIPANTS, |a, b| {
                a.metrics.max_participants != b.metrics.max_participants
            }),
        ],
    };

    fn set(&mut self, given: &Params) {
        if is_given(given, &Self::PARTICIPANT_READINGS) {
            self.participant_readings = given.bool(&Self::PARTICIPANT_READINGS);
        }
        set_int(&mut self.max_participants, given, &Self::MAX_PARTICIPANTS);
    }
}

/// Takes `text` as the address and port to listen on.
///
/// # Errors
/// What is allowed instead: `must be ...`.
pub fn check_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "must be an IP address and a port, like \"127.0.0.1:8080\" (this machine only) or \
         \"0.0.0.0:8080\" (every network)"
            .to_owned()
    })
}

/// Takes `text` as an address at which browsers reach this server.
///
/// # Errors
/// What is allowed instead: `must be ...`.
pub fn check_public_address(text: &str) -> Result<IpAddr, String> {
    let refuse = |why: &str| {
        Err(format!("must be an IP address like \"203.0.113.7\" or \"2001:db8::7\"{why}"))
    };
    let Ok(address) = text.parse::<IpAddr>() else { return refuse("") };
    let is_broadcast = address == Ipv4Addr::BROADCAST;
    match address {
        _ if address.is_unspecified() => {
            refuse(&format!("; {address} is no address that a browser can send to"))
        }
        _ if address.is_multicast() || is_broadcast => {
            refuse("; a multicast or broadcast address is not that of one machine")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            refuse("; a link-local address is known on one cable only")
        }
        IpAddr::V4(v4) if v4.is_link_local() => {
            refuse("; a link-local address is known on one cable only")
        }
        _ => Ok(address.to_canonical()),
    }
}

/// Reads `[server]` of `file`; what it does not give stays in `server`.
pub(crate) fn read_server(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    file: &str,
    server: &mut ServerConfig,
) {
    let Some(table) = ServerConfig::SECTION.read(reader, root) else { return };
    let before = reader.mistakes();
    server.set(&reader.given(table, ServerConfig::PARAMS));
    if reader.mistakes() == before {
        check_ports(reader, table, server);
    }
    if let Some(value) = table.get("listen") {
        match check_listen(value.get_ref().as_str().unwrap_or_default()) {
            Ok(listen) => server.listen = listen,
            Err(allowed) => reader.refuse_value("listen", value, allowed, None),
        }
    }
    if let Some(value) = table.get("public_addresses") {
        server.public_addresses = read_public_addresses(reader, value);
    }
    let key = ServerConfig::OPERATOR_TOKEN_FILE.name;
    if let Some(value) = table.get(key) {
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        let path = reader.text(key, value, "must be a path");
        server.operator_token_file = path.map(|path| folder.join(path));
    }
}

fn check_ports(reader: &mut Reader<'_>, table: &DeTable<'_>, server: &ServerConfig) {
    let Err(allowed) = server.check_ports() else { return };
    if let Some(value) = table.get("media_port") {
        reader.refuse_value("media_port", value, allowed, None);
    }
}

fn read_public_addresses(reader: &mut Reader<'_>, value: &Value<'_>) -> Vec<IpAddr> {
    let key = "public_addresses";
    let allowed = "must be a list of IP addresses, like [\"203.0.113.7\", \"2001:db8::7\"]";
    let Some(items) = reader.list(key, value, allowed) else { return Vec::new() };
    let mut addresses = Vec::new();
    for item in items {
        let text = item.get_ref().as_str().unwrap_or_default();
        match check_public_address(text) {
            Ok(address) if addresses.contains(&address) => {
                let found = format!("`{key}` holds {address} a second time");
                reader.refuse(item.span(), found, "must hold each address once", None);
            }
            Ok(address) => addresses.push(address),
            Err(allowed) => {
                let found = format!("a public address is {}", reader.shown(item));
                reader.refuse(item.span(), found, allowed, None);
            }
        }
    }
    addresses
}

/// Reads `[opus]`; what it does not give stays in `opus`.
pub(crate) fn read_opus(reader: &mut Reader<'_>, root: &DeTable<'_>, opus: &mut OpusConfig) {
    let Some(table) = OpusConfig::SECTION.read(reader, root) else { return };
    opus.set(&reader.given(table, OpusConfig::PARAMS));
}

/// Reads `[latency]`; what it does not give stays in `latency`.
pub(crate) fn read_latency(reader: &mut Reader<'_>, root: &DeTable<'_>, latency: &mut LatencyMode) {
    let Some(table) = LatencyMode::SECTION.read(reader, root) else { return };
    latency.set(&reader.given(table, &[LatencyMode::MODE]));
}

/// Reads `[metrics]`; what it does not give stays in `metrics`.
pub(crate) fn read_metrics(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    metrics: &mut MetricsConfig,
) {
    let Some(table) = MetricsConfig::SECTION.read(reader, root) else { return };
    metrics.set(&reader.given(table, MetricsConfig::PARAMS));
}
