use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::loss::{Loss, LossProcess};

/// What one direction between two ends is like. The default is perfect: at once, everything, in
/// order.
#[derive(Clone, Debug, Default)]
pub struct LinkSpec {
    /// What every datagram takes at least.
    pub delay: Duration,
    /// What it takes beyond that.
    pub jitter: Jitter,
    /// Which are lost.
    pub loss: Loss,
    /// The probability, 0 to 1, that a datagram arrives twice.
    pub duplicate: f64,
    /// The probability, 0 to 1, that a datagram is held back by [`Self::held_back`], so that later
    /// ones overtake it.
    pub reorder: f64,
    /// By how much the reordered ones are late.
    pub held_back: Duration,
    /// Whether jitter keeps the order, as one queue on the way does: nothing overtakes, and what
    /// is late delays all that follows. Those held back by [`Self::reorder`] are overtaken still.
    pub in_order: bool,
    /// Times at which nothing arrives, as of a Wi-Fi link that is busy elsewhere: what would
    /// arrive then arrives at their end, in order.
    pub stalls: Option<Stalls>,
}

/// Times at which a link delivers nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalls {
    /// When the first begins, counted from the link's first datagram.
    pub first: Duration,
    /// How long each lasts.
    pub length: Duration,
    /// From the beginning of one to that of the next; `None`: there is only one.
    pub every: Option<Duration>,
}

impl Stalls {
    /// When a datagram arrives that would have arrived `after` the link's beginning.
    fn hold(&self, after: Duration) -> Duration {
        let Some(since) = after.checked_sub(self.first) else { return after };
        let begun = match self.every {
            Some(every) => {
                let stalls = since.as_nanos() / every.as_nanos().max(1);
                self.first + every * u32::try_from(stalls).unwrap_or(u32::MAX)
            }
            None => self.first,
        };
        after.max(begun + self.length)
    }
}

impl LinkSpec {
    /// A perfect link, but for a constant delay.
    #[must_use]
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

/// By how much a datagram is later than the fastest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Jitter {
    /// Never.
    #[default]
    None,
    /// Evenly from 0 to this.
    Uniform(Duration),
    /// The magnitude of a normal distribution with this standard deviation.
    Normal(Duration),
    /// A normal distribution with this standard deviation, cut off at two deviations to both sides
    /// of its mean: from 0 to four times this.
    CutNormal(Duration),
    /// An exponential distribution with this mean: most little, some a lot.
    Exponential(Duration),
    /// Now and then a stall, as of a Wi-Fi link: with `probability` a datagram is late by `height`.
    Spikes {
        /// From 0 (never) to 1 (always).
        probability: f64,
        /// How late those are.
        height: Duration,
    },
}

/// What a [`Link`] has carried so far, in datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Handed to it.
    pub sent: u64,
    /// Lost on the way.
    pub lost: u64,
    /// Arrivals made twice.
    pub duplicated: u64,
    /// Handed out, duplicates included.
    pub delivered: u64,
}

/// A datagram that a [`Link`] delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival<Payload> {
    /// When it arrived, at or before the time that was asked for.
    pub at: Instant,
    /// What it holds.
    pub payload: Payload,
}

/// One direction between two ends.
#[derive(Debug)]
pub struct Link<Payload> {
    spec: LinkSpec,
    loss: LossProcess,
    random: Xoshiro256PlusPlus,
    /// By time of arrival, then by the order of sending.
    on_the_way: BTreeMap<(Instant, u64), Payload>,
    next_number: u64,
    last_in_order: Option<Instant>,
    begun: Option<Instant>,
    stats: LinkStats,
}

impl<Payload: Clone> Link<Payload> {
    /// A link: the same seed and the same calls give the same arrivals.
    ///
    /// # Panics
    /// If a probability of `spec` is not within 0 to 1.
    #[must_use]
    pub fn new(seed: u64, spec: LinkSpec) -> Self {
        for probability in [spec.duplicate, spec.reorder] {
            assert!((0.0..=1.0).contains(&probability), "a probability of {probability}");
        }
        Self {
            loss: LossProcess::new(spec.loss.clone()),
            spec,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            on_the_way: BTreeMap::new(),
            next_number: 0,
            last_in_order: None,
            begun: None,
            stats: LinkStats::default(),
        }
    }

