//! How many sockets of an address may wait for somebody to join by them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::per_address::network_of;

/// Seats of one address, or in IPv6 of one network of 64 bits.
const MOST: usize = 100;

/// Those that are taken.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<HashMap<IpAddr, usize>>);

/// One of them, free again once this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    of: Arc<Seats>,
    network: IpAddr,
}

impl Seats {
    /// `None` where all of the address's are taken.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Seat> {
        let network = network_of(address);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        Some(Seat { of: Arc::clone(self), network })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_gets_back_what_it_leaves() {
        let seats = Arc::new(Seats::default());
        let take = |address: &str| seats.take(address.parse().expect("an address"));
        let taken: Vec<_> = (0..MOST).map(|_| take("192.0.2.1").expect("a seat")).collect();
        assert!(take("192.0.2.1").is_none());
        assert!(take("::ffff:192.0.2.1").is_none(), "the same one");
        assert!(take("192.0.2.2").is_some());
        drop(taken);
        assert!(take("192.0.2.1").is_some());
        assert_eq!(seats.0.lock().expect("not poisoned").len(), 0, "nothing is kept");
    }
}
