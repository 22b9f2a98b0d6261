//! A room in which some talk and all others send silence.

use std::sync::Arc;
use std::time::Instant;

use foldback_chain::{ChainSpec, MixSpec, NoProbe};
use foldback_room::{
    Admission, Economies, EncodedFrame, ForkJoin, LatencyProfile, OpusSettings, ParticipantId,
    Room, RoomSpec, Sequential, TICK,
};
use foldback_stage::StageFormat;

use crate::encoded_voice;

/// A room with participants, and what they send: as browsers without DTX do, each tells its level.
pub struct Meeting {
    room: Room,
    voices: Vec<Arc<[u8]>>,
    silence: Arc<[u8]>,
    participants: u64,
    talkers: u64,
    now: Instant,
    seq: u64,
}

impl Meeting {
    /// So many participants, of whom the first so many talk all the time.
    ///
    /// # Panics
    /// If the room cannot be built.
    #[must_use]
    pub fn new(
        chain: &Arc<ChainSpec>,
        participants: u64,
        talkers: u64,
        opus: OpusSettings,
        economies: Economies,
    ) -> Self {
        let spec = RoomSpec {
            chain: Arc::clone(chain),
            opus,
            latency: LatencyProfile::default(),
            economies,
        };
        let mut room = Room::new(spec).expect("a room");
        for id in 0..participants {
            let admission = Admission::build(room.spec()).expect("a participant");
            room.join(ParticipantId(id), admission);
        }
        Self {
            room,
            voices: encoded_voice(),
            // Full-band Opus of 20 ms that holds silence.
            silence: Arc::from([0xf8, 0xff, 0xfe]),
            participants,
            talkers,
            now: Instant::now(),
            seq: 0,
        }
    }

    /// The chain that only mixes.
    #[must_use]
    pub fn clean_chain() -> Arc<ChainSpec> {
        let mix = Some(MixSpec { max_talkers: MixSpec::MOST_TALKERS });
        Arc::new(ChainSpec {
            name: "clean".into(),
            format: StageFormat::MONO,
            input: vec![],
            mix,
            output: vec![],
        })
    }

    /// 20 ms of everybody come in, and the tick passes that closes no packet.
    pub fn receive(&mut self) {
        for id in 0..self.participants {
            let talks = id < self.talkers;
            let voice = &self.voices[(self.seq + 7 * id) as usize % self.voices.len()];
            let frame = EncodedFrame {
                ssrc: 1,
                captured: None,
                copy_distance: 0,
                seq: self.seq,
                rtp_time: self.seq * 960,
                level_minus_dbov: Some(if talks { 25 } else { 127 }),
                payload: Arc::clone(if talks { voice } else { &self.silence }),
                arrival: self.now,
            };
            self.room.push(ParticipantId(id), frame);
        }
        self.seq += 1;
        self.now += TICK;
        self.room.tick(self.now, &mut NoProbe, &Sequential);
    }

    /// The tick passes that closes packets: one for each.
    pub fn close_packets(&mut self) {
        self.close_packets_with(&Sequential);
    }

    /// As [`Self::close_packets`], with its work divided.
    pub fn close_packets_with(&mut self, crew: &impl ForkJoin) {
        self.now += TICK;
        self.room.tick(self.now, &mut NoProbe, crew);
        debug_assert_eq!(self.room.packets().count() as u64, self.participants);
    }

    /// What the last tick sent, and to whom.
    pub fn sent(&self) -> impl Iterator<Item = (ParticipantId, &[u8])> {
        self.room.packets().map(|packet| (packet.to, packet.payload))
    }
}
