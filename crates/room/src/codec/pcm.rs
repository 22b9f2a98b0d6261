//! Sound without a model of it: G.711 and linear samples, as gateways to telephony send them (RFC 3551, sections 4.5.11
//! and 4.5.14), at other rates than 48 kHz too.

use foldback_stage::{AudioBlock, SAMPLE_RATE_HZ, StageFormat};

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::planes::{Planes, middle_and_side};

mod g711;
mod rate;

use rate::{Downsampler, Upsampler};

/// What is said of a packet's sound by its signalling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcmFormat {
    /// How a sample is written.
    pub samples: PcmSamples,
    /// Samples of each channel in a second: 48 000, or that divided by 2, 3 or 6.
    pub rate_hz: u32,
    /// One, or two: left and right in turn.
    pub channels: usize,
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcmSamples {
    /// G.711, µ-law: a byte.
    Mu,
    /// G.711, A-law: a byte.
    A,
    /// Linear, 16 bits, the high byte first.
    Linear16,
}

impl PcmFormat {
    /// The rates that there are, in Hz.
    pub const RATES_HZ: [u32; 4] = [8_000, 16_000, 24_000, 48_000];

    /// Samples at 48 kHz for one of its own.
    #[must_use]
    pub fn factor(self) -> usize {
        (SAMPLE_RATE_HZ / self.rate_hz.max(1)).max(1) as usize
    }

    /// Bytes of so many samples of each channel at 48 kHz.
    #[must_use]
    pub fn bytes_of(self, samples: usize) -> usize {
        samples / self.factor() * self.frame_bytes()
    }

    /// Bytes of one sample of each channel.
    fn frame_bytes(self) -> usize {
        let bytes = if self.samples == PcmSamples::Linear16 { 2 } else { 1 };
        bytes * self.channels
    }

    /// Samples at 48 kHz in a packet; `None` if it is none of whole samples, or shorter than 1 ms, or longer than 200.
    pub(crate) fn packet_samples(self, payload: &[u8]) -> Option<usize> {
        let samples = payload.len() / self.frame_bytes() * self.factor();
        let whole = payload.len().is_multiple_of(self.frame_bytes());
        (whole && (SHORTEST..=LONGEST).contains(&samples)).then_some(samples)
    }

    fn read(self, bytes: &[u8]) -> f32 {
        let sample = match (self.samples, bytes) {
            (PcmSamples::Mu, [byte, ..]) => g711::mu_to_linear(*byte),
            (PcmSamples::A, [byte, ..]) => g711::a_to_linear(*byte),
            (PcmSamples::Linear16, [high, low, ..]) => i16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        f32::from(sample) / FULL_SCALE
    }

    fn write(self, sample: f32, out: &mut Vec<u8>) {
        let sample = (sample * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1.0) as i16;
        match self.samples {
            PcmSamples::Mu => out.push(g711::linear_to_mu(sample)),
            PcmSamples::A => out.push(g711::linear_to_a(sample)),
            PcmSamples::Linear16 => out.extend(sample.to_be_bytes()),
        }
    }
}

const FULL_SCALE: f32 = 32_768.0;
/// Nobody sends shorter packets than of 1 ms, at 48 kHz (AES67).
const SHORTEST: usize = 48;
/// Tools that are told nothing fill a packet of Ethernet: 180 ms of µ-law.
const LONGEST: usize = 9_600;

/// What a lost packet is made up from: 40 ms.
const PAST: usize = 1_920;
/// The pitch of voices, as the time of one period in samples at 8 kHz: 50 to 333 Hz.
const PERIODS: std::ops::RangeInclusive<usize> = 24..=160;
/// What is compared to find it, in samples at 8 kHz and at 48.
const COMPARED_COARSE: usize = 120;
const COMPARED_FINE: usize = 480;
/// What is made up is at full level for 10 ms, and is silent after 60 (G.711, appendix I).
const FULL: usize = 480;
const SILENT_AFTER: usize = 2_880;
/// A step between what was heard and what is made up is spread over 1 ms, and over 5 ms it gives way to what comes.
const STEP: usize = 48;
const FADE: usize = 240;

/// From packets to 48 kHz. As [`super::OpusDecoder`], in stereo it gives middle and side.
pub(crate) struct PcmDecoder {
    format: PcmFormat,
    /// Of the middle, and of the side where there is one on both sides.
    rates: [Upsampler; 2],
    /// A packet at its own rate.
    raw: Box<[f32]>,
    /// The last [`PAST`] samples.
    past: Planes,
    /// How what was lost goes on: the period, and how much was made up already.
    lost: Option<Lost>,
}

#[derive(Clone, Copy)]
struct Lost {
    period: usize,
    made_up: usize,
}

impl PcmDecoder {
    /// Allocates 60 KiB at most.
    pub(crate) fn new(format: PcmFormat, room: StageFormat) -> Self {
        let most = LONGEST / format.factor();
        Self {
            format,
            rates: std::array::from_fn(|_| Upsampler::new(format.factor(), most)),
            raw: vec![0.0; most].into(),
            past: Planes::new(room, PAST),
            lost: None,
        }
    }

