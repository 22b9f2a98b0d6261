//! Listening to what some of the clients get: decodes it, looks for markers and for holes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use audiopus::coder::Decoder;
use audiopus::packet::Packet;
use audiopus::{Channels, MutSignals, SampleRate};

use crate::marker::{self, Finder, SEARCH_RATE_HZ};
use crate::reception::GAP;
use crate::room::Room;
use crate::system;

/// RTP time of Opus is at 48 kHz whatever is decoded to.
const RTP_PER_SAMPLE: u64 = 48_000 / SEARCH_RATE_HZ as u64;
/// Sound that is kept: markers are looked for when they must have come, with time to spare.
const KEPT: Duration = Duration::from_secs(2);
/// Below is a hole, if there was something to hear.
const SILENCE_RMS: f32 = 3e-4;
/// How long before it is heard somebody must have begun, and until when gone on, for a silence to be
/// a hole in what they said.
const HEARD_WITHIN: (Duration, Duration) = (Duration::from_millis(300), Duration::from_millis(20));

/// What the ears are told.
#[derive(Debug)]
pub(crate) enum Heard {
    /// There is one more to listen to.
    Listener {
        /// Its number among all clients.
        client: usize,
        /// Its number in its room.
        participant: usize,
        /// Its room.
        room: Arc<Room>,
    },
    /// It got a packet.
    Packet {
        /// Who.
        client: usize,
        /// Extended RTP time.
        rtp_time: u64,
        /// When.
        arrival: Instant,
        /// Opus.
        payload: Arc<[u8]>,
    },
    /// What was before this is not measured.
    Measure(Instant),
}

/// What they have to tell in the end.
#[derive(Debug, Default)]
pub(crate) struct HeardReport {
    /// Clients that were listened to.
    pub(crate) listeners: usize,
    /// Markers that should have been heard.
    pub(crate) markers_expected: u64,
    /// The delays of those that were.
    pub(crate) delays: Vec<Duration>,
    /// Silences above 60 ms while somebody was to be heard.
    pub(crate) holes: u64,
    /// Packets that were no Opus.
    pub(crate) undecodable: u64,
    /// What the thread used up.
    pub(crate) cpu_time: Duration,
}

/// Starts the thread. It ends when all senders are gone.
pub(crate) fn spawn() -> std::io::Result<(Sender<Heard>, JoinHandle<HeardReport>)> {
    let (sender, heard) = channel();
    let thread = std::thread::Builder::new().name("load-ears".to_owned());
    let thread = thread.spawn(move || listen(&heard))?;
    Ok((sender, thread))
}

fn listen(heard: &Receiver<Heard>) -> HeardReport {
    let finder = Finder::new();
    let mut ears: Vec<Option<Ear>> = Vec::new();
    let mut report = HeardReport::default();
    let mut measuring = None;
    while let Ok(heard) = heard.recv() {
        match heard {
            Heard::Listener { client, participant, room } => {
                ears.resize_with(ears.len().max(client + 1), || None);
                report.listeners += 1;
                // A decoder needs memory and nothing else; without it nobody listens there.
                ears[client] = Ear::new(participant, room);
            }
            Heard::Packet { client, rtp_time, arrival, payload } => {
                if let Some(ear) = ears.get_mut(client).and_then(Option::as_mut) {
                    ear.take(rtp_time, arrival, &payload, measuring, &mut report);
                    ear.find_markers(arrival, measuring, &finder, &mut report);
                }
            }
            Heard::Measure(from) => measuring = Some(from),
        }
    }
    report.cpu_time = system::thread_cpu_time();
    report
}

struct Ear {
    participant: usize,
    room: Arc<Room>,
    decoder: Decoder,
    next_rtp_time: Option<u64>,
    /// The latest sound, and where its first sample stands in all of it.
    sound: VecDeque<f32>,
    begins_at: u64,
    /// Where each packet's sound begins, and when it came.
    arrivals: VecDeque<(u64, Instant)>,
    next_marker: Option<u32>,
    silent_since: Option<Instant>,
}

impl Ear {
    fn new(participant: usize, room: Arc<Room>) -> Option<Self> {
        let decoder = Decoder::new(SampleRate::Hz8000, Channels::Mono).ok()?;
        Some(Self {
            participant,
            room,
            decoder,
            next_rtp_time: None,
            sound: VecDeque::new(),
            begins_at: 0,
            arrivals: VecDeque::new(),
            next_marker: None,
            silent_since: None,
        })
    }

