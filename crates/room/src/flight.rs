//! The flight recorder of a room: the last of what it was given, kept so that it can be given to a room again.
//!
//! A room reads no clock and rolls no dice, so that it says the same again when it is given the same again. What is kept is
//! therefore small: packets as they came, who joined and left, what was changed, and when it ticked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_chain::{ChainSpec, NoProbe};

use crate::change::{ChainChange, InputChange};
use crate::codec::Codec;
use crate::fork_join::Sequential;
use crate::hearing::HeardAs;
use crate::packets::EncodedFrame;
use crate::participant::{Admission, AdmissionError, ParticipantId};
use crate::room::{Room, RoomSpec, TICK};
use crate::shedding::Shedding;

/// Room for ticks until something else comes: those in a row are one entry.
const TICKS_BETWEEN: usize = 64;

/// One thing that a room was given, as one of its methods has it.
#[derive(Clone, Debug)]
pub enum Input {
    /// [`Room::join`], with the stages of this chain before `mix`, and packets of that codec.
    Join(ParticipantId, Arc<ChainSpec>, Codec),
    /// [`Room::leave`].
    Leave(ParticipantId),
    /// [`Room::push`].
    Push(ParticipantId, EncodedFrame),
    /// [`Room::set_muted`].
    Mute(ParticipantId, bool),
    /// [`Room::set_gain`], in dB.
    Gain(ParticipantId, f32),
    /// [`Room::set_heard_as`]: the listener, whom they hear, and how.
    Hear(ParticipantId, ParticipantId, HeardAs),
    /// [`Room::loop_back`].
    LoopBack(ParticipantId, Duration),
    /// [`Room::set_deaf`].
    Deaf(ParticipantId, bool),
    /// [`Room::set_dtx`].
    Dtx(ParticipantId, bool),
    /// [`Room::set_stereo`].
    Stereo(ParticipantId, bool),
    /// [`Room::report`].
    Report(ParticipantId, f32),
    /// [`Room::change_chain`], as the change was built.
    Chain(Arc<ChainChanged>),
    /// [`Room::settle_changes`].
    Settle,
    /// [`Room::shed`].
    Shed(Shedding),
    /// [`Room::play`]: what was played is not kept.
    Play,
    /// [`Room::tick`], so often in a row, from the one at that time on.
    Ticks(Instant, u64),
    /// [`Room::skip`].
    Skip(u64),
}

/// Another chain for a room, and whose stages before `mix` become which.
#[derive(Clone, Debug)]
pub struct ChainChanged {
    /// The room's.
    pub chain: Arc<ChainSpec>,
    /// Each participant's.
    pub inputs: Vec<(ParticipantId, Arc<ChainSpec>)>,
}

/// What a room was before the first input that is kept.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Its chain.
    pub chain: Arc<ChainSpec>,
    /// How often it had ticked. 0: what is kept is all that the room was ever given, unless somebody is in it.
    pub ticks: u64,
    /// What it did without.
    pub shedding: Shedding,
    /// Who was in it, in the order of their coming.
    pub people: Vec<Person>,
}

/// Somebody who was in a room before.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who.
    pub id: ParticipantId,
    /// Whose stages before `mix` they had.
    pub chain: Arc<ChainSpec>,
    /// How their packets hold sound.
    pub codec: Codec,
    /// What was set of them, in order.
    pub settings: Vec<Input>,
}

/// The last of what a room was given.
#[derive(Clone, Debug)]
pub struct Flight {
    span: Duration,
    beginning: Beginning,
    inputs: VecDeque<Input>,
    /// When the last tick was.
    now: Option<Instant>,
    /// Of all that the room ever sent.
    sent: u64,
    /// What the inputs take in memory, about.
    bytes: usize,
    /// Whether any was let go since it began.
    trimmed: bool,
}

/// No flight is longer, whoever sends however much.
const MOST_BYTES: usize = 64 << 20;

/// FNV-1a in 64 bits, at its beginning.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

impl Beginning {
    /// Whether it is that of the room: nothing was before.
    #[must_use]
    pub fn is_of_the_room(&self) -> bool {
        self.ticks == 0 && self.people.is_empty()
    }

    fn new(chain: Arc<ChainSpec>) -> Self {
        Self { chain, ticks: 0, shedding: Shedding::NONE, people: Vec::new() }
    }

