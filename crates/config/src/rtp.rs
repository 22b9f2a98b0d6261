//! The section `[rtp]`: ports for lines of RTP to gateways and tools.

use std::net::IpAddr;

use foldback_stage::{ParamSpec, Params};
use ipnet::IpNet;
use toml::de::DeTable;

use crate::limits::read_networks;
use crate::reader::Reader;
use crate::sections::set_int;
use crate::settings::{Section, Setting};

/// Section `[rtp]`. All of it counts at once when the file is read again, for lines that are opened from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpConfig {
    /// The first UDP port of those for lines. 0, the default: there are none.
    pub first_port: u16,
    /// How many ports follow one another, and so how many lines there can be. Default 100.
    pub ports: u16,
    /// How long nothing may come of who is to send, in s. Default 30.
    pub timeout_seconds: u32,
    /// To which addresses lines may lead. Default: those of private networks, and this machine.
    pub networks: Vec<IpNet>,
}

impl RtpConfig {
    /// The declaration of `first_port`.
    pub const FIRST_PORT: ParamSpec = ParamSpec::int(
        "first_port",
        "",
        0,
        65_535,
        0,
        "The first UDP port for lines of RTP; 0: there are none.",
    );

    /// The declaration of `ports`.
    pub const PORTS: ParamSpec = ParamSpec::int(
        "ports",
        "",
        1,
        20_000,
        100,
        "How many ports there are for them, one for each line.",
    );

    /// The declaration of `timeout_seconds`.
    pub const TIMEOUT_SECONDS: ParamSpec = ParamSpec::int(
        "timeout_seconds",
        "s",
        2,
        86_400,
        30,
        "A line ends once nothing has come by it for so long.",
    );

    /// The declaration of an entry of `networks`.
    pub const NETWORKS: ParamSpec = ParamSpec::text(
        "networks",
        "",
        "Addresses and networks that lines may lead to; none stands for private networks and this machine.",
    );

    /// The section.
    pub(crate) const SECTION: Section = Section {
        name: "rtp",
        about: "Lines of RTP to gateways and tools.",
        settings: &[
            Setting::one(Self::FIRST_PORT, |a, b| a.rtp.first_port != b.rtp.first_port),
            Setting::one(Self::PORTS, |a, b| a.rtp.ports != b.rtp.ports),
            Setting::one(Self::TIMEOUT_SECONDS, |a, b| {
                a.rtp.timeout_seconds != b.rtp.timeout_seconds
            }),
            Setting::list(Self::NETWORKS, |a, b| a.rtp.networks != b.rtp.networks),
        ],
    };

    const PARAMS: &'static [ParamSpec] = &[Self::FIRST_PORT, Self::PORTS, Self::TIMEOUT_SECONDS];

    /// Whether a line may lead there.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if self.networks.is_empty() {
            return match address {
                IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
                IpAddr::V6(v6) => {
                    v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local()
                }
            };
        }
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn set(&mut self, given: &Params) {
        set_int(&mut self.first_port, given, &Self::FIRST_PORT);
        set_int(&mut self.ports, given, &Self::PORTS);
        set_int(&mut self.timeout_seconds, given, &Self::TIMEOUT_SECONDS);
    }
}

impl Default for RtpConfig {
    fn default() -> Self {
        let mut rtp = Self { first_port: 0, ports: 0, timeout_seconds: 0, networks: Vec::new() };
        rtp.set(&Params::defaults(Self::PARAMS));
        rtp
    }
}

/// Reads `[rtp]`; what it does not give stays in `rtp`.
pub(crate) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, rtp: &mut RtpConfig) {
    let Some(table) = RtpConfig::SECTION.read(reader, root) else { return };
    rtp.set(&reader.given(table, RtpConfig::PARAMS));
    if let Some(value) = table.get(RtpConfig::NETWORKS.name) {
        rtp.networks = read_networks(reader, RtpConfig::NETWORKS.name, "a network", value);
    }
    let highest = u16::MAX - (rtp.ports - 1);
    if rtp.first_port > highest {
        let key = if table.contains_key(RtpConfig::FIRST_PORT.name) {
            RtpConfig::FIRST_PORT.name
        } else {
            RtpConfig::PORTS.name
        };
        if let Some(value) = table.get(key) {
            let allowed = format!(
                "leaves no room for {} ports; `first_port` must be at most {highest} then",
                rtp.ports
            );
            reader.refuse_value(key, value, allowed, None);
        }
    }
}
