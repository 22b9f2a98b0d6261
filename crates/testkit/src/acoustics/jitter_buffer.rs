//! A browser's jitter buffer: what of NetEq (WebRTC, `modules/audio_coding/neteq`) moves an echo.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use audiopus::coder::Decoder;
use audiopus::packet::Packet;
use audiopus::{Channels, MutSignals, SampleRate};

use super::QUANTUM;

/// The delays it chooses from, in ms.
const MIN_TARGET_MS: f64 = 40.0;
const MAX_TARGET_MS: f64 = 150.0;

/// The target holds for this share of the packets (`DelayManager`).
const QUANTILE: f64 = 0.95;

/// For how many packets a late one is remembered: 2 s. NetEq forgets over half a minute, and moves
/// its target in steps of 20 ms: less often than this.
const REMEMBERED_PACKETS: usize = 100;

/// How much of the level is new after a quantum (`BufferLevelFilter`: 4/256 after 10 ms).
const LEVEL_SMOOTHING: f64 = 0.03;

/// After a step so many quanta pass without one (`kMinTimescaleInterval`: 60 ms).
const QUANTA_BETWEEN_STEPS: u32 = 3;

/// What is taken out or put in is one period of the sound, of 2.5 to 15 ms, found within 30 ms
/// (`TimeStretch`), in steps of 1/12 ms. Periods must be this much alike, or quieter than this.
const MIN_PERIOD: usize = 120;
const MAX_PERIOD: usize = 720;
const PERIOD_STEP: usize = 4;
const MIN_LIKENESS: f32 = 0.9;
const QUIET_MEAN_SQUARE: f32 = 1e-6;

/// Decodes and plays what arrives. It conceals what is lost as browsers do, by the next packet's
/// FEC or by Opus itself.
pub(super) struct JitterBuffer {
    decoder: Decoder,
    packets: BTreeMap<u64, Vec<u8>>,
    /// The packet to decode next, once playing began.
    next: Option<u64>,
    decoded: VecDeque<f32>,
    /// When the first packet came, and by how many ms each of the last ones came later than it
    /// would have at its pace.
    first: Option<(Instant, u64)>,
    lateness_ms: VecDeque<f64>,
    level_ms: f64,
    quanta_since_step: u32,
}

