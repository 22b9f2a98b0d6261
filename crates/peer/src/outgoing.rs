//! What is sent to all listeners of one mix.

use std::sync::Arc;

use crate::extensions::Levels;
use crate::payloads::Payloads;
use crate::peer::Captured;
use crate::red;

/// CSRCs that an RTP header has room for.
pub(crate) const MAX_SOURCES: usize = 15;

/// One who is heard in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// Names it, as a CSRC (RFC 3550, section 5.1).
    pub source: u32,
    /// How loud, in -dBov: 0 is the loudest, 127 silence (RFC 6465).
    pub level_minus_dbov: u8,
}

/// One Opus packet of a mix, and what goes with it.
#[derive(Clone, Copy, Debug)]
pub struct MixedPacket<'a> {
    /// RTP time at 48 kHz of its first sample.
    pub rtp_time: u32,
    /// The Opus packet.
    pub payload: &'a [u8],
    /// The first packet after a silence (RTP marker bit, RFC 7587 section 4.2).
    pub marker: bool,
    /// The packet before it, sent along as a copy where the browser takes such (RFC 2198), and by
    /// how much it is earlier in RTP time.
    pub copy: Option<(&'a [u8], u32)>,
    /// When what the loudest says in it was captured.
    pub captured: Option<Captured>,
}

/// One Opus packet to send, as the sessions of its listeners share it. Its memory is used for the
/// next one.
#[derive(Debug)]
pub struct OutgoingFrame {
    pub(crate) rtp_time: u32,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) marker: bool,
    pub(crate) captured: Option<Captured>,
    copy: Option<(Arc<[u8]>, u32)>,
    /// The payload with the copy, by the number that Opus has in a session; made when one wants it.
    with_copy: Vec<(u8, Arc<[u8]>)>,
    sources: [u32; MAX_SOURCES],
    pub(crate) levels: Arc<Levels>,
}

impl Default for OutgoingFrame {
    fn default() -> Self {
        Self {
            rtp_time: 0,
            payload: Arc::from([]),
            marker: false,
            captured: None,
            copy: None,
            with_copy: Vec::new(),
            sources: [0; MAX_SOURCES],
            levels: Arc::default(),
        }
    }
}

impl OutgoingFrame {
    /// Becomes `packet`, in which `contributors` are heard, the loudest first; of more than 15
    /// the first 15 are named. Memory comes from `payloads`, and goes back there.
    pub fn set(
        &mut self,
        packet: MixedPacket<'_>,
        contributors: impl Iterator<Item = Contributor>,
        payloads: &mut Payloads,
    ) {
        let MixedPacket { rtp_time, payload, marker, copy, captured } = packet;
        (self.rtp_time, self.marker, self.captured) = (rtp_time, marker, captured);
        let before = std::mem::replace(&mut self.payload, payloads.copy(payload));
        payloads.take_back(before);
        let copy = copy.map(|(copy, earlier)| (payloads.copy(copy), earlier));
        let before = std::mem::replace(&mut self.copy, copy);
        before.into_iter().for_each(|(copy, _)| payloads.take_back(copy));
        self.with_copy.drain(..).for_each(|(_, payload)| payloads.take_back(payload));
        // Sessions let go of it when they have sent it.
        if Arc::get_mut(&mut self.levels).is_none() {
            self.levels = Arc::default();
        }
        let Some(levels) = Arc::get_mut(&mut self.levels) else { return };
        levels.clear();
        for (contributor, source) in contributors.zip(&mut self.sources) {
            *source = contributor.source;
            levels.push(contributor.level_minus_dbov);
        }
    }

    /// Who is heard in it.
    pub(crate) fn sources(&self) -> &[u32] {
        &self.sources[..self.levels.as_slice().len()]
    }

    /// The payload and the one before it as RED, where there is one and Opus has number `opus`.
    pub(crate) fn with_copy(&mut self, opus: u8, payloads: &mut Payloads) -> Option<Arc<[u8]>> {
        let (copy, earlier) = self.copy.as_ref()?;
        let made = self.with_copy.iter().position(|(number, _)| *number == opus);
        let index = made.unwrap_or_else(|| {
            let red = red::with_copy(opus, &self.payload, copy, *earlier, payloads);
            self.with_copy.push((opus, red));
            self.with_copy.len() - 1
        });
        Some(Arc::clone(&self.with_copy[index].1))
    }
}
