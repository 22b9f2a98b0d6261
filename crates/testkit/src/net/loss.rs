use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

/// Which datagrams are lost.
#[derive(Clone, Debug, Default)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// Each with this probability, whatever became of the others.
    Random {
        /// From 0 (none) to 1 (all).
        probability: f64,
    },
    /// In bursts: a link that is good or bad, and loses everything while it is bad (the simple
    /// Gilbert model).
    Gilbert {
        /// The probability that a good link is bad for the next datagram.
        to_bad: f64,
        /// The probability that a bad link is good for the next datagram.
        to_good: f64,
    },
    /// As written down, one entry per datagram, again from the start at the end: true is lost.
    Trace(Vec<bool>),
}

impl Loss {
    /// Loss without memory.
    ///
    /// # Panics
    /// If `probability` is not within 0 to 1.
    #[must_use]
    pub fn random(probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "a loss of {probability}");
        Self::Random { probability }
    }

    /// Loss in bursts of `mean_burst` datagrams (1 or more) in which `probability` (0 to below 1)
    /// of all are lost in the long run.
    ///
    /// # Panics
    /// If either is out of range, or they contradict each other.
    #[must_use]
    pub fn gilbert(probability: f64, mean_burst: f64) -> Self {
        assert!((0.0..1.0).contains(&probability), "a loss of {probability}");
        assert!(mean_burst >= 1.0, "a mean burst of {mean_burst}");
        let to_good = 1.0 / mean_burst;
        let to_bad = to_good * probability / (1.0 - probability);
        assert!(to_bad <= 1.0, "bursts of {mean_burst} are too short to lose {probability} of all");
        Self::Gilbert { to_bad, to_good }
    }

    /// A written trace: one character per datagram, `1` is lost and `0` is not; white space is
    /// skipped.
    ///
    /// # Panics
    /// If there is any other character, or no entry at all.
    #[must_use]
    pub fn trace(text: &str) -> Self {
        let entries: Vec<bool> = text
            .chars()
            .filter(|character| !character.is_whitespace())
            .map(|character| match character {
                '1' => true,
                '0' => false,
                other => panic!("'{other}' in a loss trace: allowed are 0 and 1"),
            })
            .collect();
        assert!(!entries.is_empty(), "a loss trace without an entry");
        Self::Trace(entries)
    }
}

/// A [`Loss`] and where it stands.
#[derive(Debug)]
pub(super) struct LossProcess {
    loss: Loss,
    is_bad: bool,
    next_entry: usize,
}

impl LossProcess {
    pub(super) fn new(loss: Loss) -> Self {
        Self { loss, is_bad: false, next_entry: 0 }
    }

    pub(super) fn loses_next(&mut self, random: &mut Xoshiro256PlusPlus) -> bool {
        match &self.loss {
            Loss::None => false,
            Loss::Random { probability } => random.random_bool(*probability),
            Loss::Gilbert { to_bad, to_good } => {
                let changes = random.random_bool(if self.is_bad { *to_good } else { *to_bad });
                self.is_bad ^= changes;
                self.is_bad
            }
            Loss::Trace(entries) => {
                let lost = entries[self.next_entry];
                self.next_entry = (self.next_entry + 1) % entries.len();
                lost
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn outcomes(loss: Loss, count: usize) -> Vec<bool> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut process = LossProcess::new(loss);
        (0..count).map(|_| process.loses_next(&mut random)).collect()
    }

    fn share_and_mean_burst(outcomes: &[bool]) -> (f64, f64) {
        let lost = outcomes.iter().filter(|lost| **lost).count() as f64;
        let bursts = outcomes.split(|lost| !lost).filter(|burst| !burst.is_empty()).count();
        (lost / outcomes.len() as f64, lost / bursts as f64)
    }

    #[test]
    fn random_loss_has_its_share_and_short_bursts() {
        let (share, burst) = share_and_mean_burst(&outcomes(Loss::random(0.1), 100_000));
        assert!((share - 0.1).abs() < 0.005, "{share}");
        assert!((burst - 1.11).abs() < 0.05, "{burst}");
    }

    #[test]
    fn gilbert_loss_has_its_share_and_its_bursts() {
        let (share, burst) = share_and_mean_burst(&outcomes(Loss::gilbert(0.1, 3.0), 200_000));
        assert!((share - 0.1).abs() < 0.005, "{share}");
        assert!((burst - 3.0).abs() < 0.1, "{burst}");
    }

    #[test]
    fn a_trace_is_followed_and_starts_again() {
        let lost = outcomes(Loss::trace("010\n1"), 6);
        assert_eq!(lost, [false, true, false, true, false, true]);
    }

    #[test]
    #[should_panic(expected = "'x' in a loss trace")]
    fn a_trace_of_something_else_is_refused() {
        let _ = Loss::trace("01x");
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn bursts_that_cannot_lose_so_much_are_refused() {
        let _ = Loss::gilbert(0.9, 1.0);
    }
}