    /// Goes on to behind an input.
    fn pass(&mut self, input: Input) {
        match input {
            Input::Join(id, chain, codec) => {
                self.people.push(Person { id, chain, codec, settings: Vec::new() });
            }
            Input::Leave(id) => {
                self.people.retain(|person| person.id != id);
                let is_of = |it: &Input| matches!(it, Input::Hear(_, other, _) if *other == id);
                self.people.iter_mut().for_each(|it| it.settings.retain(|it| !is_of(it)));
            }
            Input::Mute(id, _)
            | Input::Gain(id, _)
            | Input::Hear(id, ..)
            | Input::Deaf(id, _)
            | Input::Dtx(id, _)
            | Input::Stereo(id, _) => {
                if let Some(person) = self.people.iter_mut().find(|person| person.id == id) {
                    person.settings.retain(|earlier| !earlier.is_replaced_by(&input));
                    person.settings.push(input);
                }
            }
            Input::Chain(change) => {
                self.chain = Arc::clone(&change.chain);
                for (id, chain) in &change.inputs {
                    if let Some(person) = self.people.iter_mut().find(|it| it.id == *id) {
                        person.chain = Arc::clone(chain);
                    }
                }
            }
            Input::Shed(shedding) => self.shedding = shedding,
            Input::Ticks(_, count) | Input::Skip(count) => self.ticks += count,
            // It was heard, or is past.
            Input::Push(..)
            | Input::LoopBack(..)
            | Input::Report(..)
            | Input::Settle
            | Input::Play => {}
        }
    }
}

impl Input {
    /// What it takes in memory, about.
    fn bytes(&self) -> usize {
        let payload = match self {
            Self::Push(_, frame) => frame.payload.len(),
            _ => 0,
        };
        size_of::<Self>() + payload
    }

    /// Whether anything of it is left once it was given.
    fn lasts(&self) -> bool {
        use Input::{LoopBack, Play, Push, Report, Settle};
        !matches!(self, Push(..) | LoopBack(..) | Report(..) | Settle | Play)
    }

    /// Whether nothing is left of it after `later`, which is of the same participant.
    fn is_replaced_by(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::Hear(_, one, _), Self::Hear(_, other, _)) => one == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(later),
        }
    }
}

impl Flight {
    /// Of a room that begins with that chain: keeps as much as is needed for the last `span`. Allocates.
    #[must_use]
    pub fn new(chain: Arc<ChainSpec>, span: Duration) -> Self {
        let inputs = VecDeque::with_capacity(TICKS_BETWEEN);
        Self { inputs, ..Self::of(span, Beginning::new(chain)) }
    }

    fn of(span: Duration, beginning: Beginning) -> Self {
        let inputs = VecDeque::new();
        Self { span, beginning, inputs, now: None, sent: FNV_BASIS, bytes: 0, trimmed: false }
    }

    /// What is put together of what was kept of a room, from the time of `earlier` on, with this as what came behind it. Where
    /// this has let go of some already, all that was earlier is too old.
    #[must_use]
    pub fn behind(mut self, mut earlier: Self) -> Self {
        if self.trimmed {
            return self;
        }
        earlier.bytes += self.bytes;
        earlier.inputs.append(&mut self.inputs);
        earlier.now = self.now.or(earlier.now);
        earlier.sent = self.sent;
        earlier.trim();
        earlier
    }

