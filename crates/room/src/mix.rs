//! One distinct mix: what it leaves out, its output chain, its encoder.

use foldback_chain::{Chain, Change, Probe};
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, StageFormat};

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::codec::{MAX_ENCODED_BYTES, OpusEncoder, OpusSettings};
use crate::output_class::OutputClass;
use crate::packets::CaptureTime;
use crate::participant::{AdmissionError, ParticipantId};
use crate::room::RoomSpec;

/// After the last talker the chain and the encoder get silence for so many blocks, so that
/// nothing is cut off in their delay.
const TAIL_BLOCKS: usize = 6;

/// Which mix a listener hears, as a rule rather than as a set of talkers: the encoder of
/// "everyone" goes on without a seam when talkers come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipe {
    /// All talkers: what listeners hear who do not talk.
    Everyone,
    /// All talkers but this one: what a talker hears.
    Without(ParticipantId),
    /// Only this participant: a chain without `mix`.
    Only(ParticipantId),
}

/// As much as a packet out holds; only the first blocks of it where packets are shorter.
type Packet = [f32; MAX_PACKET_SAMPLES_OUT];

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
    encoder: OpusEncoder,
    buffer: AudioBuffer,
    /// Sums before the output chain: of the last packet, and of the one before it.
    dry: [Packet; 2],
    /// What was sent last, after the output chain: the far end of those who hear it.
    sent: Packet,
    /// Blocks in a packet.
    blocks: usize,
    /// Blocks of silence still to come.
    tail: usize,
    payload: [u8; MAX_ENCODED_BYTES],
    payload_len: usize,
    /// The packet before, for those who need a copy of it.
    last_payload: [u8; MAX_ENCODED_BYTES],
    last_payload_len: usize,
    marker: bool,
    contributors: [Contributor; MAX_CONTRIBUTORS],
    contributor_count: usize,
    captured: Option<CaptureTime>,
}

impl Mix {
    pub(crate) fn new(spec: &RoomSpec) -> Result<Self, AdmissionError> {
        Ok(Self {
            recipe: None,
            class: OutputClass::default(),
            leads: false,
            listeners: 0,
            opus: spec.opus,
            output: Chain::build(&spec.chain.output, StageFormat::MONO)?,
            encoder: OpusEncoder::new(&spec.opus)?,
            buffer: AudioBuffer::mono(),
            dry: [[0.0; MAX_PACKET_SAMPLES_OUT]; 2],
            sent: [0.0; MAX_PACKET_SAMPLES_OUT],
            blocks: spec.latency.blocks_per_packet(),
            tail: 0,
            payload: [0; MAX_ENCODED_BYTES],
            payload_len: 0,
            last_payload: [0; MAX_ENCODED_BYTES],
            last_payload_len: 0,
            marker: false,
            contributors: [Contributor { id: ParticipantId(0), level_minus_dbov: 127 };
                MAX_CONTRIBUTORS],
            contributor_count: 0,
            captured: None,
        })
    }

    /// Forgets what was mixed for those who heard it before; for the next who will.
    pub(crate) fn clear(&mut self) {
        self.output.settle();
        self.dry = [[0.0; MAX_PACKET_SAMPLES_OUT]; 2];
        self.encoder.reset();
        // Pushes what the output chain holds back out of it.
        for dry in self.dry {
            self.shape(&dry, &mut foldback_chain::NoProbe);
        }
        self.sent.fill(0.0);
        self.tail = 0;
        self.last_payload_len = 0;
        self.marker = false;
    }

    /// Encodes from now on for that class of listeners.
    pub(crate) fn adopt(&mut self, class: OutputClass) {
        if self.class != class {
            self.class = class;
            self.encoder.adopt(&class.settings(&self.opus));
        }
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
        for dry in [self.dry[1], self.dry[0]] {
            let sent = self.sent;
            self.shape(&dry, &mut foldback_chain::NoProbe);
            self.sent = sent;
        }
    }

    /// Whether the encoder runs (somebody is heard, or was just now).
    pub(crate) fn is_at_work(&self) -> bool {
        self.recipe.is_some() && self.tail > 0
    }

