//! Values that move without a step.

/// A value that moves to its target in a straight line over 20 ms, so that a change of a live
/// parameter is heard as a move and not as a click. Never allocates.
///
/// ```
/// use foldback_stage::Ramp;
///
/// let mut gain = Ramp::new(1.0);
/// gain.aim(0.5);
/// let first = gain.next();
/// assert!(first < 1.0 && first > 0.99);
/// assert_eq!((0..960).map(|_| gain.next()).last(), Some(0.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    value: f32,
    target: f32,
    step: f32,
    left: u32,
}

impl Ramp {
    /// Samples that a move takes: 20 ms.
    pub const SAMPLES: u32 = 960;

    /// A value that stands still.
    #[must_use]
    pub fn new(value: f32) -> Self {
        Self { value, target: value, step: 0.0, left: 0 }
    }

    /// Moves to `target` from where the value is now. Anew only if it is another target.
    pub fn aim(&mut self, target: f32) {
        if target != self.target {
            self.target = target;
            self.left = Self::SAMPLES;
            self.step = (target - self.value) / Self::SAMPLES as f32;
        }
    }

    /// The value, if it stands still.
    #[must_use]
    pub fn steady(&self) -> Option<f32> {
        (self.left == 0).then_some(self.value)
    }

    /// The value for the next sample.
    #[allow(clippy::should_implement_trait, reason = "it is no iterator: it has no end")]
    pub fn next(&mut self) -> f32 {
        match self.left {
            0 => {}
            1 => (self.value, self.left) = (self.target, 0),
            _ => {
                self.value += self.step;
                self.left -= 1;
            }
        }
        self.value
    }

    /// The value a block later: for what is worked out once a block.
    pub fn next_block(&mut self) -> f32 {
        let samples = self.left.min(crate::BLOCK_SAMPLES as u32);
        self.left -= samples;
        self.value =
            if self.left == 0 { self.target } else { self.value + self.step * samples as f32 };
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_takes_20_ms_and_ends_on_its_target() {
        let mut ramp = Ramp::new(0.0);
        ramp.aim(1.0);
        let moved: Vec<f32> = (0..960).map(|_| ramp.next()).collect();
        assert!(moved.windows(2).all(|w| w[1] > w[0] && w[1] - w[0] < 1.1 / 960.0));
        assert_eq!((ramp.steady(), ramp.next()), (Some(1.0), 1.0));
    }

    #[test]
    fn another_target_on_the_way_is_moved_to_from_there() {
        let mut ramp = Ramp::new(0.0);
        ramp.aim(1.0);
        let half = (0..480).map(|_| ramp.next()).last().expect("moved");
        ramp.aim(0.0);
        assert!((ramp.next() - half).abs() < 0.002);
        (0..960).for_each(|_| _ = ramp.next());
        assert_eq!(ramp.steady(), Some(0.0));
    }

    #[test]
    fn by_blocks_it_arrives_after_two() {
        let mut ramp = Ramp::new(0.0);
        ramp.aim(1.0);
        assert!((ramp.next_block() - 0.5).abs() < 1e-5);
        assert_eq!(ramp.next_block(), 1.0);
        assert_eq!(ramp.steady(), Some(1.0));
    }
}
