//! Those who hear a room and are nobody in it: recordings, and taps for transcription; and what is heard in it and is
//! nobody.
//!
//! Who hears the mix so is a listener of the room as any other who says nothing, and mostly shares their mix and encoder.

use std::fmt;
use std::time::Instant;

use foldback_record::{Feed, VoicePacket};
use foldback_room::{Admission, Departed, EncodedFrame, MixPacket, ParticipantId};

use crate::control::{Event, RoomKey};
use crate::media::{OpenRoom, Worker};

/// Somebody who is to hear a room.
#[derive(Debug)]
pub struct Ear {
    /// Which room.
    pub room: RoomKey,
    /// Under which number; nobody else has it.
    pub id: ParticipantId,
    /// To hear the mix; `None`: voices alone.
    pub admission: Option<Admission>,
    /// Where the packets go.
    pub feed: Feed,
}

/// Somebody who hears a room.
#[derive(Debug)]
pub(crate) struct OpenEar {
    pub(crate) id: ParticipantId,
    hears_mix: bool,
    feed: Feed,
}

/// Memory of somebody who heard a room. Until it is freed, no end of the packets is told.
pub struct EarRemains {
    _departed: Option<Box<Departed>>,
    _refused: Option<Box<Ear>>,
    _feed: Option<Feed>,
}

impl fmt::Debug for EarRemains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EarRemains")
    }
}

/// Gives the packet of a mix to whom it is for.
pub(crate) fn hear(ears: &mut [OpenEar], at: Instant, packet: &MixPacket<'_>) {
    if let Some(ear) = ears.iter_mut().find(|ear| ear.id == packet.to) {
        ear.feed.mix(at, packet.rtp_time, packet.payload);
    }
}

impl OpenRoom {
    /// How many people are in it.
    pub(crate) fn people(&self) -> usize {
        self.room.len() - self.ears.iter().filter(|ear| ear.hears_mix).count()
    }

    /// Gives what came of a participant to those who listen to voices. Of who is muted nothing is.
    pub(crate) fn overhear(&mut self, id: ParticipantId, frame: &EncodedFrame) {
        if self.ears.is_empty() || !self.room.is_for_others(id) {
            return;
        }
        for ear in self.ears.iter_mut().filter(|ear| ear.feed.wants(id.0)) {
            ear.feed.voice(VoicePacket {
                participant: id.0,
                ssrc: frame.ssrc,
                seq: frame.seq,
                rtp_time: frame.rtp_time,
                arrival: frame.arrival,
                payload: frame.payload.clone(),
            });
        }
    }
}

impl Worker {
    pub(crate) fn listen(&mut self, ear: Box<Ear>) {
        let Some(open) = self.rooms.get_mut(&ear.room) else {
            let remains = EarRemains { _departed: None, _refused: Some(ear), _feed: None };
            return self.tell_surely(Event::EarGone(remains));
        };
        let Ear { id, admission, feed, .. } = *ear;
        let hears_mix = admission.is_some();
        let spare = admission.and_then(|admission| open.room.join(id, admission));
        open.room.set_stereo(id, true);
        open.ears.push(OpenEar { id, hears_mix, feed });
        if let Some(spare) = spare {
            self.tell_surely(Event::Spare(spare));
        }
    }

    /// Those who have played all are freed on the control side.
    pub(crate) fn let_go_of_players(&mut self) {
        for (key, open) in &mut self.rooms {
            while let Some(player) = open.room.take_played() {
                self.unsent.push_back(Event::Played(*key, player));
            }
        }
    }

    pub(crate) fn unlisten(&mut self, room: RoomKey, id: ParticipantId) {
        let Some(open) = self.rooms.get_mut(&room) else { return };
        let Some(place) = open.ears.iter().position(|ear| ear.id == id) else { return };
        let feed = open.ears.swap_remove(place).feed;
        open.tell_faults(room, &mut self.metrics, &self.events);
        let departed = open.leave(id).map(Box::new);
        let remains = EarRemains { _departed: departed, _refused: None, _feed: Some(feed) };
        self.tell_surely(Event::EarGone(remains));
    }
}
