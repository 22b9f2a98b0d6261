//! One receiver on a bad network, without sessions and rooms: what a participant's chain gets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audiopus::coder::Encoder;
use audiopus::{Application, Bitrate, Channels, SampleRate};
use foldback_room::{EncodedFrame, LatencyProfile, Receiver, ReceiverStats};
use foldback_stage::AudioBuffer;

use crate::alloc::no_alloc;
use crate::clock::SimClock;
use crate::net::{Link, LinkSpec};

/// A sender and the network behind it.
#[derive(Clone, Debug)]
pub struct Sending {
    /// Length of a packet: 10, 20, 40 or 60 ms.
    pub packet_ms: u32,
    /// How much the sender's clock is fast.
    pub ppm: f64,
    /// Bits per second.
    pub bitrate_bps: i32,
    /// Encoder effort, 0 to 10.
    pub complexity: u8,
    /// In-band FEC, tuned for this loss in percent; 0 is none.
    pub fec_percent: u8,
    /// So many of the packets before it does each packet carry copies of (RFC 2198).
    pub copies: usize,
    /// From the room's ticks to the sender's packets.
    pub phase: Duration,
    /// The network.
    pub link: LinkSpec,
    /// The network's seed.
    pub seed: u64,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            packet_ms: 20,
            ppm: 0.0,
            bitrate_bps: 32_000,
            complexity: 5,
            fec_percent: 0,
            copies: 0,
            phase: Duration::from_millis(7),
            link: LinkSpec::default(),
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// What the chain gets, from the first tick on.
    pub sound: Vec<f32>,
    /// For each packet out: the receiver's delay in ms, 0 before it plays.
    pub delay_ms: Vec<f64>,
    /// For each packet out, the counters after it.
    pub stats: Vec<ReceiverStats>,
    /// Latencies of packets from arrival to the tick that played their last sample, in ms.
    pub latency_ms: Vec<f64>,
    /// What the receiver thinks of the sender's clock, at the end.
    pub drift_ppm: Option<f64>,
}

impl Played {
    /// The mean delay from `from` to `to` seconds, in ms.
    #[must_use]
    pub fn mean_delay_ms(&self, profile: LatencyProfile, from: f64, to: f64) -> f64 {
        let per_second = 100.0 / profile.blocks_per_packet() as f64;
        let range = (from * per_second) as usize..(to * per_second) as usize;
        let part = &self.delay_ms[range];
        part.iter().sum::<f64>() / part.len() as f64
    }

    /// The counters at `at` seconds.
    #[must_use]
    pub fn stats_at(&self, profile: LatencyProfile, at: f64) -> ReceiverStats {
        let per_second = 100.0 / profile.blocks_per_packet() as f64;
        self.stats[((at * per_second) as usize).min(self.stats.len() - 1)]
    }
}

/// Sends `voice` (48 kHz mono) over the network and plays it.
///
/// # Panics
/// If Opus refuses, or the receiver allocates while it plays.
#[must_use]
pub fn play(voice: &[f32], sending: &Sending, profile: LatencyProfile) -> Played {
    let mut clock = SimClock::new();
    let start = clock.now();
    let mut sender = Sender::new(sending, start);
    let mut receiver = Receiver::new(profile);
    let mut played = Played::default();
    let mut block = AudioBuffer::mono();
    let quantum = Duration::from_millis(10) * profile.blocks_per_packet() as u32;
    let end = start + Duration::from_secs_f64(voice.len() as f64 / 48e3);
    let mut tick = start;
    while tick < end {
        sender.send_until(tick, voice);
        while let Some(frame) = sender.receive(tick) {
            receiver.push(frame);
        }
        for _ in 0..profile.blocks_per_packet() {
            no_alloc(|| receiver.pull(tick, &mut block));
            played.sound.extend_from_slice(block.plane(0));
        }
        while let Some(arrival) = receiver.next_played(tick, 0) {
            played.latency_ms.push(tick.saturating_duration_since(arrival).as_secs_f64() * 1e3);
        }
        played.delay_ms.push(receiver.delay().as_secs_f64() * 1e3);
        played.stats.push(receiver.stats());
        tick = clock.advance(quantum);
    }
    played.drift_ppm = receiver.drift_ppm();
    played
}

/// A packet on its way.
#[derive(Clone)]
struct Sent {
    seq: u64,
    payload: Arc<[u8]>,
    /// Copies of the packets before it, the latest first.
    copies: Vec<Arc<[u8]>>,
}

struct Sender<'a> {
    sending: &'a Sending,
    encoder: Encoder,
    link: Link<Sent>,
    start: Instant,
    sent: u64,
    /// The packets sent last, the latest first.
    last: VecDeque<Arc<[u8]>>,
    /// Copies that came with the packet received last.
    copies: VecDeque<EncodedFrame>,
}

impl<'a> Sender<'a> {
    fn new(sending: &'a Sending, start: Instant) -> Self {
        let encoder = || -> audiopus::Result<Encoder> {
            let mut encoder = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip)?;
            encoder.set_bitrate(Bitrate::BitsPerSecond(sending.bitrate_bps))?;
            encoder.set_complexity(sending.complexity)?;
            encoder.set_inband_fec(sending.fec_percent > 0)?;
            encoder.set_packet_loss_perc(sending.fec_percent)?;
            Ok(encoder)
        };
        Self {
            sending,
            encoder: encoder().expect("an encoder"),
            link: Link::new(sending.seed, sending.link.clone()),
            start,
            sent: 0,
            last: VecDeque::new(),
            copies: VecDeque::new(),
        }
    }

    fn samples(&self) -> usize {
        self.sending.packet_ms as usize * 48
    }

    fn send_until(&mut self, now: Instant, voice: &[f32]) {
        let samples = self.samples();
        loop {
            // A packet is sent once its last sample was captured.
            let media = (self.sent + 1) as f64 * f64::from(self.sending.packet_ms) / 1e3;
            let at = Duration::from_secs_f64(media / (1.0 + self.sending.ppm * 1e-6));
            let at = self.start + self.sending.phase + at;
            let from = usize::try_from(self.sent).expect("fits") * samples;
            let Some(pcm) = voice.get(from..from + samples).filter(|_| at <= now) else { return };
            let mut bytes = [0; 1275];
            let length = self.encoder.encode_float(pcm, &mut bytes).expect("encodes");
            let payload: Arc<[u8]> = Arc::from(&bytes[..length]);
            let copies = self.last.iter().cloned().collect();
            self.last.push_front(Arc::clone(&payload));
            self.last.truncate(self.sending.copies);
            self.link.send(at, Sent { seq: self.sent, payload, copies });
            self.sent += 1;
        }
    }

    fn receive(&mut self, now: Instant) -> Option<EncodedFrame> {
        if let Some(copy) = self.copies.pop_front() {
            return Some(copy);
        }
        let arrival = self.link.receive(now)?;
        let Sent { seq, payload, copies } = arrival.payload;
        // From numbers near where 16 and 32 bits wrap, extended as a session extends them.
        let seq = seq + 65_500;
        let samples = self.samples() as u64;
        let rtp_time = |seq: u64| (1 << 32) - 480_000 + seq * samples;
        let frame = |seq: u64, payload, copy_distance| EncodedFrame {
            ssrc: 7,
            seq,
            rtp_time: rtp_time(seq),
            level_minus_dbov: None,
            payload,
            arrival: arrival.at,
            captured: None,
            copy_distance,
        };
        let copies = (1..).zip(copies);
        self.copies = copies.map(|(n, copy)| frame(seq - u64::from(n), copy, n)).collect();
        Some(frame(seq, payload, 0))
    }
}
