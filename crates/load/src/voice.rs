//! What clients send: packets that are encoded once and shared by all who send them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audiopus::coder::Encoder;
use audiopus::{Application, Bitrate, Channels, SampleRate};

use crate::marker;
use crate::plan::ClientPlan;

/// Of each packet.
pub(crate) const PACKET_TIME: Duration = Duration::from_millis(20);
/// The same in samples at 48 kHz, which is the rate of RTP time too (RFC 7587).
pub(crate) const PACKET_SAMPLES: usize = 960;
/// Silence is told of so often in Opus DTX (RFC 6716, section 2.1.9).
const DTX_PACKETS: usize = 20;
/// Longer voices are cut, so that encoding does not last longer than measuring.
const LONGEST_S: usize = 30;
/// What browsers send of a voice.
const BITRATE: i32 = 32_000;
const RATE_HZ: usize = 48_000;

/// One packet to send.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Opus.
    pub(crate) payload: Arc<[u8]>,
    /// For the audio-level extension (RFC 6464): 0 is the loudest, 127 silence.
    pub(crate) level_minus_dbov: u8,
}

/// A loop of packets.
#[derive(Debug)]
pub(crate) struct Voice {
    /// One for each 20 ms; `None` is not sent.
    packets: Vec<Option<Packet>>,
    levels_minus_dbov: Vec<u8>,
}

impl Voice {
    /// Encodes mono at 48 kHz. With `dtx`, packets that tell nothing are left out.
    fn encode(sound: &[f32], dtx: bool) -> Result<Self, audiopus::Error> {
        let mut encoder = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::BitsPerSecond(BITRATE))?;
        encoder.set_complexity(5)?;
        encoder.set_dtx(dtx)?;
        let mut voice = Self { packets: Vec::new(), levels_minus_dbov: Vec::new() };
        let mut bytes = [0; 1275];
        for block in sound.chunks_exact(PACKET_SAMPLES) {
            let length = encoder.encode_float(block, &mut bytes)?;
            let level_minus_dbov = level_minus_dbov(block);
            let payload = Arc::from(&bytes[..length]);
            // Two bytes at most are no sound (`opus_encode` in the API of libopus).
            let tells = length > 2 || !dtx;
            voice.packets.push(tells.then_some(Packet { payload, level_minus_dbov }));
            voice.levels_minus_dbov.push(level_minus_dbov);
        }
        Ok(voice)
    }

    /// What those send who do not talk: a packet every 20 ms, or with `dtx` every 400 ms.
    fn silence(dtx: bool) -> Result<Self, audiopus::Error> {
        let mut voice = Self::encode(&[0.0; DTX_PACKETS * PACKET_SAMPLES], false)?;
        if dtx {
            voice.packets[1..].fill(None);
        }
        Ok(voice)
    }

    /// The packet at a place in time, counted in packets.
    pub(crate) fn packet(&self, place: u64) -> Option<&Packet> {
        self.packets[self.index(place)].as_ref()
    }

    /// The first place from `place` on at which there is a packet to send.
    pub(crate) fn next_to_send(&self, place: u64) -> u64 {
        let round = place..place + self.packets.len() as u64;
        round.clone().find(|place| self.packet(*place).is_some()).unwrap_or(round.end)
    }

    /// How loud it is at a place in time, as in [`Packet::level_minus_dbov`].
    pub(crate) fn level_minus_dbov(&self, place: u64) -> u8 {
        self.levels_minus_dbov[self.index(place)]
    }

    fn index(&self, place: u64) -> usize {
        (place % self.packets.len() as u64) as usize
    }
}

fn level_minus_dbov(block: &[f32]) -> u8 {
    let power = block.iter().map(|sample| sample * sample).sum::<f32>() / block.len() as f32;
    (-10.0 * power.log10()).clamp(0.0, 127.0).round() as u8
}

/// All that a plan needs, each encoded when it is first asked for.
pub(crate) struct Voices<'a> {
    plan: &'a ClientPlan,
    encoded: BTreeMap<(usize, bool), Arc<Voice>>,
    silence: Arc<Voice>,
}

