//! One distinct mix: what it leaves out, its output chain, its encoder.

use foldback_chain::{Chain, Probe};
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, StageFormat};

use crate::codec::{MAX_ENCODED_BYTES, OpusEncoder};
use crate::participant::{AdmissionError, ParticipantId};
use crate::room::RoomSpec;
use crate::{BLOCKS_PER_PACKET, PACKET_SAMPLES};

/// After the last talker the chain and the encoder get silence for so many packets, so that
/// nothing is cut off in their delay.
const TAIL_PACKETS: u32 = 3;

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

/// A pooled mix; `recipe` is `None` while nobody hears it.
pub(crate) struct Mix {
    pub(crate) recipe: Option<Recipe>,
    pub(crate) listeners: usize,
    output: Chain,
    encoder: OpusEncoder,
    buffer: AudioBuffer,
    /// Sums before the output chain: of the last packet, and of the one before it.
    dry: [[f32; PACKET_SAMPLES]; 2],
    /// What was sent last, after the output chain: the far end of those who hear it.
    sent: [f32; PACKET_SAMPLES],
    tail: u32,
    payload: [u8; MAX_ENCODED_BYTES],
    payload_len: usize,
    marker: bool,
}

impl Mix {
    pub(crate) fn new(spec: &RoomSpec) -> Result<Self, AdmissionError> {
        Ok(Self {
            recipe: None,
            listeners: 0,
            output: Chain::build(&spec.chain.output, StageFormat::MONO)?,
            encoder: OpusEncoder::new(&spec.opus)?,
            buffer: AudioBuffer::mono(),
            dry: [[0.0; PACKET_SAMPLES]; 2],
            sent: [0.0; PACKET_SAMPLES],
            tail: 0,
            payload: [0; MAX_ENCODED_BYTES],
            payload_len: 0,
            marker: false,
        })
    }

    /// Forgets what was mixed for those who heard it before; for the next who will.
    pub(crate) fn clear(&mut self) {
        self.dry = [[0.0; PACKET_SAMPLES]; 2];
        self.encoder.reset();
        // Pushes what the output chain holds back out of it.
        for dry in self.dry {
            self.shape(&dry, &mut foldback_chain::NoProbe);
        }
        self.sent.fill(0.0);
        self.tail = 0;
        self.marker = false;
    }

    /// Whether the encoder runs (somebody is heard, or was just now).
    pub(crate) fn is_at_work(&self) -> bool {
        self.recipe.is_some() && self.tail > 0
    }

    /// The encoded packet; `None` while the mix is silent.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        (self.tail > 0).then(|| &self.payload[..self.payload_len])
    }

    /// Whether this packet is the first after a silence.
    pub(crate) fn marker(&self) -> bool {
        self.marker
    }

    /// What was sent last to those who hear this mix.
    pub(crate) fn far_end(&self, block: usize) -> &[f32] {
        &self.sent[block * BLOCK_SAMPLES..][..BLOCK_SAMPLES]
    }

    pub(crate) fn sent(&self) -> &[f32; PACKET_SAMPLES] {
        &self.sent
    }

    pub(crate) fn faults(&self) -> u64 {
        self.output.faults()
    }

    pub(crate) fn output_delay_samples(&self) -> usize {
        self.output.delay_samples()
    }

    /// Gives the sum that the next packet is made of: `write` adds to zeros. `empty` says that
    /// nobody is in it.
    pub(crate) fn fill(&mut self, empty: bool, write: impl FnOnce(&mut [f32; PACKET_SAMPLES])) {
        let was_silent = self.tail == 0;
        self.tail = if empty { self.tail.saturating_sub(1) } else { TAIL_PACKETS };
        self.marker = was_silent && !empty;
        if was_silent && !empty {
            self.encoder.reset();
        }
        self.dry.swap(0, 1);
        self.dry[0].fill(0.0);
        if !empty {
            write(&mut self.dry[0]);
        }
    }

    /// Runs the output chain and the encoder over what was filled in.
    pub(crate) fn render<P: Probe>(&mut self, probe: &mut P) {
        if self.tail == 0 {
            self.sent.fill(0.0);
            return;
        }
        let dry = self.dry[0];
        self.shape(&dry, probe);
        self.encode();
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
    fn shape<P: Probe>(&mut self, dry: &[f32; PACKET_SAMPLES], probe: &mut P) {
        for block in 0..BLOCKS_PER_PACKET {
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
        self.payload_len =
            self.encoder.encode(&self.sent, &mut self.payload).unwrap_or(self.payload_len);
    }
}
