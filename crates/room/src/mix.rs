//! One distinct mix: what it leaves out, its output chain, its encoder.

use foldback_chain::{Chain, Change, NoProbe};
use foldback_stage::{AudioBlock, AudioBuffer, BLOCK_SAMPLES, BlockContext, StageFormat};

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::change::StagesChange;
use crate::codec::{CodecError, MAX_ENCODED_BYTES, MixSound, OpusEncoder, OpusSettings};
use crate::outbox::Outbox;
use crate::output_class::OutputClass;
use crate::packets::CaptureTime;
use crate::participant::{AdmissionError, ParticipantId};
use crate::planes::{Planes, middle_and_side};
use crate::probe::{Clock, StageTimes};
use crate::room::{RoomSpec, buffer};

/// After the last talker the encoder gets silence for so many blocks, beside those that are in the
/// delay of the chain: what it gives at the end of them holds nothing but silence.
const TAIL_BLOCKS: usize = 12;
/// An encoder that was just made says silence best after so many packets of it.
const QUIET_PACKETS: usize = 20;

/// Which mix a listener hears, as a rule rather than as a set of talkers: the encoder of
/// "everyone" goes on without a seam when talkers come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// All talkers: what listeners hear who do not talk.
    Everyone,
    /// All talkers but this one: what a talker hears.
    Without(ParticipantId),
    /// All talkers but this one, each as loud and where this one wants them, or this one too, whom
    /// nobody else hears meanwhile.
    For(ParticipantId),
    /// Only this participant: a chain without `mix`.
    Only(ParticipantId),
}

/// A stereo packet as others need it.
struct Stereo {
    mean: [f32; MAX_PACKET_SAMPLES_OUT],
    interleaved: [f32; 2 * MAX_PACKET_SAMPLES_OUT],
}

impl Stereo {
    const SILENCE: Self = Self {
        mean: [0.0; MAX_PACKET_SAMPLES_OUT],
        interleaved: [0.0; 2 * MAX_PACKET_SAMPLES_OUT],
    };

    fn follow(&mut self, left: &[f32], right: &[f32]) {
        let both = || left.iter().zip(right);
        for (mean, (left, right)) in self.mean.iter_mut().zip(both()) {
            *mean = middle_and_side(*left, *right).0;
        }
        for (pair, (left, right)) in self.interleaved.chunks_exact_mut(2).zip(both()) {
            pair.copy_from_slice(&[*left, *right]);
        }
    }
}

/// One who is heard in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// Who.
    pub id: ParticipantId,
    /// How loud, in -dBov: 0 is the loudest, 127 silence (RFC 6465).
    pub level_minus_dbov: u8,
}

/// RTP has room for no more (RFC 3550, section 5.1).
pub const MAX_CONTRIBUTORS: usize = 15;

/// A pooled mix; `recipe` is `None` while nobody hears it.
pub(crate) struct Mix {
    pub(crate) recipe: Option<Recipe>,
    pub(crate) class: OutputClass,
    /// Runs the output chain for all mixes of the same recipe; the others only encode.
    pub(crate) leads: bool,
    pub(crate) listeners: usize,
    opus: OpusSettings,
    output: Chain,
    /// What its stages took in this tick.
    pub(crate) times: StageTimes,
    encoder: OpusEncoder,
    buffer: AudioBuffer,
    /// Sums before the output chain: of the last packet, and of the one before it.
    dry: [Planes; 2],
    /// What was sent last, after the output chain: the far end of those who hear it.
    sent: Planes,
    /// Of what was sent in stereo the mean of both sides, and the sides in turn.
    stereo: Option<Box<Stereo>>,
    /// Blocks in a packet.
    blocks: usize,
    /// Blocks of silence still to come.
    tail: usize,
    /// Without anybody to be heard, encoder and chain rest.
    skips_silence: bool,
    outbox: Outbox,
    contributors: [Contributor; MAX_CONTRIBUTORS],
    contributor_count: usize,
    captured: Option<CaptureTime>,
}

impl Mix {
    pub(crate) fn new(spec: &RoomSpec) -> Result<Self, AdmissionError> {
        let format = spec.chain.format;
        let blocks = spec.latency.blocks_per_packet();
        let packet = || Planes::new(format, blocks * BLOCK_SAMPLES);
        Ok(Self {
            recipe: None,
            class: OutputClass::default(),
            leads: false,
            listeners: 0,
            opus: spec.opus,
            output: Chain::build(&spec.chain.output, format)?,
            times: StageTimes::of(spec.chain.output.len()),
            encoder: OpusEncoder::new(&spec.opus, format)?,
            buffer: buffer(format),
            dry: [packet(), packet()],
            sent: packet(),
            stereo: (format == StageFormat::STEREO).then(|| Box::new(Stereo::SILENCE)),
            blocks,
            tail: 0,
            skips_silence: spec.economies.skip_silence,
            outbox: Outbox::new(),
            contributors: [Contributor { id: ParticipantId(0), level_minus_dbov: 127 };
                MAX_CONTRIBUTORS],
            contributor_count: 0,
            captured: None,
        })
    }