    /// What the room was before the first of [`Self::inputs`].
    #[must_use]
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// What it was given since, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &Input> {
        self.inputs.iter()
    }

    /// A number that tells all packets that the room ever sent from any others (FNV-1a).
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Put together again from what [`Self::beginning`] and [`Self::inputs`] had.
    #[must_use]
    pub fn from_parts(beginning: Beginning, inputs: Vec<Input>) -> Self {
        Self { inputs: inputs.into(), ..Self::of(Duration::MAX, beginning) }
    }

    /// Not part of the tick: may allocate and free.
    pub(crate) fn note(&mut self, input: Input) {
        self.bytes += input.bytes();
        self.inputs.reserve(1 + TICKS_BETWEEN);
        self.inputs.push_back(input);
        self.trim();
    }

    /// Allocates and frees nothing.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = Some(now);
        if let Some(Input::Ticks(first, count)) = self.inputs.back_mut() {
            let next = u32::try_from(*count).ok().and_then(|count| first.checked_add(TICK * count));
            if next == Some(now) {
                *count += 1;
                return;
            }
        }
        if self.inputs.len() < self.inputs.capacity() {
            let ticks = Input::Ticks(now, 1);
            self.bytes += ticks.bytes();
            self.inputs.push_back(ticks);
        }
    }

    /// Something was sent. Allocates nothing.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.sent = (self.sent ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// All that was kept, which is kept no longer: what comes goes on behind it. Allocates.
    pub(crate) fn take(&mut self) -> Self {
        let mut beginning = self.beginning.clone();
        let lasting = self.inputs.iter().filter(|input| input.lasts());
        lasting.for_each(|input| beginning.pass(input.clone()));
        let inputs = VecDeque::with_capacity(TICKS_BETWEEN);
        let next =
            Self { inputs, now: self.now, sent: self.sent, ..Self::of(self.span, beginning) };
        std::mem::replace(self, next)
    }

    /// Lets go of what is too old, or too much.
    fn trim(&mut self) {
        while self.bytes > MOST_BYTES {
            let Some(input) = self.inputs.pop_front() else { break };
            self.let_go(input);
        }
        let Some(oldest) = self.now.and_then(|now| now.checked_sub(self.span)) else { return };
        // Up to the first tick that is to be kept.
        loop {
            let first_tick = self.inputs.iter().position(|it| matches!(it, Input::Ticks(..)));
            let Some(place) = first_tick else { return };
            let Input::Ticks(first, count) = &mut self.inputs[place] else { return };
            let age = oldest.saturating_duration_since(*first).as_nanos() / TICK.as_nanos();
            let old = u64::try_from(age).unwrap_or(u64::MAX).min(*count);
            if old == 0 {
                return;
            }
            let kept = *count - old;
            for input in self.inputs.drain(..place).collect::<Vec<_>>() {
                self.let_go(input);
            }
            self.beginning.ticks += old;
            self.trimmed = true;
            match self.inputs.front_mut() {
                Some(Input::Ticks(first, count)) if kept > 0 => {
                    *first += TICK * u32::try_from(old).unwrap_or(u32::MAX);
                    *count = kept;
                    return;
                }
                _ => {
                    let ticks = self.inputs.pop_front();
                    self.bytes -= ticks.map_or(0, |ticks| ticks.bytes()).min(self.bytes);
                }
            }
        }
    }

    fn let_go(&mut self, input: Input) {
        self.bytes -= input.bytes().min(self.bytes);
        self.beginning.pass(input);
        self.trimmed = true;
    }

    /// Gives a room of that kind all of it again, and shows the room after each tick. Takes its chain from what was kept.
    /// Returns what [`Self::sent`] is of that room. Allocates.
    ///
    /// # Errors
    /// When a stage or libopus refuses.
    pub fn replay(
        &self,
        spec: &RoomSpec,
        mut after_tick: impl FnMut(&Room),
    ) -> Result<u64, AdmissionError> {
        let Beginning { chain, ticks, shedding, people } = &self.beginning;
        let mut room = Room::new(RoomSpec { chain: Arc::clone(chain), ..spec.clone() })?;
        room.keep_flight(Duration::ZERO);
        room.skip(*ticks);
        room.shed(*shedding);
        for Person { id, chain, codec, .. } in people {
            give(&mut room, &Input::Join(*id, Arc::clone(chain), *codec))?;
        }
        // Once all are there: of whom they hear how.
        for setting in people.iter().flat_map(|person| &person.settings) {
            give(&mut room, setting)?;
        }
        for input in &self.inputs {
            if let Input::Ticks(first, count) = input {
                for tick in 0..u32::try_from(*count).unwrap_or(u32::MAX) {
                    let now = *first + TICK * tick;
                    room.tick(now, &mut NoProbe, &Sequential);
                    while room.take_over().is_some() {}
                    after_tick(&room);
                }
            } else {
                give(&mut room, input)?;
            }
        }
        Ok(room.take_flight().map_or(FNV_BASIS, |flight| flight.sent))
    }
}

fn give(room: &mut Room, input: &Input) -> Result<(), AdmissionError> {
    match input {
        Input::Join(id, chain, codec) => {
            let spec = RoomSpec { chain: Arc::clone(chain), ..room.spec().clone() };
            room.join(*id, Admission::build_for(&spec, *codec)?);
        }
        Input::Leave(id) => drop(room.leave(*id)),
        Input::Push(id, frame) => room.push(*id, frame.clone()),
        Input::Mute(id, muted) => room.set_muted(*id, *muted),
        Input::Gain(id, gain_db) => room.set_gain(*id, *gain_db),
        Input::Hear(listener, other, heard) => room.set_heard_as(*listener, *other, *heard),
        Input::LoopBack(id, duration) => room.loop_back(*id, *duration),
        Input::Deaf(id, deaf) => room.set_deaf(*id, *deaf),
        Input::Dtx(id, dtx) => room.set_dtx(*id, *dtx),
        Input::Stereo(id, stereo) => room.set_stereo(*id, *stereo),
        Input::Report(id, fraction_lost) => room.report(*id, *fraction_lost),
        Input::Chain(changed) => {
            let inputs: Vec<_> = changed
                .inputs
                .iter()
                .filter_map(|(id, to)| {
                    let from = Arc::clone(room.chain_of(*id)?);
                    Some(InputChange { id: *id, from, to: Arc::clone(to) })
                })
                .collect();
            let change = ChainChange::build(&room.spec().chain, &changed.chain, &inputs)?;
            // The room took it when it was made.
            let _ = room.change_chain(change);
        }
        Input::Settle => room.settle_changes(),
        Input::Shed(shedding) => room.shed(*shedding),
        Input::Skip(ticks) => room.skip(*ticks),
        Input::Play | Input::Ticks(..) => {}
    }
    Ok(())
}
