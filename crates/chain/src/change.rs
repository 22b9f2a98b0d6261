//! Changing a chain while it runs, without a click.

use std::fmt;
use std::ops::Range;

use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, Params, StageFormat};

use crate::delay::{FADE_BLOCKS, Pad, blend};
use crate::optional::WayPast;
use crate::running::{ChainBuildError, NoProbe, Probe, Slot, run};
use crate::spec::StageSpec;

/// New stages run in the shadow of the old ones for no longer than 5 s.
const MOST_WARM_UP_BLOCKS: usize = 500;

/// From one list of stages to another, while sound goes through.
///
/// Stages whose name, kind and parameters stay the same stay as they are, state and all, as long as
/// their order does; new values of live parameters are given to them. Where others stand between
/// them, the new ones first run in the shadow of the old, for as long as they need to sound as if
/// they had run all along. Then both are lined up to the same delay, the new ones fade in over
/// 20 ms, and what delay is too much is taken out by a fade again.
///
/// Built on the control side, applied by [`Chain::change`](crate::Chain::change), and dropped where
/// it was built, with the stages that it took out.
pub struct Change {
    before: usize,
    after: usize,
    steps: Vec<Step>,
    /// Empty, with room for all stages, until the change begins; then what ran before.
    slots: Vec<Slot>,
    segments: Vec<Segment>,
}

enum Step {
    /// The next running stage goes on.
    Keep {
        /// What it is given, if that is another.
        params: Option<Params>,
        /// Whether it may rest from now on.
        optional: bool,
        /// For one that may and could not before.
        past: Option<Box<WayPast>>,
    },
    /// So many running stages give way to others.
    Replace(usize, Vec<Slot>),
}

impl Change {
    /// From the stages of `from` to those of `to`; `None` if they are the same. Allocates and may
    /// take milliseconds: builds the stages that are new, and once more those that go, to ask them
    /// for their delay.
    ///
    /// # Errors
    /// The first stage that refused.
    pub fn build(
        from: &[StageSpec],
        to: &[StageSpec],
        format: StageFormat,
    ) -> Result<Option<Self>, ChainBuildError> {
        if from == to {
            return Ok(None);
        }
        let mut change = Self {
            before: from.len(),
            after: to.len(),
            steps: Vec::new(),
            slots: Vec::with_capacity(to.len().max(from.len())),
            segments: Vec::new(),
        };
        let (mut old, mut new) = (0, 0);
        let ends = std::iter::once((from.len(), to.len()));
        for (kept, place) in kept_stages(from, to).into_iter().chain(ends) {
            change.replace(&from[old..kept], new, &to[new..place], format)?;
            if let (Some(was), Some(next)) = (from.get(kept), to.get(place)) {
                let adjusted = was.params != next.params;
                let params = adjusted.then(|| next.params.clone());
                let past = match next.optional && !was.optional {
                    true => Slot::build(next, format)?.past,
                    false => None,
                };
                change.steps.push(Step::Keep { params, optional: next.optional, past });
            }
            (old, new) = (kept + 1, place + 1);
        }
        Ok(Some(change))
    }

    fn replace(
        &mut self,
        from: &[StageSpec],
        place: usize,
        to: &[StageSpec],
        format: StageFormat,
    ) -> Result<(), ChainBuildError> {
        if from.is_empty() && to.is_empty() {
            return Ok(());
        }
        let build = |specs: &[StageSpec]| -> Result<Vec<Slot>, ChainBuildError> {
            specs.iter().map(|spec| Slot::build(spec, format)).collect()
        };
        let delay = |slots: &[Slot]| slots.iter().map(|slot| slot.stage.delay_samples()).sum();
        let new = build(to)?;
        let (new_delay, old_delay): (usize, usize) = (delay(&new), delay(&build(from)?));
        let most = new_delay.max(old_delay);
        let warm_up = new.iter().map(|slot| slot.stage.warm_up_blocks()).max().unwrap_or(0);
        self.segments.push(Segment {
            place: place..place + to.len(),
            old: Vec::with_capacity(from.len()),
            aside: AudioBuffer::mono(),
            old_pad: Pad::new(0, most - old_delay),
            new_pad: Pad::new(most - new_delay, most - new_delay),
            old_waits: most - old_delay,
            new_waits: most - new_delay,
            phase: Phase::WarmUp(warm_up.min(MOST_WARM_UP_BLOCKS) + most.div_ceil(BLOCK_SAMPLES)),
        });
        self.steps.push(Step::Replace(from.len(), new));
        Ok(())
    }

    /// How many stages there must be for it, and how many there are after it.
    pub(crate) fn stages_before(&self) -> usize {
        self.before
    }

    pub(crate) fn stages_after(&self) -> usize {
        self.after
    }

