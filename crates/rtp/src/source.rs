//! Whose datagrams are taken.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// From where datagrams are taken, and to where they go.
///
/// RTP itself says nothing of who sends it. What is taken here is what comes from one address and port: the first that sends a
/// right packet, of those that may. From then on it is that one alone (RFC 7362, section 4.2, which says what that is worth:
/// who is faster than the gateway takes its place, but with SRTP, where only who has the key is the first).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// What comes from this address, by whatever port; datagrams go to this port of it.
    At(SocketAddr),
    /// Whoever is first, as far as the [`Reach`] goes; datagrams go to where theirs come from.
    First,
}

/// To which addresses datagrams may go. What a datagram says of where it comes from may be forged: a session that believed it of
/// any would send to whomever a stranger names.
#[derive(Clone)]
pub struct Reach(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl Reach {
    /// To those for which `allows` is true. It is asked on the media thread.
    pub fn new(allows: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(allows))
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reach(..)")
    }
}

/// What is known of the other side.
#[derive(Debug)]
pub(crate) struct Latch {
    allowed: Source,
    reach: Reach,
    first: Option<SocketAddr>,
}

impl Latch {
    pub(crate) fn new(allowed: Source, reach: Reach) -> Self {
        Self { allowed, reach, first: None }
    }

    /// Where datagrams go, once that is known.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        match self.allowed {
            Source::At(address) => Some(address),
            Source::First => self.first,
        }
    }

    /// Whether what comes from there is looked at. `proves`: by its keys it is told who sent it, so that another port, after a
    /// change of the way, is none the worse.
    pub(crate) fn may_send(&self, source: SocketAddr, proves: bool) -> bool {
        match (self.first, self.allowed) {
            (Some(first), _) if first == source => true,
            (Some(_), _) if !proves => false,
            (_, Source::At(address)) => address.ip() == source.ip(),
            (_, Source::First) => (self.reach.0)(source.ip()),
        }
    }

    /// As [`Self::may_send`], for reports, which may come from a port of their own.
    pub(crate) fn may_report(&self, source: SocketAddr, proves: bool) -> bool {
        let known = self.first.or(self.destination());
        self.may_send(source, proves) || known.is_some_and(|known| known.ip() == source.ip())
    }

    /// Whether it is the one.
    pub(crate) fn is_known(&self, source: SocketAddr) -> bool {
        self.first == Some(source)
    }

    /// A right packet came from there.
    pub(crate) fn learn(&mut self, source: SocketAddr) {
        self.first = Some(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_first_who_may_is_the_only_one() {
        let (gateway, other_port) = (at("192.0.2.1:4000"), at("192.0.2.1:4002"));
        let stranger = at("198.51.100.1:4000");
        let reach = Reach::new(|address| !address.is_loopback());
        let mut latch = Latch::new(Source::At(at("192.0.2.1:9000")), reach.clone());
        assert_eq!(latch.destination(), Some(at("192.0.2.1:9000")));
        assert!(latch.may_send(gateway, false) && latch.may_send(other_port, false));
        assert!(!latch.may_send(stranger, false) && !latch.may_send(stranger, true));
        latch.learn(gateway);
        assert!(latch.may_send(gateway, false) && !latch.may_send(other_port, false));
        assert!(latch.may_report(other_port, false) && !latch.may_report(stranger, false));
        assert_eq!(latch.destination(), Some(at("192.0.2.1:9000")), "it was told so");

        let mut latch = Latch::new(Source::First, reach);
        assert_eq!(latch.destination(), None);
        assert!(!latch.may_send(at("127.0.0.1:4000"), true), "nothing may go there");
        assert!(latch.may_send(stranger, false));
        latch.learn(gateway);
        assert!(!latch.may_send(stranger, false) && latch.may_send(stranger, true));
        assert_eq!(latch.destination(), Some(gateway));
        latch.learn(stranger);
        assert_eq!(latch.destination(), Some(stranger), "it has proven who it is");
    }
}
