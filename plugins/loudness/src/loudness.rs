//! `loudness`: brings a programme to a target loudness, slowly enough that nobody hears it.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, ParamSpec, Params, SAMPLE_RATE_HZ, Stage,
    StageFormat, StageKind, StageReport, db_to_amplitude,
};

use crate::meter::{Meter, SILENCE_LUFS, WARM_UP_BLOCKS};

const TARGET_LUFS: ParamSpec = ParamSpec::float(
    "target_lufs",
    "LUFS",
    -40.0,
    -10.0,
    -23.0,
    "Loudness to bring the programme to. EBU R128 has -23; speech for earphones often has -18.",
)
.live();

const MAX_GAIN_DB: ParamSpec =
    ParamSpec::float("max_gain_db", "dB", 0.0, 40.0, 12.0, "Most that it amplifies.").live();

const MAX_CUT_DB: ParamSpec =
    ParamSpec::float("max_cut_db", "dB", 0.0, 40.0, 20.0, "Most that it attenuates.").live();

const SPEED_DB_PER_S: ParamSpec = ParamSpec::float(
    "speed_db_per_s",
    "dB/s",
    0.1,
    12.0,
    3.0,
    "How fast the gain moves at most; it stands still where there is no programme.",
)
.live();

const GATE_LUFS: ParamSpec = ParamSpec::float(
    "gate_lufs",
    "LUFS",
    SILENCE_LUFS,
    -20.0,
    -50.0,
    "What is quieter than this over 400 ms is no programme and moves nothing: set it above the \
     noise of the room.",
)
.live();

/// `{ kind = "loudness", target_lufs = -23, max_gain_db = 12, max_cut_db = 20 }`
pub const KIND: StageKind = StageKind {
    name: "loudness",
    about: "Brings the loudness of the programme (EBU R128) to a target by a slow gain. Put a \
            limiter behind it.",
    params: &[TARGET_LUFS, MAX_GAIN_DB, MAX_CUT_DB, SPEED_DB_PER_S, GATE_LUFS],
    build: &build,
};

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let meter = Meter::new(format.channels);
    let meter = meter.map_err(|error| BuildError::new(format!("no loudness meter: {error}")))?;
    Ok(Box::new(Loudness { meter, aim: Aim::from_params(params), gain_db: 0.0, factor: 1.0 }))
}

struct Loudness {
    meter: Meter,
    aim: Aim,
    gain_db: f32,
    /// The gain at the end of the last block.
    factor: f32,
}

impl Stage for Loudness {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        self.meter.hear(block, self.aim.gate_lufs);
        if let Some(lufs) = self.meter.programme_lufs() {
            let wanted_db = self.aim.gain_db(lufs);
            let most_db = self.aim.most_db_per_block;
            self.gain_db += (wanted_db - self.gain_db).clamp(-most_db, most_db);
        }
        self.amplify(block);
    }

    fn warm_up_blocks(&self) -> usize {
        let farthest_db = self.aim.max_gain_db.max(self.aim.max_cut_db);
        WARM_UP_BLOCKS + (farthest_db / self.aim.most_db_per_block).ceil() as usize
    }

    fn adjust(&mut self, params: &Params) {
        self.aim = Aim::from_params(params);
    }

    fn report(&self, report: &mut StageReport) {
        report.add("loudness_lufs", self.meter.short_term_lufs());
        report.add("gain_db", self.gain_db);
    }
}

impl Loudness {
    /// By a gain that moves in a straight line from that of the last block's end to that of now.
    fn amplify(&mut self, block: &mut AudioBlock<'_>) {
        let from = self.factor;
        self.factor = db_to_amplitude(self.gain_db);
        let step = (self.factor - from) / BLOCK_SAMPLES as f32;
        for plane in block.planes_mut() {
            if step == 0.0 {
                plane.iter_mut().for_each(|sample| *sample = scaled(*sample, from));
            } else {
                let mut factor = from;
                for sample in plane {
                    factor += step;
                    *sample = scaled(*sample, factor);
                }
            }
        }
    }
}

fn scaled(sample: f32, factor: f32) -> f32 {
    let scaled = sample * factor;
    // The quiet end of a tail must not become subnormal by being attenuated.
    if scaled.abs() < f32::MIN_POSITIVE { 0.0 } else { scaled }
}

/// What the parameters say.
struct Aim {
    target_lufs: f32,
    max_gain_db: f32,
    max_cut_db: f32,
    most_db_per_block: f32,
    gate_lufs: f32,
}

impl Aim {
    fn from_params(params: &Params) -> Self {
        let blocks_per_s = SAMPLE_RATE_HZ as f32 / BLOCK_SAMPLES as f32;
        Self {
            target_lufs: params.float(&TARGET_LUFS),
            max_gain_db: params.float(&MAX_GAIN_DB),
            max_cut_db: params.float(&MAX_CUT_DB),
            most_db_per_block: params.float(&SPEED_DB_PER_S) / blocks_per_s,
            gate_lufs: params.float(&GATE_LUFS),
        }
    }

    /// The gain that a programme of that loudness needs.
    fn gain_db(&self, lufs: f32) -> f32 {
        (self.target_lufs - lufs).clamp(-self.max_cut_db, self.max_gain_db)
    }
}
