//! A listener without headphones: what a browser's jitter buffer, a loudspeaker, a room and a
//! microphone make of the sound that arrives.

mod jitter_buffer;

use std::time::Instant;

use jitter_buffer::JitterBuffer;

use crate::signal::{samples, white_noise};

/// Samples that are played, and captured, at a time: 20 ms.
const QUANTUM: usize = 960;

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
    buffer: JitterBuffer,
    room: Room,
}

impl Acoustics {
    /// A device that nothing has arrived at.
    ///
    /// # Panics
    /// If Opus refuses.
    #[must_use]
    pub fn new(path: EchoPath) -> Self {
        Self { buffer: JitterBuffer::new(), room: Room::new(path) }
    }

    /// The device is moved, or somebody opens a door.
    pub fn change_path(&mut self, path: EchoPath) {
        self.room = Room { played: std::mem::take(&mut self.room.played), ..Room::new(path) };
    }

    /// How long sound waits in the jitter buffer, smoothed, in ms.
    #[must_use]
    pub fn playout_delay_ms(&self) -> f64 {
        self.buffer.level_ms()
    }

    /// Takes a packet that arrived.
    pub(crate) fn arrived(&mut self, now: Instant, seq: u64, payload: &[u8]) {
        self.buffer.arrived(now, seq, payload);
    }

    /// Plays a quantum and adds its echo to what is captured meanwhile.
    pub(crate) fn capture(&mut self, captured: &mut [f32; QUANTUM]) {
        self.room.echo(&self.buffer.play(), captured);
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