    fn take(
        &mut self,
        rtp_time: u64,
        arrival: Instant,
        payload: &[u8],
        measuring: Option<Instant>,
        report: &mut HeardReport,
    ) {
        let expected = self.next_rtp_time.unwrap_or(rtp_time);
        // Overtaken by a later one, whose place is taken.
        let Some(missing) = rtp_time.checked_sub(expected) else { return };
        let missing = (missing / RTP_PER_SAMPLE) as usize;
        self.push(missing.min(self.room_for()), |sound| sound.fill(0.0));
        let mut decoded = [0.0; SEARCH_RATE_HZ as usize * 120 / 1000];
        let length = match decode(&mut self.decoder, payload, &mut decoded) {
            Some(length) => length,
            None => {
                report.undecodable += 1;
                0
            }
        };
        self.arrivals.push_back((self.begins_at + self.sound.len() as u64, arrival));
        self.push(length, |sound| sound.copy_from_slice(&decoded[..length]));
        self.next_rtp_time = Some(rtp_time + length as u64 * RTP_PER_SAMPLE);
        self.look_for_hole(&decoded[..length], arrival, measuring, report);
        self.forget();
    }

    fn look_for_hole(
        &mut self,
        decoded: &[f32],
        arrival: Instant,
        measuring: Option<Instant>,
        report: &mut HeardReport,
    ) {
        let power = decoded.iter().map(|sample| sample * sample).sum::<f32>();
        let is_silent = power < SILENCE_RMS * SILENCE_RMS * decoded.len() as f32;
        let (from, to) = (arrival - HEARD_WITHIN.0, arrival - HEARD_WITHIN.1);
        let is_hole = measuring.is_some_and(|measuring| from > measuring)
            && is_silent
            && self.room.is_audible_to(self.participant, from, to);
        if !is_hole {
            self.silent_since = None;
            return;
        }
        let lasts = Duration::from_secs_f64(decoded.len() as f64 / f64::from(SEARCH_RATE_HZ));
        let since = *self.silent_since.get_or_insert(arrival);
        let before = arrival.saturating_duration_since(since);
        // Once, when it becomes that long.
        report.holes += u64::from(before <= GAP && before + lasts > GAP);
    }

    /// Looks for the next marker once it must have come.
    fn find_markers(
        &mut self,
        now: Instant,
        measuring: Option<Instant>,
        finder: &Finder,
        report: &mut HeardReport,
    ) {
        // One does not hear oneself.
        let Some(measuring) = measuring.filter(|_| self.participant != 0) else { return };
        let next = self.next_marker.or_else(|| self.room.first_marker_from(measuring));
        let Some(next) = next else { return };
        self.next_marker = Some(next);
        let Some(spoken) = self.room.marker_at(next) else { return };
        if now < spoken + marker::LATEST + marker::LASTS {
            return;
        }
        self.next_marker = Some(next + 1);
        report.markers_expected += 1;
        let heard = self.between(spoken, spoken + marker::LATEST + marker::LASTS);
        let Some((begins_at, sound)) = heard else { return };
        let Some(found) = finder.find(&sound) else { return };
        if let Some(at) = self.heard_at(begins_at + found as u64) {
            report.delays.push(at.saturating_duration_since(spoken));
        }
    }

    /// The sound that came from one instant to another, and where it begins.
    fn between(&self, from: Instant, to: Instant) -> Option<(u64, Vec<f32>)> {
        let mut within = self.arrivals.iter().filter(|(_, at)| (from..to).contains(at));
        let first = within.next()?.0;
        let end = within.next_back().map_or(first, |(begins_at, _)| *begins_at);
        let (skipped, length) = ((first - self.begins_at) as usize, (end - first) as usize);
        Some((first, self.sound.iter().skip(skipped).take(length).copied().collect()))
    }

    /// When the sample at a place could first be heard: when its packet came, and then as far on
    /// as it stands in it.
    fn heard_at(&self, place: u64) -> Option<Instant> {
        let packet = self.arrivals.iter().rev().find(|(begins_at, _)| *begins_at <= place)?;
        let within = (place - packet.0) as f64 / f64::from(SEARCH_RATE_HZ);
        Some(packet.1 + Duration::from_secs_f64(within))
    }

