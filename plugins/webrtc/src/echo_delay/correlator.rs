//! How much the microphone looks like the far end at each delay.

use std::ops::Range;
use std::sync::Arc;

use foldback_stage::BLOCK_SAMPLES;
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::decimator::{DECIMATED_BLOCK, DECIMATION, Decimator};

/// The far end and the microphone are compared in frames of 80 ms.
pub(super) const FRAME_BLOCKS: usize = 8;
const FRAME: usize = FRAME_BLOCKS * DECIMATED_BLOCK;
const BINS: usize = FRAME + 1;

/// The delays are worked off in as many parts, each a frame wide: 1.92 s in all.
const PARTS: usize = 24;
const PARTS_PER_BLOCK: usize = 4;

/// The delays looked at, in samples at 8 kHz: 0 to 1.92 s.
pub(super) const LAGS: usize = PARTS * FRAME;

/// Frames whose mean square (pre-emphasised) is below are not looked at.
const FAR_FLOOR: f32 = 1e-7;
const MICROPHONE_FLOOR: f32 = 3e-8;

/// Added to a spectrum before it is whitened, so that noise between words stays small.
const FAR_REGULARIZATION: f32 = 1e-2;
const MICROPHONE_REGULARIZATION: f32 = 1e-4;

/// A running correlation over all delays, normalised to whatever its owner compares it with.
pub(super) struct Correlator {
    far: Side,
    microphone: Side,
    microphone_spectrum: Vec<Complex32>,
    /// The last [`PARTS`] far-end frames; `newest` is the youngest one's place.
    far_spectra: Vec<Complex32>,
    far_energies: [f32; PARTS],
    newest: usize,
    /// Blocks of the frame that is being filled.
    filled: usize,
    /// The first part of the last whole frame that was not compared yet.
    next_part: usize,
    to_time: Arc<dyn ComplexToReal<f32>>,
    product: Vec<Complex32>,
    lags: Vec<f32>,
    scratch: Vec<Complex32>,
}

impl Correlator {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let to_spectrum = planner.plan_fft_forward(2 * FRAME);
        let to_time = planner.plan_fft_inverse(2 * FRAME);
        let scratch_length = to_spectrum.get_scratch_len().max(to_time.get_scratch_len());
        let zero = Complex32::default();
        Self {
            far: Side::new(to_spectrum.clone(), FAR_REGULARIZATION),
            microphone: Side::new(to_spectrum, MICROPHONE_REGULARIZATION),
            microphone_spectrum: vec![zero; BINS],
            far_spectra: vec![zero; PARTS * BINS],
            far_energies: [0.0; PARTS],
            newest: 0,
            filled: 0,
            next_part: PARTS,
            to_time,
            product: vec![zero; BINS],
            lags: vec![0.0; 2 * FRAME],
            scratch: vec![zero; scratch_length],
        }
    }

    /// Takes one block of both sides. Returns whether a frame is full now.
    pub(super) fn push(
        &mut self,
        far: &[f32; BLOCK_SAMPLES],
        microphone: &[f32; BLOCK_SAMPLES],
    ) -> bool {
        self.far.push(far, FRAME + self.filled * DECIMATED_BLOCK);
        self.microphone.push(microphone, self.filled * DECIMATED_BLOCK);
        self.filled += 1;
        if self.filled < FRAME_BLOCKS {
            return false;
        }
        self.filled = 0;
        self.newest = (self.newest + PARTS - 1) % PARTS;
        self.far_energies[self.newest] = self.far.energy(FRAME..2 * FRAME);
        let far = &mut self.far_spectra[self.newest * BINS..][..BINS];
        self.far.whitened(far, &mut self.scratch);
        self.far.frame.copy_within(FRAME.., 0);

        let is_heard = self.microphone.energy(0..FRAME) > MICROPHONE_FLOOR;
        if is_heard && self.far_energies.iter().any(|energy| *energy > FAR_FLOOR) {
            self.microphone.whitened(&mut self.microphone_spectrum, &mut self.scratch);
            self.next_part = 0;
        }
        true
    }

    /// Compares the last whole frame with a share of the delays. Calls `take` for each part of
    /// them with its first lag and the correlation from there on. Returns whether that was the
    /// last share. To be called once per block; a frame is done within six.
    pub(super) fn advance(&mut self, mut take: impl FnMut(usize, &mut [f32])) -> bool {
        if self.next_part == PARTS {
            return false;
        }
        for part in self.next_part..self.next_part + PARTS_PER_BLOCK {
            let far = &self.far_spectra[(self.newest + part) % PARTS * BINS..][..BINS];
            let both = self.microphone_spectrum.iter().zip(far);
            for (product, (microphone, far)) in self.product.iter_mut().zip(both) {
                *product = microphone * far.conj();
            }
            let transformed = self.to_time.process_with_scratch(
                &mut self.product,
                &mut self.lags,
                &mut self.scratch,
            );
            debug_assert!(transformed.is_ok(), "{transformed:?}");
            // The far-end frame begins one frame before the part's least delay.
            take(part * FRAME, &mut self.lags[FRAME..]);
        }
        self.next_part += PARTS_PER_BLOCK;
        self.next_part == PARTS
    }
}