    /// Puts the stages in the order in which they run from now on. Allocates nothing. Returns the
    /// number of stages that broke when they were given new parameters.
    pub(crate) fn begin(&mut self, running: &mut Vec<Slot>) -> u64 {
        let mut faults = 0;
        let mut old = running.drain(..);
        let mut segments = self.segments.iter_mut();
        for step in &mut self.steps {
            match step {
                Step::Keep { params, optional, past } => {
                    let Some(mut slot) = old.next() else { break };
                    slot.set_optional(*optional, past);
                    if let Some(params) = params {
                        faults += slot.adjust(params);
                    }
                    self.slots.push(slot);
                }
                Step::Replace(count, new) => {
                    let Some(segment) = segments.next() else { break };
                    segment.old.extend(old.by_ref().take(*count));
                    self.slots.append(new);
                }
            }
        }
        drop(old);
        std::mem::swap(running, &mut self.slots);
        faults
    }

    /// By how many samples sound may be later than the new stages make it, until it is over.
    pub(crate) fn extra_delay(&self) -> usize {
        let under_way = self.segments.iter().filter(|segment| segment.phase != Phase::Over);
        under_way.map(|segment| segment.new_waits).sum()
    }

    pub(crate) fn segments(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.segments.iter_mut()
    }

    pub(crate) fn settle(&mut self) {
        self.segments.iter_mut().for_each(|segment| segment.phase = Phase::Over);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.segments.iter().all(|segment| segment.phase == Phase::Over)
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("before", &self.before)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

/// Which stages of `from` go on as which of `to`, by their numbers, in order: as many as can (the
/// longest common subsequence).
fn kept_stages(from: &[StageSpec], to: &[StageSpec]) -> Vec<(usize, usize)> {
    // `best[i][j]`: how many can be kept of what follows `i` in the one and `j` in the other.
    let mut best = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in (0..from.len()).rev() {
        for j in (0..to.len()).rev() {
            best[i][j] = if from[i].goes_on_as(&to[j]) {
                best[i + 1][j + 1] + 1
            } else {
                best[i + 1][j].max(best[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut kept = Vec::new();
    while i < from.len() && j < to.len() {
        if from[i].goes_on_as(&to[j]) {
            kept.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if best[i + 1][j] >= best[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    kept
}

/// A place in the chain where other stages take over.
pub(crate) struct Segment {
    /// Where the new stages stand.
    place: Range<usize>,
    old: Vec<Slot>,
    /// What the old stages are given and make of it.
    aside: AudioBuffer,
    old_pad: Pad,
    new_pad: Pad,
    /// By how many samples the old stages must be held back to be as late as the new.
    old_waits: usize,
    /// The same for the new ones.
    new_waits: usize,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The old stages are heard; the new ones run in their shadow for so many blocks.
    WarmUp(usize),
    /// The old stages fade to the delay of the new, if those are later.
    LineUp,
    /// So many blocks of the fade are over.
    Fade(usize),
    /// The new stages fade to their own delay, if the old ones were later.
    Release,
    Over,
}

impl Segment {
    pub(crate) fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// Takes a block through the new stages, and through the old as long as they are heard. Returns
    /// the number of faults.
    pub(crate) fn process<P: Probe>(
        &mut self,
        new: &mut [Slot],
        audio: &mut AudioBuffer,
        cx: &mut BlockContext<'_>,
        given: &AudioBuffer,
        probe: &mut P,
    ) -> u64 {
        let first = self.place.start;
        if matches!(self.phase, Phase::Release | Phase::Over) {
            let faults = run(new, first, audio, cx, given, probe);
            if self.phase == Phase::Release {
                self.new_pad.process(audio);
                if self.new_pad.is_at(0) {
                    self.phase = Phase::Over;
                }
            }
            return faults;
        }
        let mut old_cx = *cx;
        self.aside.copy_from(audio);
        let mut faults = run(&mut self.old, 0, &mut self.aside, &mut old_cx, given, &mut NoProbe);
        faults += run(new, first, audio, cx, given, probe);
        self.old_pad.process(&mut self.aside);
        self.new_pad.process(audio);
        match self.phase {
            Phase::Fade(block) => {
                blend(audio, &self.aside, block);
                self.phase = Phase::Fade(block + 1);
                if block + 1 == FADE_BLOCKS {
                    self.new_pad.move_to(0);
                    let late = !self.new_pad.is_at(0);
                    self.phase = if late { Phase::Release } else { Phase::Over };
                }
            }
            _ => {
                audio.copy_from(&self.aside);
                cx.voice_probability = old_cx.voice_probability;
                self.prepare();
            }
        }
        faults
    }

    /// What the next block is for, while the old stages are heard alone.
    fn prepare(&mut self) {
        if let Phase::WarmUp(left) = &mut self.phase {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.old_pad.move_to(self.old_waits);
                self.phase = Phase::LineUp;
            }
        }
        if self.phase == Phase::LineUp && self.old_pad.is_at(self.old_waits) {
            self.phase = Phase::Fade(0);
        }
    }
}

#[cfg(test)]
mod tests;
