//! Sound from elsewhere into a room: a file, or a chime.

use std::fmt;

use foldback_stage::StageFormat;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::MAX_PACKET_SAMPLES_OUT;
use crate::planes::Planes;

/// A player's end of the ring, filled off the media thread: frames of 48 kHz, left and right, which are the same for a mono room.
pub type PlayerFeed = Producer<[f32; 2]>;

/// One more talker whom everybody hears, through no chain but that of the mix. It plays what is in its ring, silence
/// while nothing is, and is over once the other end is dropped and all was played.
pub struct Player {
    id: u64,
    frames: Consumer<[f32; 2]>,
    audio: Planes,
    /// It began, so that less than a packet in the ring is a gap and not the beginning.
    sounds: bool,
    is_ending: bool,
    is_over: bool,
    /// Frames that were not there in time.
    missed: u64,
}

impl Player {
    /// Called `id`, with room for so many frames. Allocates.
    #[must_use]
    pub fn new(id: u64, format: StageFormat, frames: usize) -> (Self, PlayerFeed) {
        let (feed, frames) = RingBuffer::new(frames);
        let audio = Planes::new(format, MAX_PACKET_SAMPLES_OUT);
        let (sounds, is_ending, is_over) = (false, false, false);
        (Self { id, frames, audio, sounds, is_ending, is_over, missed: 0 }, feed)
    }

    /// What it is called.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Frames that were not there in time, and were silence.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Ends it with the next packet, faded out.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether anything of it is in this packet.
    pub(crate) fn sounds(&self) -> bool {
        self.sounds
    }

    pub(crate) fn audio(&self) -> &Planes {
        &self.audio
    }

    /// Takes the next packet's frames out of the ring. Allocates nothing.
    pub(crate) fn advance(&mut self, samples: usize) {
        let is_abandoned = self.frames.is_abandoned();
        let there = self.frames.slots().min(samples);
        // It begins with a whole packet, or with all that there is.
        let begins = there == samples || is_abandoned;
        self.sounds = there > 0 && (self.sounds || begins);
        self.audio.clear_part(0..samples);
        if !self.sounds {
            self.is_over |= self.is_ending || (is_abandoned && there == 0);
            return;
        }
        if !is_abandoned {
            self.missed += (samples - there) as u64;
        }
        let Ok(chunk) = self.frames.read_chunk(there) else { return };
        for (n, [left, right]) in chunk.into_iter().enumerate() {
            let mut planes = self.audio.iter_mut();
            let (first, second) = (planes.next(), planes.next());
            match (first, second) {
                (Some(first), Some(second)) => (first[n], second[n]) = (left, right),
                (Some(first), None) => first[n] = 0.5 * (left + right),
                (None, _) => {}
            }
        }
        if std::mem::take(&mut self.is_ending) {
            for plane in self.audio.iter_mut() {
                for (n, sample) in plane[..samples].iter_mut().enumerate() {
                    *sample *= 1.0 - (n + 1) as f32 / samples as f32;
                }
            }
            self.is_over = true;
        }
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Player").field("missed", &self.missed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use foldback_stage::db_to_amplitude;

    use super::*;

    const PACKET: usize = 960;

    fn playing(frames: usize) -> (Player, PlayerFeed) {
        let (player, mut feed) = Player::new(7, StageFormat::MONO, 10 * PACKET);
        (0..frames).for_each(|_| feed.push([0.5, 0.25]).expect("it has room"));
        (player, feed)
    }

    fn heard(player: &mut Player) -> (f32, f32) {
        player.advance(PACKET);
        let audio = &player.audio().first()[..PACKET];
        (audio[0], audio[PACKET - 1])
    }

    #[test]
    fn it_begins_with_a_whole_packet_and_is_over_once_all_was_played() {
        let (mut player, mut feed) = playing(PACKET - 1);
        assert_eq!(
            (heard(&mut player), player.sounds()),
            ((0.0, 0.0), false),
            "too little is there"
        );
        feed.push([0.5, 0.25]).expect("it has room");
        assert_eq!((heard(&mut player), player.sounds()), ((0.375, 0.375), true));
        feed.push([0.5, 0.25]).expect("it has room");
        assert_eq!(heard(&mut player), (0.375, 0.0), "what is not there is silence");
        assert_eq!(player.missed(), 959);
        feed.push([0.5, 0.25]).expect("it has room");
        drop(feed);
        heard(&mut player);
        assert_eq!((heard(&mut player), player.is_over()), ((0.0, 0.0), true));
    }

    #[test]
    fn one_that_is_ended_fades_out_over_a_packet() {
        let (mut player, _feed) = playing(3 * PACKET);
        heard(&mut player);
        player.end();
        let (first, last) = heard(&mut player);
        assert!(first > 0.37 && last.abs() < db_to_amplitude(-80.0) && player.is_over());
    }

    #[test]
    fn one_that_never_began_ends_all_the_same() {
        let (mut player, _feed) = playing(0);
        player.end();
        heard(&mut player);
        assert!(player.is_over());
    }
}
