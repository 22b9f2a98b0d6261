//! That the other side still wants to be sent to, where its media says so and its checks do not.
//!
//! str0m gives a session up 15 s after the last check of ICE. Browsers send some all the time (consent, RFC 7675); libnice and FFmpeg
//! need not once they are connected. So while authentic media comes by the way that a check came by, that check counts as another one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::route::Route;

/// Whoever sends checks of their own has sent one within this.
const UNCHECKED: Duration = Duration::from_secs(7);

/// Of so many ways the last check is kept; a client tries few at a time.
const MOST_WAYS: usize = 4;

/// The last checks, and where media comes from.
#[derive(Debug, Default)]
pub(crate) struct Consent {
    checks: Vec<Check>,
    media_from: Option<SocketAddr>,
    /// Media came that is authentic, and nobody has asked since.
    given: bool,
}

/// A request of STUN that the session took as its own.
#[derive(Debug)]
pub(crate) struct Check {
    /// When it came, or last counted as another one.
    at: Instant,
    pub(crate) route: Route,
    pub(crate) datagram: Vec<u8>,
}

impl Consent {
    /// Takes note of a datagram that the session took as its own. Allocates for the first check of a way only.
    pub(crate) fn note(&mut self, now: Instant, route: Route, datagram: &[u8]) {
        match datagram {
            // RTP and RTCP (RFC 7983).
            [128..=191, ..] => self.media_from = Some(route.source),
            // A binding request (RFC 8489, section 5).
            [0, 1, ..] => {
                if let Some(check) = self.checks.iter_mut().find(|check| check.route == route) {
                    check.at = now;
                    check.datagram.clear();
                    check.datagram.extend_from_slice(datagram);
                    return;
                }
                if self.checks.len() == MOST_WAYS
                    && let Some(oldest) = (0..MOST_WAYS).min_by_key(|index| self.checks[*index].at)
                {
                    self.checks.swap_remove(oldest);
                }
                let datagram = datagram.to_vec();
                self.checks.push(Check { at: now, route, datagram });
            }
            _ => {}
        }
    }

    /// Media came that is authentic.
    pub(crate) fn give(&mut self) {
        self.given = true;
    }

    /// The check that counts as another one now, if one does.
    pub(crate) fn due(&mut self, now: Instant) -> Option<&Check> {
        if !std::mem::take(&mut self.given) {
            return None;
        }
        let from = self.media_from?;
        let last = self.checks.iter_mut().filter(|check| check.route.source == from);
        let last = last.max_by_key(|check| check.at)?;
        if now.saturating_duration_since(last.at) < UNCHECKED {
            return None;
        }
        last.at = now;
        Some(last)
    }

    /// ICE starts anew: what there was is of no use.
    pub(crate) fn forget(&mut self) {
        self.checks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: &[u8] = &[0, 1, 0, 8];
    const MEDIA: &[u8] = &[128, 111, 0, 1];

    fn from(port: u16) -> Route {
        let at = |port| SocketAddr::from(([192, 0, 2, 9], port));
        Route::udp(at(port), at(8000))
    }

    #[allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_check_counts_again_while_media_comes_by_its_way_and_no_other_check_does() {
        let (mut consent, start) = (Consent::default(), now());
        let second = |number| start + Duration::from_secs(number);
        consent.note(start, from(1), CHECK);
        consent.note(start, from(2), CHECK);
        let mut counted = Vec::new();
        for number in 1..=20 {
            consent.note(second(number), from(1), MEDIA);
            consent.give();
            if let Some(check) = consent.due(second(number)) {
                assert_eq!(check.route, from(1));
                assert_eq!(check.datagram, CHECK);
                counted.push(number);
            }
            assert!(consent.due(second(number)).is_none(), "once");
        }
        assert_eq!(counted, [7, 14]);
        consent.note(second(20), from(1), CHECK);
        consent.give();
        assert!(consent.due(second(22)).is_none(), "there was another one");
    }

    #[test]
    fn nothing_counts_without_authentic_media_nor_where_it_comes_from_elsewhere() {
        let (mut consent, start) = (Consent::default(), now());
        let later = start + Duration::from_secs(10);
        consent.note(start, from(1), CHECK);
        consent.note(later, from(1), MEDIA);
        assert!(consent.due(later).is_none());
        consent.note(later, from(3), MEDIA);
        consent.give();
        assert!(consent.due(later).is_none());
        consent.note(later, from(1), MEDIA);
        consent.forget();
        consent.give();
        assert!(consent.due(later).is_none());
    }

    #[test]
    fn of_few_ways_the_last_checks_are_kept() {
        let (mut consent, start) = (Consent::default(), now());
        for port in 1..=9 {
            let now = start + Duration::from_secs(port.into());
            consent.note(now, from(port), CHECK);
        }
        let mut kept: Vec<_> =
            consent.checks.iter().map(|check| check.route.source.port()).collect();
        kept.sort_unstable();
        assert_eq!(kept, [6, 7, 8, 9]);
    }
}
