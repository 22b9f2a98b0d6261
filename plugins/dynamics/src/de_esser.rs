//! `de-esser`: a high shelf that goes down while a talker hisses.
//!
//! It is a shelf and no band that is split off and compressed: bands that are split by filters of
//! the usual kind and added up again have their phase turned at all times, while this shelf is not
//! there between the sibilants, and no bit is changed. The filter that the shelf is made of gives
//! the level of the sibilants too.
//!
//! The shelf with the gain `g`, `low + sqrt(g) middle + g high`, has the poles of a Butterworth
//! filter at the corner and zeros alike at the corner over `sqrt(g)`: it falls without a bump, and
//! as its poles stand still, moving it makes no noise of its own.

use foldback_stage::{
    AudioBlock, BLOCK_SAMPLES, BlockContext, BuildError, ParamSpec, Params, Ramp, Stage,
    StageFormat, StageKind, StageReport, amplitude_to_db, db_to_amplitude,
};

use crate::side_chain::{HOP_SAMPLES, HOPS, Reduction, hop_peaks, next_hop};
use crate::split::{Corner, Split};
use crate::without_subnormals;

const FREQUENCY_HZ: ParamSpec = ParamSpec::float(
    "frequency_hz",
    "Hz",
    2000.0,
    12_000.0,
    5000.0,
    "Above it lies what is judged and lowered; men hiss from about 4 kHz, women from 6.",
)
.live();

const THRESHOLD_DBFS: ParamSpec = ParamSpec::float(
    "threshold_dbfs",
    "dBFS",
    -60.0,
    0.0,
    -24.0,
    "The peak level above the frequency to which sibilants are lowered.",
)
.live();

const RANGE_DB: ParamSpec =
    ParamSpec::float("range_db", "dB", 0.0, 24.0, 8.0, "By how much they are lowered at most.")
        .live();

/// `{ kind = "de-esser", frequency_hz = 5000, threshold_dbfs = -24, range_db = 8 }`
pub const KIND: StageKind = StageKind {
    name: "de-esser",
    about: "Lowers the high frequencies while a talker hisses; stereo channels are linked.",
    params: &[FREQUENCY_HZ, THRESHOLD_DBFS, RANGE_DB],
    build: &build,
};

/// Faster than a sibilant begins, slower than its own ripple.
const ATTACK_MS: f32 = 1.0;
/// Over before the next vowel.
const RELEASE_MS: f32 = 40.0;

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let frequency_hz = params.float(&FREQUENCY_HZ);
    Ok(Box::new(DeEsser {
        settings: Settings::new(params),
        frequency_hz: Ramp::new(frequency_hz),
        corner: Corner::new(frequency_hz),
        channels: vec![Channel::new(); format.channels],
        reduction: Reduction::new(ATTACK_MS, RELEASE_MS),
        shelf: Shelf::default(),
        block_peak: 0.0,
        block_max_reduction_db: 0.0,
    }))
}

#[derive(Clone)]
struct Settings {
    threshold_dbfs: f32,
    unchanged_below: f32,
    range_db: f32,
}

impl Settings {
    fn new(params: &Params) -> Self {
        let threshold_dbfs = params.float(&THRESHOLD_DBFS);
        Self {
            threshold_dbfs,
            unchanged_below: db_to_amplitude(threshold_dbfs),
            range_db: params.float(&RANGE_DB),
        }
    }

    fn reduction_db(&self, peak: f32) -> f32 {
        if peak <= self.unchanged_below {
            return 0.0;
        }
        (amplitude_to_db(peak) - self.threshold_dbfs).clamp(0.0, self.range_db)
    }
}

#[derive(Clone)]
struct DeEsser {
    settings: Settings,
    frequency_hz: Ramp,
    corner: Corner,
    channels: Vec<Channel>,
    reduction: Reduction,
    /// Where the last block left it.
    shelf: Shelf,
    block_peak: f32,
    block_max_reduction_db: f32,
}

/// One channel and its parts in this block.
#[derive(Clone)]
struct Channel {
    filter: Split,
    high: [f32; BLOCK_SAMPLES],
    middle: [f32; BLOCK_SAMPLES],
}