    /// Sends a datagram.
    pub fn send(&mut self, now: Instant, payload: Payload) {
        self.stats.sent += 1;
        if self.loss.loses_next(&mut self.random) {
            self.stats.lost += 1;
            return;
        }
        if self.random.random_bool(self.spec.duplicate) {
            self.stats.duplicated += 1;
            self.put_on_the_way(now, payload.clone());
        }
        self.put_on_the_way(now, payload);
    }

    /// The next datagram that has arrived by `now`, the earliest first. Ask until there is none.
    pub fn receive(&mut self, now: Instant) -> Option<Arrival<Payload>> {
        let entry = self.on_the_way.first_entry()?;
        let (at, _) = *entry.key();
        if at > now {
            return None;
        }
        self.stats.delivered += 1;
        Some(Arrival { at, payload: entry.remove() })
    }
}

impl<Payload> Link<Payload> {
    /// When the next datagram arrives, if one is on its way.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.first_key_value().map(|((at, _), _)| *at)
    }

    /// What it has carried so far.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    fn put_on_the_way(&mut self, now: Instant, payload: Payload) {
        let mut at = now + self.spec.delay + self.spec.jitter.draw(&mut self.random);
        let begun = *self.begun.get_or_insert(now);
        if let Some(stalls) = self.spec.stalls {
            at = begun + stalls.hold(at.saturating_duration_since(begun));
        }
        if self.spec.in_order {
            at = self.last_in_order.map_or(at, |last| at.max(last));
            self.last_in_order = Some(at);
        }
        if self.random.random_bool(self.spec.reorder) {
            at += self.spec.held_back;
        }
        self.on_the_way.insert((at, self.next_number), payload);
        self.next_number += 1;
    }
}

