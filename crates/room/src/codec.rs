//! Opus behind one small door, so that another build of the library can take its place, and what telephony has instead.

use std::fmt;

use audiopus::coder;
use audiopus::packet::{Packet, nb_samples};
use audiopus::{Channels, MutSignals, SampleRate};
use foldback_stage::{AudioBlock, SAMPLE_RATE_HZ, StageFormat};

use crate::planes::middle_and_side;

mod encoder;
mod pcm;

pub(crate) use encoder::OpusEncoder;
use pcm::PcmDecoder;
pub use pcm::{MixSound, PcmEncoder, PcmFormat, PcmSamples};

/// The most samples one Opus packet can hold: 120 ms (RFC 6716, section 2.1.4).
pub(crate) const MAX_PACKET_SAMPLES: usize = 5760;

/// The most bytes one encoded 20 ms packet can have (RFC 6716, section 3.4).
pub(crate) const MAX_ENCODED_BYTES: usize = 1275;

/// How the packets of somebody hold sound, those that come and those that go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// Opus.
    #[default]
    Opus,
    /// The samples themselves.
    Pcm(PcmFormat),
}

impl Codec {
    /// Samples at 48 kHz in a packet, or `None` if it is none.
    pub(crate) fn packet_samples(self, payload: &[u8]) -> Option<usize> {
        match self {
            Self::Opus => packet_samples(payload),
            Self::Pcm(format) => format.packet_samples(payload),
        }
    }

    /// Whether a packet has what rebuilds the one before it.
    pub(crate) fn has_fec(self, payload: &[u8]) -> bool {
        self == Self::Opus && has_fec(payload)
    }
}

/// From packets to 48 kHz, made for one codec and format. Its methods are those of [`OpusDecoder`].
pub(crate) enum Decoder {
    Opus(OpusDecoder),
    Pcm(PcmDecoder),
}

impl Decoder {
    /// Allocates. `None` if libopus refuses (out of memory).
    pub(crate) fn new(codec: Codec, format: StageFormat) -> Option<Self> {
        Some(match codec {
            Codec::Opus => Self::Opus(OpusDecoder::new(format)?),
            Codec::Pcm(pcm) => Self::Pcm(PcmDecoder::new(pcm, format)),
        })
    }

    pub(crate) fn decode(&mut self, payload: &[u8], out: &mut AudioBlock<'_>) -> Option<usize> {
        match self {
            Self::Opus(decoder) => decoder.decode(payload, out),
            Self::Pcm(decoder) => decoder.decode(payload, out),
        }
    }

    pub(crate) fn decode_fec(&mut self, next: &[u8], out: &mut AudioBlock<'_>) -> Option<usize> {
        match self {
            Self::Opus(decoder) => decoder.decode_fec(next, out),
            Self::Pcm(decoder) => decoder.conceal(out),
        }
    }

    pub(crate) fn conceal(&mut self, out: &mut AudioBlock<'_>) -> Option<usize> {
        match self {
            Self::Opus(decoder) => decoder.conceal(out),
            Self::Pcm(decoder) => decoder.conceal(out),
        }
    }

    /// What was made up last is joined to the next packet by whoever asked for it. libopus does that by itself in any case.
    pub(crate) fn is_joined(&mut self) {
        if let Self::Pcm(decoder) = self {
            decoder.is_joined();
        }
    }
}

/// How mixes are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusSettings {
    /// Bits per second of one mix in mono, 6 000 to 510 000; stereo takes twice as many.
    pub bitrate_bps: i32,
    /// Encoder effort, 0 (cheapest) to 10.
    pub complexity: u8,
    /// Loss that in-band FEC is tuned for, in percent; 0 sends no FEC.
    pub expected_loss_percent: u8,
    /// What it is tuned for.
    pub application: Application,
    /// Whether packets stop in silence for listeners that ask for it.
    pub dtx: bool,
}

/// What an encoder is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// Voices: what is hard to understand is made clearer, and FEC works at every bitrate.
    Voice,
    /// Music: it comes out as much as it came in as possible.
    Audio,
}

impl Default for OpusSettings {
    fn default() -> Self {
        Self {
            bitrate_bps: 80_000,
            complexity: 7,
            expected_loss_percent: 5,
            application: Application::Voice,
            dtx: true,
        }
    }
}

/// A 48 kHz decoder. In stereo it gives middle and side (see [`crate::planes`]); of mono packets
/// there is no side then, and of stereo ones mono has the middle.
pub(crate) struct OpusDecoder {
    inner: coder::Decoder,
    /// Left and right in turn; nothing in mono.
    interleaved: Box<[f32]>,
}

impl OpusDecoder {
    /// Allocates 18 KiB, in stereo 73. `None` if libopus refuses (out of memory).
    pub(crate) fn new(format: StageFormat) -> Option<Self> {
        let stereo = format == StageFormat::STEREO;
        let channels = if stereo { Channels::Stereo } else { Channels::Mono };
        let inner = coder::Decoder::new(SampleRate::Hz48000, channels).ok()?;
        let space = if stereo { 2 * MAX_PACKET_SAMPLES } else { 0 };
        Some(Self { inner, interleaved: vec![0.0; space].into() })
    }

    /// Decodes a packet into `out`; `None` if it is no Opus. Returns the samples written. They are
    /// within ±[`LOUDEST`], here and below.
    pub(crate) fn decode(&mut self, payload: &[u8], out: &mut AudioBlock<'_>) -> Option<usize> {
        self.run(Some(Packet::try_from(payload).ok()?), out, false)
    }

    /// Rebuilds the frame before `next` from the in-band FEC in `next` (RFC 6716, section 2.1.7);
    /// where there is none, libopus conceals instead. `out` is that frame's length.
    pub(crate) fn decode_fec(&mut self, next: &[u8], out: &mut AudioBlock<'_>) -> Option<usize> {
        self.run(Some(Packet::try_from(next).ok()?), out, true)
    }