    /// Forgets what was mixed for those who heard it before; for the next who will, and who have
    /// heard silence so far.
    pub(crate) fn clear(&mut self, quiet: &Quiet) {
        self.clear_chain();
        self.silence();
        self.tail = 0;
        self.class = OutputClass::default();
        self.encoder.continue_from(&quiet.encoder);
        self.outbox.begin_with(&quiet.payload);
    }

    /// Pushes what the output chain holds back out of it.
    fn clear_chain(&mut self) {
        self.output.settle();
        self.dry.iter_mut().for_each(Planes::clear);
        self.follow_last_packets();
    }

    /// Runs the output chain over the last packets, for nobody to hear.
    fn follow_last_packets(&mut self) {
        for packet in [1, 0] {
            for block in 0..self.blocks {
                self.take_up(packet, block);
                self.output.process(&mut self.buffer, &mut BlockContext::default(), &mut NoProbe);
            }
        }
    }

    /// Encodes from now on for that class of listeners.
    pub(crate) fn adopt(&mut self, class: OutputClass) {
        if self.class != class {
            self.class = class;
            self.encoder.adopt(&class.settings(&self.opus));
            self.encoder.set_stereo(class.is_stereo());
        }
    }

    /// Encodes from now on with that effort.
    pub(crate) fn set_complexity(&mut self, complexity: u8) {
        self.opus.complexity = complexity;
        self.encoder.set_complexity(complexity);
    }

    /// Gives the output chain, with all that it holds, to a mix of the same recipe, and takes
    /// that one's, which has heard nothing of late.
    pub(crate) fn hand_over(&mut self, to: &mut Self) {
        std::mem::swap(&mut self.output, &mut to.output);
        (self.leads, to.leads) = (false, true);
    }

    /// Runs the output chain, which others have run for this mix, over the last packets, so that it
    /// holds what it would if it had run all along.
    pub(crate) fn catch_up(&mut self) {
        self.follow_last_packets();
    }

    /// Whether the encoder runs (somebody is heard, or was just now).
    pub(crate) fn is_at_work(&self) -> bool {
        self.recipe.is_some() && self.tail > 0
    }

    /// The encoded packets.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The packet before this one; `None` after a silence, or if no listener needs it.
    pub(crate) fn last_payload(&self) -> Option<&[u8]> {
        self.outbox.last_payload().filter(|_| self.class.wants_copies())
    }

    /// The next packet does not follow upon this one.
    pub(crate) fn forget_last_packet(&mut self) {
        self.outbox.forget_last_packet();
    }

    /// Who is heard in it, the loudest first.
    pub(crate) fn contributors(&self) -> &[Contributor] {
        &self.contributors[..self.contributor_count]
    }

    /// When what the loudest says in it was captured, if known.
    pub(crate) fn captured(&self) -> Option<CaptureTime> {
        self.captured
    }

    /// Sets who is heard, the loudest first, with when that one was captured.
    pub(crate) fn set_contributors(
        &mut self,
        contributors: impl Iterator<Item = (Contributor, Option<CaptureTime>)>,
    ) {
        (self.contributor_count, self.captured) = (0, None);
        for ((contributor, captured), slot) in contributors.zip(&mut self.contributors) {
            if self.contributor_count == 0 {
                self.captured = captured;
            }
            *slot = contributor;
            self.contributor_count += 1;
        }
    }

    /// What was sent last; of stereo the mean of both sides.
    pub(crate) fn sent(&self) -> &[f32] {
        let mean = self.stereo.as_deref().map_or(self.sent.first(), |stereo| &stereo.mean);
        &mean[..self.samples()]
    }

