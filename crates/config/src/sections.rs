//! The sections `[server]`, `[opus]` and `[latency]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use foldback_stage::{ParamSpec, Params};
use toml::de::DeTable;

use crate::reader::{Reader, Value};

/// Section `[server]`: where the server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where HTTP and WebSocket are served. Default 127.0.0.1:8080: this machine only.
    pub listen: SocketAddr,
    /// The UDP port of the first worker; worker n, counted from 0, has `media_port + n`.
    pub media_port: u16,
    /// IPv4 addresses at which browsers reach the media ports. Empty: the machine's own.
    pub public_addresses: Vec<IpAddr>,
    /// Media threads. 0: one per core, of which no more than [`Self::MAX_WORKERS`].
    pub workers: usize,
    /// A file with the token that whoever changes sound must show. `None`: this machine alone may,
    /// unless a token is set otherwise.
    pub operator_token_file: Option<PathBuf>,
}

impl ServerConfig {
    /// Most media threads there can be.
    pub const MAX_WORKERS: usize = 64;

    /// The declaration of `media_port`.
    pub const MEDIA_PORT: ParamSpec = ParamSpec::int(
        "media_port",
        "",
        1,
        65_535,
        8000,
        "The UDP port of the first worker; the next has the next port.",
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

    const PARAMS: &'static [ParamSpec] = &[Self::MEDIA_PORT, Self::WORKERS];

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

    fn from_params(params: &Params) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            media_port: u16::try_from(params.int(&Self::MEDIA_PORT)).unwrap_or(u16::MAX),
            public_addresses: Vec::new(),
            workers: usize::try_from(params.int(&Self::WORKERS)).unwrap_or_default(),
            operator_token_file: None,
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::from_params(&Params::default())
    }
}

/// Section `[opus]`: how what participants hear is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusConfig {
    /// Bits per second of one outgoing stream. 6000..=128000, default 80000.
    pub bitrate_bps: u32,
    /// The encoder's effort, 0..=10, default 7: what it costs in processor time.
    pub complexity: u32,
    /// The packet loss in percent that in-band FEC is tuned for, 0..=100, default 5.
    pub expected_loss_percent: u32,
}

impl OpusConfig {
    /// The declaration of `bitrate_bps`.
    pub const BITRATE_BPS: ParamSpec = ParamSpec::int(
        "bitrate_bps",
        "bit/s",
        6000,
        128_000,
        80_000,
        "What one outgoing stream takes.",
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

    const PARAMS: &'static [ParamSpec] =
        &[Self::BITRATE_BPS, Self::COMPLEXITY, Self::EXPECTED_LOSS_PERCENT];

    fn from_params(params: &Params) -> Self {
        let value = |spec| u32::try_from(params.int(spec)).unwrap_or_default();
        Self {
            bitrate_bps: value(&Self::BITRATE_BPS),
            complexity: value(&Self::COMPLEXITY),
            expected_loss_percent: value(&Self::EXPECTED_LOSS_PERCENT),
        }
    }
}

impl Default for OpusConfig {
    fn default() -> Self {
        Self::from_params(&Params::default())
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

    fn from_params(params: &Params) -> Self {
        match params.choice(&Self::MODE) {
            "low" => Self::Low,
            "robust" => Self::Robust,
            _ => Self::Balanced,
        }
    }
}

/// Section `[metrics]`: what is shown beyond the ordinary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// What stages read is shown for each participant too. Default false: a series for each
    /// participant and reading is much for who has many.
    pub participant_readings: bool,
}

impl MetricsConfig {
    /// The declaration of `participant_readings`.
    pub const PARTICIPANT_READINGS: ParamSpec = ParamSpec::bool(
        "participant_readings",
        false,
        "Whether what stages read is shown for each participant too.",
    );

    const PARAMS: &'static [ParamSpec] = &[Self::PARTICIPANT_READINGS];

    fn from_params(params: &Params) -> Self {
        Self { participant_readings: params.bool(&Self::PARTICIPANT_READINGS) }
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self::from_params(&Params::default())
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
    let refuse = |why: &str| Err(format!("must be an IPv4 address like \"203.0.113.7\"{why}"));
    match text.parse() {
        Ok(IpAddr::V6(_)) => refuse("; only IPv4 is served for now"),
        Ok(IpAddr::V4(v4)) if v4.is_unspecified() => {
            refuse("; 0.0.0.0 is no address that a browser can send to")
        }
        Ok(IpAddr::V4(v4)) if v4.is_multicast() || v4.is_broadcast() => {
            refuse("; a multicast or broadcast address is not that of one machine")
        }
        Ok(address) => Ok(address),
        Err(_) => refuse(""),
    }
}

/// Reads `[server]` of `file`.
pub(crate) fn read_server(reader: &mut Reader<'_>, root: &DeTable<'_>, file: &str) -> ServerConfig {
    let Some(table) = reader.section(root, "server") else { return ServerConfig::default() };
    let keys = ["listen", "media_port", "public_addresses", "workers", "operator_token_file"];
    reader.known_keys("`[server]`", table, &keys);
    let before = reader.mistakes();
    let mut server = ServerConfig::from_params(&reader.params(table, ServerConfig::PARAMS));
    if reader.mistakes() == before {
        check_ports(reader, table, &server);
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
    if let Some(value) = table.get("operator_token_file") {
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        let path = reader.text("operator_token_file", value, "must be a path");
        server.operator_token_file = path.map(|path| folder.join(path));
    }
    server
}

fn check_ports(reader: &mut Reader<'_>, table: &DeTable<'_>, server: &ServerConfig) {
    let Err(allowed) = server.check_ports() else { return };
    if let Some(value) = table.get("media_port") {
        reader.refuse_value("media_port", value, allowed, None);
    }
}

fn read_public_addresses(reader: &mut Reader<'_>, value: &Value<'_>) -> Vec<IpAddr> {
    let key = "public_addresses";
    let allowed = "must be a list of IPv4 addresses, like [\"203.0.113.7\"]";
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

/// Reads `[opus]`.
pub(crate) fn read_opus(reader: &mut Reader<'_>, root: &DeTable<'_>) -> OpusConfig {
    let Some(table) = reader.section(root, "opus") else { return OpusConfig::default() };
    let keys: Vec<_> = OpusConfig::PARAMS.iter().map(|spec| spec.name).collect();
    reader.known_keys("`[opus]`", table, &keys);
    OpusConfig::from_params(&reader.params(table, OpusConfig::PARAMS))
}

/// Reads `[latency]`.
pub(crate) fn read_latency(reader: &mut Reader<'_>, root: &DeTable<'_>) -> LatencyMode {
    let Some(table) = reader.section(root, "latency") else { return LatencyMode::default() };
    reader.known_keys("`[latency]`", table, &[LatencyMode::MODE.name]);
    LatencyMode::from_params(&reader.params(table, &[LatencyMode::MODE]))
}

/// Reads `[metrics]`.
pub(crate) fn read_metrics(reader: &mut Reader<'_>, root: &DeTable<'_>) -> MetricsConfig {
    let Some(table) = reader.section(root, "metrics") else { return MetricsConfig::default() };
    reader.known_keys("`[metrics]`", table, &[MetricsConfig::PARTICIPANT_READINGS.name]);
    MetricsConfig::from_params(&reader.params(table, MetricsConfig::PARAMS))
}
