//! A chain that runs.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(doc)]
use foldback_stage::MAX_AMPLITUDE;
use foldback_stage::{AudioBuffer, BlockContext, BuildError, Stage, StageFormat, StageReport};

use crate::spec::StageSpec;

/// Time and bookkeeping that the caller injects, so that a chain can time its stages and stay
/// deterministic.
pub trait Probe {
    /// A counter in nanoseconds; only differences are used. A simulation returns a constant.
    fn now_ns(&mut self) -> u64;

    /// Stage number `stage` of this chain took `ns` for one block.
    fn stage_took(&mut self, stage: usize, ns: u64);
}

/// Measures nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn now_ns(&mut self) -> u64 {
        0
    }

    fn stage_took(&mut self, _stage: usize, _ns: u64) {}
}

/// Why a stage was taken out of a running chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It panicked.
    Panicked,
    /// It yielded a sample that is not a number, or infinite.
    NonFinite,
}

/// Running stages in order.
pub struct Chain {
    slots: Vec<Slot>,
    /// The block as it came.
    given: AudioBuffer,
    faults: u64,
}

struct Slot {
    stage: Box<dyn Stage>,
    fault: Option<Fault>,
}

impl Chain {
    /// Builds every stage of `specs`. Control side: allocates, and may take milliseconds.
    ///
    /// # Errors
    /// The first stage that refused.
    pub fn build(specs: &[StageSpec], format: StageFormat) -> Result<Self, ChainBuildError> {
        let build = |spec: &StageSpec| match (spec.kind.build)(&spec.params, format) {
            Ok(stage) => Ok(Slot { stage, fault: None }),
            Err(reason) => Err(ChainBuildError { stage: spec.name.clone(), reason }),
        };
        let slots = specs.iter().map(build).collect::<Result<_, _>>()?;
        Ok(Self { slots, given: AudioBuffer::mono(), faults: 0 })
    }

    /// Takes one block through the stages in order.
    ///
    /// Samples that are no numbers, or beyond ±[`MAX_AMPLITUDE`], are made fit first. A stage that
    /// panics or yields a non-finite sample is bypassed from this block on: the block goes on as
    /// the chain was given it, and [`Self::faults`] counts one more.
    pub fn process<P: Probe>(
        &mut self,
        audio: &mut AudioBuffer,
        cx: &mut BlockContext<'_>,
        probe: &mut P,
    ) {
        audio.sanitize();
        self.given.copy_from(audio);
        let mut before = probe.now_ns();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.fault.is_some() {
                continue;
            }
            let stage = &mut slot.stage;
            let run = catch_unwind(AssertUnwindSafe(|| stage.process(&mut audio.block(), cx)));
            slot.fault = match run {
                Err(_) => Some(Fault::Panicked),
                Ok(()) if !audio.is_finite() => Some(Fault::NonFinite),
                Ok(()) => None,
            };
            if slot.fault.is_some() {
                self.faults += 1;
                audio.copy_from(&self.given);
            }
            let after = probe.now_ns();
            probe.stage_took(index, after.saturating_sub(before));
            before = after;
        }
    }

    /// Tells every stage that its participant was silent for a block.
    pub fn idle(&mut self, cx: &mut BlockContext<'_>) {
        for slot in self.slots.iter_mut().filter(|slot| slot.fault.is_none()) {
            let stage = &mut slot.stage;
            if catch_unwind(AssertUnwindSafe(|| stage.idle(cx))).is_err() {
                slot.fault = Some(Fault::Panicked);
                self.faults += 1;
            }
        }
    }

    /// The algorithmic delay of all stages together, in samples at 48 kHz.
    #[must_use]
    pub fn delay_samples(&self) -> usize {
        self.slots.iter().map(|slot| slot.stage.delay_samples()).sum()
    }

    /// The algorithmic delay of each stage, in samples at 48 kHz.
    pub fn stage_delays(&self) -> impl Iterator<Item = usize> + '_ {
        self.slots.iter().map(|slot| slot.stage.delay_samples())
    }

    /// How many blocks a fresh chain needs before it sounds like one that ran all along.
    #[must_use]
    pub fn warm_up_blocks(&self) -> usize {
        self.slots.iter().map(|slot| slot.stage.warm_up_blocks()).max().unwrap_or(0)
    }

    /// How many stages were taken out since the chain was built.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// Why stage number `stage` was taken out, if it was.
    #[must_use]
    pub fn fault(&self, stage: usize) -> Option<Fault> {
        self.slots.get(stage).and_then(|slot| slot.fault)
    }

    /// The live values of stage number `stage`.
    #[must_use]
    pub fn report(&self, stage: usize) -> StageReport {
        let mut report = StageReport::default();
        if let Some(slot) = self.slots.get(stage) {
            slot.stage.report(&mut report);
        }
        report
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("stages", &self.slots.len())
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// A stage refused to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainBuildError {
    /// The stage's name in the chain.
    pub stage: String,
    /// What it said.
    pub reason: BuildError,
}

