//! Second-order sections in series.

use biquad::{Biquad, Coefficients, DirectForm2Transposed};
use foldback_stage::BLOCK_SAMPLES;

/// As many as the largest filter here has: the equaliser's five bands.
const MAX_SECTIONS: usize = 5;

const PASS: Coefficients<f64> = Coefficients { a1: 0.0, a2: 0.0, b0: 1.0, b1: 0.0, b2: 0.0 };

/// What a cascade does: the coefficients of its sections in order.
#[derive(Clone, Copy)]
pub(crate) struct Tuning {
    sections: [Coefficients<f64>; MAX_SECTIONS],
    used: usize,
}

impl Tuning {
    /// Passes everything as it is.
    pub(crate) const FLAT: Self = Self { sections: [PASS; MAX_SECTIONS], used: 0 };

    /// The same with one more section; there is room for five.
    #[must_use]
    pub(crate) fn with(mut self, section: Coefficients<f64>) -> Self {
        self.sections[self.used] = section;
        self.used += 1;
        self
    }

    /// Blocks until what a start leaves in the slowest section is 60 dB down.
    pub(crate) fn settle_blocks(&self) -> usize {
        let slowest = self.sections.iter().map(pole_radius).fold(0.0, f64::max);
        let samples = 0.001f64.ln() / slowest.ln();
        (samples / BLOCK_SAMPLES as f64).ceil() as usize
    }
}

impl PartialEq for Tuning {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |c: &Coefficients<f64>| [c.a1, c.a2, c.b0, c.b1, c.b2];
        self.sections.iter().map(numbers).eq(other.sections.iter().map(numbers))
    }
}

/// How far from the origin of the z-plane the farther pole is.
fn pole_radius(section: &Coefficients<f64>) -> f64 {
    let discriminant = section.a1.powi(2) - 4.0 * section.a2;
    if discriminant < 0.0 {
        section.a2.sqrt()
    } else {
        (section.a1.abs() + discriminant.sqrt()) / 2.0
    }
}

/// A tuning at work on one channel.
#[derive(Clone, Copy)]
pub(crate) struct Cascade {
    sections: [DirectForm2Transposed<f64>; MAX_SECTIONS],
    used: usize,
}

impl Cascade {
    /// As after silence.
    pub(crate) fn new(tuning: &Tuning) -> Self {
        Self { sections: tuning.sections.map(DirectForm2Transposed::new), used: tuning.used }
    }

    pub(crate) fn run(&mut self, plane: &mut [f32]) {
        match self.used {
            0 => {}
            1 => self.pass::<1>(plane),
            2 => self.pass::<2>(plane),
            3 => self.pass::<3>(plane),
            4 => self.pass::<4>(plane),
            _ => self.pass::<MAX_SECTIONS>(plane),
        }
    }

    /// Takes each sample through all sections, rather than each section over all samples: so the
    /// processor works on one sample's later sections and the next one's earlier ones at once.
    fn pass<const USED: usize>(&mut self, plane: &mut [f32]) {
        let Some(kept) = self.sections.first_chunk_mut::<USED>() else { return };
        // A copy can stay in registers.
        let mut sections = *kept;
        for sample in plane {
            let mut value = f64::from(*sample);
            for section in &mut sections {
                value = section.run(value);
            }
            *sample = without_subnormals(value);
        }
        *kept = sections.map(without_tail);
    }
}

/// Subnormal numbers cost a hundred times as much, here and in every stage behind.
fn without_subnormals(value: f64) -> f32 {
    if value.abs() < f64::from(f32::MIN_POSITIVE) { 0.0 } else { value as f32 }
}

/// -300 dBFS: low enough that nobody hears its end, high enough that no state becomes subnormal.
const INAUDIBLE: f64 = 1e-15;

fn without_tail(mut section: DirectForm2Transposed<f64>) -> DirectForm2Transposed<f64> {
    if section.s1.abs() + section.s2.abs() < INAUDIBLE {
        section.reset_state();
    }
    section
}