    /// As [`super::OpusDecoder::decode`].
    pub(crate) fn decode(&mut self, payload: &[u8], out: &mut AudioBlock<'_>) -> Option<usize> {
        let samples = self.format.packet_samples(payload)?;
        if out.frames() < samples {
            return None;
        }
        let (middle, side) = out.sides_mut();
        self.expand(payload, 0, &mut middle[..samples]);
        if let Some(side) = side {
            match self.format.channels {
                2 => self.expand(payload, 1, &mut side[..samples]),
                _ => side[..samples].fill(0.0),
            }
        }
        if self.lost.is_some() {
            self.fade_over(samples, out);
        }
        self.remember(samples, out);
        Some(samples)
    }

    /// As [`super::OpusDecoder::conceal`].
    pub(crate) fn conceal(&mut self, out: &mut AudioBlock<'_>) -> Option<usize> {
        let samples = out.frames();
        let lost = self.lost.unwrap_or_else(|| Lost { period: self.period(), made_up: 0 });
        let (middle, side) = out.sides_mut();
        for (plane, past) in std::iter::once(middle).chain(side).zip(self.past.iter()) {
            for (i, sample) in plane.iter_mut().enumerate() {
                *sample = lost.sample(past, i);
            }
        }
        self.lost = Some(Lost { made_up: lost.made_up + samples, ..lost });
        Some(samples)
    }

    /// What was made up last is joined to what comes by whoever asked for it.
    pub(crate) fn is_joined(&mut self) {
        self.lost = None;
    }

    /// A packet's samples, of the middle (`plane` 0) or the side, at 48 kHz.
    fn expand(&mut self, payload: &[u8], plane: usize, out: &mut [f32]) {
        let (format, frame) = (self.format, self.format.frame_bytes());
        let frames = payload.chunks_exact(frame);
        let count = frames.len();
        for (sample, bytes) in self.raw.iter_mut().zip(frames) {
            let left = format.read(bytes);
            *sample = match format.channels {
                2 => {
                    let (middle, side) = middle_and_side(left, format.read(&bytes[frame / 2..]));
                    if plane == 0 { middle } else { side }
                }
                _ => left,
            };
        }
        self.rates[plane].process(&self.raw[..count], out);
    }

    fn fade_over(&mut self, samples: usize, out: &mut AudioBlock<'_>) {
        let Some(lost) = self.lost.take() else { return };
        let fade = FADE.min(samples);
        let (middle, side) = out.sides_mut();
        for (plane, past) in std::iter::once(middle).chain(side).zip(self.past.iter()) {
            for (i, sample) in plane[..fade].iter_mut().enumerate() {
                let share = (i + 1) as f32 / (fade + 1) as f32;
                *sample = lost.sample(past, i) * (1.0 - share) + *sample * share;
            }
        }
    }

    fn remember(&mut self, samples: usize, out: &mut AudioBlock<'_>) {
        let (middle, side) = out.sides_mut();
        for (past, plane) in self.past.iter_mut().zip(std::iter::once(middle).chain(side)) {
            let new = samples.min(PAST);
            past.copy_within(new.., 0);
            past[PAST - new..].copy_from_slice(&plane[samples - new..samples]);
        }
    }

