//! The room and its tick.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_chain::{ChainSpec, Change};
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, SAMPLE_RATE_HZ, StageFormat, db_to_amplitude};

use crate::bus::Buses;
use crate::change::ChainChange;
use crate::codec::{Codec, CodecError, MixSound, OpusSettings};
use crate::delay::LatencyProfile;
use crate::flight::{Flight, Input};
use crate::fork_join::ForkJoin;
use crate::hearing::HeardAs;
use crate::mix::{Contributor, MAX_CONTRIBUTORS, Mix, Recipe};
use crate::mixes::Mixes;
use crate::output_class::{Downlink, OutputClass};
use crate::packets::{CaptureTime, EncodedFrame};
use crate::participant::{Admission, Departed, Listening, Participant, ParticipantId, Spare};
use crate::player::Player;
use crate::probe::{Clock, NoClock, RoomProbe};
use crate::readings::ChainReadings;
use crate::receiver::Receiver;
use crate::shedding::{MAJOR_TALKERS, Shedding};
use crate::talkers::{SILENCE_DBFS, Talkers};

/// The time between two calls of [`Room::tick`].
pub const TICK: Duration = Duration::from_millis(10);

/// Who has just talked keeps an own mix for at least 3 s; then a silence, or at the latest 15 s,
/// brings the participant back to the common one.
const OWN_MIX_BLOCKS: u32 = 1500;
const OWN_MIX_SURE_BLOCKS: u32 = 300;

/// Packets told for one tick at most; more talkers' packets than that are not measured.
const MAX_PLAYED: usize = 128;

/// So many files and chimes play in a room at a time.
const MOST_PLAYERS: usize = 6;

/// What a room is made of.
#[derive(Clone, Debug)]
pub struct RoomSpec {
    /// The chain; where it has no `mix`, each participant hears their own processed voice.
    pub chain: Arc<ChainSpec>,
    /// How mixes are encoded.
    pub opus: OpusSettings,
    /// What is traded for delay.
    pub latency: LatencyProfile,
    /// What is not computed; all that can be spared, but for measurements.
    pub economies: Economies,
}

impl RoomSpec {
    /// Bits per second of a mix in stereo, if the room is stereo.
    #[must_use]
    pub fn stereo_bps(&self) -> Option<u32> {
        let mut class = Downlink::default();
        class.set_stereo(true);
        let settings = class.class().settings(&self.opus);
        let is_stereo = self.chain.format == StageFormat::STEREO;
        u32::try_from(settings.bitrate_bps).ok().filter(|_| is_stereo)
    }
}

/// What a room does not compute, since nobody hears a difference. Switched off to measure what it
/// saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Economies {
    /// Listeners who hear the same share an output chain and an encoder.
    pub share_mixes: bool,
    /// Those who are silent are not decoded and not run through their chain, and where nobody
    /// talks nothing is encoded.
    pub skip_silence: bool,
}

impl Default for Economies {
    fn default() -> Self {
        Self { share_mixes: true, skip_silence: true }
    }
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

impl Level {
    /// Nothing is heard of the participant, and it is not in the mix.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        !self.talking && self.level_dbfs <= SILENCE_DBFS
    }
}

/// One packet for one participant.
#[derive(Clone, Copy, Debug)]
pub struct MixPacket<'a> {
    /// To whom.
    pub to: ParticipantId,
    /// Names the distinct mix: packets with the same number have the same payload.
    pub mix: usize,
    /// The Opus packet; empty for those whose codec is another one.
    pub payload: &'a [u8],
    /// What is in it.
    pub sound: MixSound<'a>,
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
    mixes: Mixes,
    talkers: Talkers,
    /// Those whose optional stages run where minor talkers are spared theirs.
    major: Talkers,
    shedding: Shedding,
    /// Indices of those of whom anything is in this packet.
    voices: Vec<usize>,
    buses: Buses,
    /// Sound from elsewhere that everybody hears.
    players: Vec<Player>,
    /// When the last tick was.
    now: Option<Instant>,
    played: Vec<PlayedPacket>,
    /// Who is in the mix, the loudest first.
    heard: Vec<(Contributor, Option<CaptureTime>)>,
    encode_ns: u64,
    ticks: u64,
    packet_ready: bool,
    /// What it was given, where that is kept.
    flight: Option<Box<Flight>>,
}

