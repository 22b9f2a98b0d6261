//! Real Opus packets of every kind that a sender may choose, made once.

use std::f32::consts::TAU;
use std::sync::{Arc, OnceLock};

use arbitrary::Arbitrary;
use audiopus::coder::Encoder;
use audiopus::{Application, Bandwidth, Bitrate, Channels, SampleRate};

use crate::edits::ByteEdits;

/// Packets in a row from one encoder.
pub struct Track {
    /// Samples at 48 kHz in each.
    pub samples: u32,
    packets: Vec<Arc<[u8]>>,
}

impl Track {
    /// A packet; they repeat.
    #[must_use]
    pub fn packet(&self, index: usize) -> Arc<[u8]> {
        Arc::clone(&self.packets[index % self.packets.len()])
    }
}

/// A voice in 20 ms packets at 24 kbit/s with FEC: what a browser sends.
#[must_use]
pub fn voice() -> &'static Track {
    track(0)
}

/// One of the tracks.
#[must_use]
pub fn track(number: u8) -> &'static Track {
    static TRACKS: OnceLock<Vec<Track>> = OnceLock::new();
    let tracks = TRACKS.get_or_init(make_tracks);
    &tracks[usize::from(number) % tracks.len()]
}

/// What a packet may hold.
#[derive(Arbitrary, Clone, Debug)]
pub enum Payload {
    /// The next of a track.
    Real(u8),
    /// Any of a track, changed.
    Edited { track: u8, packet: u8, edits: ByteEdits },
    /// Anything.
    Raw(Vec<u8>),
}

impl Payload {
    /// Its bytes, at most 1200; `next` says which packet of a track is the next.
    #[must_use]
    pub fn bytes(&self, next: usize) -> Arc<[u8]> {
        const LONGEST: usize = 1200;
        match self {
            Self::Real(number) => track(*number).packet(next),
            Self::Edited { track: number, packet, edits } => {
                let packet = track(*number).packet(usize::from(*packet));
                Arc::from(edits.apply(&packet, LONGEST))
            }
            Self::Raw(bytes) => Arc::from(&bytes[..bytes.len().min(LONGEST)]),
        }
    }
}

/// How a track is encoded.
struct Recipe {
    samples: usize,
    channels: Channels,
    application: Application,
    bandwidth: Bandwidth,
    bits_per_second: i32,
    fec: bool,
    dtx: bool,
    sound: fn(usize) -> f32,
}

const VOICE: Recipe = Recipe {
    samples: 960,
    channels: Channels::Mono,
    application: Application::Voip,
    bandwidth: Bandwidth::Wideband,
    bits_per_second: 24_000,
    fec: true,
    dtx: false,
    sound: spoken,
};

fn make_tracks() -> Vec<Track> {
    use Application::{Audio, LowDelay, Voip};
    use Bandwidth::{Fullband, Mediumband, Narrowband, Superwideband, Wideband};
    use Channels::Stereo;
    let recipes = [
        VOICE,
        Recipe {
            channels: Stereo,
            application: Audio,
            bandwidth: Fullband,
            bits_per_second: 96_000,
            fec: false,
            ..VOICE
        },
        Recipe {
            samples: 480,
            application: LowDelay,
            bandwidth: Fullband,
            bits_per_second: 48_000,
            fec: false,
            ..VOICE
        },
        Recipe {
            samples: 120,
            application: LowDelay,
            bandwidth: Superwideband,
            bits_per_second: 64_000,
            fec: false,
            ..VOICE
        },
        Recipe { samples: 1920, bandwidth: Narrowband, bits_per_second: 10_000, ..VOICE },
        Recipe {
            samples: 2880,
            channels: Stereo,
            bandwidth: Mediumband,
            bits_per_second: 20_000,
            ..VOICE
        },
        Recipe { bits_per_second: 16_000, dtx: true, sound: bursts, ..VOICE },
        Recipe {
            application: Audio,
            bandwidth: Fullband,
            bits_per_second: 256_000,
            fec: false,
            sound: square,
            ..VOICE
        },
        Recipe {
            samples: 240,
            application: Voip,
            bandwidth: Wideband,
            bits_per_second: 32_000,
            fec: false,
            ..VOICE
        },
        Recipe { bandwidth: Fullband, bits_per_second: 40_000, sound: noise, ..VOICE },
    ];
    let mut tracks: Vec<Track> = recipes.iter().map(encode).collect();
    tracks.push(Track { samples: 5760, packets: of_120_ms() });
    tracks
}

