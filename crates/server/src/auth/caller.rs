//! Where a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use foldback_config::LimitsConfig;

use crate::http::App;
use crate::operator::is_from_here;

/// Extracted by handlers that ask who is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// The client's address: what a trusted proxy says, else where the connection comes from.
    pub(crate) address: IpAddr,
    /// Whether it is a program of this machine, or a page of this server in a browser of it.
    pub(crate) is_here: bool,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(request: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip().to_canonical());
        let running = app.conference.running();
        let address = client_of(peer, &request.headers, &running.config.limits);
        Ok(Self { address, is_here: is_from_here(request) })
    }
}

/// Each proxy adds on the right whom it was asked by: believed as far as they are trusted.
fn client_of(peer: IpAddr, headers: &HeaderMap, limits: &LimitsConfig) -> IpAddr {
    let told: Vec<_> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut client = peer;
    for entry in told.into_iter().rev() {
        if !limits.trusts(client) {
            break;
        }
        let Some(address) = address_of(entry.trim()) else { break };
        client = address;
    }
    client
}

/// Some proxies tell the port too.
fn address_of(entry: &str) -> Option<IpAddr> {
    let plain = entry.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let address = plain.or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, told: &[&str]) -> String {
        let limits = LimitsConfig {
            trusted_proxies: ["127.0.0.1/32", "10.0.0.0/8"]
                .map(|network| network.parse().expect("a network"))
                .to_vec(),
            ..LimitsConfig::default()
        };
        let mut headers = HeaderMap::new();
        for value in told {
            headers.append("x-forwarded-for", value.parse().expect("a header"));
        }
        client_of(peer.parse().expect("an address"), &headers, &limits).to_string()
    }

    #[test]
    fn who_is_no_trusted_proxy_speaks_for_itself_alone() {
        assert_eq!(client("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_tells_its_client_and_what_that_one_made_up_is_not_believed() {
        assert_eq!(client("127.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["1.1.1.1, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["1.1.1.1", "198.51.100.7, 10.1.2.3"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["198.51.100.7:443"]), "198.51.100.7");
        assert_eq!(client("127.0.0.1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(client("127.0.0.1", &["2001:db8::7"]), "2001:db8::7");
    }

    #[test]
    fn a_trusted_proxy_that_tells_nothing_of_use_is_the_client() {
        for told in [&[][..], &[""], &["unknown"], &["198.51.100.7, _hidden"]] {
            assert_eq!(client("127.0.0.1", told), "127.0.0.1", "{told:?}");
        }
    }
}
