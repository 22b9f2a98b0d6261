//! Where browsers can reach the media.

use std::net::{IpAddr, Ipv4Addr};

/// This machine's own IPv4 addresses, loopback last.
#[must_use]
pub fn own() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut own: Vec<IpAddr> = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        // Link-local addresses are of no use to ICE and are refused by it.
        .filter(|ip| matches!(ip, IpAddr::V4(v4) if !v4.is_loopback() && !v4.is_link_local()))
        .collect();
    own.sort_unstable();
    own.dedup();
    own.push(Ipv4Addr::LOCALHOST.into());
    own
}

/// The addresses to tell clients: the configured ones, else this machine's own. Loopback is told
/// only where the page itself is served there, or there is nothing else.
#[must_use]
pub fn public(configured: &[IpAddr], listen: IpAddr) -> Vec<IpAddr> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    let mut addresses = own();
    if !listen.is_loopback() && addresses.len() > 1 {
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
    fn a_page_on_loopback_offers_loopback() {
        assert!(public(&[], Ipv4Addr::LOCALHOST.into()).contains(&Ipv4Addr::LOCALHOST.into()));
    }
}
