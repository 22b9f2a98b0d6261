//! Text that goes between participants and the control side by data channel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_room::ParticipantId;

use crate::control::{Event, MessageRefused, RoomKey};
use crate::media::Worker;

/// A participant may say so much at once, and one thing more for each time that [`COST`] passes.
pub(crate) const BURST: Duration = Duration::from_secs(5);
const COST: Duration = Duration::from_millis(500);
/// The longest text that is passed on, in bytes.
const MOST_BYTES: usize = 16 * 1024;
/// Each turn of the loop sends so many texts out at most: each is encrypted for one browser, and the
/// tick must not wait for a room full of them.
const MOST_AT_ONCE: usize = 16;
/// While so many wait, no more are taken.
const MOST_WAITING: usize = 8192;

impl Worker {
    /// Passes on what a participant said, `None` if it was no text, or says once that it was too much.
    pub(crate) fn hear_messages(&mut self, id: ParticipantId, messages: Vec<Option<String>>) {
        for text in messages {
            let Some(member) = self.members.get_mut(&id) else { return };
            let message = match text {
                _ if !member.allowance.take(Instant::now(), COST) => Err(MessageRefused::TooFast),
                None => Err(MessageRefused::NoText),
                Some(text) if text.len() > MOST_BYTES => Err(MessageRefused::TooLarge),
                Some(text) => Ok(text),
            };
            let is_too_fast = message == Err(MessageRefused::TooFast);
            let is_told = std::mem::replace(&mut member.told_too_fast, is_too_fast);
            if !(is_told && is_too_fast) {
                self.tell_surely(Event::Message { id, message });
            }
        }
    }

    /// Lets a text wait for everybody in a room.
    pub(crate) fn tell_room(&mut self, key: RoomKey, text: &Arc<str>) {
        if self.texts.len() >= MOST_WAITING {
            return tracing::warn!(room = key.0, "so many texts wait that this one is dropped");
        }
        let inside = self.members.iter().filter(|(_, member)| member.room == key);
        self.texts.extend(inside.map(|(id, _)| (*id, Arc::clone(text))));
    }

    /// Sends out some of the texts that wait.
    pub(crate) fn send_messages(&mut self) {
        let now = Instant::now();
        for _ in 0..MOST_AT_ONCE {
            let Some((id, text)) = self.texts.pop_front() else { return };
            // Who has no channel, or does not read what is there, does not get it.
            self.with_member(id, |member, outputs| {
                _ = member.connection.browser().map(|peer| peer.write(now, &text, outputs));
            });
        }
    }
}
