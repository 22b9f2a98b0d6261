//! Running a stage over a signal, for the tests of this crate.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this module")]

use foldback_stage::{
    AudioBuffer, BLOCK_SAMPLES, BlockContext, Params, RawValue, Stage, StageFormat, StageKind,
};

/// A stage of `kind` with some parameters set.
pub fn stage(
    kind: &StageKind,
    format: StageFormat,
    set: &[(&str, RawValue<'_>)],
) -> Box<dyn Stage> {
    let mut params = Params::defaults(kind.params);
    for (name, value) in set {
        let spec = kind.params.iter().find(|s| s.name == *name).expect("a parameter of the kind");
        params.set(spec, *value).expect("a value in range");
    }
    (kind.build)(&params, format).expect("builds")
}

/// Takes the whole blocks of a mono `input` through the stage.
pub fn run(stage: &mut dyn Stage, input: &[f32]) -> Vec<f32> {
    let mut buffer = AudioBuffer::mono();
    let mut output = Vec::with_capacity(input.len());
    for block in input.chunks_exact(BLOCK_SAMPLES) {
        buffer.plane_mut(0).copy_from_slice(block);
        stage.process(&mut buffer.block(), &mut BlockContext::default());
        output.extend_from_slice(buffer.plane(0));
    }
    output
}

/// White noise in ±1 from a seed.
pub fn noise(seed: u32, samples: usize) -> Vec<f32> {
    let mut state = seed;
    (0..samples)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Amplitude of the component of `signal` at `frequency_hz`.
pub fn amplitude_at(signal: &[f32], frequency_hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in signal.iter().enumerate() {
        let angle = std::f64::consts::TAU * frequency_hz * n as f64 / 48_000.0;
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    2.0 * re.hypot(im) / signal.len() as f64
}

/// A sine of the given amplitude.
pub fn tone(frequency_hz: f64, amplitude: f64, samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|n| {
            let angle = std::f64::consts::TAU * frequency_hz * n as f64 / 48_000.0;
            (amplitude * angle.sin()) as f32
        })
        .collect()
}
