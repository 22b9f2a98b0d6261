//! How many connections of an address may be there at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::per_address::network_of;

/// So many seats, and so many of them for one address, or in IPv6 for one network of 64 bits.
#[derive(Debug)]
pub(crate) struct Seats {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// One of them, free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    of: Arc<Seats>,
    network: IpAddr,
}

impl Seats {
    pub(crate) fn new(most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_one, taken: Mutex::default() })
    }

    /// `None` where all of them are taken, or all of the address's.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network_of(address);
        let mut taken = self.lock();
        let of_one = taken.by_network.get(&network).copied().unwrap_or_default();
        if of_one >= self.most_of_one || taken.all >= self.most {
            return None;
        }
        taken.all += 1;
        taken.by_network.insert(network, of_one + 1);
        Some(Seat { of: Arc::clone(self), network })
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        taken.all -= 1;
        if let Some(left) = taken.by_network.get_mut(&self.network) {
            *left -= 1;
            if *left == 0 {
                taken.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(seats: &Arc<Seats>, address: &str, count: usize) -> Vec<Seat> {
        let address = address.parse().expect("an address");
        (0..count).filter_map(|_| seats.take(address)).collect()
    }

    #[test]
    fn an_address_has_so_many_and_gets_back_what_it_leaves() {
        let seats = Seats::new(1000, 100);
        let taken = take(&seats, "192.0.2.1", 101);
        assert_eq!(taken.len(), 100);
        assert!(take(&seats, "::ffff:192.0.2.1", 1).is_empty(), "the same one");
        assert_eq!(take(&seats, "192.0.2.2", 1).len(), 1);
        drop(taken);
        assert_eq!(take(&seats, "192.0.2.1", 1).len(), 1);
        assert_eq!(seats.lock().by_network.len(), 0, "nothing is kept");
    }

    #[test]
    fn one_address_takes_its_share_and_leaves_the_others_theirs() {
        let seats = Seats::new(4096, 256);
        let first = take(&seats, "192.0.2.1", 300);
        assert_eq!(first.len(), 256);
        let held = [take(&seats, "2001:db8::1", 200), take(&seats, "2001:db8::2", 200)];
        assert_eq!(held[1].len(), 56, "of the same network");
        drop(held);
        let others: Vec<_> =
            (0..30).map(|n| take(&seats, &format!("198.51.100.{n}"), 200)).collect();
        let all: usize = others.iter().map(Vec::len).sum();
        assert_eq!((first.len() + all, seats.taken()), (4096, 4096));
        drop((first, others));
        assert_eq!(take(&seats, "192.0.2.1", 1).len(), 1);
        assert_eq!(seats.lock().by_network.len(), 0, "nothing is kept of those gone");
    }
}