    /// The time after which the sound of late repeats itself best.
    fn period(&self) -> usize {
        const COARSE: usize = PAST / 6;
        let past = self.past.first();
        let mut coarse = [0.0; COARSE];
        for (coarse, fine) in coarse.iter_mut().zip(past.chunks_exact(6)) {
            *coarse = fine.iter().sum();
        }
        let rough = 6 * best_lag(&coarse, COMPARED_COARSE, PERIODS).unwrap_or(*PERIODS.end());
        best_lag(past, COMPARED_FINE, rough - 6..=rough + 6).unwrap_or(rough)
    }
}

impl Lost {
    /// The `i`-th sample from here on.
    fn sample(self, past: &[f32], i: usize) -> f32 {
        let at = self.made_up + i;
        let end = past.len();
        let repeated = past[end - self.period + at % self.period];
        let step = past[end - 1] - past[end - 1 - self.period];
        let left = STEP.saturating_sub(at) as f32 / STEP as f32;
        let level = SILENT_AFTER.saturating_sub(at) as f32 / (SILENT_AFTER - FULL) as f32;
        (repeated + step * left) * level.min(1.0)
    }
}

/// By how much the last `compared` samples are to be moved back to look most like what was there.
fn best_lag(
    sound: &[f32],
    compared: usize,
    lags: std::ops::RangeInclusive<usize>,
) -> Option<usize> {
    let end = sound.len();
    let last = &sound[end - compared..];
    let likeness = |lag: usize| {
        let before = &sound[end - compared - lag..end - lag];
        let product: f32 = last.iter().zip(before).map(|(a, b)| a * b).sum();
        let energy: f32 = before.iter().map(|b| b * b).sum();
        product / (energy + 1e-9).sqrt()
    };
    lags.filter(|lag| compared + lag <= end).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)))
}

/// What somebody hears, for packets in such a format.
pub struct PcmEncoder {
    format: PcmFormat,
    rates: [Downsampler; 2],
    /// At the format's own rate, of each channel.
    sound: [Vec<f32>; 2],
}

impl PcmEncoder {
    /// Allocates some KiB.
    #[must_use]
    pub fn new(format: PcmFormat) -> Self {
        let samples = MAX_PACKET_SAMPLES_OUT / format.factor();
        Self {
            format,
            rates: std::array::from_fn(|_| {
                Downsampler::new(format.factor(), MAX_PACKET_SAMPLES_OUT)
            }),
            sound: std::array::from_fn(|_| vec![0.0; samples]),
        }
    }

    /// Appends a packet out of the room to `out`; where one side is both are the same. Allocates nothing, if `out` has room for
    /// it.
    pub fn encode(&mut self, sound: MixSound<'_>, out: &mut Vec<u8>) {
        let samples = (sound.mean.len() / self.format.factor()).min(self.sound[0].len());
        match (self.format.channels, sound.sides) {
            (2, Some(sides)) => {
                for (channel, side) in sides.into_iter().enumerate() {
                    self.rates[channel].process(side, &mut self.sound[channel][..samples]);
                }
            }
            _ => {
                self.rates[0].process(sound.mean, &mut self.sound[0][..samples]);
                let [first, second] = &mut self.sound;
                second.copy_from_slice(first);
            }
        }
        for i in 0..samples {
            for channel in &self.sound[..self.format.channels] {
                self.format.write(channel[i], out);
            }
        }
    }
}

impl std::fmt::Debug for PcmEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PcmEncoder").field("format", &self.format).finish_non_exhaustive()
    }
}