impl<'a> Voices<'a> {
    pub(crate) fn new(plan: &'a ClientPlan) -> Result<Self, String> {
        let silence = Voice::silence(!plan.listeners_send_silence).map_err(cannot_encode)?;
        Ok(Self { plan, encoded: BTreeMap::new(), silence: Arc::new(silence) })
    }

    pub(crate) fn silence(&self) -> Arc<Voice> {
        Arc::clone(&self.silence)
    }

    /// The voice of the talker of that number, over all rooms.
    pub(crate) fn talker(
        &mut self,
        number: usize,
        with_markers: bool,
    ) -> Result<Arc<Voice>, String> {
        let which = number % self.plan.voices.len();
        if let Some(voice) = self.encoded.get(&(which, with_markers)) {
            return Ok(Arc::clone(voice));
        }
        let mut sound = whole_periods(&self.plan.voices[which]);
        if with_markers {
            mark(&mut sound);
        }
        let voice = Arc::new(Voice::encode(&sound, self.plan.dtx).map_err(cannot_encode)?);
        self.encoded.insert((which, with_markers), Arc::clone(&voice));
        Ok(voice)
    }
}

fn cannot_encode(error: audiopus::Error) -> String {
    format!("Opus does not encode: {error}")
}

/// Repeated or cut so that markers come evenly in a loop of it.
fn whole_periods(sound: &[f32]) -> Vec<f32> {
    let period = marker::EVERY.as_secs() as usize * RATE_HZ;
    let length = sound.len().clamp(period, LONGEST_S * RATE_HZ);
    sound.iter().copied().cycle().take(length - length % period).collect()
}

/// Puts a marker into each period, and makes room for it.
fn mark(sound: &mut [f32]) {
    let marker = marker::samples(RATE_HZ as u32);
    let at = (marker::BEGINS_AT.as_secs_f64() * RATE_HZ as f64) as usize;
    for period in sound.chunks_exact_mut(marker::EVERY.as_secs() as usize * RATE_HZ) {
        period[at..at + marker.len()].copy_from_slice(&marker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_with_dtx_send_a_packet_of_silence_every_400_ms() {
        let silence = Voice::silence(true).expect("encodes");
        let mut places = Vec::new();
        let mut place = 0;
        while place < 50 {
            place = silence.next_to_send(place);
            places.push(place);
            assert_eq!(silence.packet(place).map(|packet| packet.level_minus_dbov), Some(127));
            place += 1;
        }
        assert_eq!(places, [0, 20, 40, 60]);
        let all = Voice::silence(false).expect("encodes");
        assert!((0..40).all(|place| all.next_to_send(place) == place));
    }

    #[test]
    fn with_dtx_pauses_of_a_talker_are_not_sent_and_its_words_are() {
        let mut sound: Vec<f32> = (0..2 * RATE_HZ).map(|n| 0.1 * (n as f32 * 0.02).sin()).collect();
        sound[RATE_HZ / 2..].fill(0.0);
        let sent = |dtx| {
            let voice = Voice::encode(&sound, dtx).expect("encodes");
            let count = |places: std::ops::Range<u64>| {
                places.filter(|place| voice.packet(*place).is_some()).count()
            };
            (count(0..25), count(50..100))
        };
        assert_eq!(sent(false), (25, 50));
        let (words, pause) = sent(true);
        assert_eq!(words, 25);
        assert!((1..10).contains(&pause), "{pause} of 50 packets of a pause");
    }

    #[test]
    fn a_loop_holds_whole_periods_each_with_a_marker() {
        for (seconds, expected_s) in [(0.5, 2), (2.0, 2), (5.0, 4), (100.0, 30)] {
            let mut sound = whole_periods(&vec![0.5; (seconds * 48e3) as usize]);
            assert_eq!(sound.len(), expected_s * RATE_HZ);
            mark(&mut sound);
            let marker = marker::samples(48_000);
            let found = sound.windows(marker.len()).filter(|window| *window == marker);
            assert_eq!(found.count(), expected_s / 2);
        }
    }
}
