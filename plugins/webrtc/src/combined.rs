//! `webrtc-apm`: several parts of the library in one processor.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Stage, StageFormat, StageKind,
    StageReport,
};

use crate::apm::{Apm, Config, Stats};
use crate::echo_path::EchoPath;
use crate::{auto_gain, echo_cancel, noise_suppress};

const HIGH_PASS: ParamSpec =
    ParamSpec::bool("high_pass", true, "Takes away what is below 100 Hz (WebRTC's filter).");

const ECHO_CANCEL: ParamSpec = ParamSpec::bool("echo_cancel", true, "As the stage `echo-cancel`.");

const NOISE_SUPPRESS: ParamSpec =
    ParamSpec::bool("noise_suppress", true, "As the stage `noise-suppress`, at `level`.");

const AUTO_GAIN: ParamSpec = ParamSpec::bool(
    "auto_gain",
    true,
    "As the stage `auto-gain`, with `target_dbfs` and `max_gain_db`.",
);

/// `{ kind = "webrtc-apm", auto_gain = false }`
pub const KIND: StageKind = StageKind {
    name: "webrtc-apm",
    about: "High-pass, echo canceller, noise suppressor and automatic gain in one (WebRTC APM), \
            with less delay than a stage for each. Stands before `mix`.",
    params: &[
        HIGH_PASS,
        ECHO_CANCEL,
        NOISE_SUPPRESS,
        noise_suppress::LEVEL,
        AUTO_GAIN,
        auto_gain::TARGET_DBFS,
        auto_gain::MAX_GAIN_DB,
    ],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let (cancels, suppresses) = (params.bool(&ECHO_CANCEL), params.bool(&NOISE_SUPPRESS));
    let mut config = Config::default();
    config.high_pass_filter.enabled = params.bool(&HIGH_PASS);
    if suppresses {
        noise_suppress::configure(&mut config, params);
    }
    if params.bool(&AUTO_GAIN) {
        auto_gain::configure(&mut config, params);
    }
    let apm = if cancels {
        Apm::aligned_echo_canceller(format.channels, config)?
    } else {
        Apm::new(format.channels, config)?
    };
    Ok(Box::new(Combined {
        apm,
        path: cancels.then(EchoPath::new),
        delay_samples: match (cancels, suppresses) {
            (true, true) => DELAY_OF_BOTH_SAMPLES,
            (true, false) => echo_cancel::DELAY_SAMPLES,
            (false, true) => noise_suppress::DELAY_SAMPLES,
            (false, false) => 0,
        },
        stats: None,
    }))
}

struct Combined {
    apm: Apm,
    /// If it cancels echo.
    path: Option<EchoPath>,
    delay_samples: usize,
    stats: Option<Stats>,
}

impl Stage for Combined {
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>) {
        if let Some(path) = &mut self.path {
            path.observe(block.left(), cx);
            self.apm.analyze_render(&path.reference());
        }
        self.apm.process_capture(block);
        self.stats = self.path.is_some().then(|| self.apm.stats());
    }

    // As in `echo-cancel`, the processor stands still.
    fn idle(&mut self, cx: &mut BlockContext<'_>) {
        if let Some(path) = &mut self.path {
            path.observe_idle(cx);
        }
    }

    fn delay_samples(&self) -> usize {
        self.delay_samples
    }

    fn warm_up_blocks(&self) -> usize {
        echo_cancel::CONVERGENCE_BLOCKS.max(noise_suppress::NOISE_ESTIMATE_BLOCKS)
    }

    fn report(&self, report: &mut StageReport) {
        let mut refused = self.apm.refused_blocks();
        if let (Some(path), Some(stats)) = (&self.path, &self.stats) {
            path.report(stats, report);
            refused += path.refused_far_ends();
        }
        report.add("refused_blocks", refused as f32);
    }
}

/// Of one band split, AEC3's framing and the suppressor's windows; measured by correlation.
const DELAY_OF_BOTH_SAMPLES: usize = 718;