impl Channel {
    fn new() -> Self {
        let (high, middle) = ([0.0; BLOCK_SAMPLES], [0.0; BLOCK_SAMPLES]);
        Self { filter: Split::default(), high, middle }
    }

    fn split(&mut self, plane: &[f32], corners: &[Corner; HOPS]) {
        let high = self.high.chunks_exact_mut(HOP_SAMPLES);
        let middle = self.middle.chunks_exact_mut(HOP_SAMPLES);
        // A copy can stay in registers.
        let mut filter = self.filter;
        for (((hop, corner), high), middle) in
            plane.chunks_exact(HOP_SAMPLES).zip(corners).zip(high).zip(middle)
        {
            for ((sample, high), middle) in hop.iter().zip(high).zip(middle) {
                [*high, *middle] = filter.next(*corner, *sample);
            }
        }
        self.filter = filter.without_tail();
    }
}

/// How much of the high and the middle part is added; taken away, where negative.
#[derive(Clone, Copy, Default, PartialEq)]
struct Shelf {
    high: f32,
    middle: f32,
}

impl Shelf {
    fn new(reduction_db: f32) -> Self {
        let middle = db_to_amplitude(-reduction_db / 2.0);
        Self { high: middle * middle - 1.0, middle: middle - 1.0 }
    }
}

impl Stage for DeEsser {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        self.split(block);
        let peaks = hop_peaks(self.channels.iter().map(|channel| &channel.high[..]));
        (self.block_peak, self.block_max_reduction_db) = (0.0, 0.0);
        let shelves = peaks.map(|peak| self.next_shelf(peak));
        self.apply(block, &shelves);
    }

    fn warm_up_blocks(&self) -> usize {
        self.reduction.settle_blocks()
    }

    fn adjust(&mut self, params: &Params) {
        self.settings = Settings::new(params);
        self.frequency_hz.aim(params.float(&FREQUENCY_HZ));
    }

    fn fork(&self) -> Option<Box<dyn Stage>> {
        Some(Box::new(self.clone()))
    }

    fn report(&self, report: &mut StageReport) {
        report.add("gain_reduction_db", self.block_max_reduction_db);
        report.add("sibilance_dbfs", amplitude_to_db(self.block_peak));
    }
}

impl DeEsser {
    fn split(&mut self, block: &AudioBlock<'_>) {
        let corners = std::array::from_fn(|_| {
            if self.frequency_hz.steady().is_none() {
                self.corner = Corner::new(next_hop(&mut self.frequency_hz));
            }
            self.corner
        });
        for (plane, channel) in block.planes().zip(&mut self.channels) {
            channel.split(plane, &corners);
        }
    }

    fn next_shelf(&mut self, peak: f32) -> Shelf {
        let reduction_db = self.reduction.next(self.settings.reduction_db(peak));
        self.block_peak = self.block_peak.max(peak);
        self.block_max_reduction_db = self.block_max_reduction_db.max(reduction_db);
        if reduction_db == 0.0 { Shelf::default() } else { Shelf::new(reduction_db) }
    }

    fn apply(&mut self, block: &mut AudioBlock<'_>, shelves: &[Shelf; HOPS]) {
        let before = std::mem::replace(&mut self.shelf, shelves[HOPS - 1]);
        let flat = Shelf::default();
        if before == flat && shelves.iter().all(|shelf| *shelf == flat) {
            return;
        }
        for (plane, channel) in block.planes_mut().zip(&self.channels) {
            let mut from = before;
            let hops = plane.chunks_exact_mut(HOP_SAMPLES).zip(shelves);
            let parts = channel
                .high
                .chunks_exact(HOP_SAMPLES)
                .zip(channel.middle.chunks_exact(HOP_SAMPLES));
            for ((hop, to), (high, middle)) in hops.zip(parts) {
                let per_sample = |from: f32, to: f32| (to - from) / HOP_SAMPLES as f32;
                let high_step = per_sample(from.high, to.high);
                let middle_step = per_sample(from.middle, to.middle);
                for (n, sample) in hop.iter_mut().enumerate() {
                    let place = (n + 1) as f32;
                    let added = (from.high + high_step * place) * high[n]
                        + (from.middle + middle_step * place) * middle[n];
                    *sample = without_subnormals(*sample + added);
                }
                from = *to;
            }
        }
    }
}
