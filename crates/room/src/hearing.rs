//! How one listener hears each of the others.

use std::ops::RangeInclusive;

use foldback_stage::{AudioBlock, balance, db_to_amplitude};

use crate::participant::ParticipantId;
use crate::planes::{Planes, add_ramped};

/// How one listener hears somebody, whatever the others hear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeardAs {
    /// By how much louder, within [`Self::GAIN_DB`].
    pub gain_db: f32,
    /// From -1, the left side alone, over 0, as it comes, to 1, within [`Self::PAN`]; at either end 3 dB
    /// louder there. Who is sent mono hears no difference.
    pub pan: f32,
    /// Not at all.
    pub muted: bool,
}

impl HeardAs {
    /// As it comes.
    pub const PLAIN: Self = Self { gain_db: 0.0, pan: 0.0, muted: false };
    /// The gains that there are, in dB.
    pub const GAIN_DB: RangeInclusive<f32> = -60.0..=12.0;
    /// The places that there are.
    pub const PAN: RangeInclusive<f32> = -1.0..=1.0;

    /// What left and right, or the one channel, are multiplied by.
    fn gains(self, stereo: bool) -> [f32; 2] {
        let gain = if self.muted { 0.0 } else { db_to_amplitude(self.gain_db) };
        let sides = if stereo { balance(self.pan) } else { [1.0; 2] };
        sides.map(|side| side * gain)
    }
}

/// Of whom a listener hears more or less than there is. Gains move over a packet, in a straight line;
/// while somebody is not heard, at once.
#[derive(Default)]
pub(crate) struct Hearing {
    /// In the order of their numbers.
    others: Vec<Other>,
    /// What is too much, or too little, of the last of those who left.
    farewell: Option<Planes>,
    parting: Parting,
}

struct Other {
    id: ParticipantId,
    wanted: [f32; 2],
    /// At the beginning of this packet, and at its end.
    from: [f32; 2],
    to: [f32; 2],
}

const PLAIN: [f32; 2] = [1.0; 2];

#[derive(Clone, Copy, Default, PartialEq)]
enum Parting {
    #[default]
    Nobody,
    InTheNextPacket,
    InThisPacket,
}

impl Hearing {
    /// Whether everybody is heard as they come.
    pub(crate) fn is_plain(&self) -> bool {
        self.others.is_empty() && self.parting == Parting::Nobody
    }

    /// Hears somebody so from now on, of whom something is heard just now (`sounds`) or not. The
    /// listener is sent stereo or not. Allocates.
    pub(crate) fn set(&mut self, id: ParticipantId, heard: HeardAs, stereo: bool, sounds: bool) {
        let wanted = heard.gains(stereo);
        let place = match self.place(id) {
            Ok(place) => place,
            Err(_) if wanted == PLAIN => return,
            Err(place) => {
                self.others.insert(place, Other { id, wanted, from: PLAIN, to: PLAIN });
                place
            }
        };
        let other = &mut self.others[place];
        other.wanted = wanted;
        if !sounds {
            other.to = wanted;
        }
    }

    /// Begins the next packet, which holds something of those of whom `is_heard` says so.
    pub(crate) fn advance(&mut self, is_heard: impl Fn(ParticipantId) -> bool) {
        self.parting = match self.parting {
            Parting::InTheNextPacket => Parting::InThisPacket,
            Parting::InThisPacket | Parting::Nobody => Parting::Nobody,
        };
        self.others.retain(|other| other.wanted != PLAIN || other.to != PLAIN);
        for other in &mut self.others {
            other.from = if is_heard(other.id) { other.to } else { other.wanted };
            other.to = other.wanted;
        }
    }

    /// Whether somebody is heard otherwise than they come.
    pub(crate) fn changes(&self, id: ParticipantId) -> bool {
        self.place(id).is_ok()
    }

    /// Whether nothing of somebody is heard in this packet.
    pub(crate) fn silences(&self, id: ParticipantId) -> bool {
        self.place(id).is_ok_and(|place| {
            let Other { from, to, .. } = self.others[place];
            from == [0.0; 2] && to == from
        })
    }

    /// Makes a sum that `voice` is in, as it comes, one with as much of it as is heard.
    pub(crate) fn correct(&self, id: ParticipantId, voice: &Planes, sum: &mut AudioBlock<'_>) {
        if let Ok(place) = self.place(id) {
            let Other { from, to, .. } = self.others[place];
            let gains = from.into_iter().zip(to);
            for ((sum, voice), (from, to)) in sum.planes_mut().zip(voice.iter()).zip(gains) {
                // It is in there once.
                add_ramped(sum, voice, from - 1.0, to - 1.0);
            }
        }
    }