impl Jitter {
    fn draw(self, random: &mut Xoshiro256PlusPlus) -> Duration {
        // (0, 1]: its logarithm is finite.
        let mut share = || 1.0 - random.random::<f64>();
        match self {
            Self::None => Duration::ZERO,
            Self::Uniform(most) => most.mul_f64(share()),
            Self::Normal(deviation) => {
                // Box-Muller
                let radius = (-2.0 * share().ln()).sqrt();
                deviation.mul_f64((radius * (std::f64::consts::TAU * share()).cos()).abs())
            }
            Self::CutNormal(deviation) => loop {
                let radius = (-2.0 * share().ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * share()).cos();
                if normal.abs() <= 2.0 {
                    break deviation.mul_f64(2.0 + normal);
                }
            },
            Self::Exponential(mean) => mean.mul_f64(-share().ln()),
            Self::Spikes { probability, height } if share() <= probability => height,
            Self::Spikes { .. } => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SimClock;

    const PACKET: Duration = Duration::from_millis(20);

    /// Sends a packet each 20 ms and returns, in the order of arrival, number and time on the way.
    fn carried(seed: u64, spec: LinkSpec, count: u32) -> Vec<(u32, Duration)> {
        let mut clock = SimClock::new();
        let start = clock.now();
        let mut link = Link::new(seed, spec);
        for number in 0..count {
            link.send(clock.now(), number);
            clock.advance(PACKET);
        }
        let end = clock.advance(Duration::from_secs(60));
        std::iter::from_fn(|| link.receive(end))
            .map(|arrival| (arrival.payload, arrival.at - (start + PACKET * arrival.payload)))
            .collect()
    }

    fn numbers(arrivals: &[(u32, Duration)]) -> Vec<u32> {
        arrivals.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn a_perfect_link_delivers_everything_in_order_after_its_delay() {
        let arrivals = carried(1, LinkSpec::delayed(Duration::from_millis(35)), 100);
        assert_eq!(numbers(&arrivals), (0..100).collect::<Vec<_>>());
        assert!(arrivals.iter().all(|(_, taken)| *taken == Duration::from_millis(35)));
    }

    #[test]
    fn nothing_arrives_before_its_time() {
        let mut clock = SimClock::new();
        let mut link = Link::new(1, LinkSpec::delayed(Duration::from_millis(10)));
        link.send(clock.now(), ());
        let due = link.next_arrival().expect("one is on its way");
        clock.advance(Duration::from_micros(9_999));
        assert_eq!(link.receive(clock.now()), None);
        clock.advance_to(due);
        assert_eq!(link.receive(clock.now()).map(|arrival| arrival.at), Some(due));
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals_and_another_different_ones() {
        let spec = LinkSpec {
            jitter: Jitter::Exponential(Duration::from_millis(15)),
            loss: Loss::random(0.1),
            duplicate: 0.05,
            reorder: 0.05,
            held_back: Duration::from_millis(60),
            ..LinkSpec::default()
        };
        assert_eq!(carried(7, spec.clone(), 500), carried(7, spec.clone(), 500));
        assert_ne!(carried(7, spec.clone(), 500), carried(8, spec, 500));
    }

    #[test]
    fn each_jitter_has_its_mean() {
        let ms = Duration::from_millis;
        // (distribution, mean in ms)
        let distributions = [
            (Jitter::None, 0.0),
            (Jitter::Uniform(ms(20)), 10.0),
            (Jitter::Normal(ms(20)), 15.96),
            (Jitter::CutNormal(ms(20)), 40.0),
            (Jitter::Exponential(ms(20)), 20.0),
            (Jitter::Spikes { probability: 0.1, height: ms(200) }, 20.0),
        ];
        for (jitter, mean_ms) in distributions {
            let arrivals = carried(3, LinkSpec { jitter, ..LinkSpec::default() }, 20_000);
            let total: Duration = arrivals.iter().map(|(_, taken)| *taken).sum();
            let measured_ms = total.as_secs_f64() * 1000.0 / arrivals.len() as f64;
            assert!((measured_ms - mean_ms).abs() < 1.0, "{jitter:?}: {measured_ms} ms");
        }
    }

    #[test]
    fn jitter_overtakes_unless_the_link_keeps_the_order() {
        let free = LinkSpec {
            jitter: Jitter::Exponential(Duration::from_millis(30)),
            ..LinkSpec::default()
        };
        let queued = LinkSpec { in_order: true, ..free.clone() };
        assert!(!numbers(&carried(1, free, 500)).is_sorted());
        let arrivals = carried(1, queued, 500);
        assert!(numbers(&arrivals).is_sorted());
        assert!(arrivals.iter().any(|(_, taken)| *taken > Duration::from_millis(60)));
    }

    #[test]
    fn what_falls_into_a_stall_arrives_at_its_end() {
        let ms = Duration::from_millis;
        let stalls = Stalls { first: ms(1000), length: ms(150), every: Some(ms(500)) };
        let spec = LinkSpec { stalls: Some(stalls), ..LinkSpec::default() };
        let late: Vec<_> = carried(1, spec, 100).into_iter().filter(|a| !a.1.is_zero()).collect();
        let first: Vec<_> = late.iter().take(9).map(|(n, t)| (*n, t.as_millis())).collect();
        let expected = (0..8).map(|i| (50 + i, 150 - 20 * u128::from(i)));
        assert_eq!(first, expected.chain([(75, 150)]).collect::<Vec<_>>());
    }

    #[test]
    fn a_datagram_that_is_held_back_is_overtaken() {
        let spec = LinkSpec {
            reorder: 0.1,
            held_back: Duration::from_millis(50),
            in_order: true,
            ..LinkSpec::default()
        };
        let arrivals = carried(1, spec, 1000);
        let late = arrivals.iter().filter(|(_, taken)| !taken.is_zero()).count();
        assert!((60..140).contains(&late), "{late} of 1000 are late");
        assert!(arrivals.iter().all(|(_, taken)| taken.is_zero() || taken.as_millis() == 50));
    }

    #[test]
    fn losses_and_duplicates_are_counted() {
        let clock = SimClock::new();
        let spec = LinkSpec { loss: Loss::trace("0010"), duplicate: 1.0, ..LinkSpec::default() };
        let mut link = Link::new(1, spec);
        (0..8).for_each(|number| link.send(clock.now(), number));
        let arrived: Vec<i32> =
            std::iter::from_fn(|| link.receive(clock.now())).map(|a| a.payload).collect();
        assert_eq!(arrived, [0, 0, 1, 1, 3, 3, 4, 4, 5, 5, 7, 7]);
        let stats = LinkStats { sent: 8, lost: 2, duplicated: 6, delivered: 12 };
        assert_eq!(link.stats(), stats);
    }
}
