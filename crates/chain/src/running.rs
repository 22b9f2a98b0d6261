//! A chain that runs.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(doc)]
use foldback_stage::MAX_AMPLITUDE;
use foldback_stage::{
    AudioBuffer, BlockContext, BuildError, Params, Stage, StageFormat, StageReport,
};

use crate::change::Change;
use crate::optional::WayPast;
use crate::spec::StageSpec;

/// Changes of one chain that can be under way, wait, or wait to be fetched.
pub const MAX_CHANGES: usize = 8;

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
    /// The first is under way, the others wait for it.
    changes: VecDeque<Change>,
    /// Changes that are over, with the stages that they took out.
    over: Vec<Change>,
    /// The block as it came.
    given: AudioBuffer,
    /// Whether optional stages are to rest.
    rests: bool,
    faults: u64,
}

/// A stage in its place.
pub(crate) struct Slot {
    pub(crate) stage: Box<dyn Stage>,
    /// For a stage that is optional and not switched off, or was so once.
    pub(crate) past: Option<Box<WayPast>>,
    optional: bool,
    fault: Option<Fault>,
}

impl Slot {
    /// Allocates, and may take milliseconds.
    pub(crate) fn build(spec: &StageSpec, format: StageFormat) -> Result<Self, ChainBuildError> {
        let stage = spec.build(format)?;
        let may_rest = spec.optional && spec.enabled;
        let past = may_rest.then(|| Box::new(WayPast::new(&*stage)));
        Ok(Self { stage, past, optional: spec.optional, fault: None })
    }

    fn process(&mut self, audio: &mut AudioBuffer, cx: &mut BlockContext<'_>) {
        match &mut self.past {
            None => self.stage.process(&mut audio.block(), cx),
            Some(past) => past.process(&mut *self.stage, audio, cx),
        }
    }

    /// Lets a stage that runs be one that may rest, on the way `past` it if there is none yet, or one
    /// that may not. What is not needed is left where it is, to be freed elsewhere.
    pub(crate) fn set_optional(&mut self, optional: bool, past: &mut Option<Box<WayPast>>) {
        self.optional = optional;
        if self.past.is_none() {
            self.past = past.take();
        }
    }

    /// Gives a stage that runs new values of its live parameters; returns the number of faults.
    pub(crate) fn adjust(&mut self, params: &Params) -> u64 {
        let stage = &mut self.stage;
        let broke = self.fault.is_none()
            && catch_unwind(AssertUnwindSafe(|| stage.adjust(params))).is_err();
        if broke {
            self.fault = Some(Fault::Panicked);
        }
        broke.into()
    }
}

/// Takes a block through stages, of which the first has the number `first`. Returns how many of
/// them were taken out for what they did; the block then goes on as it was `given` to the chain.
pub(crate) fn run<P: Probe>(
    slots: &mut [Slot],
    first: usize,
    audio: &mut AudioBuffer,
    cx: &mut BlockContext<'_>,
    given: &AudioBuffer,
    probe: &mut P,
) -> u64 {
    let mut faults = 0;
    let mut before = probe.now_ns();
    for (slot, number) in slots.iter_mut().zip(first..).filter(|(slot, _)| slot.fault.is_none()) {
        let run = catch_unwind(AssertUnwindSafe(|| slot.process(audio, cx)));
        slot.fault = match run {
            Err(_) => Some(Fault::Panicked),
            Ok(()) if !audio.is_finite() => Some(Fault::NonFinite),
            Ok(()) => None,
        };
        if slot.fault.is_some() {
            faults += 1;
            audio.copy_from(given);
        }
        let after = probe.now_ns();
        probe.stage_took(number, after.saturating_sub(before));
        before = after;
    }
    faults
}

impl Chain {
    /// Builds every stage of `specs`. Control side: allocates, and may take milliseconds.
    ///
    /// # Errors
    /// The first stage that refused.
    pub fn build(specs: &[StageSpec], format: StageFormat) -> Result<Self, ChainBuildError> {
        let slots = specs.iter().map(|spec| Slot::build(spec, format));
        Ok(Self {
            slots: slots.collect::<Result<_, _>>()?,
            changes: VecDeque::with_capacity(MAX_CHANGES),
            over: Vec::with_capacity(MAX_CHANGES),
            given: AudioBuffer::mono(),
            rests: false,
            faults: 0,
        })
    }

