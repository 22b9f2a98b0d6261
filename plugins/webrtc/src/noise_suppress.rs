//! `noise-suppress`: WebRTC's classic noise suppressor.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat, StageKind,
    StageReport,
};

use crate::apm::{Apm, Config};

pub(crate) const LEVEL: ParamSpec = ParamSpec::choice(
    "level",
    &["low", "moderate", "high", "very-high"],
    "high",
    "How much steady noise is taken away; more also harms speech more.",
);

/// `{ kind = "noise-suppress", level = "high" }`
pub const KIND: StageKind = StageKind {
    name: "noise-suppress",
    about: "Statistical noise suppression (WebRTC NS): cheap, and gentle on music and keyboards \
            alike, so only steady noise goes.",
    params: &[LEVEL],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let mut config = Config::default();
    configure(&mut config, params);
    Ok(Box::new(NoiseSuppress { apm: Apm::new(format.channels, config)? }))
}

/// Switches the suppressor on.
pub(crate) fn configure(config: &mut Config, params: &Params) {
    use webrtc_audio_processing_sys as ffi;
    config.noise_suppression.enabled = true;
    config.noise_suppression.level = match params.choice(&LEVEL) {
        "low" => ffi::AudioProcessing_Config_NoiseSuppression_Level_kLow,
        "moderate" => ffi::AudioProcessing_Config_NoiseSuppression_Level_kModerate,
        "high" => ffi::AudioProcessing_Config_NoiseSuppression_Level_kHigh,
        _ => ffi::AudioProcessing_Config_NoiseSuppression_Level_kVeryHigh,
    };
}

struct NoiseSuppress {
    apm: Apm,
}

impl Stage for NoiseSuppress {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        self.apm.process_capture(block);
    }

    fn delay_samples(&self) -> usize {
        DELAY_SAMPLES
    }

    fn warm_up_blocks(&self) -> usize {
        NOISE_ESTIMATE_BLOCKS
    }

    fn report(&self, report: &mut StageReport) {
        report.add("refused_blocks", self.apm.refused_blocks() as f32);
    }
}

/// Of the band-splitting filters and of the overlapping windows; measured by correlation.
pub(crate) const DELAY_SAMPLES: usize = 332;

/// The noise estimate of NS starts from a model and is its own after so many blocks.
pub(crate) const NOISE_ESTIMATE_BLOCKS: usize = 200;