impl JitterBuffer {
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder"),
            packets: BTreeMap::new(),
            next: None,
            decoded: VecDeque::new(),
            first: None,
            lateness_ms: VecDeque::new(),
            level_ms: MIN_TARGET_MS,
            quanta_since_step: 0,
        }
    }

    /// How long sound waits here, smoothed, in ms.
    pub(super) fn level_ms(&self) -> f64 {
        self.level_ms
    }

    pub(super) fn arrived(&mut self, now: Instant, seq: u64, payload: &[u8]) {
        let (first, first_seq) = *self.first.get_or_insert((now, seq));
        let at_pace_ms = 20.0 * (seq as f64 - first_seq as f64);
        self.lateness_ms.push_back((now - first).as_secs_f64() * 1e3 - at_pace_ms);
        if self.lateness_ms.len() > REMEMBERED_PACKETS {
            self.lateness_ms.pop_front();
        }
        if self.next.is_none_or(|next| seq >= next) {
            self.packets.insert(seq, payload.to_vec());
        }
    }

    /// A quantum of sound; silence until enough arrived.
    pub(super) fn play(&mut self) -> [f32; QUANTUM] {
        if self.next.is_none() {
            if 20.0 * (self.packets.len() as f64) < MIN_TARGET_MS {
                return [0.0; QUANTUM];
            }
            self.next = self.packets.keys().next().copied();
        }
        self.level_ms += LEVEL_SMOOTHING * (self.waiting_ms() - self.level_ms);
        self.quanta_since_step += 1;
        if self.quanta_since_step > QUANTA_BETWEEN_STEPS {
            let target_ms = self.target_ms();
            let lowest_ms = (0.75 * target_ms).max(target_ms - 85.0);
            if self.level_ms > target_ms.max(lowest_ms + 20.0) {
                self.stretch(Period::leave_out);
            } else if self.level_ms < lowest_ms {
                self.stretch(Period::repeat);
            }
        }
        while self.decoded.len() < QUANTUM {
            self.decode();
        }
        let mut played = [0.0; QUANTUM];
        played.iter_mut().zip(self.decoded.drain(..QUANTUM)).for_each(|(to, from)| *to = from);
        played
    }

    fn target_ms(&self) -> f64 {
        let mut lateness_ms: Vec<f64> = self.lateness_ms.iter().copied().collect();
        lateness_ms.sort_by(f64::total_cmp);
        let late = (QUANTILE * (lateness_ms.len() - 1) as f64) as usize;
        (20.0 + lateness_ms[late] - lateness_ms[0]).clamp(MIN_TARGET_MS, MAX_TARGET_MS)
    }

    /// What there is to play, in ms.
    fn waiting_ms(&self) -> f64 {
        let (Some(first), Some(last)) = (self.next, self.packets.keys().next_back()) else {
            return self.decoded.len() as f64 / 48.0;
        };
        20.0 * (last + 1 - first) as f64 + self.decoded.len() as f64 / 48.0
    }

    /// Makes the sound longer or shorter, if enough of it is there and it lends itself to it.
    fn stretch(&mut self, edit: fn(Period, &[f32]) -> Vec<f32>) {
        while self.decoded.len() < 2 * MAX_PERIOD {
            if self.next.is_none_or(|next| !self.packets.contains_key(&next)) {
                return;
            }
            self.decode();
        }
        let sound: Vec<f32> = self.decoded.iter().take(2 * MAX_PERIOD).copied().collect();
        let Some(period) = Period::find(&sound) else { return };
        let edited = edit(period, &sound);
        self.level_ms += (edited.len() as f64 - sound.len() as f64) / 48.0;
        self.decoded.drain(..sound.len());
        edited.into_iter().rev().for_each(|sample| self.decoded.push_front(sample));
        self.quanta_since_step = 0;
    }

    fn decode(&mut self) {
        let next = self.next.expect("it plays");
        let packet = self.packets.remove(&next);
        let later = packet.is_none().then(|| self.packets.get(&(next + 1))).flatten();
        let mut pcm = [0.0; QUANTUM];
        let signals = MutSignals::try_from(&mut pcm[..]).expect("not empty");
        let payload = packet.as_deref().or(later.map(Vec::as_slice));
        let payload = payload.map(|bytes| Packet::try_from(bytes).expect("not empty"));
        let count = self.decoder.decode_float(payload, signals, later.is_some()).expect("Opus");
        self.decoded.extend(&pcm[..count]);
        // Where nothing later is there, the packet may yet come, and all that follow wait longer.
        if packet.is_some() || !self.packets.is_empty() {
            self.next = Some(next + 1);
        }
    }
}

/// The period of a sound around its middle.
#[derive(Clone, Copy)]
struct Period(usize);

impl Period {
    fn find(sound: &[f32]) -> Option<Self> {
        let likeness = |period: usize| {
            let (before, after) = (&sound[MAX_PERIOD - period..], &sound[MAX_PERIOD..]);
            let pairs = before.iter().zip(after).step_by(PERIOD_STEP).take(period / PERIOD_STEP);
            let (mut product, mut energy) = (0.0, [1e-9; 2]);
            for (a, b) in pairs {
                product += a * b;
                energy[0] += a * a;
                energy[1] += b * b;
            }
            product / (energy[0] * energy[1]).sqrt()
        };
        let best = (MIN_PERIOD..=MAX_PERIOD)
            .step_by(PERIOD_STEP)
            .max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)))?;
        let mean_square = sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32;
        let fits = mean_square < QUIET_MEAN_SQUARE || likeness(best) > MIN_LIKENESS;
        fits.then_some(Self(best))
    }

    /// One period less.
    fn leave_out(self, sound: &[f32]) -> Vec<f32> {
        let (at, Self(period)) = (MAX_PERIOD - self.0, self);
        let mut shorter = sound[..at].to_vec();
        shorter.extend(fade(&sound[at..at + period], &sound[at + period..]));
        shorter.extend(&sound[at + 2 * period..]);
        shorter
    }

    /// One period more.
    fn repeat(self, sound: &[f32]) -> Vec<f32> {
        let (at, Self(period)) = (MAX_PERIOD, self);
        let mut longer = sound[..at].to_vec();
        longer.extend(fade(&sound[at..at + period], &sound[at - period..]));
        longer.extend(&sound[at..]);
        longer
    }
}

/// From one sound to another, as long as the first.
fn fade(from: &[f32], to: &[f32]) -> Vec<f32> {
    let length = from.len() as f32;
    let both = from.iter().zip(to).enumerate();
    both.map(|(n, (from, to))| from + n as f32 / length * (to - from)).collect()
}