/// One of the two signals: its last samples, and what is needed to whiten them.
struct Side {
    decimator: Decimator,
    /// For the far end the frame before and this one; for the microphone this one and zeros.
    frame: Vec<f32>,
    /// The spectrum's recent power per bin: it rises and falls within a few frames.
    power: Vec<f32>,
    regularization: f32,
    to_spectrum: Arc<dyn RealToComplex<f32>>,
    windowed: Vec<f32>,
}

impl Side {
    fn new(to_spectrum: Arc<dyn RealToComplex<f32>>, regularization: f32) -> Self {
        Self {
            decimator: Decimator::new(),
            frame: vec![0.0; 2 * FRAME],
            power: vec![0.0; BINS],
            regularization,
            to_spectrum,
            windowed: vec![0.0; 2 * FRAME],
        }
    }

    fn push(&mut self, block: &[f32; BLOCK_SAMPLES], at: usize) {
        self.decimator.run(block, &mut self.frame[at..at + DECIMATED_BLOCK]);
    }

    /// The mean square of a part of the frame.
    fn energy(&self, range: Range<usize>) -> f32 {
        self.frame[range].iter().map(|s| s * s).sum::<f32>() / FRAME as f32
    }

    /// The spectrum with every bin brought to about one while there is sound.
    fn whitened(&mut self, spectrum: &mut [Complex32], scratch: &mut [Complex32]) {
        self.windowed.copy_from_slice(&self.frame);
        let done = self.to_spectrum.process_with_scratch(&mut self.windowed, spectrum, scratch);
        debug_assert!(done.is_ok(), "{done:?}");
        for (bin, power) in spectrum.iter_mut().zip(&mut self.power) {
            let now = bin.norm_sqr();
            *power += if now > *power { ATTACK } else { RELEASE } * (now - *power);
            *bin *= (*power + self.regularization).sqrt().recip();
        }
        spectrum[..LOWEST_BIN].fill(Complex32::default());
        spectrum[HIGHEST_BIN..].fill(Complex32::default());
    }
}

/// Per frame.
const ATTACK: f32 = 0.3;
const RELEASE: f32 = 0.15;

/// Below 200 Hz is hum, above 3.6 kHz the edge of the decimator.
const LOWEST_BIN: usize = hz_to_bin(200);
const HIGHEST_BIN: usize = hz_to_bin(3600);

const fn hz_to_bin(hz: usize) -> usize {
    hz * 2 * FRAME * DECIMATION / foldback_stage::SAMPLE_RATE_HZ as usize
}
