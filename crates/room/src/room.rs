//! The room and its tick.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_chain::{ChainSpec, Change, NoProbe};
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, SAMPLE_RATE_HZ};

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::bus::MixBus;
use crate::change::ChainChange;
use crate::codec::{CodecError, MAX_ENCODED_BYTES, OpusEncoder, OpusSettings};
use crate::delay::LatencyProfile;
use crate::mix::{Contributor, MAX_CONTRIBUTORS, Mix, Recipe};
use crate::output_class::OutputClass;
use crate::packets::{CaptureTime, EncodedFrame};
use crate::participant::{Admission, Departed, Participant, ParticipantId};
use crate::probe::RoomProbe;
use crate::readings::ChainReadings;
use crate::receiver::{Pulled, Receiver};
use crate::talkers::{SILENCE_DBFS, Talkers};

/// The time between two calls of [`Room::tick`].
pub const TICK: Duration = Duration::from_millis(10);

/// Who has just talked keeps an own mix for at least 3 s; then a silence, or at the latest 15 s,
/// brings the participant back to the common one.
const OWN_MIX_BLOCKS: u32 = 1500;
const OWN_MIX_SURE_BLOCKS: u32 = 300;

/// Packets told for one tick at most; more talkers' packets than that are not measured.
const MAX_PLAYED: usize = 128;

/// What a room is made of.
#[derive(Clone, Debug)]
pub struct RoomSpec {
    /// The chain; where it has no `mix`, each participant hears their own processed voice.
    pub chain: Arc<ChainSpec>,
    /// How mixes are encoded.
    pub opus: OpusSettings,
    /// What is traded for delay.
    pub latency: LatencyProfile,
}

/// How loud one participant is, after its chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Who.
    pub id: ParticipantId,
    /// Short-term level in dBFS; -90 is the floor and stands for silence.
    pub level_dbfs: f32,
    /// Whether the participant is in the mix.
    pub talking: bool,
}

/// One packet for one participant.
#[derive(Clone, Copy, Debug)]
pub struct MixPacket<'a> {
    /// To whom.
    pub to: ParticipantId,
    /// Names the distinct mix: packets with the same number have the same payload.
    pub mix: usize,
    /// The Opus packet.
    pub payload: &'a [u8],
    /// RTP time of the first sample at 48 kHz.
    pub rtp_time: u32,
    /// First packet after a silence.
    pub marker: bool,
    /// The packet before it, where packets are lost on the way and a copy is of help.
    pub copy: Option<&'a [u8]>,
    /// Who is heard in it, the loudest first.
    pub contributors: &'a [Contributor],
    /// When what the loudest says in it was captured, if known.
    pub captured: Option<CaptureTime>,
}

/// A talker's packet whose last sample is in the packets that a tick closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayedPacket {
    /// When it came.
    pub arrival: Instant,
    /// Algorithmic delay of the chain's stages that it went through.
    pub chain_delay: Duration,
}

/// A conference room: participants in, one mix for each out.
pub struct Room {
    spec: RoomSpec,
    participants: Vec<Participant>,
    /// Where each of them is: every packet that comes in asks.
    places: HashMap<ParticipantId, usize>,
    /// As many as participants: the most that can be distinct.
    mixes: Vec<Mix>,
    talkers: Talkers,
    bus: MixBus,
    /// When the last tick was.
    now: Option<Instant>,
    block: AudioBuffer,
    silence: Vec<u8>,
    played: Vec<PlayedPacket>,
    /// Who is in the mix, the loudest first.
    heard: Vec<(Contributor, Option<CaptureTime>)>,
    encode_ns: u64,
    ticks: u64,
    packet_ready: bool,
}

impl Room {
    /// An empty room. Allocates.
    ///
    /// # Errors
    /// When libopus refuses the settings.
    pub fn new(spec: RoomSpec) -> Result<Self, CodecError> {
        let max_talkers = spec.chain.mix.map_or(0, |mix| mix.max_talkers);
        let silence = encoded_silence(&spec)?;
        Ok(Self {
            spec,
            participants: Vec::new(),
            places: HashMap::new(),
            mixes: Vec::new(),
            talkers: Talkers::new(max_talkers),
            bus: MixBus::new(),
            now: None,
            block: AudioBuffer::mono(),
            silence,
            played: Vec::with_capacity(MAX_PLAYED),
            heard: Vec::with_capacity(MAX_CONTRIBUTORS + 1),
            encode_ns: 0,
            ticks: 0,
            packet_ready: false,
        })
    }