    fn push(&mut self, samples: usize, fill: impl FnOnce(&mut [f32])) {
        let mut new = vec![0.0; samples];
        fill(&mut new);
        self.sound.extend(new);
    }

    fn room_for(&self) -> usize {
        KEPT.as_secs() as usize * SEARCH_RATE_HZ as usize
    }

    fn forget(&mut self) {
        let excess = self.sound.len().saturating_sub(self.room_for());
        self.sound.drain(..excess);
        self.begins_at += excess as u64;
        while self.arrivals.front().is_some_and(|(begins_at, _)| *begins_at < self.begins_at) {
            self.arrivals.pop_front();
        }
    }
}

/// Returns how many samples there are; `None` if it is no Opus.
fn decode(decoder: &mut Decoder, payload: &[u8], sound: &mut [f32]) -> Option<usize> {
    let packet = Packet::try_from(payload).ok()?;
    decoder.decode_float(Some(packet), MutSignals::try_from(sound).ok()?, false).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;
    use crate::room::Talker;
    use crate::voice::{PACKET_SAMPLES, PACKET_TIME, Voice, Voices};

    const START_TO_ARRIVAL: Duration = Duration::from_millis(50);

    /// A room with a talker, whose packets a listener gets 50 ms after they were sent.
    struct Listening {
        voice: Arc<Voice>,
        sender: Sender<Heard>,
        thread: JoinHandle<HeardReport>,
        start: Instant,
    }

    impl Listening {
        fn new() -> Self {
            let mut plan = plan().clients;
            plan.voices = vec![(0..96_000).map(|n| 0.1 * (n as f32 * 0.04).sin()).collect()];
            let voice = Voices::new(&plan).and_then(|mut voices| voices.talker(0, true));
            let voice = voice.expect("encodes");
            let start = Instant::now();
            let talker = Talker::new(Arc::clone(&voice));
            talker.begin(start);
            let room = Arc::new(Room { name: "r".to_owned(), talkers: vec![talker] });
            let (sender, thread) = spawn().expect("a thread");
            sender.send(Heard::Listener { client: 3, participant: 1, room }).expect("listens");
            sender.send(Heard::Measure(start)).expect("listens");
            Self { voice, sender, thread, start }
        }

        fn hear(&self, place: u64, payload: Arc<[u8]>) {
            let arrival = self.start + PACKET_TIME * (place + 1) as u32 + START_TO_ARRIVAL;
            let rtp_time = place * PACKET_SAMPLES as u64;
            let packet = Heard::Packet { client: 3, rtp_time, arrival, payload };
            self.sender.send(packet).expect("listens");
        }

        fn hear_voice(&self, places: impl Iterator<Item = u64>) {
            for place in places {
                self.hear(place, Arc::clone(&self.voice.packet(place).expect("sent").payload));
            }
        }

        fn finish(self) -> HeardReport {
            drop(self.sender);
            self.thread.join().expect("listens to the end")
        }
    }

    #[test]
    fn the_delay_of_a_marker_is_from_its_being_spoken_to_the_arrival_of_its_packet() {
        let listening = Listening::new();
        listening.hear_voice(0..300);
        let report = listening.finish();
        assert_eq!((report.listeners, report.markers_expected), (1, 3));
        assert_eq!((report.delays.len(), report.holes, report.undecodable), (3, 0, 0));
        for delay in &report.delays {
            // A packet, the way, and what Opus looks ahead (6.5 ms).
            let delay_ms = delay.as_secs_f64() * 1e3;
            assert!((74.0..80.0).contains(&delay_ms), "{delay_ms} ms");
        }
    }

    #[test]
    fn a_marker_that_does_not_come_is_expected_and_not_found() {
        let listening = Listening::new();
        listening.hear_voice((0..300).filter(|place| !(100..120).contains(place)));
        let report = listening.finish();
        assert_eq!((report.markers_expected, report.delays.len()), (3, 2));
    }

    #[test]
    fn silence_where_somebody_talks_is_a_hole_and_counted_once() {
        let listening = Listening::new();
        let plan = plan().clients;
        let silence = Voices::new(&plan).expect("encodes").silence();
        let silence = silence.packet(0).expect("sent");
        listening.hear_voice(0..60);
        (60..70).for_each(|place| listening.hear(place, Arc::clone(&silence.payload)));
        listening.hear_voice(70..90);
        assert_eq!(listening.finish().holes, 1);
    }
}
