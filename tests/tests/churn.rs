//! People who join, talk and leave for an hour leave nothing behind in a room.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use audiopus::coder::Encoder;
use audiopus::{Application, Channels, SampleRate};
use foldback_allocations::{CountingAllocator, held_bytes_of_this_thread, of_this_thread};
use foldback_chain::{ChainSpec, NoProbe};
use foldback_config::Config;
use foldback_room::{
    Admission, ChainChange, Economies, EncodedFrame, InputChange, LatencyProfile, OpusSettings,
    ParticipantId, Room, RoomSpec, Sequential, Shedding, TICK,
};
use foldback_testkit::alloc::resident_kib;
use foldback_testkit::signal::speech_like;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// An hour, in which the same happens every five minutes.
const ROUNDS: usize = 12;
/// After so many all that grows has grown to what it takes.
const SETTLED: usize = 4;
/// What Rust code may hold more after a round than after another: a hash table may have been told
/// to have room for more.
const MOST_HELD_BYTES: i64 = 4 * 1024;
/// What may be resident more, libopus included: pages are not given back at once.
const MOST_RESIDENT_KIB: i64 = 512;

/// Packets of 20 ms in five minutes.
const ROUND: usize = 15_000;
/// More than a room has mixes for, who only listen.
const CROWD: usize = 110;
const CROWD_LEAVES: usize = 100;
/// How long each guest talks, and how long after the one before; they leave one by one as well.
const TURN: usize = 40;
const TURNS_BEGIN: usize = 200;
const TURNS_APART: usize = 30;
const GUESTS_LEAVE: usize = 700;
/// A room is told of losses, and its changes are cleared away, once a second.
const SECOND: usize = 50;
/// Between what a silent sender sends, as with DTX.
const SILENT: usize = 20;

/// What somebody is like who comes every time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Guest {
    Plain,
    /// Sends nothing in silence, and wants nothing sent.
    Dtx,
    /// Hears and sends stereo.
    Stereo,
    /// The network holds back what it says, for longer than jitter buffers have room for at first.
    Stalls,
    /// Has stages of its own.
    OwnChain,
    /// Is told to be silent while it talks.
    Muted,
    /// Packets of 60 ms.
    LongPackets,
    /// Loses packets in both directions, and starts its stream anew while it talks.
    Lossy,
}

impl Guest {
    /// How long it talks, in packets of 20 ms: who stalls for longer than there are slots at first.
    fn turn(self) -> usize {
        if self == Self::Stalls { 4 * TURN } else { TURN }
    }
}

const GUESTS: [Guest; 8] = [
    Guest::Plain,
    Guest::Dtx,
    Guest::Stereo,
    Guest::Stalls,
    Guest::OwnChain,
    Guest::Muted,
    Guest::LongPackets,
    Guest::Lossy,
];

#[test]
fn an_hour_of_joining_talking_and_leaving_takes_no_memory() {
    let mut churn = Churn::new();
    let (mut held, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        churn.round();
        held.push(held_bytes_of_this_thread());
        resident.push(resident_kib());
    }
    println!(
        "after five minutes {} KiB held and {} KiB resident, after an hour {} and {}",
        held[0] / 1024,
        resident[0],
        held[ROUNDS - 1] / 1024,
        resident[ROUNDS - 1]
    );
    assert_eq!(churn.allocations_in_ticks, 0);
    assert_eq!(churn.most_in_room, 2 + GUESTS.len() + CROWD);
    assert!(churn.most_encoders > 4, "{} encoders at most", churn.most_encoders);
    let (settled, later) = held.split_at(SETTLED);
    let most = later.iter().map(|bytes| (bytes - settled[SETTLED - 1]).abs()).max();
    assert!(most <= Some(MOST_HELD_BYTES), "bytes held after each round: {held:?}");
    let (settled, later) = resident.split_at(SETTLED);
    let most = later.iter().map(|kib| kib - settled[SETTLED - 1]).max();
    assert!(most <= Some(MOST_RESIDENT_KIB), "KiB resident after each round: {resident:?}");
}

/// As different as two chains of one room may be.
const CHAINS: &str = r#"
[chain.one]
channels = 2
stages = [
  { kind = "high-pass" },
  { kind = "auto-gain", optional = true },
  { kind = "mix", max_talkers = 3 },
  { kind = "limiter" },
]

