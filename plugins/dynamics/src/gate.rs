//! `gate`: a noise gate.
//!
//! Opens at a threshold, closes below a lower one once a hold time has passed since the last sound
//! above it, and closes by a limited range: see J. D. Reiss, A. P. McPherson: "Audio Effects: Theory,
//! Implementation and Application", 2014, chapter 6. Opening and closing are straight in dB.

use foldback_stage::{
    AudioBlock, BlockContext, BuildError, ParamSpec, Params, Ramp, Stage, StageFormat, StageKind,
    StageReport, amplitude_to_db, db_to_amplitude,
};

use crate::side_chain::{HOPS, MovingGain, hop_peaks, ms_to_hops, next_hop};

const THRESHOLD_DBFS: ParamSpec = ParamSpec::float(
    "threshold_dbfs",
    "dBFS",
    -80.0,
    0.0,
    -50.0,
    "The peak level at which it opens.",
)
.live();

const HYSTERESIS_DB: ParamSpec = ParamSpec::float(
    "hysteresis_db",
    "dB",
    0.0,
    20.0,
    6.0,
    "How far below the threshold the level must fall for it to close.",
)
.live();

const ATTACK_MS: ParamSpec =
    ParamSpec::float("attack_ms", "ms", 0.5, 50.0, 2.0, "How long it takes to open.").live();

// The level of a low voice lies below any threshold between its half waves: 10 ms bridge 50 Hz.
const HOLD_MS: ParamSpec = ParamSpec::float(
    "hold_ms",
    "ms",
    10.0,
    2000.0,
    150.0,
    "How long it stays open after the last sound that keeps it open.",
)
.live();

const RELEASE_MS: ParamSpec =
    ParamSpec::float("release_ms", "ms", 5.0, 2000.0, 100.0, "How long it takes to close.").live();

const RANGE_DB: ParamSpec = ParamSpec::float(
    "range_db",
    "dB",
    0.0,
    90.0,
    30.0,
    "How much quieter it makes what it closes on.",
)
.live();

/// `{ kind = "gate", threshold_dbfs = -50, hold_ms = 150, range_db = 30 }`
pub const KIND: StageKind = StageKind {
    name: "gate",
    about: "Noise gate: makes the pauses between words quieter; stereo channels are linked.",
    params: &[THRESHOLD_DBFS, HYSTERESIS_DB, ATTACK_MS, HOLD_MS, RELEASE_MS, RANGE_DB],
    build: &build,
};

fn build(params: &Params, _format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let range_db = params.float(&RANGE_DB);
    let factor = db_to_amplitude(-range_db);
    // Closed, as after silence.
    Ok(Box::new(Gate {
        settings: Settings::new(params),
        range_db: Ramp::new(range_db),
        hold_left_hops: 0.0,
        openness: 0.0,
        reduction_db: range_db,
        factor,
        moving_gain: MovingGain::new(factor),
        block_peak: 0.0,
        block_max_reduction_db: 0.0,
    }))
}

#[derive(Clone, Copy)]
struct Settings {
    opens_at: f32,
    stays_open_at: f32,
    hold_hops: f32,
    opened_per_hop: f32,
    closed_per_hop: f32,
}

impl Settings {
    fn new(params: &Params) -> Self {
        let threshold_dbfs = params.float(&THRESHOLD_DBFS);
        Self {
            opens_at: db_to_amplitude(threshold_dbfs),
            stays_open_at: db_to_amplitude(threshold_dbfs - params.float(&HYSTERESIS_DB)),
            hold_hops: ms_to_hops(params.float(&HOLD_MS)),
            opened_per_hop: 1.0 / ms_to_hops(params.float(&ATTACK_MS)),
            closed_per_hop: 1.0 / ms_to_hops(params.float(&RELEASE_MS)),
        }
    }
}

#[derive(Clone)]
struct Gate {
    settings: Settings,
    range_db: Ramp,
    hold_left_hops: f32,
    /// 1 is open, 0 closed.
    openness: f32,
    reduction_db: f32,
    /// `reduction_db` as one.
    factor: f32,
    moving_gain: MovingGain,
    block_peak: f32,
    block_max_reduction_db: f32,
}

impl Stage for Gate {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        (self.block_peak, self.block_max_reduction_db) = (0.0, 0.0);
        let gains = hop_peaks(block.planes()).map(|peak| self.gain(peak));
        self.moving_gain.apply(block, &gains);
    }

    fn warm_up_blocks(&self) -> usize {
        let Settings { hold_hops, closed_per_hop, .. } = self.settings;
        ((hold_hops + 1.0 / closed_per_hop) / HOPS as f32).ceil() as usize
    }

    fn adjust(&mut self, params: &Params) {
        self.settings = Settings::new(params);
        self.range_db.aim(params.float(&RANGE_DB));
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }

    fn report(&self, report: &mut StageReport) {
        report.add("gain_reduction_db", self.block_max_reduction_db);
        report.add("level_dbfs", amplitude_to_db(self.block_peak));
    }
}

impl Gate {
    fn gain(&mut self, peak: f32) -> f32 {
        let Settings { opens_at, stays_open_at, hold_hops, opened_per_hop, closed_per_hop } =
            self.settings;
        let enough = if self.hold_left_hops > 0.0 { stays_open_at } else { opens_at };
        self.hold_left_hops =
            if peak >= enough { hold_hops } else { (self.hold_left_hops - 1.0).max(0.0) };
        self.openness = if self.hold_left_hops > 0.0 {
            (self.openness + opened_per_hop).min(1.0)
        } else {
            (self.openness - closed_per_hop).max(0.0)
        };
        let reduction_db = (1.0 - self.openness) * next_hop(&mut self.range_db);
        if reduction_db != self.reduction_db {
            (self.reduction_db, self.factor) = (reduction_db, db_to_amplitude(-reduction_db));
        }
        self.block_peak = self.block_peak.max(peak);
        self.block_max_reduction_db = self.block_max_reduction_db.max(reduction_db);
        self.factor
    }
}