    /// The encoded packet; `None` while the mix is silent.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        (self.tail > 0).then(|| &self.payload[..self.payload_len])
    }

    /// The packet before this one; `None` after a silence, or if no listener needs it.
    pub(crate) fn last_payload(&self) -> Option<&[u8]> {
        let needed = self.tail > 0 && self.last_payload_len > 0 && self.class.wants_copies();
        needed.then(|| &self.last_payload[..self.last_payload_len])
    }

    /// The next packet does not follow upon this one.
    pub(crate) fn forget_last_packet(&mut self) {
        (self.payload_len, self.last_payload_len) = (0, 0);
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

    /// Whether this packet is the first after a silence.
    pub(crate) fn marker(&self) -> bool {
        self.marker
    }

    /// What was sent last to those who hear this mix.
    pub(crate) fn far_end(&self, block: usize) -> &[f32] {
        &self.sent[block * BLOCK_SAMPLES..][..BLOCK_SAMPLES]
    }

    pub(crate) fn sent(&self) -> &[f32] {
        &self.sent[..self.samples()]
    }

    pub(crate) fn output(&self) -> &Chain {
        &self.output
    }

    /// Lets other stages take the place of those of the output chain; at once if nothing is heard.
    #[allow(clippy::result_large_err, reason = "what is refused must be freed elsewhere")]
    pub(crate) fn change_output(&mut self, change: Change) -> Result<(), Change> {
        self.output.change(change)?;
        if self.tail == 0 || !self.leads {
            self.output.settle();
        }
        Ok(())
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
    pub(crate) fn fill(&mut self, empty: bool, write: impl FnOnce(&mut [f32])) {
        let was_silent = self.tail == 0;
        self.tail = if empty { self.tail.saturating_sub(self.blocks) } else { TAIL_BLOCKS };
        self.marker = was_silent && !empty;
        if was_silent && !empty {
            self.encoder.reset();
            self.payload_len = 0;
        }
        self.dry.swap(0, 1);
        self.dry[0].fill(0.0);
        if !empty {
            let samples = self.samples();
            write(&mut self.dry[0][..samples]);
        }
    }

    /// Runs the output chain and the encoder over what was filled in. Returns the time the encoder
    /// took, by the probe's clock.
    pub(crate) fn render<P: Probe>(&mut self, probe: &mut P) -> u64 {
        if self.tail == 0 {
            self.output.settle();
            self.sent.fill(0.0);
            return 0;
        }
        let dry = self.dry[0];
        self.shape(&dry, probe);
        self.encode_timed(probe)
    }

    /// Encodes what the mix `leader` of the same recipe has rendered. Returns the time it took.
    pub(crate) fn render_as<P: Probe>(&mut self, leader: &Self, probe: &mut P) -> u64 {
        self.sent = leader.sent;
        if self.tail == 0 { 0 } else { self.encode_timed(probe) }
    }

    fn encode_timed<P: Probe>(&mut self, probe: &mut P) -> u64 {
        let begun = probe.now_ns();
        self.encode();
        probe.now_ns().saturating_sub(begun)
    }

    /// Takes over from `other`, the mix that the same listener heard so far: chain and encoder
    /// are run over its last packets, so that its decoder notices no seam.
    pub(crate) fn prime(&mut self, other: &Self) {
        self.clear();
        self.tail = other.tail;
        self.dry = other.dry;
        if self.tail > 0 {
            for dry in [other.dry[1], other.dry[0]] {
                self.shape(&dry, &mut foldback_chain::NoProbe);
                self.encode();
            }
        }
        self.sent = other.sent;
    }

    /// Runs the output chain over a packet's worth of the sum; the result is in `sent`.
    fn shape<P: Probe>(&mut self, dry: &Packet, probe: &mut P) {
        for block in 0..self.blocks {
            let range = block * BLOCK_SAMPLES..(block + 1) * BLOCK_SAMPLES;
            self.buffer.plane_mut(0).copy_from_slice(&dry[range.clone()]);
            self.output.process(&mut self.buffer, &mut BlockContext::default(), probe);
            // The sum of several voices saturates; it never wraps.
            for (sent, sample) in self.sent[range].iter_mut().zip(self.buffer.plane(0)) {
                *sent = sample.clamp(-1.0, 1.0);
            }
        }
    }

    fn encode(&mut self) {
        std::mem::swap(&mut self.payload, &mut self.last_payload);
        self.last_payload_len = self.payload_len;
        let pcm = &self.sent[..self.blocks * BLOCK_SAMPLES];
        self.payload_len = self.encoder.encode(pcm, &mut self.payload).unwrap_or(0);
    }

    fn samples(&self) -> usize {
        self.blocks * BLOCK_SAMPLES
    }
}
