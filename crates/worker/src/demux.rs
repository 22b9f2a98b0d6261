//! Whose a datagram is: by the address it came from, found at once however many there are.

use std::collections::HashMap;
use std::net::SocketAddr;

use foldback_peer::stun_ufrag;
use foldback_room::ParticipantId;

/// Addresses that one browser may come from at a time: its interfaces, and those of relays.
const MAX_ADDRESSES: usize = 16;

/// The sessions of a worker by how datagrams name them.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_address: HashMap<SocketAddr, ParticipantId>,
    by_ufrag: HashMap<String, ParticipantId>,
    sessions: HashMap<ParticipantId, Session>,
}

#[derive(Debug)]
struct Session {
    ufrag: String,
    /// The oldest first.
    addresses: Vec<SocketAddr>,
}

impl Demux {
    /// Adds a session, known by its ICE user name only.
    pub(crate) fn add(&mut self, id: ParticipantId, ufrag: &str) {
        self.by_ufrag.insert(ufrag.to_owned(), id);
        let addresses = Vec::with_capacity(MAX_ADDRESSES);
        self.sessions.insert(id, Session { ufrag: ufrag.to_owned(), addresses });
    }

    /// Another ICE user name is that of a session from now on.
    pub(crate) fn rename(&mut self, id: ParticipantId, ufrag: &str) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        self.by_ufrag.remove(&session.ufrag);
        ufrag.clone_into(&mut session.ufrag);
        self.by_ufrag.insert(ufrag.to_owned(), id);
    }

    /// Forgets a session and the addresses that were its own.
    pub(crate) fn remove(&mut self, id: ParticipantId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.by_ufrag.remove(&session.ufrag);
        for address in &session.addresses {
            if self.by_address.get(address) == Some(&id) {
                self.by_address.remove(address);
            }
        }
    }

    /// Whose `datagram` is. A STUN request names its session, and goes first: `source` may have
    /// passed to another one. All else is told by `source` alone. Allocates nothing.
    pub(crate) fn find(&self, source: SocketAddr, datagram: &[u8]) -> Option<ParticipantId> {
        self.named(datagram).or_else(|| self.of_address(source))
    }

    /// The session that a STUN request names.
    pub(crate) fn named(&self, datagram: &[u8]) -> Option<ParticipantId> {
        stun_ufrag(datagram, |ufrag| self.by_ufrag.get(ufrag).copied()).flatten()
    }

    /// Whose datagrams come from there.
    pub(crate) fn of_address(&self, source: SocketAddr) -> Option<ParticipantId> {
        self.by_address.get(&source).copied()
    }

    /// From now on what comes from `source` is `id`'s. Its oldest address goes if it has too many.
    pub(crate) fn learn(&mut self, source: SocketAddr, id: ParticipantId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.addresses.len() == MAX_ADDRESSES {
            let oldest = session.addresses.remove(0);
            if self.by_address.get(&oldest) == Some(&id) {
                self.by_address.remove(&oldest);
            }
        }
        session.addresses.push(source);
        self.by_address.insert(source, id);
    }
}

#[cfg(test)]
mod tests {
    use foldback_allocations::of_this_thread;

    use super::*;

    const VOICE: &[u8] = &[0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];

    /// A binding request of ICE (RFC 8445, section 7.2.2) for `local`, whose integrity nobody has
    /// checked yet.
    fn stun_request(local: &str) -> Vec<u8> {
        let user = format!("{local}:remote");
        let attributes = [(6_u16, user.as_bytes()), (0x24, &[1; 4]), (8, &[0; 20])];
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut request = vec![0, 1];
        request.extend((body.len() as u16).to_be_bytes());
        request.extend([0x21, 0x12, 0xa4, 0x42]);
        request.extend([7; 12]);
        request.extend(body);
        request
    }

    fn address(number: u64) -> SocketAddr {
        let [.., high, low] = number.to_be_bytes();
        ([10, 0, high, low], 5000).into()
    }

