//! How a listener's packets are encoded, by what its receiver reports say of the way to it.
//!
//! There are few classes, so that listeners share encoders: one for each class that somebody needs.

use crate::codec::OpusSettings;

/// Loss that in-band FEC is tuned for, in percent, in the classes of 0, 5 and 15 % of loss. libopus
/// takes the bits for it out of the voice: above 10 that costs more than it mends, at any loss
/// (`docs/measurements.md`).
const TUNED_FOR: [u8; 3] = [0, 5, 10];
/// A class is entered above the first share of lost packets, and left for the one before it below
/// the second.
const ENTER_ABOVE: [f32; 3] = [0.0, 0.02, 0.10];
const LEAVE_BELOW: [f32; 3] = [0.0, 0.005, 0.06];
/// A new report weighs so much when it is worse than what was known, and when it is better.
const WORSE: f32 = 0.5;
const BETTER: f32 = 0.1;

/// Shares of the configured bitrate, in tenths.
const BITRATE_TENTHS: [i32; 3] = [10, 6, 4];
/// The bitrate steps down after so many reports in a row of more than that loss: a link may be
/// too narrow. It steps up again after so many good ones.
const NARROW_LOSS: f32 = 0.10;
const NARROW_REPORTS: u32 = 3;
const GOOD_LOSS: f32 = 0.02;
const GOOD_REPORTS: u32 = 6;
/// Below this Opus in mono loses the upper half of a voice.
const LEAST_BITRATE_BPS: i32 = 16_000;
/// Opus goes no higher.
const MOST_BITRATE_BPS: i32 = 510_000;

/// What distinguishes encoders of one and the same mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutputClass {
    loss: u8,
    bitrate: u8,
    dtx: bool,
    stereo: bool,
    /// Not encoded: they take the sound itself.
    plain: bool,
}

impl OutputClass {
    /// So many there can be.
    pub(crate) const MOST: usize = TUNED_FOR.len() * BITRATE_TENTHS.len() * 2 * 2 + 1;

    /// The settings of its encoder; what is configured is the best way that is assumed.
    pub(crate) fn settings(self, configured: &OpusSettings) -> OpusSettings {
        let loss = TUNED_FOR[usize::from(self.loss)];
        let bitrate = configured.bitrate_bps / 10 * BITRATE_TENTHS[usize::from(self.bitrate)];
        let bitrate = bitrate.max(LEAST_BITRATE_BPS).min(configured.bitrate_bps);
        let channels = if self.stereo { 2 } else { 1 };
        OpusSettings {
            bitrate_bps: (channels * bitrate).min(MOST_BITRATE_BPS),
            expected_loss_percent: loss.max(configured.expected_loss_percent),
            ..*configured
        }
    }

    /// Whether packets are lost on the way, and each should carry a copy of the one before it.
    pub(crate) fn wants_copies(self) -> bool {
        self.loss > 0
    }

    /// Whether left and right differ; else packets hold their mean.
    pub(crate) fn is_stereo(self) -> bool {
        self.stereo
    }

    /// Whether there is no encoder at work.
    pub(crate) fn is_plain(self) -> bool {
        self.plain
    }

    /// Whether packets stop in silence.
    pub(crate) fn pauses(self) -> bool {
        self.dtx
    }
}

/// The way to one listener.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Downlink {
    class: OutputClass,
    lost: f32,
    narrow: u32,
    good: u32,
}

impl Downlink {
    pub(crate) fn class(&self) -> OutputClass {
        self.class
    }

    /// The listener asked for packets to stop in silence, or did not.
    pub(crate) fn set_dtx(&mut self, dtx: bool) {
        self.class.dtx = dtx && !self.class.plain;
    }

    /// The way of one who takes the sound itself, whatever is lost.
    pub(crate) fn plain() -> Self {
        Self { class: OutputClass { plain: true, ..OutputClass::default() }, ..Self::default() }
    }

