//! `compressor`: a feed-forward compressor with a soft knee.
//!
//! After D. Giannoulis, M. Massberg, J. D. Reiss: "Digital Dynamic Range Compressor Design - A
//! Tutorial and Analysis", J. Audio Eng. Soc. 60 (6), 2012: level in dB, static curve with a
//! quadratic knee (their equation 4), then the smoothing of the reduction in dB.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Ramp, Stage, StageFormat, StageKind,
    StageReport, amplitude_to_db, db_to_amplitude,
};

use crate::side_chain::{MovingGain, Reduction, hop_peaks, next_hop};

const THRESHOLD_DBFS: ParamSpec = ParamSpec::float(
    "threshold_dbfs",
    "dBFS",
    -60.0,
    0.0,
    -18.0,
    "The peak level above which the signal is compressed.",
)
.live();

const RATIO: ParamSpec =
    ParamSpec::float("ratio", "", 1.0, 20.0, 3.0, "How many dB above the threshold become one.")
        .live();

const KNEE_DB: ParamSpec = ParamSpec::float(
    "knee_db",
    "dB",
    0.0,
    24.0,
    6.0,
    "Width of the range around the threshold over which compression sets in.",
)
.live();

const ATTACK_MS: ParamSpec = ParamSpec::float(
    "attack_ms",
    "ms",
    0.5,
    200.0,
    5.0,
    "Time constant with which the gain falls.",
)
.live();

const RELEASE_MS: ParamSpec = ParamSpec::float(
    "release_ms",
    "ms",
    10.0,
    2000.0,
    150.0,
    "Time constant with which the gain returns.",
)
.live();

const MAKEUP_DB: ParamSpec =
    ParamSpec::float("makeup_db", "dB", 0.0, 24.0, 0.0, "Amplification of everything afterwards.")
        .live();

/// `{ kind = "compressor", threshold_dbfs = -18, ratio = 3, knee_db = 6, makeup_db = 6 }`
pub const KIND: StageKind = StageKind {
    name: "compressor",
    about: "Makes what is loud less so by a ratio, with a soft knee; stereo channels are linked.",
    params: &[THRESHOLD_DBFS, RATIO, KNEE_DB, ATTACK_MS, RELEASE_MS, MAKEUP_DB],
    build: &build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let makeup = makeup(params);
    Ok(Box::new(Compressor {
        curve: Curve::new(params),
        reduction: Reduction::new(params.float(&ATTACK_MS), params.float(&RELEASE_MS)),
        makeup: Ramp::new(makeup),
        moving_gain: MovingGain::new(makeup),
        block_max_reduction_db: 0.0,
    }))
}

fn makeup(params: &Params) -> f32 {
    db_to_amplitude(params.float(&MAKEUP_DB))
}

#[derive(Clone)]
struct Compressor {
    curve: Curve,
    reduction: Reduction,
    makeup: Ramp,
    moving_gain: MovingGain,
    block_max_reduction_db: f32,
}

impl Stage for Compressor {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        self.block_max_reduction_db = 0.0;
        let gains = hop_peaks(block.planes()).map(|peak| self.gain(peak));
        self.moving_gain.apply(block, &gains);
    }

    fn warm_up_blocks(&self) -> usize {
        self.reduction.settle_blocks()
    }

    fn adjust(&mut self, params: &Params) {
        self.curve = Curve::new(params);
        self.reduction.retime(params.float(&ATTACK_MS), params.float(&RELEASE_MS));
        self.makeup.aim(makeup(params));
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }

    fn report(&self, report: &mut StageReport) {
        report.add("gain_reduction_db", self.block_max_reduction_db);
    }
}

impl Compressor {
    fn gain(&mut self, peak: f32) -> f32 {
        let reduction_db = self.reduction.next(self.curve.reduction_db(peak));
        self.block_max_reduction_db = self.block_max_reduction_db.max(reduction_db);
        let makeup = next_hop(&mut self.makeup);
        if reduction_db == 0.0 { makeup } else { makeup * db_to_amplitude(-reduction_db) }
    }
}

/// What the reduction would be if a level stayed.
#[derive(Clone)]
struct Curve {
    threshold_dbfs: f32,
    knee_db: f32,
    /// dB of reduction for each dB above the threshold.
    slope: f32,
    /// Where the knee begins.
    unchanged_below: f32,
}

impl Curve {
    fn new(params: &Params) -> Self {
        let threshold_dbfs = params.float(&THRESHOLD_DBFS);
        let knee_db = params.float(&KNEE_DB);
        Self {
            threshold_dbfs,
            knee_db,
            slope: 1.0 - 1.0 / params.float(&RATIO),
            unchanged_below: db_to_amplitude(threshold_dbfs - knee_db / 2.0),
        }
    }

    fn reduction_db(&self, peak: f32) -> f32 {
        // Most hops of most signals; spares them the logarithm.
        if peak <= self.unchanged_below {
            return 0.0;
        }
        let over_db = amplitude_to_db(peak) - self.threshold_dbfs;
        let into_knee_db = (over_db + self.knee_db / 2.0).max(0.0);
        if into_knee_db < self.knee_db {
            self.slope * into_knee_db.powi(2) / (2.0 * self.knee_db)
        } else {
            self.slope * over_db
        }
    }
}