    /// What was sent last to those who take no Opus.
    pub(crate) fn sound(&self) -> MixSound<'_> {
        let samples = self.samples();
        let sides = self.sent.second().map(|right| [self.sent.first(), right]);
        MixSound { mean: self.sent(), sides: sides.map(|both| both.map(|side| &side[..samples])) }
    }

    pub(crate) fn output(&self) -> &Chain {
        &self.output
    }

    /// Lets other stages take the place of those of the output chain; at once if nothing is heard.
    pub(crate) fn change_output(&mut self, output: &mut StagesChange) {
        output.apply(&mut self.output, &mut self.times);
        if self.tail == 0 || !self.leads {
            self.output.settle();
        }
    }

    pub(crate) fn settle_output(&mut self) {
        self.output.settle();
    }

    /// A change of the output chain that is over.
    pub(crate) fn take_over(&mut self) -> Option<Change> {
        self.output.take_over()
    }

    pub(crate) fn faults(&self) -> u64 {
        self.output.faults()
    }

    pub(crate) fn output_delay_samples(&self) -> usize {
        self.output.delay_samples()
    }

    /// Gives the sum that the next packet is made of: `write` writes it. `empty` says that
    /// nobody is in it.
    pub(crate) fn fill(&mut self, empty: bool, write: impl FnOnce(&mut AudioBlock<'_>)) {
        let rests = empty && self.skips_silence;
        self.tail = match rests {
            true => self.tail.saturating_sub(self.blocks),
            false => TAIL_BLOCKS + self.output.delay_samples().div_ceil(BLOCK_SAMPLES),
        };
        // What stands for the silence to come must be a packet that holds it.
        self.encoder.set_dtx(self.class.pauses() && !empty);
        self.dry.swap(0, 1);
        self.dry[0].clear();
        if !empty {
            let samples = self.samples();
            write(&mut self.dry[0].head_mut(samples));
        }
    }

    /// Runs the output chain over what was filled in, or lets it rest.
    pub(crate) fn shape<C: Clock>(&mut self, clock: C) {
        if self.tail == 0 {
            self.output.settle();
            self.silence();
            return;
        }
        for block in 0..self.blocks {
            self.take_up(0, block);
            let probe = &mut self.times.by(clock);
            self.output.process(&mut self.buffer, &mut BlockContext::default(), probe);
            for (channel, plane) in self.sent.iter_mut().enumerate() {
                let sent = &mut plane[block * BLOCK_SAMPLES..][..BLOCK_SAMPLES];
                // The sum of several voices saturates; it never wraps.
                for (sent, sample) in sent.iter_mut().zip(self.buffer.plane(channel)) {
                    *sent = sample.clamp(-1.0, 1.0);
                }
            }
        }
        self.follow_sent();
    }

    /// Sends what `other`, a mix of the same recipe, has shaped.
    pub(crate) fn send_as(&mut self, other: &Self) {
        self.sent.copy_from(&other.sent);
        self.follow_sent();
    }

    /// Encodes what is to be sent.
    pub(crate) fn encode(&mut self) {
        if self.class.is_plain() {
            return;
        }
        let samples = self.samples();
        if self.tail == 0 {
            return self.outbox.repeat(samples, self.class.pauses());
        }
        let pcm = match &self.stereo {
            Some(stereo) => &stereo.interleaved[..2 * samples],
            None => &self.sent.first()[..samples],
        };
        self.outbox.encode(&mut self.encoder, pcm);
    }

    /// Takes over from `other`, the mix that the same listener heard so far: the encoder goes on
    /// from where that one's is, so that the listener's decoder notices no seam, and the chain is
    /// run over its last packets.
    pub(crate) fn prime(&mut self, other: &Self) {
        self.clear_chain();
        self.tail = other.tail;
        for (dry, others) in self.dry.iter_mut().zip(&other.dry) {
            dry.copy_from(others);
        }
        if self.tail > 0 {
            self.follow_last_packets();
        }
        self.send_as(other);
        self.class = other.class;
        self.encoder.continue_from(&other.encoder);
        self.outbox.continue_from(&other.outbox);
    }

    /// Makes a block of a packet's sum what `buffer` holds.
    fn take_up(&mut self, packet: usize, block: usize) {
        for (channel, plane) in self.dry[packet].iter().enumerate() {
            let dry = &plane[block * BLOCK_SAMPLES..][..BLOCK_SAMPLES];
            self.buffer.plane_mut(channel).copy_from_slice(dry);
        }
    }

    fn silence(&mut self) {
        self.sent.clear();
        self.follow_sent();
    }

    fn follow_sent(&mut self) {
        if let (Some(stereo), Some(right)) = (&mut self.stereo, self.sent.second()) {
            stereo.follow(self.sent.first(), right);
        }
    }

    fn samples(&self) -> usize {
        self.blocks * BLOCK_SAMPLES
    }
}

/// Where the encoder of a mix begins that nobody has heard: it has encoded nothing but silence, as
/// its listeners' decoders have heard nothing else.
pub(crate) struct Quiet {
    encoder: OpusEncoder,
    payload: Vec<u8>,
}

impl Quiet {
    /// Allocates.
    pub(crate) fn new(spec: &RoomSpec) -> Result<Self, CodecError> {
        let format = spec.chain.format;
        let mut encoder = OpusEncoder::new(&OutputClass::default().settings(&spec.opus), format)?;
        let samples = spec.latency.blocks_per_packet() * BLOCK_SAMPLES * format.channels;
        let mut payload = vec![0; MAX_ENCODED_BYTES];
        let mut len = 0;
        for _ in 0..QUIET_PACKETS {
            let silence = &[0.0; 2 * MAX_PACKET_SAMPLES_OUT][..samples];
            len = encoder.encode(silence, &mut payload).unwrap_or(0);
        }
        payload.truncate(len);
        Ok(Self { encoder, payload })
    }

    pub(crate) fn set_complexity(&mut self, complexity: u8) {
        self.encoder.set_complexity(complexity);
    }
}