impl Room {
    /// An empty room. Allocates.
    ///
    /// # Errors
    /// When libopus refuses the settings.
    pub fn new(spec: RoomSpec) -> Result<Self, CodecError> {
        let max_talkers = spec.chain.mix.map_or(0, |mix| mix.max_talkers);
        Ok(Self {
            mixes: Mixes::new(&spec)?,
            buses: Buses::new(spec.chain.format),
            spec,
            participants: Vec::new(),
            places: HashMap::new(),
            talkers: Talkers::new(max_talkers),
            major: Talkers::new(MAJOR_TALKERS),
            shedding: Shedding::NONE,
            voices: Vec::new(),
            players: Vec::with_capacity(MOST_PLAYERS),
            now: None,
            played: Vec::with_capacity(MAX_PLAYED),
            heard: Vec::with_capacity(MAX_CONTRIBUTORS + 1),
            encode_ns: 0,
            ticks: 0,
            packet_ready: false,
            flight: None,
        })
    }

    /// Keeps from now on what it is given, as much as is needed for the last `span`. Allocates, and so does every call
    /// from then on but [`Self::tick`].
    pub fn keep_flight(&mut self, span: Duration) {
        self.flight = Some(Box::new(Flight::new(Arc::clone(&self.spec.chain), span)));
    }

    /// Gives away what it kept, if it does, and keeps what comes. Not part of the tick: allocates.
    pub fn take_flight(&mut self) -> Option<Box<Flight>> {
        self.flight.as_mut().map(|flight| Box::new(flight.take()))
    }

    fn note(&mut self, input: impl FnOnce() -> Input) {
        if let Some(flight) = &mut self.flight {
            flight.note(input());
        }
    }

    /// The chain and settings of this room.
    #[must_use]
    pub fn spec(&self) -> &RoomSpec {
        &self.spec
    }

    /// Brings a participant in. Not part of the tick: may allocate. Returns what the room needs no
    /// more of, to be freed where that may take time.
    ///
    /// # Panics
    /// If `id` is in the room already (a bug of the caller).
    pub fn join(&mut self, id: ParticipantId, admission: Admission) -> Option<Spare> {
        assert!(self.find(id).is_none(), "participant {id} is in the room already");
        let Admission { codec, chain, receiver, input, times, audio, mix } = admission;
        self.note(|| Input::Join(id, Arc::clone(&chain), codec));
        let needed = Mixes::needed(&self.spec, self.participants.len() + 1);
        let spare = if self.mixes.len() < needed {
            self.mixes.push(mix);
            None
        } else {
            Some(Spare::new(mix))
        };
        let downlink = match codec {
            Codec::Opus => Downlink::default(),
            Codec::Pcm(_) => Downlink::plain(),
        };
        let (recipe, class) = (self.recipe(id, false, true), downlink.class());
        self.free_a_mix(None, recipe, class);
        let hears = self.mixes.admit(recipe, class);
        self.places.insert(id, self.participants.len());
        let mut participant = Participant::new(id, receiver, chain, input, times, audio, hears);
        participant.downlink = downlink;
        self.participants.push(participant);
        self.voices.reserve(self.participants.len());
        spare
    }

