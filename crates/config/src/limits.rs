//! The section `[limits]`: how many may come in, and how fast.

use std::net::IpAddr;

use foldback_stage::{ParamSpec, Params};
use ipnet::IpNet;
use toml::de::DeTable;

use crate::reader::{Reader, Value};
use crate::sections::set_int;
use crate::settings::{Section, Setting};

/// Section `[limits]`. What is 0 is not limited. All of it counts at once when the file is read again, for whoever joins
/// from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Most people in one room. Default 0.
    pub participants_per_room: usize,
    /// Most people on the server. Default 0.
    pub participants: usize,
    /// Most rooms open at a time. Default 0.
    pub rooms: usize,
    /// How often one address may join in a minute; so often at once too. Default 300. This machine's own addresses of the
    /// loopback interface are not limited.
    pub joins_per_minute: u32,
    /// Proxies whose `X-Forwarded-For` tells the address of a client.
    pub trusted_proxies: Vec<IpNet>,
}

impl LimitsConfig {
    /// The declaration of `participants_per_room`.
    pub const PARTICIPANTS_PER_ROOM: ParamSpec = ParamSpec::int(
        "participants_per_room",
        "",
        0,
        100_000,
        0,
        "Most people in one room; 0: as many as come.",
    );

    /// The declaration of `participants`.
    pub const PARTICIPANTS: ParamSpec = ParamSpec::int(
        "participants",
        "",
        0,
        1_000_000,
        0,
        "Most people on the server; 0: as many as come.",
    );

    /// The declaration of `rooms`.
    pub const ROOMS: ParamSpec = ParamSpec::int(
        "rooms",
        "",
        0,
        1_000_000,
        0,
        "Most rooms that somebody is in at a time; 0: as many as are asked for.",
    );

    /// The declaration of `joins_per_minute`.
    pub const JOINS_PER_MINUTE: ParamSpec = ParamSpec::int(
        "joins_per_minute",
        "",
        0,
        100_000,
        300,
        "How often one address may join in a minute, or in a burst; 0: as often as it likes.",
    );

    /// The declaration of an entry of `trusted_proxies`.
    pub const TRUSTED_PROXIES: ParamSpec = ParamSpec::text(
        "trusted_proxies",
        "",
        "Proxies in front of this server, as addresses or networks: what they say in X-Forwarded-For \
         is the client's address.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "limits",
        about: "How many may come in, and how fast.",
        settings: &[
            Setting::one(Self::PARTICIPANTS_PER_ROOM, |a, b| {
                a.limits.participants_per_room != b.limits.participants_per_room
            }),
            Setting::one(Self::PARTICIPANTS, |a, b| a.limits.participants != b.limits.participants),
            Setting::one(Self::ROOMS, |a, b| a.limits.rooms != b.limits.rooms),
            Setting::one(Self::JOINS_PER_MINUTE, |a, b| {
                a.limits.joins_per_minute != b.limits.joins_per_minute
            }),
            Setting::list(Self::TRUSTED_PROXIES, |a, b| {
                a.limits.trusted_proxies != b.limits.trusted_proxies
            }),
        ],
    };

    const PARAMS: &'static [ParamSpec] =
        &[Self::PARTICIPANTS_PER_ROOM, Self::PARTICIPANTS, Self::ROOMS, Self::JOINS_PER_MINUTE];

    fn set(&mut self, given: &Params) {
        set_int(&mut self.participants_per_room, given, &Self::PARTICIPANTS_PER_ROOM);
        set_int(&mut self.participants, given, &Self::PARTICIPANTS);
        set_int(&mut self.rooms, given, &Self::ROOMS);
        set_int(&mut self.joins_per_minute, given, &Self::JOINS_PER_MINUTE);
    }

    /// Whether what `address` says of its clients is believed.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let mut limits = Self {
            participants_per_room: 0,
            participants: 0,
            rooms: 0,
            joins_per_minute: 0,
            trusted_proxies: Vec::new(),
        };
        limits.set(&Params::defaults(Self::PARAMS));
        limits
    }
}

/// Reads `[limits]`; what it does not give stays in `limits`.
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, limits: &mut LimitsConfig) {
    let Some(table) = LimitsConfig::SECTION.read(reader, root) else { return };
    limits.set(&reader.given(table, LimitsConfig::PARAMS));
    if let Some(value) = table.get(LimitsConfig::TRUSTED_PROXIES.name) {
        limits.trusted_proxies =
            read_networks(reader, LimitsConfig::TRUSTED_PROXIES.name, "a trusted proxy", value);
    }
}

/// A list of networks, each of which is called `one` in messages.
pub(crate) fn read_networks(
    reader: &mut Reader<'_>,
    key: &str,
    one: &str,
    value: &Value<'_>,
) -> Vec<IpNet> {
    const ONE: &str =
        "must be an address or a network, like \"10.0.0.7\", \"10.0.0.0/8\" or \"fd00::/8\"";
    let allowed = "must be a list of addresses or networks, like [\"10.0.0.7\", \"fd00::/8\"]";
    let Some(items) = reader.list(key, value, allowed) else {
        return Vec::new();
    };
    let mut networks = Vec::new();
    for item in items {
        let text = item.get_ref().as_str().unwrap_or_default();
        let network = text.parse::<IpNet>().ok();
        match network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
            Some(network) => networks.push(network),
            None => {
                let found = format!("{one} is {}", reader.shown(item));
                reader.refuse(item.span(), found, ONE, None);
            }
        }
    }
    networks
}
