//! What the tests of both kinds share.

use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, Stage};
use foldback_stage_testkit::signal::{to_rms, white_noise};

/// Noise that falls by 6 dB per octave above 400 Hz, as of a fan, with an rms of `rms_dbfs`.
pub(crate) fn fan(seed: u64, rms_dbfs: f64, seconds: f64) -> Vec<f32> {
    let mut low = 0.0;
    let coloured = white_noise(seed, -20.0, seconds).into_iter().map(|white| {
        low += 0.05 * (white - low);
        low
    });
    to_rms(coloured.collect(), rms_dbfs)
}

/// The probability of speech that the stage writes for each whole block of a mono `input`.
pub(crate) fn voice_probabilities(stage: &mut dyn Stage, input: &[f32]) -> Vec<f32> {
    let mut buffer = AudioBuffer::mono();
    let blocks = input.chunks_exact(BLOCK_SAMPLES);
    let probability = blocks.map(|block| {
        buffer.plane_mut(0).copy_from_slice(block);
        let mut cx = BlockContext::default();
        stage.process(&mut buffer.block(), &mut cx);
        cx.voice_probability.expect("written for every block")
    });
    probability.collect()
}

pub(crate) fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}
