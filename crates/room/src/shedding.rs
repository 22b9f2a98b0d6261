//! What a room does without while its worker has too much to do.

/// A level has a complexity of encoders that is not passed, where it lowers it.
const COMPLEXITY: [u8; 2] = [4, 1];
/// Fewer talkers than these no room is left with, unless its chain says so.
const LEAST_TALKERS: usize = 3;
/// So many of a room, the loudest, are no minor talkers.
pub(crate) const MAJOR_TALKERS: usize = 2;

/// How much a room does without. Each level holds those before it:
///
/// | level | what is spared |
/// | --- | --- |
/// | 1 | optional stages of those who are not in the mix |
/// | 2 | optional stages of all but the two loudest talkers |
/// | 3, 4 | encoders run with complexity 4, then 1, at most |
/// | 5, 6 | two thirds of `max_talkers` are heard, then 3 |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shedding(u8);

impl Shedding {
    /// Everything runs.
    pub const NONE: Self = Self(0);
    /// There is nothing more to be spared.
    pub const MOST: Self = Self(Self::MOST_LEVEL);
    /// Its number.
    pub const MOST_LEVEL: u8 = 6;

    /// The level's number, from 0.
    #[must_use]
    pub fn level(self) -> u8 {
        self.0
    }

    /// One level more, up to [`Self::MOST`].
    #[must_use]
    pub fn more(self) -> Self {
        Self(self.0 + 1).min(Self::MOST)
    }

    /// One level less, down to [`Self::NONE`].
    #[must_use]
    pub fn less(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// What the level spares, beside what those before it do.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self.0 {
            0 => "nothing is left out",
            1 => "optional stages rest for those who are not in the mix",
            2 => "optional stages rest for all but the two loudest talkers",
            3 | 4 => "encoders run with less complexity",
            _ => "fewer talkers are heard at once",
        }
    }

    pub(crate) fn spares_silent(self) -> bool {
        self.0 >= 1
    }

    pub(crate) fn spares_minor(self) -> bool {
        self.0 >= 2
    }

    /// The complexity of encoders where that one is configured.
    pub(crate) fn complexity(self, configured: u8) -> u8 {
        match self.0 {
            0..=2 => configured,
            3 => configured.min(COMPLEXITY[0]),
            _ => configured.min(COMPLEXITY[1]),
        }
    }

    /// The most talkers where so many are configured.
    pub(crate) fn max_talkers(self, configured: usize) -> usize {
        let least = configured.min(LEAST_TALKERS);
        match self.0 {
            0..=4 => configured,
            5 => (configured * 2 / 3).max(least),
            _ => least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_spares_as_much_as_the_one_before_it_and_no_room_is_left_with_two_talkers() {
        let spared = |level: Shedding| (level.complexity(7), level.max_talkers(6));
        let mut level = Shedding::NONE;
        let mut all = vec![spared(level)];
        while level < Shedding::MOST {
            level = level.more();
            all.push(spared(level));
        }
        assert_eq!(all, [(7, 6), (7, 6), (7, 6), (4, 6), (1, 6), (1, 4), (1, 3)]);
        assert_eq!((level.more(), level.less().more()), (level, level));
        assert_eq!((Shedding::MOST.complexity(0), Shedding::MOST.max_talkers(1)), (0, 1));
        assert_eq!((Shedding::NONE.less(), Shedding::NONE.level()), (Shedding::NONE, 0));
    }
}