    /// Fills `out`, a multiple of 2.5 ms, with what might have followed.
    pub(crate) fn conceal(&mut self, out: &mut AudioBlock<'_>) -> Option<usize> {
        self.run(None, out, false)
    }

    fn run(
        &mut self,
        packet: Option<Packet<'_>>,
        out: &mut AudioBlock<'_>,
        fec: bool,
    ) -> Option<usize> {
        let space = self.interleaved.get_mut(..2 * out.frames());
        let (mid, side) = out.sides_mut();
        let (Some(side), Some(space)) = (side, space) else {
            let signals = MutSignals::try_from(&mut *mid).ok()?;
            let samples = self.inner.decode_float(packet, signals, fec).ok()?;
            mid.iter_mut().take(samples).for_each(|s| *s = s.clamp(-LOUDEST, LOUDEST));
            return Some(samples);
        };
        let signals = MutSignals::try_from(&mut *space).ok()?;
        let samples = self.inner.decode_float(packet, signals, fec).ok()?;
        let both = mid.iter_mut().zip(side).zip(space.chunks_exact(2));
        for ((mid, side), pair) in both.take(samples) {
            let [left, right] = [pair[0], pair[1]].map(|s| s.clamp(-LOUDEST, LOUDEST));
            (*mid, *side) = middle_and_side(left, right);
        }
        Some(samples)
    }
}

/// Twice full scale. A voice that was encoded at full scale comes out a little above it; only a
/// packet that was made up or spoilt decodes to more, eight times full scale and beyond.
const LOUDEST: f32 = 2.0;

/// Samples at 48 kHz in an Opus packet, or `None` if it is no Opus packet of 2.5 to 120 ms.
pub(crate) fn packet_samples(payload: &[u8]) -> Option<usize> {
    let samples = nb_samples(Packet::try_from(payload).ok()?, SampleRate::Hz48000).ok()?;
    (1..=MAX_PACKET_SAMPLES).contains(&samples).then_some(samples)
}

/// Whether the packet carries in-band FEC for the one before it: the LBRR flags at the head of its
/// first SILK frame (RFC 6716, section 4.2.4). Of packets with more than two frames nothing is
/// known; browsers send one.
pub(crate) fn has_fec(payload: &[u8]) -> bool {
    let Some((&toc, rest)) = payload.split_first() else { return false };
    let (config, stereo, code) = (toc >> 3, toc & 4 != 0, toc & 3);
    if config >= 16 {
        return false;
    }
    // In SILK-only packets a frame of 40 or 60 ms has two or three sets of flags.
    let frames = if config < 12 { (config & 3).max(1) } else { 1 };
    let head = match (code, rest) {
        (0 | 1, [head, ..]) => *head,
        (2, [length, _, head, ..]) if *length >= 252 => *head,
        (2, [_, head, ..]) => *head,
        _ => return false,
    };
    let middle = head >> (7 - frames) & 1 == 1;
    middle || stereo && head >> (6 - 2 * frames) & 1 == 1
}

/// libopus refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(String);

impl CodecError {
    pub(crate) fn new(what: String) -> Self {
        Self(what)
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

const _: () = assert!(SAMPLE_RATE_HZ == 48_000, "Opus is run at 48 kHz");

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(n: usize) -> Vec<f32> {
        (0..n).map(|i| 0.3 * (i as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin()).collect()
    }

    fn rms(x: &[f32]) -> f32 {
        (x.iter().map(|s| s * s).sum::<f32>() / x.len() as f32).sqrt()
    }

    #[test]
    fn a_tone_survives_the_codec() {
        let mut encoder =
            OpusEncoder::new(&OpusSettings::default(), StageFormat::MONO).expect("encoder");
        let mut decoder = OpusDecoder::new(StageFormat::MONO).expect("decoder");
        let mut out = [0.0; MAX_PACKET_SAMPLES];
        let mut bytes = [0; MAX_ENCODED_BYTES];
        for chunk in tone(960 * 20).chunks_exact(960) {
            let n = encoder.encode(chunk, &mut bytes).expect("encodes");
            assert_eq!(packet_samples(&bytes[..n]), Some(960));
            assert_eq!(decoder.decode(&bytes[..n], &mut AudioBlock::mono(&mut out)), Some(960));
        }
        let level = rms(&out[..960]);
        assert!((level - 0.212).abs() < 0.02, "rms {level}");
    }

    #[test]
    fn what_is_no_opus_is_refused() {
        assert_eq!(packet_samples(&[]), None);
        // Code 3 with a frame count of zero (RFC 6716, section 3.2.5).
        assert_eq!(packet_samples(&[0xff, 0x00]), None);
    }

    #[test]
    fn what_was_made_up_is_no_louder_than_a_voice_can_be() {
        let mut decoder = OpusDecoder::new(StageFormat::MONO).expect("decoder");
        let mut random = 1_u32;
        let mut loudest = 0.0_f32;
        for _ in 0..3_000 {
            let mut next = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 24) as u8
            };
            // Any mode and length, one mono frame (RFC 6716, section 3.1), any content.
            let toc = next() & 0xf8;
            let payload: Vec<u8> = std::iter::once(toc).chain((0..120).map(|_| next())).collect();
            let mut out = [0.0; MAX_PACKET_SAMPLES];
            let samples = decoder
                .decode(&payload, &mut AudioBlock::mono(&mut out))
                .expect("one frame of anything");
            loudest = out[..samples].iter().fold(loudest, |most, s| most.max(s.abs()));
        }
        assert_eq!(loudest, LOUDEST, "some of it was too loud, and was held");
    }
}
