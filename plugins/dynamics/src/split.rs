//! A state-variable filter: one recursion, several outputs.

use std::f64::consts::{PI, SQRT_2};

use foldback_stage::SAMPLE_RATE_HZ;

/// How a [`Split`] is tuned: to the corner of a Butterworth filter of second order.
#[derive(Clone, Copy)]
pub(crate) struct Corner {
    a1: f64,
    a2: f64,
    a3: f64,
}

impl Corner {
    pub(crate) fn new(frequency_hz: f32) -> Self {
        let g = (PI * f64::from(frequency_hz) / f64::from(SAMPLE_RATE_HZ)).tan();
        let a1 = 1.0 / (1.0 + g * (g + SQRT_2));
        Self { a1, a2: g * a1, a3: g * g * a1 }
    }
}

/// Splits a signal at a corner into a high, a middle and a low part, whose sum is the signal.
///
/// A. Simper: "Solving the continuous SVF equations using trapezoidal integration and equivalent
/// currents", Cytomic, 2013. Its state are the charges of two capacitors, which a moving corner
/// leaves alone.
#[derive(Clone, Copy, Default)]
pub(crate) struct Split {
    first: f64,
    second: f64,
}

impl Split {
    /// The high part (12 dB per octave) and the middle one of a sample. What is left is the low one.
    pub(crate) fn next(&mut self, corner: Corner, sample: f32) -> [f32; 2] {
        let Corner { a1, a2, a3 } = corner;
        let input = f64::from(sample);
        // Simper's steps solved for the new state, so that a sample waits for two additions of the
        // one before and not for five.
        let first = 2.0 * a2 * input + (2.0 * a1 - 1.0) * self.first - 2.0 * a2 * self.second;
        let second = 2.0 * a3 * input + (1.0 - 2.0 * a3) * self.second + 2.0 * a2 * self.first;
        let middle = SQRT_2 * 0.5 * (first + self.first);
        let low = 0.5 * (second + self.second);
        (self.first, self.second) = (first, second);
        [(input - middle - low) as f32, middle as f32]
    }

    /// Without what would become subnormal before a block is over.
    pub(crate) fn without_tail(self) -> Self {
        let inaudible = self.first.abs() + self.second.abs() < Self::INAUDIBLE;
        if inaudible { Self::default() } else { self }
    }

    /// -300 dBFS.
    const INAUDIBLE: f64 = 1e-15;
}