[chain.other]
channels = 2
stages = [
  { kind = "high-pass", cutoff_hz = 120 },
  { kind = "delay", delay_ms = 20 },
  { kind = "mix", max_talkers = 2 },
  { kind = "gain", gain_db = -3 },
  { kind = "limiter", ceiling_dbfs = -3 },
]

[[room]]
name = "*"
chain = "one"
"#;

struct Churn {
    room: Room,
    chains: [Arc<ChainSpec>; 2],
    voices: Voices,
    /// Two who stay.
    regulars: [Person; 2],
    guests: Vec<Person>,
    now: Instant,
    /// Packets of 20 ms since the beginning.
    packets: usize,
    joined: u64,
    allocations_in_ticks: u64,
    most_in_room: usize,
    most_encoders: usize,
}

impl Churn {
    fn new() -> Self {
        let config = Config::parse(CHAINS, "churn.toml", &foldback_server::plugins::registry());
        let config = config.expect("valid chains");
        let chains = [0, 1].map(|number| Arc::clone(&config.chains[number]));
        let spec = RoomSpec {
            chain: Arc::clone(&chains[0]),
            // How well the mixes are encoded is not at stake, and it is what takes the time.
            opus: OpusSettings { complexity: 0, ..OpusSettings::default() },
            latency: LatencyProfile::default(),
            economies: Economies::default(),
        };
        let mut room = Room::new(spec).expect("a room");
        let regulars = [1, 2].map(|number| join(&mut room, number, Guest::Plain));
        Self {
            room,
            chains,
            voices: Voices::new(),
            regulars,
            guests: Vec::new(),
            now: Instant::now(),
            packets: 0,
            joined: 2,
            allocations_in_ticks: 0,
            most_in_room: 0,
            most_encoders: 0,
        }
    }

    fn round(&mut self) {
        let mut join_as = |kind| {
            self.joined += 1;
            join(&mut self.room, self.joined, kind)
        };
        self.guests.extend(GUESTS.map(&mut join_as));
        let crowd: Vec<_> = (0..CROWD).map(|_| join_as(Guest::Plain).id).collect();
        self.most_in_room = self.most_in_room.max(self.room.len());
        for packet in 0..ROUND {
            if packet == CROWD_LEAVES {
                crowd.iter().for_each(|id| drop(self.room.leave(*id)));
            }
            if packet >= GUESTS_LEAVE && packet.is_multiple_of(SECOND) {
                self.guests.pop().into_iter().for_each(|guest| drop(self.room.leave(guest.id)));
            }
            if packet.is_multiple_of(SECOND) {
                self.operate(packet / SECOND);
            }
            self.speak(packet);
            self.tick();
        }
        assert_eq!(self.room.len(), self.regulars.len());
    }

    /// What happens to a room beside talk: losses are told, somebody is muted, chains are changed, and
    /// load is shed.
    fn operate(&mut self, second: usize) {
        while self.room.take_over().is_some() {}
        let of_kind = |kind| self.guests.iter().find(|guest| guest.kind == kind).map(|it| it.id);
        let own_chain = of_kind(Guest::OwnChain);
        if let Some(lossy) = of_kind(Guest::Lossy) {
            self.room.report(lossy, 0.1);
        }
        if let Some(muted) = of_kind(Guest::Muted) {
            self.room.set_muted(muted, second.is_multiple_of(2));
        }
        let [one, other] = self.chains.clone();
        match second {
            3 => self.change_chains(&one, own_chain, &other),
            6 => self.change_chains(&other, own_chain, &one),
            9 => self.room.shed(Shedding::MOST),
            12 => self.room.shed(Shedding::NONE),
            40 => self.change_chains(&one, None, &one),
            _ => {}
        }
    }

    /// To the chain `to`, but for one who has the stages before `mix` of `own`.
    fn change_chains(
        &mut self,
        to: &Arc<ChainSpec>,
        who: Option<ParticipantId>,
        own: &Arc<ChainSpec>,
    ) {
        let people = self.regulars.iter().chain(&self.guests);
        let inputs: Vec<_> = people
            .map(|Person { id, .. }| InputChange {
                id: *id,
                from: Arc::clone(self.room.chain_of(*id).expect("somebody who is here")),
                to: Arc::clone(if who == Some(*id) { own } else { to }),
            })
            .collect();
        let change = ChainChange::build(&self.room.spec().chain, to, &inputs).expect("it builds");
        drop(self.room.change_chain(change).expect("the room takes it"));
    }