    /// Makes a sum that holds the last of those who left, as it comes, one with as much of it as is
    /// heard.
    pub(crate) fn correct_farewell(&self, sum: &mut AudioBlock<'_>) {
        let farewell = self.farewell.as_ref().filter(|_| self.parting == Parting::InThisPacket);
        for (sum, change) in sum.planes_mut().zip(farewell.iter().flat_map(|planes| planes.iter()))
        {
            sum.iter_mut().zip(change).for_each(|(sum, change)| *sum += change);
        }
    }

    /// Somebody leaves; `last` is what is to be heard of them in the next packet, as it comes, if
    /// anything. Allocates.
    pub(crate) fn part_with(&mut self, id: ParticipantId, last: Option<&Planes>) {
        let Ok(place) = self.place(id) else { return };
        let Other { to, .. } = self.others.remove(place);
        let Some(last) = last else { return };
        let farewell = self.farewell.get_or_insert_with(|| last.silent_copy());
        if self.parting != Parting::InTheNextPacket {
            farewell.clear();
        }
        for ((sum, last), gain) in farewell.iter_mut().zip(last.iter()).zip(to) {
            add_ramped(sum, last, gain - 1.0, gain - 1.0);
        }
        self.parting = Parting::InTheNextPacket;
    }

    fn place(&self, id: ParticipantId) -> Result<usize, usize> {
        self.others.binary_search_by_key(&id, |other| other.id)
    }
}

#[cfg(test)]
mod tests {
    use foldback_stage::StageFormat;

    use super::*;

    const ANN: ParticipantId = ParticipantId(7);
    const SOFT: HeardAs = HeardAs { gain_db: -20.0, ..HeardAs::PLAIN };

    /// What is heard of a voice at full level, first and last, in a packet in which it is heard or not.
    fn packet(hearing: &mut Hearing, is_heard: bool) -> (f32, f32) {
        let mut voice = Planes::new(StageFormat::MONO, 960);
        voice.head_mut(960).planes_mut().for_each(|plane| plane.fill(1.0));
        let mut sum = [1.0; 960];
        hearing.advance(|_| is_heard);
        hearing.correct(ANN, &voice, &mut AudioBlock::mono(&mut sum));
        (sum[0], sum[959])
    }

    #[test]
    fn a_gain_moves_over_a_packet_and_is_forgotten_once_it_is_back() {
        let mut hearing = Hearing::default();
        hearing.set(ANN, SOFT, false, true);
        let (first, last) = packet(&mut hearing, true);
        assert!(first > 0.99 && (last - 0.1).abs() < 1e-6, "{first} to {last}");
        let (first, last) = packet(&mut hearing, true);
        assert!((first - 0.1).abs() < 1e-6 && first == last, "{first} to {last}");
        hearing.set(ANN, HeardAs::PLAIN, false, true);
        assert!((packet(&mut hearing, true).1 - 1.0).abs() < 1e-6);
        packet(&mut hearing, true);
        assert!(hearing.is_plain());
    }

    #[test]
    fn while_nothing_is_heard_a_gain_is_there_at_once() {
        for (sounds, silent_packets) in [(true, 1), (false, 0)] {
            let mut hearing = Hearing::default();
            hearing.set(ANN, SOFT, false, sounds);
            (0..silent_packets).for_each(|_| _ = packet(&mut hearing, false));
            let (first, _) = packet(&mut hearing, true);
            assert!((first - 0.1).abs() < 1e-6, "{first}");
        }
    }

    #[test]
    fn who_is_plain_from_the_beginning_costs_nothing() {
        let mut hearing = Hearing::default();
        hearing.set(ANN, HeardAs::PLAIN, true, true);
        // What is sent mono has no sides.
        hearing.set(ANN, HeardAs { pan: -1.0, ..HeardAs::PLAIN }, false, true);
        assert!(hearing.is_plain() && !hearing.changes(ANN));
    }

    #[test]
    fn the_last_of_who_leaves_is_as_loud_as_they_were() {
        let mut hearing = Hearing::default();
        hearing.set(ANN, HeardAs { muted: true, ..HeardAs::PLAIN }, false, true);
        packet(&mut hearing, true);
        packet(&mut hearing, true);
        assert!(hearing.silences(ANN));
        let mut last = Planes::new(StageFormat::MONO, 960);
        last.head_mut(960).planes_mut().for_each(|plane| plane.fill(0.5));
        hearing.part_with(ANN, Some(&last));
        for (packet, left) in [0.0, 0.5].into_iter().enumerate() {
            hearing.advance(|_| false);
            let mut sum = [0.5; 960];
            hearing.correct_farewell(&mut AudioBlock::mono(&mut sum));
            assert_eq!((sum[0], hearing.is_plain()), (left, packet > 0), "packet {packet}");
        }
    }
}
