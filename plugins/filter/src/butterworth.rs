//! Butterworth filters of order 1 to 4.

use std::f64::consts::PI;

use biquad::{Coefficients, Errors};
use foldback_stage::ParamSpec;

use crate::cascade::Tuning;

pub(crate) const ORDER: ParamSpec =
    ParamSpec::int("order", "", 1, 4, 2, "Steepness: 6 dB per octave for each order.").live();

/// The filter of that order, of a `first`-order section and those that `second` makes for a Q.
///
/// A pole pair at angle t from the negative real axis has Q = 1 / (2 cos t); the poles of a
/// Butterworth filter stand evenly on the left half circle.
pub(crate) fn butterworth(
    order: i64,
    first: Coefficients<f64>,
    second: impl Fn(f64) -> Result<Coefficients<f64>, Errors>,
) -> Result<Tuning, Errors> {
    let pair = |angle: f64| second(1.0 / (2.0 * angle.cos()));
    Ok(match order {
        1 => Tuning::FLAT.with(first),
        2 => Tuning::FLAT.with(pair(PI / 4.0)?),
        3 => Tuning::FLAT.with(first).with(pair(PI / 3.0)?),
        _ => Tuning::FLAT.with(pair(PI / 8.0)?).with(pair(3.0 * PI / 8.0)?),
    })
}