/// One second, which goes on from its end at its start.
fn encode(recipe: &Recipe) -> Track {
    let mut encoder =
        Encoder::new(SampleRate::Hz48000, recipe.channels, recipe.application).expect("an encoder");
    encoder.set_bitrate(Bitrate::BitsPerSecond(recipe.bits_per_second)).expect("valid");
    encoder.set_bandwidth(recipe.bandwidth).expect("valid");
    encoder.set_inband_fec(recipe.fec).expect("valid");
    encoder.set_packet_loss_perc(if recipe.fec { 20 } else { 0 }).expect("valid");
    encoder.set_dtx(recipe.dtx).expect("valid");
    let packets = (0..48_000 / recipe.samples).map(|packet| {
        let at = |i: usize| (recipe.sound)(packet * recipe.samples + i);
        encode_one(&encoder, recipe.channels, recipe.samples, at)
    });
    Track { samples: recipe.samples as u32, packets: packets.collect() }
}

fn encode_one(
    encoder: &Encoder,
    channels: Channels,
    samples: usize,
    sound: impl Fn(usize) -> f32,
) -> Arc<[u8]> {
    let pcm: Vec<f32> = match channels {
        Channels::Stereo => (0..samples).flat_map(|i| [sound(i), 0.5 * sound(i / 2)]).collect(),
        _ => (0..samples).map(sound).collect(),
    };
    let mut bytes = [0; 1275];
    let length = encoder.encode_float(&pcm, &mut bytes).expect("encodes");
    Arc::from(&bytes[..length])
}

/// Two frames of 60 ms in one packet (RFC 6716, section 3.2.4).
fn of_120_ms() -> Vec<Arc<[u8]>> {
    let of_60_ms = encode(&Recipe { samples: 2880, bits_per_second: 16_000, ..VOICE });
    let packets = of_60_ms.packets.chunks_exact(2).map(|pair| {
        assert_eq!(pair[0][0], pair[1][0], "alike");
        let (first, second) = (&pair[0][1..], &pair[1][1..]);
        let mut packet = vec![pair[0][0] | 2];
        match u8::try_from(first.len()) {
            Ok(length) if length < 252 => packet.push(length),
            _ => {
                let low = 252 + first.len() % 4;
                packet.extend([low as u8, ((first.len() - low) / 4) as u8]);
            }
        }
        packet.extend_from_slice(first);
        packet.extend_from_slice(second);
        packet.into()
    });
    packets.collect()
}

fn spoken(i: usize) -> f32 {
    let t = (i % 48_000) as f32 / 48_000.0;
    let harmonics = (1..12_u8).map(|n| (TAU * 140.0 * f32::from(n) * t).sin() / f32::from(n));
    0.15 * harmonics.sum::<f32>() * (1.2 + (TAU * 4.0 * t).sin())
}

fn bursts(i: usize) -> f32 {
    if i % 48_000 < 12_000 { spoken(i) } else { 0.0 }
}

fn square(i: usize) -> f32 {
    if i % 120 < 60 { 1.0 } else { -1.0 }
}

fn noise(i: usize) -> f32 {
    let hash = (i as u32).wrapping_mul(2_654_435_761);
    let hash = (hash ^ (hash >> 15)).wrapping_mul(2_246_822_519);
    (hash >> 8) as f32 / 8_388_608.0 - 1.0
}
