//! A simulated network of datagrams: delay, jitter, loss, reordering and duplicates, by seed.
//!
//! Sans-IO: every method is told the time, and what arrives is asked for. A [`Link`] is one
//! direction between two ends; a [`Network`] is a link for each pair of addresses.

mod link;
mod loss;

use std::collections::BTreeMap;
use std::time::Instant;

pub use link::{Arrival, Jitter, Link, LinkSpec, LinkStats, Stalls};
pub use loss::Loss;

/// Links between addresses, made as they are first used.
///
/// Each has a seed of its own, from the network's and the order in which links were first used.
#[derive(Debug)]
pub struct Network<Address, Payload> {
    seed: u64,
    usual: LinkSpec,
    links: BTreeMap<(Address, Address), Link<Payload>>,
}

/// A datagram that a [`Network`] delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram<Address, Payload> {
    /// Who sent it.
    pub from: Address,
    /// Who receives it.
    pub to: Address,
    /// When it arrived, at or before the time that was asked for.
    pub at: Instant,
    /// What it holds.
    pub payload: Payload,
}

impl<Address: Copy + Ord, Payload: Clone> Network<Address, Payload> {
    /// A network whose links are `usual` where nothing else is said.
    #[must_use]
    pub fn new(seed: u64, usual: LinkSpec) -> Self {
        Self { seed, usual, links: BTreeMap::new() }
    }

    /// Sets the link of one direction. What is on its way on an earlier one is lost.
    pub fn set_link(&mut self, from: Address, to: Address, spec: LinkSpec) {
        let seed = self.next_seed();
        self.links.insert((from, to), Link::new(seed, spec));
    }

    /// Sends a datagram.
    pub fn send(&mut self, now: Instant, from: Address, to: Address, payload: Payload) {
        if !self.links.contains_key(&(from, to)) {
            self.set_link(from, to, self.usual.clone());
        }
        if let Some(link) = self.links.get_mut(&(from, to)) {
            link.send(now, payload);
        }
    }

    /// The next datagram that has arrived by `now`, the earliest first. Ask until there is none.
    pub fn receive(&mut self, now: Instant) -> Option<Datagram<Address, Payload>> {
        let ((from, to), link) = self
            .links
            .iter_mut()
            .filter(|(_, link)| link.next_arrival().is_some())
            .min_by_key(|(_, link)| link.next_arrival())?;
        let Arrival { at, payload } = link.receive(now)?;
        Some(Datagram { from: *from, to: *to, at, payload })
    }

    /// When the next datagram arrives, if one is on its way.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.links.values().filter_map(Link::next_arrival).min()
    }

    /// What one direction has carried so far; zeros where nothing was sent.
    #[must_use]
    pub fn stats(&self, from: Address, to: Address) -> LinkStats {
        self.links.get(&(from, to)).map(Link::stats).unwrap_or_default()
    }

    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.seed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SimClock;

    #[test]
    fn datagrams_reach_whom_they_are_for_in_the_order_of_their_arrival() {
        let clock = SimClock::new();
        let now = clock.now();
        let mut network = Network::new(1, LinkSpec::delayed(Duration::from_millis(10)));
        network.set_link('b', 'c', LinkSpec::delayed(Duration::from_millis(5)));
        network.send(now, 'a', 'c', "slow");
        network.send(now, 'b', 'c', "fast");
        assert_eq!(network.next_arrival(), Some(now + Duration::from_millis(5)));
        assert_eq!(network.receive(now + Duration::from_millis(4)), None);

        let later = now + Duration::from_millis(20);
        let arrived: Vec<_> = std::iter::from_fn(|| network.receive(later)).collect();
        let fast =
            Datagram { from: 'b', to: 'c', at: now + Duration::from_millis(5), payload: "fast" };
        let slow =
            Datagram { from: 'a', to: 'c', at: now + Duration::from_millis(10), payload: "slow" };
        assert_eq!(arrived, [fast, slow]);
        assert_eq!(network.next_arrival(), None);
    }

    #[test]
    fn links_of_one_network_lose_different_packets() {
        let mut clock = SimClock::new();
        let lossy = LinkSpec { loss: Loss::random(0.5), ..LinkSpec::default() };
        let mut network = Network::new(1, lossy);
        for n in 0..64 {
            network.send(clock.now(), 1, 3, n);
            network.send(clock.now(), 2, 3, n);
        }
        let now = clock.advance(Duration::from_secs(1));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        while let Some(datagram) = network.receive(now) {
            if datagram.from == 1 { &mut first } else { &mut second }.push(datagram.payload);
        }
        assert_ne!(first, second);
        assert_eq!(network.stats(1, 3).delivered, first.len() as u64);
        assert_eq!(network.stats(3, 1), LinkStats::default());
    }
}