    /// The chain and settings of this room.
    #[must_use]
    pub fn spec(&self) -> &RoomSpec {
        &self.spec
    }

    /// Brings a participant in. Not part of the tick: may allocate.
    ///
    /// # Panics
    /// If `id` is in the room already (a bug of the caller).
    pub fn join(&mut self, id: ParticipantId, admission: Admission) {
        assert!(self.find(id).is_none(), "participant {id} is in the room already");
        let Admission { chain, receiver, input, mix } = admission;
        self.mixes.push(mix);
        let recipe = self.quiet_recipe(id);
        let hears = match self.mix_of(recipe, OutputClass::default()) {
            Some(mix) => mix,
            None => {
                let free = self.free_mix();
                self.mixes[free].clear();
                self.dedicate(free, recipe, OutputClass::default());
                free
            }
        };
        self.mixes[hears].listeners += 1;
        self.places.insert(id, self.participants.len());
        self.participants.push(Participant::new(id, receiver, chain, input, hears));
    }

    /// Takes a participant out; whoever hears it hears it fade. Not part of the tick. What it
    /// leaves is handed over so that its memory can be freed elsewhere. `None` if it is not here.
    pub fn leave(&mut self, id: ParticipantId) -> Option<Departed> {
        let index = self.find(id)?;
        self.fade_out(index);
        let participant = self.participants.remove(index);
        self.places.remove(&id);
        self.places.values_mut().filter(|place| **place > index).for_each(|place| *place -= 1);
        self.release_mix(participant.hears);
        let free = self.free_mix();
        let mix = self.mixes.swap_remove(free);
        let moved = self.mixes.len();
        for other in self.participants.iter_mut().filter(|p| p.hears == moved) {
            other.hears = free;
        }
        Some(Departed::new(participant, Some(mix)))
    }

    /// The chain whose stages before `mix` a participant has: the room's, or another.
    #[must_use]
    pub fn chain_of(&self, id: ParticipantId) -> Option<&Arc<ChainSpec>> {
        Some(&self.participants[self.find(id)?].chain)
    }

    /// How many are in the room.
    #[must_use]
    pub fn len(&self) -> usize {
        self.participants.len()
    }

