//! How much each address may still do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use foldback_worker::Allowance;

/// Of so many addresses it is known by itself what they did; all others share one allowance.
const MOST_ADDRESSES: usize = 65_536;

/// An allowance for each address: in IPv6 for each network of 64 bits, which is one customer's.
#[derive(Debug)]
pub(crate) struct PerAddress {
    burst: Duration,
    most: usize,
    allowances: Mutex<HashMap<IpAddr, Allowance>>,
}

impl PerAddress {
    pub(crate) fn new(burst: Duration) -> Self {
        Self { burst, most: MOST_ADDRESSES, allowances: Mutex::default() }
    }

    /// Takes `cost` out of what `address` may do; false where not so much is left.
    pub(crate) fn take(&self, address: IpAddr, now: Instant, cost: Duration) -> bool {
        self.with(address, now, |allowance| allowance.take(now, cost))
    }

    /// Whether `cost` could be taken.
    pub(crate) fn has(&self, address: IpAddr, now: Instant, cost: Duration) -> bool {
        self.with(address, now, |allowance| { *allowance }.take(now, cost))
    }

    fn with<T>(&self, address: IpAddr, now: Instant, ask: impl FnOnce(&mut Allowance) -> T) -> T {
        let mut allowances = self.allowances.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = network_of(address);
        if allowances.len() >= self.most && !allowances.contains_key(&key) {
            allowances.retain(|_, allowance| !allowance.is_full(now));
            if allowances.len() >= self.most {
                key = Ipv6Addr::UNSPECIFIED.into();
            }
        }
        ask(allowances.entry(key).or_insert_with(|| Allowance::new(self.burst)))
    }
}

/// What counts as one address.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: Duration = Duration::from_secs(60);

    fn taken(per_address: &PerAddress, address: &str, now: Instant) -> usize {
        let address = address.parse().expect("an address");
        let cost = Duration::from_secs(20);
        (0..9).filter(|_| per_address.take(address, now, cost)).count()
    }

    #[test]
    fn each_address_has_its_own_allowance_and_each_network_of_ipv6() {
        let (all, now) = (PerAddress::new(BURST), Instant::now());
        assert_eq!(taken(&all, "192.0.2.1", now), 3);
        assert_eq!(taken(&all, "192.0.2.2", now), 3);
        assert_eq!(taken(&all, "::ffff:192.0.2.1", now), 0, "the same one");
        assert_eq!(taken(&all, "2001:db8::1", now), 3);
        assert_eq!(taken(&all, "2001:db8::2", now), 0, "of the same network");
        assert_eq!(taken(&all, "2001:db8:0:1::1", now), 3);
        assert_eq!(taken(&all, "192.0.2.1", now + Duration::from_secs(20)), 1);
    }

    #[test]
    fn looking_takes_nothing() {
        let (all, now) = (PerAddress::new(BURST), Instant::now());
        let address = "192.0.2.1".parse().expect("an address");
        for _ in 0..9 {
            assert!(all.has(address, now, BURST));
        }
        assert!(all.take(address, now, BURST));
        assert!(!all.has(address, now, BURST));
    }

    #[test]
    fn whoever_comes_from_ever_other_addresses_takes_neither_memory_nor_what_is_others() {
        let all = PerAddress { most: 3, ..PerAddress::new(BURST) };
        let now = Instant::now();
        let by = |n: u8, now| taken(&all, &format!("192.0.2.{n}"), now);
        assert_eq!([by(1, now), by(2, now), by(3, now)], [3; 3]);
        assert_eq!([by(4, now), by(5, now), by(6, now)], [3, 0, 0], "these share one");
        assert_eq!(by(1, now), 0);
        assert_eq!(all.allowances.lock().expect("not poisoned").len(), 4);
        let later = now + BURST;
        assert_eq!([by(7, later), by(8, later), by(1, later)], [3; 3], "who waited is forgotten");
    }
}
