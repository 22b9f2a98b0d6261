//! Timing the stages of a room, in which several chains may run, and several at once.

use foldback_chain::{NoProbe, Probe};
use foldback_stage::BLOCK_SAMPLES;

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::participant::ParticipantId;

/// A counter of nanoseconds that several threads may read; only differences are used.
pub trait Clock: Copy + Send + Sync {
    /// What it shows. A simulation returns a constant.
    fn now_ns(self) -> u64;
}

/// Is told what the stages of a room took.
pub trait RoomProbe {
    /// What they are timed by.
    type Clock: Clock;

    /// The clock for this tick.
    fn clock(&self) -> Self::Clock;

    /// What stages took for one block each, by their number: of those before `mix` of that
    /// participant, or of those after it; numbered from 0 in either case.
    fn stages_took(&mut self, side: Option<ParticipantId>, took: &[StageTime]);
}

/// What a stage took for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageTime {
    /// Its number.
    pub stage: usize,
    /// In nanoseconds.
    pub ns: u64,
}

/// Of a simulation, in which no time passes.
#[derive(Clone, Copy, Debug)]
pub struct NoClock;

impl Clock for NoClock {
    fn now_ns(self) -> u64 {
        0
    }
}

impl RoomProbe for NoProbe {
    type Clock = NoClock;

    fn clock(&self) -> NoClock {
        NoClock
    }

    fn stages_took(&mut self, _side: Option<ParticipantId>, _took: &[StageTime]) {}
}

/// What the stages of one chain took in this tick, kept until all of them can be told of.
pub(crate) struct StageTimes(Vec<StageTime>);

impl StageTimes {
    /// For a chain of so many stages. Allocates.
    pub(crate) fn of(stages: usize) -> Self {
        Self(Vec::with_capacity(stages * MAX_PACKET_SAMPLES_OUT / BLOCK_SAMPLES))
    }

    /// Notes what stages take by that clock.
    pub(crate) fn by<C: Clock>(&mut self, clock: C) -> Stopwatch<'_, C> {
        Stopwatch { clock, times: self }
    }

    /// Tells `probe`, and forgets.
    pub(crate) fn tell<P: RoomProbe>(&mut self, side: Option<ParticipantId>, probe: &mut P) {
        if !self.0.is_empty() {
            probe.stages_took(side, &self.0);
            self.0.clear();
        }
    }
}

/// Times the stages of one chain.
pub(crate) struct Stopwatch<'a, C> {
    clock: C,
    times: &'a mut StageTimes,
}

impl<C: Clock> Probe for Stopwatch<'_, C> {
    fn now_ns(&mut self) -> u64 {
        self.clock.now_ns()
    }

    fn stage_took(&mut self, stage: usize, ns: u64) {
        let times = &mut self.times.0;
        // While a longer chain gives way to a shorter one there is no room for all.
        if times.len() < times.capacity() {
            times.push(StageTime { stage, ns });
        }
    }
}
