//! `equaliser`: two shelves and three peaks.
//!
//! Sections after Robert Bristow-Johnson's "Audio EQ Cookbook". A band at 0 dB is left out.

use std::f64::consts::FRAC_1_SQRT_2;

use biquad::{Coefficients, Errors, ToHertz, Type};
use foldback_stage::{ParamSpec, Params, SAMPLE_RATE_HZ, StageKind};

use crate::cascade::Tuning;
use crate::filter;

const LOW_SHELF_HZ: ParamSpec =
    hz("low_shelf_hz", 20.0, 1000.0, 120.0, "Where the low shelf has half of its decibels.");
const LOW_SHELF_DB: ParamSpec = db("low_shelf_db", "How much what lies below is raised.");
const PEAK1_HZ: ParamSpec = hz("peak1_hz", 20.0, 16_000.0, 250.0, "Centre of the first peak.");
const PEAK1_DB: ParamSpec = db("peak1_db", "Height of the first peak; negative is a dip.");
const PEAK1_Q: ParamSpec = q("peak1_q");
const PEAK2_HZ: ParamSpec = hz("peak2_hz", 20.0, 16_000.0, 1000.0, "Centre of the second peak.");
const PEAK2_DB: ParamSpec = db("peak2_db", "Height of the second peak; negative is a dip.");
const PEAK2_Q: ParamSpec = q("peak2_q");
const PEAK3_HZ: ParamSpec = hz("peak3_hz", 20.0, 16_000.0, 4000.0, "Centre of the third peak.");
const PEAK3_DB: ParamSpec = db("peak3_db", "Height of the third peak; negative is a dip.");
const PEAK3_Q: ParamSpec = q("peak3_q");
const HIGH_SHELF_HZ: ParamSpec =
    hz("high_shelf_hz", 1000.0, 16_000.0, 8000.0, "Where the high shelf has half of its decibels.");
const HIGH_SHELF_DB: ParamSpec = db("high_shelf_db", "How much what lies above is raised.");

/// As steep as a shelf can be without overshooting.
const SHELF_Q: f64 = FRAC_1_SQRT_2;

/// `{ kind = "equaliser", low_shelf_db = -3, peak2_hz = 2500, peak2_db = 4, peak2_q = 0.8 }`
pub const KIND: StageKind = StageKind {
    name: "equaliser",
    about: "Parametric equaliser: a low shelf, three peaks and a high shelf; 0 dB costs nothing.",
    params: &[
        LOW_SHELF_HZ,
        LOW_SHELF_DB,
        PEAK1_HZ,
        PEAK1_DB,
        PEAK1_Q,
        PEAK2_HZ,
        PEAK2_DB,
        PEAK2_Q,
        PEAK3_HZ,
        PEAK3_DB,
        PEAK3_Q,
        HIGH_SHELF_HZ,
        HIGH_SHELF_DB,
    ],
    build: &|params, _format| filter::build(tune, params),
};

const fn hz(
    name: &'static str,
    min: f32,
    max: f32,
    default: f32,
    about: &'static str,
) -> ParamSpec {
    ParamSpec::float(name, "Hz", min, max, default, about).live()
}

const fn db(name: &'static str, about: &'static str) -> ParamSpec {
    ParamSpec::float(name, "dB", -24.0, 24.0, 0.0, about).live()
}

const fn q(name: &'static str) -> ParamSpec {
    ParamSpec::float(name, "", 0.1, 10.0, 1.0, "Centre over width: more is narrower.").live()
}

fn tune(params: &Params) -> Result<Tuning, Errors> {
    let value = |spec| f64::from(params.float(spec));
    let peak = |hz, db, q| (Type::PeakingEQ as fn(f64) -> _, value(hz), value(db), value(q));
    let bands = [
        (Type::LowShelf as fn(f64) -> _, value(&LOW_SHELF_HZ), value(&LOW_SHELF_DB), SHELF_Q),
        peak(&PEAK1_HZ, &PEAK1_DB, &PEAK1_Q),
        peak(&PEAK2_HZ, &PEAK2_DB, &PEAK2_Q),
        peak(&PEAK3_HZ, &PEAK3_DB, &PEAK3_Q),
        (Type::HighShelf as fn(f64) -> _, value(&HIGH_SHELF_HZ), value(&HIGH_SHELF_DB), SHELF_Q),
    ];
    let heard = bands.into_iter().filter(|(_, _, db, _)| *db != 0.0);
    heard.into_iter().try_fold(Tuning::FLAT, |tuning, (shape, hz, db, q)| {
        let rate: biquad::Hertz<f64> = SAMPLE_RATE_HZ.hz();
        Ok(tuning.with(Coefficients::from_params(shape(db), rate, hz.hz(), q)?))
    })
}