    /// Waits until all that the stages do on other threads is done: see [`Stage::catch_up`]. Offline
    /// only, since it may block.
    pub fn catch_up(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.fault.is_none()) {
            slot.stage.catch_up();
        }
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
        let mut number = 0;
        for segment in self.changes.front_mut().into_iter().flat_map(Change::segments) {
            let before = &mut self.slots[number..segment.place().start];
            self.faults += run(before, number, audio, cx, &self.given, probe);
            let new = &mut self.slots[segment.place()];
            self.faults += segment.process(new, audio, cx, &self.given, probe);
            number = segment.place().end;
        }
        let rest = &mut self.slots[number..];
        self.faults += run(rest, number, audio, cx, &self.given, probe);
        self.go_on_changing();
    }

    /// Tells every stage that its participant was silent for a block. Changes under way are over:
    /// there is nothing that they could be heard in.
    pub fn idle(&mut self, cx: &mut BlockContext<'_>) {
        self.settle();
        for slot in self.slots.iter_mut().filter(|slot| slot.fault.is_none()) {
            let stage = &mut slot.stage;
            if catch_unwind(AssertUnwindSafe(|| stage.idle(cx))).is_err() {
                slot.fault = Some(Fault::Panicked);
                self.faults += 1;
            }
        }
    }

    /// Lets other stages take the place of running ones, see [`Change`]; after the changes that are
    /// under way. Media side: allocates nothing.
    ///
    /// # Errors
    /// Gives the change back if it was built for other stages than there will be, or if
    /// [`MAX_CHANGES`] wait already or were not fetched with [`Self::take_over`].
    #[allow(clippy::result_large_err, reason = "what is refused must be freed elsewhere")]
    pub fn change(&mut self, change: Change) -> Result<(), Change> {
        if !self.accepts(&change) {
            return Err(change);
        }
        self.changes.push_back(change);
        if let [first] = self.changes.make_contiguous() {
            self.faults += first.begin(&mut self.slots);
            self.tell_optional();
            self.go_on_changing();
        }
        Ok(())
    }

    /// Whether [`Self::change`] would take this one.
    #[must_use]
    pub fn accepts(&self, change: &Change) -> bool {
        let stages = self.changes.back().map_or(self.slots.len(), Change::stages_after);
        let full = self.changes.len() + self.over.len() >= MAX_CHANGES;
        !full && change.stages_before() == stages
    }

    /// Whether a change is under way.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Ends all changes at once, where nobody can hear it.
    pub fn settle(&mut self) {
        while let Some(change) = self.changes.front_mut() {
            change.settle();
            self.go_on_changing();
        }
    }

    /// A change that is over, with the stages that it took out: to be dropped on the control side.
    pub fn take_over(&mut self) -> Option<Change> {
        self.over.pop()
    }

    /// Ends the change under way if it is over, and begins the next.
    fn go_on_changing(&mut self) {
        while self.changes.front().is_some_and(Change::is_over) {
            self.over.extend(self.changes.pop_front());
            if let Some(next) = self.changes.front_mut() {
                self.faults += next.begin(&mut self.slots);
                self.tell_optional();
            }
        }
    }

    /// Lets the optional stages rest from now on, or run. Sound fades past them and back over 20 ms,
    /// as late as before; one that comes back first runs unheard until it holds nothing old.
    pub fn rest_optional(&mut self, rests: bool) {
        if self.rests != rests {
            self.rests = rests;
            self.tell_optional();
        }
    }

    fn tell_optional(&mut self) {
        for slot in &mut self.slots {
            if let Some(past) = &mut slot.past {
                past.rest(self.rests && slot.optional);
            }
        }
    }

    /// The algorithmic delay of all stages together, in samples at 48 kHz; while a change is under
    /// way the longest that any of it has.
    #[must_use]
    pub fn delay_samples(&self) -> usize {
        let stages: usize = self.slots.iter().map(|slot| slot.stage.delay_samples()).sum();
        stages + self.changes.front().map_or(0, Change::extra_delay)
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

    /// The live values of stage number `stage`; none of one that was taken out, or that breaks
    /// when it is asked.
    #[must_use]
    pub fn report(&self, stage: usize) -> StageReport {
        let sound = self.slots.get(stage).filter(|slot| slot.fault.is_none());
        let read = |slot: &Slot| {
            let mut report = StageReport::default();
            slot.stage.report(&mut report);
            report
        };
        let report = sound.and_then(|slot| catch_unwind(AssertUnwindSafe(|| read(slot))).ok());
        report.unwrap_or_default()
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
    use foldback_stage::{AudioBlock, BuildStage, StageKind};

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

    static DOUBLE: StageKind = kind("double", &|_, _| {
        Ok(Box::new(Scripted(|plane| plane.iter_mut().for_each(|s| *s *= 2.0))))
    });
    static PANICS: StageKind = kind("panics", &|_, _| {
        Ok(Box::new(Scripted(|plane| {
            plane.fill(9.0);
            panic!("a plugin's bug")
        })))
    });
    static NAN: StageKind =
        kind("nan", &|_, _| Ok(Box::new(Scripted(|plane| plane[3] = f32::NAN))));
    static REFUSES: StageKind = kind("refuses", &|_, _| Err(BuildError::new("not today")));

    fn spec(kind: &'static StageKind) -> StageSpec {
        StageSpec::of(kind)
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

    struct Unreadable;

    impl Stage for Unreadable {
        fn process(&mut self, _block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {}

        fn report(&self, report: &mut StageReport) {
            report.add("level_dbfs", -20.0);
            panic!("a plugin's bug");
        }
    }

    static UNREADABLE: StageKind = kind("unreadable", &|_, _| Ok(Box::new(Unreadable)));

    #[test]
    fn a_stage_that_panics_when_it_is_read_reads_nothing_and_takes_nobody_down() {
        let chain = Chain::build(&[spec(&UNREADABLE)], StageFormat::MONO).expect("builds");
        assert_eq!(chain.report(0).readings().count(), 0);
        assert_eq!(chain.report(7).readings().count(), 0, "no such stage");
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
