//! The encoded packets of one mix, and which of them are sent.

use foldback_stage::BLOCK_SAMPLES;

use crate::codec::{MAX_ENCODED_BYTES, OpusEncoder};

/// What an encoder that sends silence out gives while nothing is to be heard has no more bytes: it
/// need not be sent (RFC 6716, section 2.1.9).
const DTX_BYTES: usize = 2;
/// A listener whose packets stop in silence gets one in so many blocks: every 400 ms, as libopus
/// does it in noise.
const REFRESH_BLOCKS: usize = 40;

/// The last packet of a mix and the one before it. Never allocates.
pub(crate) struct Outbox {
    payload: [u8; MAX_ENCODED_BYTES],
    len: usize,
    /// The packet before, for those who need a copy of it.
    last_payload: [u8; MAX_ENCODED_BYTES],
    last_len: usize,
    sends: Sends,
    marker: bool,
    /// The next packet follows upon this one without a gap.
    goes_on: bool,
    /// Packets that the last one has stood for.
    repeats: usize,
}

/// What listeners get of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    Packet,
    /// Its first byte alone, which tells decoders that silence follows.
    Head,
    Nothing,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            payload: [0; MAX_ENCODED_BYTES],
            len: 0,
            last_payload: [0; MAX_ENCODED_BYTES],
            last_len: 0,
            sends: Sends::Nothing,
            marker: false,
            goes_on: false,
            repeats: 0,
        }
    }

    /// Begins with a packet that holds silence.
    pub(crate) fn begin_with(&mut self, silence: &[u8]) {
        self.len = silence.len().min(MAX_ENCODED_BYTES);
        self.payload[..self.len].copy_from_slice(&silence[..self.len]);
        (self.last_len, self.sends) = (0, Sends::Packet);
        (self.marker, self.goes_on, self.repeats) = (false, false, 0);
    }

    /// Goes on from where `other` is.
    pub(crate) fn continue_from(&mut self, other: &Self) {
        self.payload[..other.len].copy_from_slice(&other.payload[..other.len]);
        self.last_payload[..other.last_len].copy_from_slice(&other.last_payload[..other.last_len]);
        (self.len, self.last_len, self.sends) = (other.len, other.last_len, other.sends);
        (self.marker, self.goes_on) = (other.marker, other.goes_on);
        self.repeats = other.repeats;
    }

    /// Encodes the next packet. Of what the encoder need not have sent the first is sent all the
    /// same, as browsers do, so that decoders know.
    pub(crate) fn encode(&mut self, encoder: &mut OpusEncoder, pcm: &[f32]) {
        std::mem::swap(&mut self.payload, &mut self.last_payload);
        self.last_len = if self.goes_on { self.len } else { 0 };
        self.len = encoder.encode(pcm, &mut self.payload).unwrap_or(0);
        let before = self.sends;
        self.sends = match (self.len > DTX_BYTES, before) {
            (true, _) => Sends::Packet,
            (false, Sends::Packet) => Sends::Head,
            (false, _) => Sends::Nothing,
        };
        self.goes_on = self.sends == Sends::Packet;
        self.marker = self.goes_on && (before != Sends::Packet || self.repeats > 0);
        self.repeats = 0;
    }

    /// Lets the last packet, which holds silence, stand for the next one. `pauses`: most of them are
    /// not sent at all.
    pub(crate) fn repeat(&mut self, packet_samples: usize, pauses: bool) {
        let refresh = REFRESH_BLOCKS * BLOCK_SAMPLES / packet_samples;
        self.sends = match self.repeats % refresh {
            1 if pauses => Sends::Head,
            2.. if pauses => Sends::Nothing,
            _ => Sends::Packet,
        };
        (self.last_len, self.marker, self.goes_on) = (0, false, false);
        self.repeats += 1;
    }

    /// The next packet does not follow upon this one.
    pub(crate) fn forget_last_packet(&mut self) {
        self.goes_on = false;
    }

    /// What is to be sent; `None` where nothing is.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        let sent = match self.sends {
            Sends::Packet => self.len,
            Sends::Head => self.len.min(1),
            Sends::Nothing => 0,
        };
        (sent > 0).then(|| &self.payload[..sent])
    }

    /// The packet before this one; `None` where this is the first.
    pub(crate) fn last_payload(&self) -> Option<&[u8]> {
        let follows = self.sends == Sends::Packet && self.last_len > 0;
        follows.then(|| &self.last_payload[..self.last_len])
    }

    /// Whether this packet is the first after a silence.
    pub(crate) fn marker(&self) -> bool {
        self.marker
    }
}
