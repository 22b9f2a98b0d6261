//! Where browsers can reach the media.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// This machine's own addresses, those of IPv4 first, loopback last.
#[must_use]
pub fn own() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let all: Vec<_> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    let mut own: Vec<_> = all.iter().copied().filter(is_of_use).collect();
    own.sort_unstable();
    own.dedup();
    own.push(Ipv4Addr::LOCALHOST.into());
    own.extend(all.into_iter().find(|ip| *ip == Ipv6Addr::LOCALHOST));
    own
}

/// Whether others reach it. Link-local addresses are known on one cable only, and are of no use to ICE.
fn is_of_use(ip: &IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !is_link_local && !ip.is_loopback()
}

/// The addresses to tell clients: the configured ones, else this machine's own. Loopback is told
/// only where the page itself is served there, or there is nothing else.
#[must_use]
pub fn public(configured: &[IpAddr], listen: IpAddr) -> Vec<IpAddr> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    let mut addresses = own();
    if !listen.is_loopback() && addresses.iter().any(|ip| !ip.is_loopback()) {
        addresses.retain(|ip| !ip.is_loopback());
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_addresses_stand_for_the_machines_own() {
        let nat: IpAddr = [203, 0, 113, 7].into();
        assert_eq!(public(&[nat], Ipv4Addr::UNSPECIFIED.into()), [nat]);
    }

    #[test]
    fn addresses_that_others_cannot_reach_are_not_told() {
        for (address, expected) in [
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("fd00::2", true),
            ("127.0.0.1", false),
            ("169.254.7.7", false),
            ("::1", false),
            ("fe80::fc:ff:fe00:1", false),
        ] {
            assert_eq!(is_of_use(&address.parse().expect("an address")), expected, "{address}");
        }
        let told = public(&[], Ipv4Addr::UNSPECIFIED.into());
        assert!(told.iter().all(is_of_use) || told.iter().all(IpAddr::is_loopback), "{told:?}");
    }

    #[test]
    fn a_page_on_loopback_offers_loopback() {
        assert!(public(&[], Ipv4Addr::LOCALHOST.into()).contains(&Ipv4Addr::LOCALHOST.into()));
    }
}