    impl Demux {
        fn learn_new(&mut self, number: u64) {
            self.add(ParticipantId(number), &format!("user{number}"));
            self.learn(address(number), ParticipantId(number));
        }
    }

    #[test]
    fn a_thousand_sessions_are_told_apart_without_allocating() {
        let mut demux = Demux::default();
        (0..1000).for_each(|number| demux.learn_new(number));
        let before = of_this_thread();
        for number in 0..1000 {
            assert_eq!(demux.find(address(number), VOICE), Some(ParticipantId(number)));
        }
        assert_eq!(demux.find(address(1000), VOICE), None);
        assert_eq!(of_this_thread() - before, 0);
    }

    #[test]
    fn a_request_goes_to_the_session_it_names_wherever_it_comes_from() {
        let mut demux = Demux::default();
        demux.add(ParticipantId(1), "first");
        demux.add(ParticipantId(2), "second");
        demux.learn(address(7), ParticipantId(1));
        assert_eq!(demux.find(address(7), &stun_request("second")), Some(ParticipantId(2)));
        assert_eq!(demux.find(address(8), &stun_request("first")), Some(ParticipantId(1)));
        assert_eq!(demux.find(address(8), &stun_request("nobody")), None);
        assert_eq!(demux.find(address(8), VOICE), None);
    }

    #[test]
    fn a_session_whose_ice_started_anew_is_found_by_its_new_name_and_its_old_addresses() {
        let mut demux = Demux::default();
        demux.add(ParticipantId(1), "first");
        demux.learn(address(7), ParticipantId(1));
        demux.rename(ParticipantId(1), "anew");
        assert_eq!(demux.find(address(8), &stun_request("anew")), Some(ParticipantId(1)));
        assert_eq!(demux.find(address(8), &stun_request("first")), None);
        assert_eq!(demux.find(address(7), VOICE), Some(ParticipantId(1)));
        demux.remove(ParticipantId(1));
        assert!(demux.by_address.is_empty() && demux.by_ufrag.is_empty());
    }

    #[test]
    fn addresses_go_with_their_session_but_not_those_that_passed_to_another() {
        let mut demux = Demux::default();
        demux.add(ParticipantId(1), "first");
        demux.add(ParticipantId(2), "second");
        demux.learn(address(7), ParticipantId(1));
        demux.learn(address(8), ParticipantId(1));
        demux.learn(address(8), ParticipantId(2));
        demux.remove(ParticipantId(1));
        assert_eq!(demux.of_address(address(7)), None);
        assert_eq!(demux.of_address(address(8)), Some(ParticipantId(2)));
        assert_eq!(demux.find(address(9), &stun_request("first")), None);
        demux.remove(ParticipantId(2));
        assert!(demux.by_address.is_empty() && demux.by_ufrag.is_empty());
    }

    #[test]
    fn a_session_that_comes_from_everywhere_takes_no_more_memory_for_it() {
        let mut demux = Demux::default();
        demux.add(ParticipantId(1), "first");
        (0..1000).for_each(|number| demux.learn(address(number), ParticipantId(1)));
        assert_eq!(demux.by_address.len(), MAX_ADDRESSES);
        assert_eq!(demux.of_address(address(999)), Some(ParticipantId(1)));
    }

    /// `cargo nextest run --workspace --run-ignored only --no-capture -E 'test(look_up_costs)'`
    #[test]
    #[ignore = "a measurement"]
    fn a_look_up_costs_as_much_among_a_thousand_as_among_ten() {
        let ns_among = |sessions: u64| {
            let mut demux = Demux::default();
            (0..sessions).for_each(|number| demux.learn_new(number));
            let begun = std::time::Instant::now();
            let found =
                (0..1_000_000).filter(|n| demux.find(address(n % sessions), VOICE).is_some());
            assert_eq!(found.count(), 1_000_000);
            begun.elapsed().as_nanos() as f64 / 1e6
        };
        let (ten, thousand) = (ns_among(10), ns_among(1000));
        println!("{ten:.0} ns among ten, {thousand:.0} ns among a thousand");
        assert!(thousand < 3.0 * ten);
    }
}
