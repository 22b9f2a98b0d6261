//! The least of the last N values, in constant time per value on average.

/// A sliding-window minimum over a monotone queue: each value enters and leaves once, whatever
/// the window (Lemire, "Streaming maximum-minimum filter using no more than three comparisons per
/// element", 2006). Allocates when made, never after.
#[derive(Clone, Debug)]
pub(crate) struct SlidingMin {
    /// A ring of candidates: values rising from the front, each with the time it came.
    candidates: Vec<(u64, f32)>,
    front: usize,
    count: usize,
    window: u64,
    now: u64,
}

impl SlidingMin {
    /// Over the last `window` values, at least one.
    pub(crate) fn new(window: usize) -> Self {
        let window = window.max(1);
        Self {
            candidates: vec![(0, 0.0); window],
            front: 0,
            count: 0,
            window: window as u64,
            now: 0,
        }
    }

    /// Takes one more value and returns the least of the window that ends with it.
    pub(crate) fn push(&mut self, value: f32) -> f32 {
        let expired = self.count > 0 && self.candidates[self.front].0 + self.window <= self.now;
        if expired {
            self.front = self.slot(1);
            self.count -= 1;
        }
        while self.count > 0 && self.candidates[self.slot(self.count - 1)].1 >= value {
            self.count -= 1;
        }
        let back = self.slot(self.count);
        self.candidates[back] = (self.now, value);
        self.count += 1;
        self.now += 1;
        self.candidates[self.front].1
    }

    fn slot(&self, offset: usize) -> usize {
        let index = self.front + offset;
        if index < self.candidates.len() { index } else { index - self.candidates.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_plain_minimum_of_the_window() {
        for window in [1, 2, 7, 241] {
            let mut sliding = SlidingMin::new(window);
            let mut state = 1u32;
            let values: Vec<f32> = (0..4000)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Few distinct values, so that equal ones meet.
                    (state >> 28) as f32
                })
                .collect();
            for (i, value) in values.iter().enumerate() {
                let start = (i + 1).saturating_sub(window);
                let plain = values[start..=i].iter().copied().fold(f32::INFINITY, f32::min);
                assert_eq!(sliding.push(*value), plain, "window {window}, value {i}");
            }
        }
    }
}