    fn speak(&mut self, packet: usize) {
        for people in [&mut self.regulars[..], &mut self.guests[..]] {
            for (turn, person) in people.iter_mut().enumerate() {
                let begins = TURNS_BEGIN + turn * TURNS_APART;
                let rtp_time = (self.packets * 960) as u64;
                let begun = begins..begins + person.kind.turn();
                for frame in person.send(packet, &begun, rtp_time, self.now, &self.voices) {
                    self.room.push(person.id, frame);
                }
            }
        }
        self.packets += 1;
    }

    fn tick(&mut self) {
        for _ in 0..2 {
            self.now += TICK;
            let before = of_this_thread();
            self.room.tick(self.now, &mut NoProbe, &Sequential);
            self.allocations_in_ticks += of_this_thread() - before;
        }
        self.most_encoders = self.most_encoders.max(self.room.encoders_at_work());
    }
}

fn join(room: &mut Room, number: u64, kind: Guest) -> Person {
    let id = ParticipantId(number);
    drop(room.join(id, Admission::build(room.spec()).expect("a participant")));
    room.set_dtx(id, kind == Guest::Dtx);
    room.set_stereo(id, kind == Guest::Stereo);
    Person { id, kind, next_seq: 0, stalled: Vec::new() }
}

struct Person {
    id: ParticipantId,
    kind: Guest,
    next_seq: u64,
    /// What the network holds back.
    stalled: Vec<EncodedFrame>,
}

impl Person {
    /// What comes from this person in the 20 ms of that number in the round, of which `turn` are those
    /// in which it talks.
    fn send(
        &mut self,
        packet: usize,
        turn: &Range<usize>,
        rtp_time: u64,
        now: Instant,
        voices: &Voices,
    ) -> Vec<EncodedFrame> {
        let place = packet.wrapping_sub(turn.start);
        let talks = turn.contains(&packet);
        let (payload, every) = match (talks, self.kind) {
            (false, _) => (&voices.silence, SILENT),
            (true, Guest::Stereo) => (&voices.stereo[place % voices.stereo.len()], 1),
            (true, Guest::LongPackets) => (&voices.long[place / 3 % voices.long.len()], 3),
            (true, _) => (&voices.mono[place % voices.mono.len()], 1),
        };
        if !place.is_multiple_of(every) {
            return Vec::new();
        }
        self.next_seq += 1;
        if talks && self.kind == Guest::Lossy && place % 7 == 3 {
            return Vec::new();
        }
        let begun_anew = self.kind == Guest::Lossy && place >= TURN / 2;
        self.stalled.push(EncodedFrame {
            ssrc: 1 + u32::from(begun_anew),
            seq: self.next_seq,
            rtp_time,
            level_minus_dbov: Some(if talks { 25 } else { 127 }),
            // Its own, as what comes from the network has.
            payload: Arc::from(&payload[..]),
            arrival: now,
            captured: None,
            copy_distance: 0,
        });
        let stalls = talks && self.kind == Guest::Stalls;
        if stalls { Vec::new() } else { std::mem::take(&mut self.stalled) }
    }
}

/// Packets to send.
struct Voices {
    mono: Vec<Box<[u8]>>,
    stereo: Vec<Box<[u8]>>,
    long: Vec<Box<[u8]>>,
    silence: Box<[u8]>,
}

impl Voices {
    fn new() -> Self {
        Self {
            mono: encoded(Channels::Mono, 960),
            stereo: encoded(Channels::Stereo, 960),
            long: encoded(Channels::Mono, 2880),
            // Full-band Opus of 20 ms that holds silence.
            silence: Box::from([0xf8, 0xff, 0xfe]),
        }
    }
}

fn encoded(channels: Channels, samples: usize) -> Vec<Box<[u8]>> {
    let encoder = Encoder::new(SampleRate::Hz48000, channels, Application::Voip);
    let encoder = encoder.expect("an encoder");
    let packet = |pcm: &[f32]| {
        let mut bytes = [0; 4000];
        let length = encoder.encode_float(pcm, &mut bytes).expect("encodes");
        Box::from(&bytes[..length])
    };
    speech_like(1, -26.0, 2.0).chunks_exact(samples * channels as usize).map(packet).collect()
}