    /// Takes a participant out; whoever hears it hears it fade. Not part of the tick. What it
    /// leaves is handed over so that its memory can be freed elsewhere. `None` if it is not here.
    pub fn leave(&mut self, id: ParticipantId) -> Option<Departed> {
        let index = self.find(id)?;
        self.note(|| Input::Leave(id));
        let fades = self.fade_out(index);
        let participant = self.participants.remove(index);
        for p in &mut self.participants {
            p.hearing.part_with(id, fades.then_some(&participant.audio));
        }
        self.places.remove(&id);
        self.places.values_mut().filter(|place| **place > index).for_each(|place| *place -= 1);
        self.mixes.release(participant.hears);
        let needed = Mixes::needed(&self.spec, self.participants.len());
        let mix = (self.mixes.len() > needed).then(|| {
            let (mix, before, now) = self.mixes.pop();
            for other in self.participants.iter_mut().filter(|p| p.hears == before) {
                other.hears = now;
            }
            mix
        });
        Some(Departed::new(participant, mix))
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
            self.note(|| Input::Push(id, frame.clone()));
            self.participants[index].receiver.push(frame);
        }
    }

    /// Mutes or unmutes a participant for all others.
    pub fn set_muted(&mut self, id: ParticipantId, muted: bool) {
        if let Some(index) = self.find(id) {
            self.note(|| Input::Mute(id, muted));
            self.participants[index].muted = muted;
        }
    }

    /// Has everybody hear a participant by so much louder, from the next block of its sound on, without a click: after
    /// its chain, so that no stage undoes it. Allocates nothing.
    pub fn set_gain(&mut self, id: ParticipantId, gain_db: f32) {
        if let Some(index) = self.find(id) {
            self.note(|| Input::Gain(id, gain_db));
            self.participants[index].gain = db_to_amplitude(gain_db);
        }
    }

    /// Whether what a participant says is for the others: they are neither muted nor hearing themselves.
    #[must_use]
    pub fn is_for_others(&self, id: ParticipantId) -> bool {
        let participant = self.find(id).map(|index| &self.participants[index]);
        participant.is_some_and(|p| !p.muted && !p.loopback.keeps_voice())
    }

    /// Lets everybody hear what a player plays, from the next packet on. Gives it back where as many as can be are playing,
    /// and in a chain without `mix`, in which nobody would. Allocates nothing.
    ///
    /// # Errors
    /// The player itself.
    pub fn play(&mut self, player: Player) -> Result<(), Player> {
        if self.spec.chain.mix.is_none() || self.players.len() == MOST_PLAYERS {
            return Err(player);
        }
        self.note(|| Input::Play);
        self.players.push(player);
        Ok(())
    }

    /// Ends the player called `id` with the next packet, faded out.
    pub fn stop_playing(&mut self, id: u64) {
        self.players.iter_mut().filter(|player| player.id() == id).for_each(Player::end);
    }

    /// A player that has played all, to be freed where that may take time.
    pub fn take_played(&mut self) -> Option<Player> {
        let over = self.players.iter().position(Player::is_over)?;
        Some(self.players.swap_remove(over))
    }

    /// Lets one participant hear another so from now on, without a click; all others hear what they
    /// did. Nothing happens unless both are here, and are two. At most [`MOST_OWN_MIXES`](crate::MOST_OWN_MIXES) of
    /// a room may hear anybody otherwise than [`HeardAs::PLAIN`]: whoever calls sees to it. Not part of
    /// the tick: may allocate.
    pub fn set_heard_as(&mut self, listener: ParticipantId, other: ParticipantId, heard: HeardAs) {
        if let (Some(index), Some(place)) = (self.find(listener), self.find(other))
            && index != place
        {
            self.note(|| Input::Hear(listener, other, heard));
            let sounds = self.participants[place].contributes;
            let p = &mut self.participants[index];
            p.hearing.set(other, heard, p.downlink.class().is_stereo(), sounds);
        }
    }

    /// Gives a participant its own voice back for `duration` from the next packet on, as it comes out of
    /// its chain and beside all that it hears otherwise; nobody else hears that voice meanwhile, muted or
    /// not. Zero ends it. It counts as one of the [`MOST_OWN_MIXES`](crate::MOST_OWN_MIXES). In a
    /// chain without `mix`, where everybody hears themselves, nothing happens. Allocates nothing.
    pub fn loop_back(&mut self, id: ParticipantId, duration: Duration) {
        let packet = TICK * self.blocks() as u32;
        if let (Some(index), true) = (self.find(id), self.spec.chain.mix.is_some()) {
            self.note(|| Input::LoopBack(id, duration));
            let packets = duration.as_nanos().div_ceil(packet.as_nanos());
            self.participants[index].loopback.last(u32::try_from(packets).unwrap_or(u32::MAX));
        }
    }

    /// Whether a participant is sent nothing, whatever is said: then it needs no mix without itself, and
    /// nothing of the others is in what it says.
    pub fn set_deaf(&mut self, id: ParticipantId, deaf: bool) {
        if let Some(index) = self.find(id) {
            self.note(|| Input::Deaf(id, deaf));
            self.participants[index].deaf = deaf;
        }
    }

    /// Whether a participant asked for packets to stop while there is nothing to hear but noise
    /// that does not change (DTX, `usedtx` in RFC 7587, section 6.1). Without `dtx` in the settings
    /// of the room nobody gets that.
    pub fn set_dtx(&mut self, id: ParticipantId, dtx: bool) {
        let dtx = dtx && self.spec.opus.dtx;
        if let Some(index) = self.find(id) {
            self.note(|| Input::Dtx(id, dtx));
            self.participants[index].downlink.set_dtx(dtx);
        }
    }

    /// Whether a participant prefers stereo (`stereo` in RFC 7587, section 6.1). A mono room is mono
    /// to everybody.
    pub fn set_stereo(&mut self, id: ParticipantId, stereo: bool) {
        let stereo = stereo && self.spec.chain.format == StageFormat::STEREO;
        if let Some(index) = self.find(id) {
            self.note(|| Input::Stereo(id, stereo));
            self.participants[index].downlink.set_stereo(stereo);
        }
    }

    /// A receiver report of a listener: the share of packets lost on the way to it, 0 to 1. Moves
    /// it between encoders that prepare for loss to different degrees.
    pub fn report(&mut self, id: ParticipantId, fraction_lost: f32) {
        if let Some(index) = self.find(id) {
            self.note(|| Input::Report(id, fraction_lost));
            self.participants[index].downlink.report(fraction_lost);
        }
    }

    /// Goes on with another chain, without a click: see [`foldback_chain::Change`]. What cannot be
    /// heard changes at once. Returns what is to be freed; media side: allocates nothing.
    ///
    /// # Errors
    /// Gives the change back, and nothing is changed, if it was built for another chain or other
    /// participants, if too many changes are under way, or if a room of more than a hundred is to
    /// do without `mix`, when everybody would need an encoder.
    pub fn change_chain(&mut self, mut change: ChainChange) -> Result<ChainChange, ChainChange> {
        let inputs = self.participants.iter().map(|p| (p.id, &p.chain, &p.input));
        let mixes = change.chain.mix.is_some() || self.mixes.len() >= self.participants.len();
        if !mixes || !change.fits(&self.spec.chain, inputs, self.mixes.iter().map(Mix::output)) {
            return Err(change);
        }
        self.note(|| Input::Chain(Arc::clone(&change.changed)));
        // All of them were asked before, so that none refuses.
        for p in &mut self.participants {
            let Some(input) = change.inputs.iter_mut().find(|input| input.id == p.id) else {
                continue;
            };
            if let Some(stages) = &mut input.stages {
                stages.apply(&mut p.input, &mut p.times);
            }
            std::mem::swap(&mut p.chain, &mut input.chain);
        }
        for (mix, stages) in self.mixes.iter_mut().zip(&mut change.outputs) {
            mix.change_output(stages);
        }
        std::mem::swap(&mut self.spec.chain, &mut change.chain);
        self.limit_talkers();
        Ok(change)
    }

    /// Does without so much from the next tick on, without a click. Media side: allocates nothing.
    pub fn shed(&mut self, shedding: Shedding) {
        self.note(|| Input::Shed(shedding));
        self.shedding = shedding;
        self.limit_talkers();
        self.mixes.set_complexity(shedding.complexity(self.spec.opus.complexity));
    }

    fn limit_talkers(&mut self) {
        let configured = self.spec.chain.mix.map_or(0, |mix| mix.max_talkers);
        self.talkers.set_max(self.shedding.max_talkers(configured));
    }

    /// Ends all changes that are under way at once, which may be heard.
    pub fn settle_changes(&mut self) {
        self.note(|| Input::Settle);
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
    /// Never allocates, locks, logs, blocks or panics, as far as `crew` does not, who does the work.
    /// `probe` is told the time of each stage, by its number before or after `mix`.
    pub fn tick<P: RoomProbe>(&mut self, now: Instant, probe: &mut P, crew: &impl ForkJoin) {
        self.ticks += 1;
        self.now = Some(now);
        if let Some(flight) = &mut self.flight {
            flight.tick(now);
        }
        // All blocks of a packet are pulled when it closes: what comes in until then is in it.
        self.packet_ready = self.ticks.is_multiple_of(self.blocks() as u64);
        if !self.packet_ready {
            return;
        }
        self.listen(now, probe, crew);
        self.choose_talkers();
        self.rest_optional();
        let contributing = self.participants.iter().enumerate().filter(|(_, p)| p.contributes);
        self.voices.clear();
        self.voices.extend(contributing.map(|(index, _)| index));
        let samples = self.packet_samples();
        self.players.iter_mut().for_each(|player| player.advance(samples));
        self.follow_hearing();
        for index in 0..self.participants.len() {
            self.assign_mix(index);
        }
        self.sum();
        self.name_contributors();
        self.encode_ns = self.mixes.render(probe, crew);
        if let Some(flight) = &mut self.flight {
            let to = self.participants.iter().map(|p| (p.id.0, p.hears as u64));
            to.for_each(|(id, mix)| [id, mix].iter().for_each(|it| flight.send(&it.to_le_bytes())));
            self.mixes
                .iter()
                .filter_map(|mix| mix.outbox().payload())
                .for_each(|it| flight.send(it));
        }
    }

    /// Lets `ticks` ticks pass unplayed, when the caller was held up for too long: the time in
    /// outgoing packets moves on, nothing is sent for them.
    pub fn skip(&mut self, ticks: u64) {
        self.note(|| Input::Skip(ticks));
        self.ticks += ticks;
        self.packet_ready = false;
        // No packet goes out in the place before the next one.
        self.mixes.iter_mut().for_each(Mix::forget_last_packet);
    }

    /// The packets that the last tick closed: one for each participant, but for those that asked
    /// for none in silence or are deaf; or none at all.
    pub fn packets(&self) -> impl Iterator<Item = MixPacket<'_>> {
        let packet = self.ticks / self.blocks() as u64;
        let rtp_time = packet.wrapping_mul(self.packet_samples() as u64) as u32;
        let listening = self.participants.iter().filter(|p| self.packet_ready && !p.deaf);
        listening.filter_map(move |p| {
            let mix = self.mixes.get(p.hears);
            Some(MixPacket {
                to: p.id,
                mix: p.hears,
                payload: if mix.class.is_plain() { &[] } else { mix.outbox().payload()? },
                sound: mix.sound(),
                rtp_time,
                marker: mix.outbox().marker(),
                copy: mix.last_payload(),
                contributors: mix.contributors(),
                captured: mix.captured(),
            })
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

    /// What the participant was sent last, before encoding; of stereo the mean of both sides.
    #[must_use]
    pub fn mix_heard_by(&self, id: ParticipantId) -> Option<&[f32]> {
        let participant = &self.participants[self.find(id)?];
        Some(self.mixes.get(participant.hears).sent())
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
        self.mixes.iter().filter(|mix| mix.is_at_work() && !mix.class.is_plain()).count()
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

    /// Pulls one packet's worth of each participant through its input chain.
    fn listen<P: RoomProbe>(&mut self, now: Instant, probe: &mut P, crew: &impl ForkJoin) {
        let format = self.spec.chain.format;
        let (participants, listening) = self.listening(now, probe.clock());
        let pull = |block: &mut AudioBuffer, p: &mut Participant| p.listen(&listening, block);
        crew.for_each(participants, || buffer(format), pull);
        self.played.clear();
        for p in &mut self.participants {
            p.times.tell(Some(p.id), probe);
            let delay = p.input.delay_samples() + self.mixes.get(p.hears).output_delay_samples();
            let ns = delay as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE_HZ);
            let chain_delay = Duration::from_nanos(ns);
            while let Some(arrival) = p.receiver.next_played(now, delay as u64) {
                if p.activity.is_talking() && self.played.len() < MAX_PLAYED {
                    self.played.push(PlayedPacket { arrival, chain_delay });
                }
            }
        }
    }

    /// Everybody, and what they are listened to with.
    fn listening<C: Clock>(
        &mut self,
        now: Instant,
        clock: C,
    ) -> (&mut [Participant], Listening<'_, C>) {
        let blocks = self.blocks();
        let skips_silence = self.spec.economies.skip_silence;
        let far_ends = self.mixes.far_ends();
        (&mut self.participants, Listening { now, blocks, skips_silence, far_ends, clock })
    }

    /// Whether there is anything to fade.
    fn fade_out(&mut self, index: usize) -> bool {
        let Some(now) = self.now.filter(|_| self.participants[index].in_mix) else { return false };
        let (format, samples) = (self.spec.chain.format, self.packet_samples());
        let (participants, listening) = self.listening(now, NoClock);
        participants[index].listen(&listening, &mut buffer(format));
        let p = &mut self.participants[index];
        p.follow_choice(false, samples);
        self.buses.part_with(&p.audio, samples);
        true
    }

    fn choose_talkers(&mut self) {
        let candidates = self.participants.iter().filter(|p| !p.loopback.keeps_voice());
        self.talkers.choose(candidates.map(|p| (p.id, p.activity, p.in_mix)));
        let mixes = self.spec.chain.mix.is_some();
        let samples = self.packet_samples();
        for p in &mut self.participants {
            let chosen = if mixes { self.talkers.contains(p.id) } else { p.activity.is_talking() };
            p.follow_choice(chosen, samples);
        }
    }

    /// Lets the optional stages of those rest whom the level of shedding spares them.
    fn rest_optional(&mut self) {
        if self.shedding.spares_minor() {
            let talkers = self.participants.iter().filter(|p| p.in_mix);
            self.major.choose(talkers.map(|p| (p.id, p.activity, !p.activity.is_bare())));
        }
        for p in &mut self.participants {
            let rest = match self.shedding {
                level if level.spares_minor() => !self.major.contains(p.id),
                level => level.spares_silent() && !p.in_mix,
            };
            p.rest_optional(rest);
        }
    }

    /// Notes who needs a mix of their own in this packet, and how they hear the others in it.
    fn follow_hearing(&mut self) {
        for index in 0..self.participants.len() {
            let p = &mut self.participants[index];
            p.loopback.advance(p.contributes);
            p.needs_own_mix = (p.contributes && !p.deaf) || p.loopback.sounds();
            if p.hearing.is_plain() {
                continue;
            }
            let mut hearing = std::mem::take(&mut p.hearing);
            let voices = || self.voices.iter().map(|voice| self.participants[*voice].id);
            hearing.advance(|id| voices().any(|voice| voice == id));
            let is_heard_otherwise = voices().any(|voice| hearing.changes(voice));
            let p = &mut self.participants[index];
            p.needs_own_mix |= is_heard_otherwise;
            p.hearing = hearing;
        }
    }

    /// Moves a participant to a mix of its own, which leaves itself out, or back to the common one.
    fn assign_mix(&mut self, index: usize) {
        let anyone = !self.voices.is_empty() || self.players.iter().any(Player::sounds);
        let blocks = self.blocks() as u32;
        let p = &mut self.participants[index];
        if p.needs_own_mix {
            p.own_mix_hold = OWN_MIX_BLOCKS;
        } else {
            let may_return = !anyone && p.own_mix_hold + OWN_MIX_SURE_BLOCKS <= OWN_MIX_BLOCKS;
            p.own_mix_hold = if may_return { 0 } else { p.own_mix_hold.saturating_sub(blocks) };
        }
        let plain = p.hearing.is_plain() && !p.loopback.sounds();
        let (id, hears, own) = (p.id, p.hears, p.own_mix_hold > 0);
        let class = p.downlink.class();
        let wanted = self.recipe(id, own, plain);
        let now = self.mixes.get(hears);
        if now.recipe != Some(wanted) || now.class != class {
            self.free_a_mix(Some(hears), wanted, class);
            self.participants[index].hears = self.mixes.transfer(hears, wanted, class);
        }
    }

    /// Where all mixes are in use and one is needed, those return to the common mix who have not
    /// needed their own for the longest, before their time.
    fn free_a_mix(&mut self, from: Option<usize>, recipe: Recipe, class: OutputClass) {
        while self.mixes.lacks(from, recipe, class) {
            let mixes = &self.mixes;
            let has_own = |p: &&mut Participant| {
                let recipe = mixes.get(p.hears).recipe;
                let own = [Recipe::Without(p.id), Recipe::For(p.id)].map(Some);
                !p.needs_own_mix && own.contains(&recipe)
            };
            let own = self.participants.iter_mut().filter(has_own);
            let Some(p) = own.min_by_key(|p| p.own_mix_hold) else { return };
            let class = mixes.get(p.hears).class;
            p.own_mix_hold = 0;
            p.hears = self.mixes.transfer(p.hears, Recipe::Everyone, class);
        }
    }

    fn sum(&mut self) {
        self.buses.begin();
        let (participants, voices) = (&self.participants, &self.voices);
        let contributing = || voices.iter().map(|index| &participants[*index]);
        for p in contributing() {
            self.buses.add(&p.audio);
        }
        for player in self.players.iter().filter(|player| player.sounds()) {
            self.buses.add(player.audio());
        }
        let (buses, voices) = (&self.buses, self.buses.voices());
        let part = |id: ParticipantId| contributing().find(|p| p.id == id);
        let places = &self.places;
        self.mixes.for_each_in_use(|mix| match mix.recipe {
            None => {}
            Some(Recipe::Everyone) => mix.fill(voices == 0, |sum| buses.all(sum)),
            Some(Recipe::Without(id)) => match part(id) {
                Some(own) => mix.fill(voices == 1, |sum| buses.without(&own.audio, sum)),
                None => mix.fill(voices == 0, |sum| buses.all(sum)),
            },
            Some(Recipe::For(id)) => {
                let Some(listener) = places.get(&id).map(|place| &participants[*place]) else {
                    return;
                };
                let hearing = &listener.hearing;
                let own = part(id);
                let silenced = contributing().filter(|p| hearing.silences(p.id)).count();
                let loopback = &listener.loopback;
                let nobody = voices == usize::from(own.is_some()) + silenced;
                mix.fill(nobody && !loopback.sounds(), |sum| {
                    match own {
                        Some(own) => buses.without(&own.audio, sum),
                        None => buses.all(sum),
                    }
                    contributing().for_each(|p| hearing.correct(p.id, &p.audio, sum));
                    hearing.correct_farewell(sum);
                    if loopback.sounds() {
                        loopback.add(&listener.audio, sum);
                    }
                });
            }
            Some(Recipe::Only(id)) => {
                let own = part(id);
                mix.fill(own.is_none(), |sum| {
                    if let Some(own) = own {
                        for (sum, plane) in sum.planes_mut().zip(own.audio.iter()) {
                            sum.copy_from_slice(&plane[..sum.len()]);
                        }
                    }
                });
            }
        });
    }

    /// Notes in each mix who is heard in it.
    fn name_contributors(&mut self) {
        self.heard.clear();
        let voices = self.voices.iter().map(|index| &self.participants[*index]);
        for p in voices.filter(|p| p.in_mix) {
            let level_minus_dbov = (-p.activity.level_dbfs()).clamp(0.0, 127.0) as u8;
            let captured = p.receiver.captured().and_then(|captured| {
                let delay =
                    p.input.delay_samples() + self.mixes.get(p.hears).output_delay_samples();
                let delay = Duration::from_secs_f64(delay as f64 / f64::from(SAMPLE_RATE_HZ));
                let since_epoch = captured.since_epoch.checked_sub(delay)?;
                Some(CaptureTime { since_epoch, ..captured })
            });
            let place = self.heard.iter().position(|(c, _)| c.level_minus_dbov > level_minus_dbov);
            let contributor = Contributor { id: p.id, level_minus_dbov };
            self.heard.truncate(MAX_CONTRIBUTORS);
            self.heard.insert(place.unwrap_or(self.heard.len()), (contributor, captured));
        }
        let (heard, participants, places) = (&self.heard, &self.participants, &self.places);
        let silences = |listener: ParticipantId, id| {
            let place = places.get(&listener);
            place.is_some_and(|place| participants[*place].hearing.silences(id))
        };
        self.mixes.for_each_in_use(|mix| {
            let recipe = mix.recipe;
            mix.set_contributors(heard.iter().copied().filter(|(c, _)| match recipe {
                None | Some(Recipe::Everyone) => true,
                Some(Recipe::Without(id)) => c.id != id,
                Some(Recipe::For(id)) => c.id != id && !silences(id, c.id),
                Some(Recipe::Only(id)) => c.id == id,
            }));
        });
    }

    /// What a participant is to hear, who is to have a mix of their `own` or not, and hears all others
    /// as they come (`plain`) or not.
    fn recipe(&self, id: ParticipantId, own: bool, plain: bool) -> Recipe {
        match (self.spec.chain.mix.is_some(), own || !self.spec.economies.share_mixes) {
            (true, false) => Recipe::Everyone,
            (true, true) if plain => Recipe::Without(id),
            (true, true) => Recipe::For(id),
            (false, _) => Recipe::Only(id),
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

/// A silent block for sound of that format.
pub(crate) fn buffer(format: StageFormat) -> AudioBuffer {
    if format == StageFormat::STEREO { AudioBuffer::stereo() } else { AudioBuffer::mono() }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("chain", &self.spec.chain.name)
            .field("participants", &self.participants.len())
            .finish_non_exhaustive()
    }
}

const _: () = assert!(SILENCE_DBFS == -90.0, "documented in `Level`");