impl fmt::Display for ChainBuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage `{}`: {}", self.stage, self.reason)
    }
}

impl std::error::Error for ChainBuildError {}

#[cfg(test)]
mod tests {
    use foldback_stage::{AudioBlock, BuildStage, Params, StageKind};

    use super::*;

    struct Scripted(fn(&mut [f32]));

    impl Stage for Scripted {
        fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
            block.planes_mut().for_each(|plane| (self.0)(plane));
        }

        fn delay_samples(&self) -> usize {
            100
        }
    }

    const fn kind(name: &'static str, build: BuildStage) -> StageKind {
        StageKind { name, about: "", params: &[], build }
    }

    static DOUBLE: StageKind = kind("double", |_, _| {
        Ok(Box::new(Scripted(|plane| plane.iter_mut().for_each(|s| *s *= 2.0))))
    });
    static PANICS: StageKind = kind("panics", |_, _| {
        Ok(Box::new(Scripted(|plane| {
            plane.fill(9.0);
            panic!("a plugin's bug")
        })))
    });
    static NAN: StageKind = kind("nan", |_, _| Ok(Box::new(Scripted(|plane| plane[3] = f32::NAN))));
    static REFUSES: StageKind = kind("refuses", |_, _| Err(BuildError::new("not today")));

    fn spec(kind: &'static StageKind) -> StageSpec {
        StageSpec { name: kind.name.to_owned(), kind, params: Params::default() }
    }

    fn run(chain: &mut Chain, value: f32) -> f32 {
        let mut audio = AudioBuffer::mono();
        audio.plane_mut(0).fill(value);
        chain.process(&mut audio, &mut BlockContext::default(), &mut NoProbe);
        audio.plane(0)[3]
    }

    #[test]
    fn stages_run_in_order_and_their_delays_add_up() {
        let mut chain =
            Chain::build(&[spec(&DOUBLE), spec(&DOUBLE)], StageFormat::MONO).expect("builds");
        assert_eq!(run(&mut chain, 0.1), 0.4);
        assert_eq!(chain.delay_samples(), 200);
    }

    #[test]
    fn a_stage_that_panics_is_bypassed_and_leaves_nothing_behind() {
        let mut chain =
            Chain::build(&[spec(&PANICS), spec(&DOUBLE)], StageFormat::MONO).expect("builds");
        assert_eq!(run(&mut chain, 0.1), 0.2);
        assert_eq!(run(&mut chain, 0.1), 0.2);
        assert_eq!((chain.faults(), chain.fault(0)), (1, Some(Fault::Panicked)));
    }

    #[test]
    fn a_stage_that_yields_nan_is_bypassed() {
        let mut chain =
            Chain::build(&[spec(&DOUBLE), spec(&NAN)], StageFormat::MONO).expect("builds");
        assert_eq!(run(&mut chain, 0.1), 0.1, "as the chain was given it");
        assert_eq!(run(&mut chain, 0.1), 0.2, "without that stage");
        assert_eq!(chain.fault(1), Some(Fault::NonFinite));
    }

    #[test]
    fn what_comes_in_is_made_fit_for_stages() {
        let mut chain = Chain::build(&[spec(&DOUBLE)], StageFormat::MONO).expect("builds");
        assert_eq!(run(&mut chain, f32::NAN), 0.0);
        assert_eq!(run(&mut chain, f32::INFINITY), 32.0);
        assert_eq!(chain.faults(), 0);
    }

    #[test]
    fn a_stage_that_refuses_is_named() {
        let refused = Chain::build(&[spec(&DOUBLE), spec(&REFUSES)], StageFormat::MONO);
        let error = refused.expect_err("the second refuses");
        assert_eq!(error.to_string(), "stage `refuses`: not today");
    }

    #[test]
    fn each_stage_is_timed_with_the_injected_counter() {
        struct Steps(u64, Vec<(usize, u64)>);
        impl Probe for Steps {
            fn now_ns(&mut self) -> u64 {
                self.0 += 7;
                self.0
            }
            fn stage_took(&mut self, stage: usize, ns: u64) {
                self.1.push((stage, ns));
            }
        }
        let mut chain =
            Chain::build(&[spec(&DOUBLE), spec(&DOUBLE)], StageFormat::MONO).expect("builds");
        let mut probe = Steps(0, Vec::new());
        chain.process(&mut AudioBuffer::mono(), &mut BlockContext::default(), &mut probe);
        assert_eq!(probe.1, [(0, 7), (1, 7)]);
    }
}