    /// Whether nobody is in the room.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.participants.is_empty()
    }

    /// Takes a packet of a participant; of an unknown one it is dropped.
    pub fn push(&mut self, id: ParticipantId, frame: EncodedFrame) {
        if let Some(index) = self.find(id) {
            self.participants[index].receiver.push(frame);
        }
    }

    /// Mutes or unmutes a participant for all others.
    pub fn set_muted(&mut self, id: ParticipantId, muted: bool) {
        if let Some(index) = self.find(id) {
            self.participants[index].muted = muted;
        }
    }

    /// A receiver report of a listener: the share of packets lost on the way to it, 0 to 1. Moves
    /// it between encoders that prepare for loss to different degrees.
    pub fn report(&mut self, id: ParticipantId, fraction_lost: f32) {
        if let Some(index) = self.find(id) {
            self.participants[index].downlink.report(fraction_lost);
        }
    }

    /// Goes on with another chain, without a click: see [`foldback_chain::Change`]. What cannot be
    /// heard changes at once. Returns what is to be freed; media side: allocates nothing.
    ///
    /// # Errors
    /// Gives the change back, and nothing is changed, if it was built for another chain or other
    /// participants, or if too many changes are under way.
    pub fn change_chain(&mut self, mut change: ChainChange) -> Result<ChainChange, ChainChange> {
        let inputs = self.participants.iter().map(|p| (p.id, &p.chain, &p.input));
        if !change.fits(&self.spec.chain, inputs, self.mixes.iter().map(Mix::output)) {
            return Err(change);
        }
        // All of them were asked before, so that none refuses.
        for p in &mut self.participants {
            let Some(input) = change.inputs.iter_mut().find(|input| input.id == p.id) else {
                continue;
            };
            if let Some(change) = input.change.take() {
                let _ = p.input.change(change);
            }
            std::mem::swap(&mut p.chain, &mut input.chain);
        }
        for mix in &mut self.mixes {
            if let Some(output) = change.outputs.pop() {
                let _ = mix.change_output(output);
            }
        }
        self.talkers.set_max(change.chain.mix.map_or(0, |mix| mix.max_talkers));
        std::mem::swap(&mut self.spec.chain, &mut change.chain);
        Ok(change)
    }

    /// Ends all changes that are under way at once, which may be heard.
    pub fn settle_changes(&mut self) {
        self.participants.iter_mut().for_each(|p| p.input.settle());
        self.mixes.iter_mut().for_each(Mix::settle_output);
    }

    /// A change of one of the chains that is over, with the stages that it took out: to be freed
    /// where that may take time.
    pub fn take_over(&mut self) -> Option<Change> {
        let inputs = self.participants.iter_mut().find_map(|p| p.input.take_over());
        inputs.or_else(|| self.mixes.iter_mut().find_map(Mix::take_over))
    }

    /// Lets 10 ms pass; every call (with packets of 20 ms every second one) closes a packet, see
    /// [`Self::packets`]. `now` is when the tick was due, not when it came to run: receivers
    /// measure how long packets may take against an even clock.
    ///
    /// Never allocates, locks, logs, blocks or panics. `probe` is told the time of each stage,
    /// by its number before or after `mix`.
    pub fn tick<P: RoomProbe>(&mut self, now: Instant, probe: &mut P) {
        self.ticks += 1;
        self.now = Some(now);
        // All blocks of a packet are pulled when it closes: what comes in until then is in it.
        self.packet_ready = self.ticks.is_multiple_of(self.blocks() as u64);
        if !self.packet_ready {
            return;
        }
        self.played.clear();
        self.encode_ns = 0;
        for index in 0..self.participants.len() {
            self.listen_to(index, now, probe);
        }
        self.choose_talkers();
        for index in 0..self.participants.len() {
            self.assign_mix(index);
        }
        self.sum();
        self.name_contributors();
        self.render(probe);
    }

    /// Lets `ticks` ticks pass unplayed, when the caller was held up for too long: the time in
    /// outgoing packets moves on, nothing is sent for them.
    pub fn skip(&mut self, ticks: u64) {
        self.ticks += ticks;
        self.packet_ready = false;
        // No packet goes out in the place before the next one.
        self.mixes.iter_mut().for_each(Mix::forget_last_packet);
    }

    /// The packets that the last tick closed: one for each participant, or none.
    pub fn packets(&self) -> impl Iterator<Item = MixPacket<'_>> {
        let packet = self.ticks / self.blocks() as u64;
        let rtp_time = packet.wrapping_mul(self.packet_samples() as u64) as u32;
        self.participants.iter().filter(|_| self.packet_ready).map(move |p| {
            let mix = &self.mixes[p.hears];
            MixPacket {
                to: p.id,
                mix: p.hears,
                payload: mix.payload().unwrap_or(&self.silence),
                rtp_time,
                marker: mix.marker(),
                copy: mix.last_payload(),
                contributors: mix.contributors(),
                captured: mix.captured(),
            }
        })
    }

    /// Those packets of talkers whose last sample is in the packets just closed.
    #[must_use]
    pub fn played(&self) -> &[PlayedPacket] {
        if self.packet_ready { &self.played } else { &[] }
    }

    /// How long the last tick spent in encoders, by the clock of its probe.
    #[must_use]
    pub fn encode_time(&self) -> Duration {
        Duration::from_nanos(self.encode_ns)
    }

    /// What the participant was sent last, before encoding.
    #[must_use]
    pub fn mix_heard_by(&self, id: ParticipantId) -> Option<&[f32]> {
        let participant = &self.participants[self.find(id)?];
        Some(self.mixes[participant.hears].sent())
    }

    /// How loud everybody is.
    pub fn levels(&self) -> impl Iterator<Item = Level> + '_ {
        self.participants.iter().map(|p| Level {
            id: p.id,
            level_dbfs: p.activity.level_dbfs(),
            talking: p.in_mix,
        })
    }

    /// The receiver of a participant, for its counters.
    #[must_use]
    pub fn receiver(&self, id: ParticipantId) -> Option<&Receiver> {
        Some(&self.participants[self.find(id)?].receiver)
    }

    /// Everybody's receiver, for counters.
    pub fn receivers(&self) -> impl Iterator<Item = (ParticipantId, &Receiver)> {
        self.participants.iter().map(|p| (p.id, &p.receiver))
    }

    /// How many encoders run.
    #[must_use]
    pub fn encoders_at_work(&self) -> usize {
        self.mixes.iter().filter(|mix| mix.is_at_work()).count()
    }

    /// How many stages were taken out of running chains of those who are here now.
    #[must_use]
    pub fn faults(&self) -> u64 {
        let inputs: u64 = self.participants.iter().map(|p| p.input.faults()).sum();
        inputs + self.mixes.iter().map(Mix::faults).sum::<u64>()
    }

    /// The live values of the stages that run now: of each participant's before `mix`, and of
    /// those after it for each distinct mix. Left out are chains that stand still, for nothing is
    /// heard in them, and those that are just being changed. Allocates nothing.
    pub fn readings(&self) -> impl Iterator<Item = ChainReadings<'_>> {
        let heard = |p: &&Participant| p.activity.level_dbfs() > SILENCE_DBFS;
        let inputs = self.participants.iter().filter(heard);
        let inputs = inputs.map(|p| ChainReadings::new(Some(p.id), &p.chain, &p.input));
        let mixes = self.mixes.iter().filter(|mix| mix.leads && mix.is_at_work());
        let outputs = mixes.map(|mix| ChainReadings::new(None, &self.spec.chain, mix.output()));
        inputs.chain(outputs).filter(ChainReadings::is_settled)
    }

    /// Pulls one packet's worth of a participant through its input chain.
    fn listen_to<P: RoomProbe>(&mut self, index: usize, now: Instant, probe: &mut P) {
        let blocks = self.blocks();
        let p = &mut self.participants[index];
        probe.turn_to(Some(p.id));
        let heard = &self.mixes[p.hears];
        for block in 0..blocks {
            let pulled = p.receiver.pull(now, &mut self.block);
            let mut cx = BlockContext {
                far_end: Some(heard.far_end(block)),
                timeline: p.receiver.timeline(),
                voice_probability: None,
            };
            let silent = pulled == Pulled::Idle || (p.muted && p.silenced);
            p.follow_mute(&mut self.block);
            let out = &mut p.audio[block * BLOCK_SAMPLES..][..BLOCK_SAMPLES];
            if silent && p.held_back == 0 {
                p.input.idle(&mut cx);
                p.activity.block(None);
                out.fill(0.0);
                continue;
            }
            // What the chain holds back when the participant falls silent is still played: it
            // belongs to what was said before, not to what will be said after.
            if silent {
                self.block.clear();
                p.held_back = p.held_back.saturating_sub(BLOCK_SAMPLES);
            } else {
                p.held_back = p.input.delay_samples();
            }
            p.input.process(&mut self.block, &mut cx, probe);
            p.activity.block(Some(self.block.rms()));
            out.copy_from_slice(self.block.plane(0));
        }
        let delay = (p.input.delay_samples() + heard.output_delay_samples()) as u64;
        let chain_delay = Duration::from_nanos(delay * 1_000_000_000 / u64::from(SAMPLE_RATE_HZ));
        while let Some(arrival) = p.receiver.next_played(now, delay) {
            if p.activity.is_talking() && self.played.len() < MAX_PLAYED {
                self.played.push(PlayedPacket { arrival, chain_delay });
            }
        }
    }

    fn fade_out(&mut self, index: usize) {
        let Some(now) = self.now.filter(|_| self.participants[index].in_mix) else { return };
        self.listen_to(index, now, &mut NoProbe);
        let samples = self.packet_samples();
        let p = &mut self.participants[index];
        p.follow_choice(false, samples);
        self.bus.part_with(&p.audio[..samples]);
    }

    fn choose_talkers(&mut self) {
        let candidates = self.participants.iter().map(|p| (p.id, p.activity, p.in_mix));
        self.talkers.choose(candidates);
        let mixes = self.spec.chain.mix.is_some();
        let samples = self.packet_samples();
        for p in &mut self.participants {
            let chosen = if mixes { self.talkers.contains(p.id) } else { p.activity.is_talking() };
            p.follow_choice(chosen, samples);
        }
    }

    /// Moves a participant to the mix that leaves itself out, or back to the common one.
    fn assign_mix(&mut self, index: usize) {
        let anyone = self.participants.iter().any(|p| p.contributes);
        let blocks = self.blocks() as u32;
        let p = &mut self.participants[index];
        if p.contributes {
            p.own_mix_hold = OWN_MIX_BLOCKS;
        } else {
            let may_return = !anyone && p.own_mix_hold + OWN_MIX_SURE_BLOCKS <= OWN_MIX_BLOCKS;
            p.own_mix_hold = if may_return { 0 } else { p.own_mix_hold.saturating_sub(blocks) };
        }
        let (id, hears, own) = (p.id, p.hears, p.own_mix_hold > 0);
        let class = p.downlink.class();
        let wanted = if own { self.talker_recipe(id) } else { self.quiet_recipe(id) };
        let now = &self.mixes[hears];
        if now.recipe == Some(wanted) && now.class == class {
            return;
        }
        let to = match self.mix_of(wanted, class) {
            Some(existing) => existing,
            None if now.listeners == 1 => {
                // Nobody else hears it: the encoder goes on under the new rule, without a seam.
                self.dedicate(hears, wanted, class);
                return;
            }
            None => {
                let free = self.free_mix();
                if let Ok([from, to]) = self.mixes.get_disjoint_mut([hears, free]) {
                    to.adopt(class);
                    to.prime(from);
                }
                self.dedicate(free, wanted, class);
                free
            }
        };
        self.release_mix(hears);
        self.mixes[to].listeners += 1;
        self.participants[index].hears = to;
    }

    fn sum(&mut self) {
        self.bus.begin();
        let participants = &self.participants;
        for p in participants.iter().filter(|p| p.contributes) {
            self.bus.add(&p.audio);
        }
        let (bus, samples) = (&self.bus, self.blocks() * BLOCK_SAMPLES);
        for mix in &mut self.mixes {
            let Some(recipe) = mix.recipe else { continue };
            let part =
                |id: ParticipantId| participants.iter().find(|p| p.id == id && p.contributes);
            match recipe {
                Recipe::Everyone => mix.fill(bus.voices() == 0, |sum| bus.all(sum)),
                Recipe::Without(id) => match part(id) {
                    Some(own) => mix.fill(bus.voices() == 1, |sum| bus.without(&own.audio, sum)),
                    None => mix.fill(bus.voices() == 0, |sum| bus.all(sum)),
                },
                Recipe::Only(id) => {
                    let own = part(id);
                    mix.fill(own.is_none(), |sum| {
                        if let Some(own) = own {
                            sum.copy_from_slice(&own.audio[..samples]);
                        }
                    });
                }
            }
        }
    }

    /// Runs the output chain once for each distinct recipe, and the encoder once for each class of
    /// its listeners.
    fn render<P: RoomProbe>(&mut self, probe: &mut P) {
        probe.turn_to(None);
        for mix in self.mixes.iter_mut().filter(|mix| mix.leads) {
            self.encode_ns += mix.render(probe);
        }
        for index in 0..self.mixes.len() {
            let mix = &self.mixes[index];
            if mix.leads || mix.recipe.is_none() {
                continue;
            }
            let leader = self.leader_of(mix.recipe);
            let both = leader.map(|leader| self.mixes.get_disjoint_mut([index, leader]));
            if let Some(Ok([mix, leader])) = both {
                self.encode_ns += mix.render_as(leader, probe);
            }
        }
    }

    /// Notes in each mix who is heard in it.
    fn name_contributors(&mut self) {
        self.heard.clear();
        for p in self.participants.iter().filter(|p| p.in_mix) {
            let level_minus_dbov = (-p.activity.level_dbfs()).clamp(0.0, 127.0) as u8;
            let captured = p.receiver.captured().and_then(|captured| {
                let delay = p.input.delay_samples() + self.mixes[p.hears].output_delay_samples();
                let delay = Duration::from_secs_f64(delay as f64 / f64::from(SAMPLE_RATE_HZ));
                let since_epoch = captured.since_epoch.checked_sub(delay)?;
                Some(CaptureTime { since_epoch, ..captured })
            });
            let place = self.heard.iter().position(|(c, _)| c.level_minus_dbov > level_minus_dbov);
            let contributor = Contributor { id: p.id, level_minus_dbov };
            self.heard.truncate(MAX_CONTRIBUTORS);
            self.heard.insert(place.unwrap_or(self.heard.len()), (contributor, captured));
        }
        for mix in &mut self.mixes {
            let Some(recipe) = mix.recipe else { continue };
            let heard = self.heard.iter().copied();
            mix.set_contributors(heard.filter(|(c, _)| match recipe {
                Recipe::Everyone => true,
                Recipe::Without(id) => c.id != id,
                Recipe::Only(id) => c.id == id,
            }));
        }
    }

    fn talker_recipe(&self, id: ParticipantId) -> Recipe {
        if self.spec.chain.mix.is_some() { Recipe::Without(id) } else { Recipe::Only(id) }
    }

    fn quiet_recipe(&self, id: ParticipantId) -> Recipe {
        if self.spec.chain.mix.is_some() { Recipe::Everyone } else { Recipe::Only(id) }
    }

    fn mix_of(&self, recipe: Recipe, class: OutputClass) -> Option<usize> {
        self.mixes.iter().position(|mix| mix.recipe == Some(recipe) && mix.class == class)
    }

    fn leader_of(&self, recipe: Option<Recipe>) -> Option<usize> {
        self.mixes.iter().position(|mix| mix.leads && mix.recipe == recipe)
    }

    /// Makes a mix one of `recipe` for listeners of `class`.
    fn dedicate(&mut self, index: usize, recipe: Recipe, class: OutputClass) {
        if self.mixes[index].recipe != Some(recipe) {
            let led = self.mixes[index].leads;
            let handed_over = self.give_up_lead(index);
            let leads = self.leader_of(Some(recipe)).is_none();
            let mix = &mut self.mixes[index];
            // Its chain has stood still while another's ran for it.
            if leads && mix.recipe.is_some() && (handed_over || !led) {
                mix.catch_up();
            }
            (mix.recipe, mix.leads) = (Some(recipe), leads);
        }
        self.mixes[index].adopt(class);
    }

    /// Lets another mix of the same recipe go on with the output chain; false if there is none.
    fn give_up_lead(&mut self, index: usize) -> bool {
        if !std::mem::take(&mut self.mixes[index].leads) {
            return false;
        }
        let recipe = self.mixes[index].recipe;
        let heir = (0..self.mixes.len()).find(|i| *i != index && self.mixes[*i].recipe == recipe);
        let both = heir.map(|heir| self.mixes.get_disjoint_mut([index, heir]));
        let Some(Ok([mix, heir])) = both else { return false };
        mix.hand_over(heir);
        true
    }

    /// There are as many mixes as participants, so one is free whenever one is shared or given
    /// up.
    fn free_mix(&self) -> usize {
        self.mixes.iter().position(|mix| mix.listeners == 0).unwrap_or(0)
    }

    fn release_mix(&mut self, index: usize) {
        let listeners = self.mixes[index].listeners.saturating_sub(1);
        self.mixes[index].listeners = listeners;
        if listeners == 0 {
            self.give_up_lead(index);
            self.mixes[index].recipe = None;
        }
    }

    /// Blocks in a packet out.
    fn blocks(&self) -> usize {
        self.spec.latency.blocks_per_packet()
    }

    fn packet_samples(&self) -> usize {
        self.blocks() * BLOCK_SAMPLES
    }

    fn find(&self, id: ParticipantId) -> Option<usize> {
        self.places.get(&id).copied()
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("chain", &self.spec.chain.name)
            .field("participants", &self.participants.len())
            .finish_non_exhaustive()
    }
}

/// What listeners get while nobody talks: a packet that needs no encoder.
fn encoded_silence(spec: &RoomSpec) -> Result<Vec<u8>, CodecError> {
    let mut encoder = OpusEncoder::new(&spec.opus)?;
    let samples = spec.latency.blocks_per_packet() * BLOCK_SAMPLES;
    let mut payload = vec![0; MAX_ENCODED_BYTES];
    let mut len = 0;
    // The first packets of an encoder say more than the later ones.
    for _ in 0..10 {
        len = encoder.encode(&[0.0; MAX_PACKET_SAMPLES_OUT][..samples], &mut payload).unwrap_or(0);
    }
    payload.truncate(len);
    Ok(payload)
}

const _: () = assert!(SILENCE_DBFS == -90.0, "documented in `Level`");