    /// The listener is sent stereo, or mono.
    pub(crate) fn set_stereo(&mut self, stereo: bool) {
        self.class.stereo = stereo && !self.class.plain;
    }

    /// The share of packets lost, 0 to 1, of a new report; browsers send one every few seconds.
    pub(crate) fn report(&mut self, fraction_lost: f32) {
        if self.class.plain {
            return;
        }
        let news = fraction_lost.clamp(0.0, 1.0);
        self.lost += if news > self.lost { WORSE } else { BETTER } * (news - self.lost);
        let loss = usize::from(self.class.loss);
        if ENTER_ABOVE.get(loss + 1).is_some_and(|above| self.lost > *above) {
            self.class.loss += 1;
        } else if self.lost < LEAVE_BELOW[loss] {
            self.class.loss -= 1;
        }
        self.narrow = if news > NARROW_LOSS { self.narrow + 1 } else { 0 };
        self.good = if news < GOOD_LOSS { self.good + 1 } else { 0 };
        if self.narrow == NARROW_REPORTS {
            self.narrow = 0;
            self.class.bitrate = (self.class.bitrate + 1).min(BITRATE_TENTHS.len() as u8 - 1);
        }
        if self.good == GOOD_REPORTS {
            self.good = 0;
            self.class.bitrate = self.class.bitrate.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(reports: &[(f32, usize)]) -> OpusSettings {
        let mut downlink = Downlink::default();
        for (lost, times) in reports {
            (0..*times).for_each(|_| downlink.report(*lost));
        }
        let configured = OpusSettings { expected_loss_percent: 0, ..OpusSettings::default() };
        downlink.class().settings(&configured)
    }

    #[test]
    fn loss_moves_a_listener_up_within_seconds_and_back_after_a_while() {
        assert_eq!(after(&[(0.0, 10)]).expected_loss_percent, 0);
        assert_eq!(after(&[(0.05, 3)]).expected_loss_percent, 5);
        assert_eq!(after(&[(0.20, 4)]).expected_loss_percent, 10);
        assert_eq!(after(&[(0.20, 4), (0.0, 3)]).expected_loss_percent, 10);
        assert_eq!(after(&[(0.20, 4), (0.0, 40)]).expected_loss_percent, 0);
    }

    #[test]
    fn a_single_bad_report_among_good_ones_changes_little() {
        let settings = after(&[(0.0, 20), (0.03, 1), (0.0, 5)]);
        assert_eq!((settings.expected_loss_percent, settings.bitrate_bps), (0, 80_000));
    }

    #[test]
    fn a_narrow_link_gets_a_lower_bitrate_until_it_is_good_again() {
        assert_eq!(after(&[(0.15, 2)]).bitrate_bps, 80_000);
        assert_eq!(after(&[(0.15, 3)]).bitrate_bps, 48_000);
        assert_eq!(after(&[(0.15, 30)]).bitrate_bps, 32_000);
        assert_eq!(after(&[(0.15, 30), (0.0, 30)]).bitrate_bps, 80_000);
    }

    #[test]
    fn what_is_configured_is_the_least_loss_and_the_most_bits() {
        let configured =
            OpusSettings { bitrate_bps: 12_000, expected_loss_percent: 10, ..Default::default() };
        let worst = OutputClass { loss: 1, bitrate: 2, ..OutputClass::default() };
        assert_eq!(worst.settings(&configured), configured);
    }

    #[test]
    fn stereo_takes_twice_the_bits_up_to_what_opus_can_take() {
        let stereo = OutputClass { stereo: true, ..OutputClass::default() };
        for (bitrate_bps, taken) in [(80_000, 160_000), (300_000, 510_000)] {
            let configured = OpusSettings { bitrate_bps, ..OpusSettings::default() };
            assert_eq!(stereo.settings(&configured).bitrate_bps, taken);
        }
    }
}
