//! The two halves of a plugin: the declaration and the running stage.

use std::fmt;

use crate::audio::AudioBlock;
use crate::params::{ParamSpec, Params};

/// One running DSP stage. Built by [`StageKind::build`] on the control side, then owned by the
/// media side, where nothing below allocates, locks, logs, blocks or panics.
pub trait Stage: Send {
    /// Processes one block in place.
    ///
    /// The block has the channels of the [`StageFormat`] the stage was built for. Output must be
    /// finite; it should stay within ±1.0, though only the last stage of a chain must see to it.
    fn process(&mut self, block: &mut AudioBlock<'_>, cx: &mut BlockContext<'_>);

    /// Called instead of [`Self::process`] for a block in which the participant is silent and its
    /// audio is not needed: for a stage that must follow something else than the audio meanwhile.
    /// Most have nothing to do.
    fn idle(&mut self, cx: &mut BlockContext<'_>) {
        let _ = cx;
    }

    /// Algorithmic delay in samples at 48 kHz: how much later a sample leaves than it came in,
    /// apart from computing time. Constant over the life of the stage.
    fn delay_samples(&self) -> usize {
        0
    }

    /// How many blocks a fresh stage must have seen before it sounds like one that ran all along.
    fn warm_up_blocks(&self) -> usize {
        0
    }

    /// Takes new values of the parameters that are declared [live](ParamSpec::live); the others
    /// are as they were when the stage was built. Called on the media side between two blocks: it
    /// never allocates, and moves to the new values so that no step is heard (a [`Ramp`] does).
    ///
    /// [`Ramp`]: crate::Ramp
    fn adjust(&mut self, params: &Params) {
        let _ = params;
    }

    /// A copy of this stage with all its state, if the state can be copied. May allocate: called
    /// on the control side only.
    fn fork(&self) -> Option<Box<dyn Stage>> {
        None
    }

    /// Waits until all that the stage does on other threads is done, such as writing a file. Called
    /// only where a chain runs offline, faster than real time, after each block: it may block.
    fn catch_up(&mut self) {}

    /// Writes live values for people and metrics (gain reduction, voice probability...).
    fn report(&self, report: &mut StageReport) {
        let _ = report;
    }
}

/// What a stage may know and tell about one block besides its audio.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockContext<'a> {
    /// What the participant is being played: the mono block of the mix that was sent to them
    /// last. `None` after `mix`, where there is no single participant.
    pub far_end: Option<&'a [f32]>,
    /// Where this block lies on the participant's own recording clock.
    pub timeline: CaptureTimeline,
    /// Probability in 0..=1 that this block holds speech, as told by the last stage that knows.
    /// A stage that estimates it writes it; later stages and the mixer may read it.
    pub voice_probability: Option<f32>,
}

/// Position of a block in the signal as the participant's device recorded it.
///
/// The jitter buffer stretches and compresses time. Every stretch moves the echo path by a known
/// number of samples; an echo canceller reads that here instead of having to find it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureTimeline {
    /// Samples (48 kHz) of recorded signal that came before the first sample of this block.
    pub position_samples: u64,
    /// Samples that the jitter buffer inserted (positive) or removed (negative) since the
    /// block before.
    pub shift_samples: i32,
}

/// What a stage is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageFormat {
    /// 1 or 2.
    pub channels: usize,
}

impl StageFormat {
    /// One channel, as participants' microphones are.
    pub const MONO: Self = Self { channels: 1 };
    /// Two channels.
    pub const STEREO: Self = Self { channels: 2 };
}

/// The declaration of a plugin: what operators can write in a chain, and how it becomes a stage.
#[derive(Clone, Copy)]
pub struct StageKind {
    /// What stands after `kind =` in TOML: lower-case words joined by hyphens.
    pub name: &'static str,
    /// One or two sentences for `foldback stages`.
    pub about: &'static str,
    /// Every parameter, in the order to show them.
    pub params: &'static [ParamSpec],
    /// Makes a stage. Control side only: may allocate, may take milliseconds.
    ///
    /// # Errors
    /// When the parameters, though each is in range, cannot work together, or when the library
    /// behind the stage refuses.
    pub build: BuildStage,
}

/// Whether `name` is made of lower-case words, letters and digits with a letter in front, joined by
/// `joint`: a hyphen in names of kinds, an underscore in those of parameters. At most 64 bytes.
#[must_use]
pub fn is_words(name: &str, joint: char) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    starts_well && name.split(joint).all(is_word) && name.len() <= 64
}

/// How a [`StageKind`] makes a stage: a reference to a plain function, or, where a kind was loaded
/// from a library, to one that knows which.
pub type BuildStage =
    &'static (dyn Fn(&Params, StageFormat) -> Result<Box<dyn Stage>, BuildError> + Send + Sync);

impl fmt::Debug for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageKind").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a stage could not be built: a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(String);

impl BuildError {
    /// An error that reads as `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

/// One named live value of a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Name with its unit, like `gain_reduction_db`.
    pub name: &'static str,
    /// The value now.
    pub value: f32,
}

/// The live values of one stage. Holds up to [`StageReport::MAX_READINGS`]; never allocates.
#[derive(Clone, Debug, Default)]
pub struct StageReport {
    readings: [Option<Reading>; Self::MAX_READINGS],
}

impl StageReport {
    /// How many values one stage can show; more are left out.
    pub const MAX_READINGS: usize = 8;

    /// Adds a value.
    pub fn add(&mut self, name: &'static str, value: f32) {
        if let Some(free) = self.readings.iter_mut().find(|r| r.is_none()) {
            *free = Some(Reading { name, value });
        }
    }

    /// The values in the order they were added.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        self.readings.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words_joined_by_one_character() {
        for good in ["gain", "high-pass", "eq-3-band", &"x".repeat(64)] {
            assert!(is_words(good, '-'), "{good}");
        }
        for bad in ["", "-", "gain-", "-gain", "a--b", "a_b", "Gain", "3-band", &"x".repeat(65)] {
            assert!(!is_words(bad, '-'), "{bad}");
        }
        assert!(is_words("cutoff_hz", '_'));
    }
}
