//! A room without sessions and network: what is said is in it at once, and what it sends is heard
//! at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use audiopus::coder::{Decoder, Encoder};
use audiopus::packet::Packet;
use audiopus::{Application, Bitrate, Channels, MutSignals, SampleRate};
use foldback_chain::NoProbe;
use foldback_room::{Admission, EncodedFrame, ParticipantId, Room, RoomSpec, Sequential, TICK};

use crate::alloc::no_alloc;
use crate::clock::SimClock;

/// Samples in everybody's packets: 20 ms.
pub const PACKET: usize = 960;

/// A room, and everybody in it.
pub struct Studio {
    room: Room,
    people: BTreeMap<ParticipantId, Person>,
    clock: SimClock,
    packets: u64,
}

/// What was sent to somebody.
#[derive(Debug, Default)]
pub struct Heard {
    /// What the decoder made of it at 48 kHz, for those who hear stereo left and right in turn: as long as the time since the person came. Where
    /// no packet was sent the decoder went on by itself, as browsers' do.
    pub sound: Vec<f32>,
    /// Each packet, or `None` where none was sent.
    pub packets: Vec<Option<Vec<u8>>>,
    /// Which of them had the RTP marker, by their number.
    pub markers: Vec<usize>,
}

struct Person {
    channels: usize,
    encoder: Encoder,
    decoder: Decoder,
    next_seq: u64,
    heard: Heard,
}

impl Studio {
    /// An empty room.
    ///
    /// # Panics
    /// If it cannot be built.
    #[must_use]
    pub fn new(spec: RoomSpec) -> Self {
        let room = Room::new(spec).expect("a room");
        Self { room, people: BTreeMap::new(), clock: SimClock::new(), packets: 0 }
    }

    /// Somebody joins, who wants to be sent nothing in silence (`dtx`), or does not.
    ///
    /// # Panics
    /// If there is no such encoder or chain.
    pub fn join(&mut self, dtx: bool) -> ParticipantId {
        let id = self.come_in(Channels::Mono);
        self.room.set_dtx(id, dtx);
        id
    }

    /// Somebody joins who speaks and prefers to hear stereo: left and right in turn.
    ///
    /// # Panics
    /// If there is no such encoder or chain.
    pub fn join_in_stereo(&mut self) -> ParticipantId {
        let id = self.come_in(Channels::Stereo);
        self.room.set_stereo(id, true);
        id
    }

    fn come_in(&mut self, channels: Channels) -> ParticipantId {
        let id = ParticipantId(self.people.len() as u64);
        self.room.join(id, Admission::build(self.room.spec()).expect("a participant"));
        let encoder = Encoder::new(SampleRate::Hz48000, channels, Application::Voip);
        let mut encoder = encoder.expect("an encoder");
        encoder.set_bitrate(Bitrate::BitsPerSecond(128_000)).expect("valid");
        let decoder = Decoder::new(SampleRate::Hz48000, channels).expect("a decoder");
        let channels = channels as usize;
        let person = Person { channels, encoder, decoder, next_seq: 0, heard: Heard::default() };
        self.people.insert(id, person);
        id
    }

    /// Lets 20 ms pass in which those named say what is given, and all others send nothing.
    ///
    /// # Panics
    /// If somebody says more or less than 20 ms, or the tick allocates.
    pub fn packet(&mut self, said: &[(ParticipantId, &[f32])]) {
        self.packet_claiming(said, None);
    }

    /// As [`Self::packet`]; everybody claims that to be their level (RFC 6464).
    ///
    /// # Panics
    /// As [`Self::packet`].
    pub fn packet_claiming(
        &mut self,
        said: &[(ParticipantId, &[f32])],
        level_minus_dbov: Option<u8>,
    ) {
        for (id, pcm) in said {
            let person = self.people.get_mut(id).expect("somebody who is here");
            assert_eq!(pcm.len(), PACKET * person.channels, "20 ms");
            let rtp_time = self.packets * PACKET as u64;
            let frame = person.speak(pcm, rtp_time, level_minus_dbov, self.clock.now());
            self.room.push(*id, frame);
        }
        self.packets += 1;
        let mut sent: BTreeMap<ParticipantId, (Vec<u8>, bool)> = BTreeMap::new();
        for _ in 0..2 {
            let now = self.clock.advance(TICK);
            no_alloc(|| self.room.tick(now, &mut NoProbe, &Sequential));
            let packets = self.room.packets();
            sent.extend(
                packets.map(|packet| (packet.to, (packet.payload.to_vec(), packet.marker))),
            );
        }
        for (id, person) in &mut self.people {
            person.hear(sent.remove(id));
        }
    }

    /// What was sent to somebody so far.
    ///
    /// # Panics
    /// If there is none of that number.
    #[must_use]
    pub fn heard(&self, id: ParticipantId) -> &Heard {
        &self.people[&id].heard
    }

    /// The room, to look into.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// The room, to report losses and mute people.
    pub fn room_mut(&mut self) -> &mut Room {
        &mut self.room
    }
}

impl Person {
    fn speak(
        &mut self,
        pcm: &[f32],
        rtp_time: u64,
        level_minus_dbov: Option<u8>,
        arrival: Instant,
    ) -> EncodedFrame {
        let mut bytes = [0; 1275];
        let length = self.encoder.encode_float(pcm, &mut bytes).expect("encodes");
        let seq = self.next_seq;
        self.next_seq += 1;
        EncodedFrame {
            ssrc: 1,
            seq,
            rtp_time,
            level_minus_dbov,
            payload: Arc::from(&bytes[..length]),
            arrival,
            captured: None,
            copy_distance: 0,
        }
    }

    fn hear(&mut self, sent: Option<(Vec<u8>, bool)>) {
        let mut pcm = [0.0; 2 * PACKET];
        let pcm = &mut pcm[..PACKET * self.channels];
        let (payload, marker) = sent.unzip();
        let packet = payload.as_deref().map(|bytes| Packet::try_from(bytes).expect("not empty"));
        let signals = MutSignals::try_from(&mut *pcm).expect("not empty");
        self.decoder.decode_float(packet, signals, false).expect("Opus");
        self.heard.sound.extend_from_slice(pcm);
        if marker == Some(true) {
            self.heard.markers.push(self.heard.packets.len());
        }
        self.heard.packets.push(payload);
    }
}
