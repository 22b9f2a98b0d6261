//! A listener without headphones: what a browser's jitter buffer, a loudspeaker, a room and a
//! microphone make of the sound that arrives.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use audiopus::coder::Decoder;
use audiopus::packet::Packet;
use audiopus::{Channels, MutSignals, SampleRate};

use crate::signal::{samples, white_noise};

/// Samples that are played, and captured, at a time: 20 ms.
const QUANTUM: usize = 960;

/// The delays that the jitter buffer chooses from, in ms.
const MIN_PLAYOUT_MS: f64 = 40.0;
const MAX_PLAYOUT_MS: f64 = 150.0;

/// How much sound the jitter buffer takes out or puts in at once, and how many quanta it lets pass
/// in between.
const STEP: usize = 480;
const STEP_QUANTA: u32 = 5;

/// For how many packets a late one is remembered: 2 s.
const REMEMBERED_PACKETS: usize = 100;

/// How long a room sounds; what comes later is left out.
const RESPONSE_S: f64 = 0.2;

/// A room, and how a device stands in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EchoPath {
    /// What the reflections are drawn from.
    pub seed: u64,
    /// How much less of white noise comes back than is played.
    pub return_loss_db: f64,
    /// In which time the room's sound falls by 60 dB.
    pub decay_s: f64,
    /// From the jitter buffer to the loudspeaker and from the microphone to the encoder, together.
    pub latency_s: f64,
}

/// A listener's device and room. It plays one quantum for each that it captures, so both are by the
/// same clock.
pub struct Acoustics {
    playout: Playout,
    room: Room,
}

impl Acoustics {
    /// A device that nothing has arrived at.
    ///
    /// # Panics
    /// If Opus refuses.
    #[must_use]
    pub fn new(path: EchoPath) -> Self {
        Self { playout: Playout::new(), room: Room::new(path) }
    }

    /// The device is moved, or somebody opens a door.
    pub fn change_path(&mut self, path: EchoPath) {
        self.room = Room { played: std::mem::take(&mut self.room.played), ..Room::new(path) };
    }

    /// How long sound waits in the jitter buffer, smoothed, in ms.
    #[must_use]
    pub fn playout_delay_ms(&self) -> f64 {
        self.playout.level_ms
    }

    /// Takes a packet that arrived.
    pub(crate) fn arrived(&mut self, now: Instant, seq: u64, payload: &[u8]) {
        self.playout.arrived(now, seq, payload);
    }

    /// Plays a quantum and adds its echo to what is captured meanwhile.
    pub(crate) fn capture(&mut self, captured: &mut [f32; QUANTUM]) {
        self.room.echo(&self.playout.play(), captured);
    }
}

/// An adaptive jitter buffer: its target is what the packets' arrivals spread by lately. It conceals
/// what is lost as browsers do, by the next packet's FEC or by Opus itself.
struct Playout {
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

impl Playout {
    fn new() -> Self {
        Self {
            decoder: Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder"),
            packets: BTreeMap::new(),
            next: None,
            decoded: VecDeque::new(),
            first: None,
            lateness_ms: VecDeque::new(),
            level_ms: MIN_PLAYOUT_MS,
            quanta_since_step: 0,
        }
    }

    fn arrived(&mut self, now: Instant, seq: u64, payload: &[u8]) {
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

    fn target_ms(&self) -> f64 {
        let latest = self.lateness_ms.iter().copied().fold(f64::MIN, f64::max);
        let earliest = self.lateness_ms.iter().copied().fold(f64::MAX, f64::min);
        (MIN_PLAYOUT_MS + latest - earliest).clamp(MIN_PLAYOUT_MS, MAX_PLAYOUT_MS)
    }

    /// What there is to play, in ms.
    fn waiting_ms(&self) -> f64 {
        let (Some(first), Some(last)) = (self.next, self.packets.keys().next_back()) else {
            return self.decoded.len() as f64 / 48.0;
        };
        20.0 * (last + 1 - first) as f64 + self.decoded.len() as f64 / 48.0
    }

    fn play(&mut self) -> [f32; QUANTUM] {
        if self.next.is_none() {
            if 20.0 * (self.packets.len() as f64) < MIN_PLAYOUT_MS {
                return [0.0; QUANTUM];
            }
            self.next = self.packets.keys().next().copied();
        }
        self.level_ms += 0.1 * (self.waiting_ms() - self.level_ms);
        self.quanta_since_step += 1;
        let error_ms = self.level_ms - self.target_ms();
        let may_step = self.quanta_since_step >= STEP_QUANTA;
        let taken = match error_ms {
            above if may_step && above > 15.0 => QUANTUM + STEP,
            below if may_step && below < -15.0 => QUANTUM - STEP,
            _ => QUANTUM,
        };
        if taken != QUANTUM {
            self.quanta_since_step = 0;
            self.level_ms += QUANTUM as f64 / 48.0 - taken as f64 / 48.0;
        }
        while self.decoded.len() < taken.max(QUANTUM) {
            self.decode();
        }
        let now = |at: usize| self.decoded[at];
        let from = taken - STEP;
        let played = std::array::from_fn(|n| match n.checked_sub(STEP) {
            // What is played jumps within half a quantum from one place to the other.
            Some(late) if taken != QUANTUM => {
                let share = late as f32 / STEP as f32;
                now(n) + share * (now(from + late) - now(n))
            }
            _ => now(n),
        });
        self.decoded.drain(..taken);
        played
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

/// A linear echo path.
struct Room {
    /// The impulse response, its latest part first.
    response: Vec<f32>,
    latency: usize,
    /// What was played last, as much as is still heard.
    played: Vec<f32>,
}

impl Room {
    fn new(path: EchoPath) -> Self {
        let latency = samples(path.latency_s);
        let tail = white_noise(path.seed, -30.0, RESPONSE_S);
        let decay_per_sample = 10f64.powf(-3.0 / (path.decay_s * 48e3));
        // The direct sound, then what comes back from the walls.
        let mut response: Vec<f32> = (0i32..)
            .zip(&tail)
            .map(|(n, noise)| if n == 0 { 1.0 } else { noise * decay_per_sample.powi(n) as f32 })
            .collect();
        let energy: f32 = response.iter().map(|tap| tap * tap).sum();
        let scale = (10f64.powf(-path.return_loss_db / 10.0) / f64::from(energy)).sqrt() as f32;
        response.iter_mut().for_each(|tap| *tap *= scale);
        response.reverse();
        Self { response, latency, played: Vec::new() }
    }

    fn echo(&mut self, played: &[f32; QUANTUM], captured: &mut [f32; QUANTUM]) {
        let heard = self.response.len() + self.latency;
        let missing = heard.saturating_sub(self.played.len());
        self.played.splice(..0, std::iter::repeat_n(0.0, missing));
        self.played.extend_from_slice(played);
        let first = self.played.len() - QUANTUM - self.latency + 1 - self.response.len();
        for (tap, sounded) in self.response.iter().zip(self.played[first..].windows(QUANTUM)) {
            for (sample, sounded) in captured.iter_mut().zip(sounded) {
                *sample += tap * sounded;
            }
        }
        self.played.drain(..self.played.len() - heard);
    }
}
