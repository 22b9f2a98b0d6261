//! A chain as it was written: checked, but not yet running.

use std::ptr;

use foldback_stage::{ParamSpec, Params, RawValue, Stage, StageFormat, StageKind};

use crate::delay::Bypass;
use crate::running::ChainBuildError;

/// The kind that is no stage but the place where participants become one.
pub const MIX_KIND: &str = "mix";

/// One stage of a chain, with every parameter checked.
#[derive(Clone, Debug)]
pub struct StageSpec {
    /// Unique in its chain; the kind's name unless given.
    pub name: String,
    /// What it is.
    pub kind: &'static StageKind,
    /// Its parameters; what was not given holds its default.
    pub params: Params,
    /// Switched off, audio passes as late as through the stage, and unchanged.
    pub enabled: bool,
    /// Whether a chain may do without it for a while: see
    /// [`Chain::rest_optional`](crate::Chain::rest_optional).
    pub optional: bool,
}

impl StageSpec {
    /// A stage of that kind with its name and defaults.
    #[must_use]
    pub fn of(kind: &'static StageKind) -> Self {
        let params = Params::defaults(kind.params);
        Self { name: kind.name.to_owned(), kind, params, enabled: true, optional: false }
    }

    /// Makes the stage. Control side: allocates, and may take milliseconds.
    ///
    /// # Errors
    /// When it refuses.
    pub fn build(&self, format: StageFormat) -> Result<Box<dyn Stage>, ChainBuildError> {
        let refused = |reason| ChainBuildError { stage: self.name.clone(), reason };
        let stage = (self.kind.build)(&self.params, format).map_err(refused)?;
        let off = || Box::new(Bypass::new(stage.delay_samples())) as Box<dyn Stage>;
        Ok(if self.enabled { stage } else { off() })
    }

    /// Whether a running stage of this sort can go on as `next`: only what it takes while it
    /// runs is another, or whether it may rest.
    pub(crate) fn goes_on_as(&self, next: &Self) -> bool {
        let live = |name: &str| self.kind.params.iter().any(|spec| spec.live && spec.name == name);
        let fixed = |params: &Params| -> Vec<_> {
            let fixed = params.iter().filter(|(name, _)| !live(name));
            fixed.map(|(_, value)| value.clone()).collect()
        };
        self.name == next.name
            && ptr::eq(self.kind, next.kind)
            && self.enabled == next.enabled
            && fixed(&self.params) == fixed(&next.params)
    }
}

/// Kinds are the same if they are one: two libraries may each have a kind of the same name.
impl PartialEq for StageSpec {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && ptr::eq(self.kind, other.kind)
            && self.params == other.params
            && self.enabled == other.enabled
            && self.optional == other.optional
    }
}

/// What `mix` was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixSpec {
    /// How many participants are heard at once; the loudest are chosen.
    pub max_talkers: usize,
}

impl MixSpec {
    /// No mix is of more: nobody can follow so many.
    pub const MOST_TALKERS: usize = 32;
    /// The declaration of `max_talkers`.
    pub const MAX_TALKERS: ParamSpec = ParamSpec::int(
        "max_talkers",
        "",
        1,
        Self::MOST_TALKERS as i64,
        6,
        "How many participants are heard at once; the loudest are chosen.",
    )
    .live();
    /// Everything `mix` can be told.
    pub const PARAMS: &'static [ParamSpec] = &[Self::MAX_TALKERS];
    /// For `foldback stages`.
    pub const ABOUT: &'static str = "The place where participants become one: stages before it \
        run for each participant, those after it for each distinct mix. At most one per chain; \
        without it each participant gets their own processed voice back.";

    /// Reads checked parameters.
    #[must_use]
    pub fn from_params(params: &Params) -> Self {
        let talkers = params.int(&Self::MAX_TALKERS);
        Self { max_talkers: usize::try_from(talkers).unwrap_or(1) }
    }

    /// Its parameters: what [`Self::from_params`] reads. Allocates.
    #[must_use]
    pub fn params(&self) -> Params {
        let mut params = Params::default();
        let most = i64::try_from(self.max_talkers).unwrap_or(i64::MAX);
        // It was read by the same declaration.
        let _ = params.set(&Self::MAX_TALKERS, RawValue::Int(most));
        params
    }
}

/// A checked chain.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainSpec {
    /// What rooms refer to.
    pub name: String,
    /// How many channels the sound in it has.
    pub format: StageFormat,
    /// The stages before `mix`, or all of them where there is no `mix`.
    pub input: Vec<StageSpec>,
    /// `None`: each participant gets their own processed voice back.
    pub mix: Option<MixSpec>,
    /// The stages after `mix`.
    pub output: Vec<StageSpec>,
}

impl ChainSpec {
    /// Every stage from top to bottom, `mix` left out.
    pub fn stages(&self) -> impl Iterator<Item = &StageSpec> + Clone {
        self.input.iter().chain(&self.output)
    }
}