/// What somebody hears in a packet, before it is encoded.
#[derive(Clone, Copy, Debug)]
pub struct MixSound<'a> {
    /// In mono, or of stereo the mean of both sides.
    pub mean: &'a [f32],
    /// Left and right, of a stereo room.
    pub sides: Option<[&'a [f32]; 2]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MU: PcmFormat = PcmFormat { samples: PcmSamples::Mu, rate_hz: 8_000, channels: 1 };
    const STEREO: PcmFormat =
        PcmFormat { samples: PcmSamples::Linear16, rate_hz: 48_000, channels: 2 };

    fn tone(hz: f32, samples: usize) -> Vec<f32> {
        let step = std::f32::consts::TAU * hz / 48_000.0;
        (0..samples).map(|i| 0.3 * (i as f32 * step).sin()).collect()
    }

    fn rms(sound: &[f32]) -> f32 {
        (sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32).sqrt()
    }

    fn packets(format: PcmFormat, sound: &[f32]) -> Vec<Vec<u8>> {
        let mut encoder = PcmEncoder::new(format);
        let encode = |mean: &[f32]| {
            let mut packet = Vec::new();
            encoder.encode(MixSound { mean, sides: None }, &mut packet);
            packet
        };
        sound.chunks_exact(960).map(encode).collect()
    }

    #[test]
    fn a_tone_survives_every_format() {
        for samples in [PcmSamples::Mu, PcmSamples::A, PcmSamples::Linear16] {
            for rate_hz in PcmFormat::RATES_HZ {
                let format = PcmFormat { samples, rate_hz, channels: 1 };
                let mut decoder = PcmDecoder::new(format, StageFormat::MONO);
                let mut heard = Vec::new();
                for packet in packets(format, &tone(1_000.0, 48_000)) {
                    assert_eq!(format.packet_samples(&packet), Some(960));
                    let mut out = [0.0; 960];
                    let decoded = decoder.decode(&packet, &mut AudioBlock::mono(&mut out));
                    assert_eq!(decoded, Some(960));
                    heard.extend(out);
                }
                let level = rms(&heard[9_600..]);
                assert!((level - 0.2121).abs() < 0.003, "{format:?}: {level}");
                // What is no tone of 1 kHz: at 48 kHz a period has 48 samples.
                let odd: Vec<_> = heard[9_600..].windows(49).map(|of| of[48] - of[0]).collect();
                let noise = 20.0 * (rms(&odd) / level).log10();
                assert!(noise < -30.0, "{format:?}: {noise} dB");
            }
        }
    }

    #[test]
    fn what_a_rate_has_no_room_for_is_left_out() {
        for (hz, is_heard) in [(3_000.0, true), (4_800.0, false), (7_000.0, false)] {
            let mut encoder = PcmEncoder::new(MU);
            let mut packet = Vec::new();
            for mean in tone(hz, 48_000).chunks_exact(960) {
                packet.clear();
                encoder.encode(MixSound { mean, sides: None }, &mut packet);
            }
            let sound: Vec<_> = packet.iter().map(|byte| MU.read(&[*byte])).collect();
            assert_eq!(rms(&sound) > 0.15, is_heard, "{hz} Hz: {}", rms(&sound));
            assert!(is_heard || rms(&sound) < 0.001, "{hz} Hz: {}", rms(&sound));
        }
    }

    #[test]
    fn sides_stay_apart() {
        let (left, right) = (tone(400.0, 960), tone(700.0, 960));
        let mut encoder = PcmEncoder::new(STEREO);
        let mut packet = Vec::new();
        let sound = MixSound { mean: &left, sides: Some([&left, &right]) };
        encoder.encode(sound, &mut packet);
        assert_eq!(STEREO.packet_samples(&packet), Some(960));
        let mut decoder = PcmDecoder::new(STEREO, StageFormat::STEREO);
        let (mut middle, mut side) = ([0.0; 960], [0.0; 960]);
        decoder.decode(&packet, &mut AudioBlock::stereo(&mut middle, &mut side)).expect("whole");
        for (i, (left, right)) in left.iter().zip(&right).enumerate() {
            assert!((middle[i] + side[i] - left).abs() < 1e-4);
            assert!((middle[i] - side[i] - right).abs() < 1e-4);
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let linear = PcmFormat { channels: 1, ..STEREO };
        for (format, bytes, samples) in [
            (MU, 0, None),
            (MU, 7, None),
            (MU, 8, Some(48)),
            (MU, 160, Some(960)),
            (MU, 1_600, Some(9_600)),
            (MU, 1_601, None),
            (linear, 1_921, None),
            (STEREO, 1_922, None),
            (STEREO, 1_924, Some(481)),
        ] {
            assert_eq!(format.packet_samples(&vec![0; bytes]), samples, "{format:?} {bytes}");
        }
    }

    #[test]
    fn a_lost_packet_of_a_voice_goes_on_at_its_pitch_and_nothing_clicks() {
        let tone = tone(210.0, 48_000);
        let mut decoder = PcmDecoder::new(MU, StageFormat::MONO);
        let mut heard = Vec::new();
        for (number, packet) in packets(MU, &tone).iter().enumerate() {
            let mut out = [0.0; 960];
            let mut block = AudioBlock::mono(&mut out);
            if number % 10 == 9 {
                decoder.conceal(&mut block).expect("made up");
            } else {
                decoder.decode(packet, &mut block).expect("whole");
            }
            heard.extend(out);
        }
        // Of the tone itself no two neighbours differ by more than 0.0083.
        let step = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(step < 0.05, "{step}");
        for (number, packet) in heard.chunks_exact(960).enumerate().skip(5) {
            assert!(rms(packet) > 0.15, "packet {number}: {}", rms(packet));
        }
    }

    #[test]
    fn what_does_not_come_back_falls_silent() {
        let mut decoder = PcmDecoder::new(MU, StageFormat::MONO);
        let mut out = [0.0; 960];
        for packet in packets(MU, &tone(210.0, 9_600)) {
            decoder.decode(&packet, &mut AudioBlock::mono(&mut out)).expect("whole");
        }
        let levels = [(); 4].map(|()| {
            decoder.conceal(&mut AudioBlock::mono(&mut out)).expect("made up");
            rms(&out)
        });
        assert!(levels[0] > levels[1] && levels[1] > levels[2] && levels[3] == 0.0, "{levels:?}");
    }
}
