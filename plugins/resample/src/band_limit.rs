//! `band-limit`: takes away what a telephone does, by going through its sample rate and back.

use audioadapter_buffers::direct::SequentialSlice;
use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, ParamSpec, Params, SAMPLE_RATE_HZ, Stage,
    StageFormat, StageKind,
};
use rubato::{Fft, FixedSync, Resampler, ResamplerConstructionError};

const BANDWIDTH: ParamSpec = ParamSpec::choice(
    "bandwidth",
    &["narrowband", "wideband", "super-wideband"],
    "narrowband",
    "narrowband: up to 3.2 kHz, as on a telephone line; wideband: 7.2 kHz, as of HD voice; \
     super-wideband: 11.2 kHz.",
);

/// `{ kind = "band-limit", bandwidth = "narrowband" }`
pub const KIND: StageKind = StageKind {
    name: "band-limit",
    about: "Sounds like a telephone: resamples to 8, 16 or 24 kHz and back.",
    params: &[BANDWIDTH],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let rate_hz = match params.choice(&BANDWIDTH) {
        "narrowband" => 8_000,
        "wideband" => 16_000,
        _ => 24_000,
    };
    let channels = (0..format.channels).map(|_| Channel::new(rate_hz)).collect::<Result<_, _>>();
    let channels = channels.map_err(|error| BuildError::new(format!("no resampler: {error}")))?;
    Ok(Box::new(BandLimit { channels }))
}

struct BandLimit {
    channels: Vec<Channel>,
}

impl Stage for BandLimit {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        for (plane, channel) in block.planes_mut().zip(&mut self.channels) {
            // Refused would be another length, which the contract of a block excludes.
            let _ = channel.run(plane);
        }
    }

    fn delay_samples(&self) -> usize {
        DELAY_SAMPLES
    }

    fn warm_up_blocks(&self) -> usize {
        WARM_UP_BLOCKS
    }
}

/// Half a block for each of the two filters, whatever the rate (measured: see
/// `tests/band_limit.rs`).
const DELAY_SAMPLES: usize = BLOCK_SAMPLES;

/// Each of the filters reaches into the block before.
const WARM_UP_BLOCKS: usize = 2;

struct Channel {
    down: Fft<f32>,
    up: Fft<f32>,
    /// The block at the lower rate.
    limited: Vec<f32>,
}

impl Channel {
    fn new(rate_hz: usize) -> Result<Self, ResamplerConstructionError> {
        const FULL_HZ: usize = SAMPLE_RATE_HZ as usize;
        let limited = vec![0.0; BLOCK_SAMPLES * rate_hz / FULL_HZ];
        let down = Fft::new(FULL_HZ, rate_hz, BLOCK_SAMPLES, 1, FixedSync::Both)?;
        let up = Fft::new(rate_hz, FULL_HZ, limited.len(), 1, FixedSync::Both)?;
        Ok(Self { down, up, limited })
    }

    fn run(&mut self, plane: &mut [f32]) -> Option<()> {
        resample(&mut self.down, plane, &mut self.limited)?;
        resample(&mut self.up, &self.limited, plane)
    }
}

fn resample(resampler: &mut Fft<f32>, from: &[f32], to: &mut [f32]) -> Option<()> {
    let frames = to.len();
    let input = SequentialSlice::new(from, 1, from.len()).ok()?;
    let mut output = SequentialSlice::new_mut(to, 1, frames).ok()?;
    resampler.process_into_buffer(&input, &mut output, None).ok().map(|_| ())
}
