//! How loud, and where, each person hears each of the others.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use foldback_room::{HeardAs, MOST_OWN_MIXES, ParticipantId};
use foldback_stage::StageFormat;
use foldback_worker::Command;

use crate::conference::Conference;
use crate::control::not_here;
use crate::message::{ErrorCode, ErrorMessage, Hear};
use crate::roster::{RoomState, not_joined};

/// For so many seconds one may hear oneself before one asks again.
const MOST_LOOPBACK_S: f32 = 10.0;

impl Conference {
    /// Lets a person hear another one otherwise than that one comes; what `wanted` does not name stays.
    ///
    /// # Errors
    /// `missing-field`, `bad-value`, `not-joined`, `not-found`, `no-mix`, `too-many` or `internal`.
    pub fn hear(&self, id: ParticipantId, wanted: &Hear) -> Result<(), ErrorMessage> {
        let Hear { participant, gain_db, pan, muted } = *wanted;
        if gain_db.is_none() && pan.is_none() && muted.is_none() {
            return Err(ErrorMessage::new(
                ErrorCode::MissingField,
                "Nothing is to change: give `gain_db` (dB), `pan` (-1 to 1), `muted` (true or false), \
                 or several of them.",
            ));
        }
        let gain_db =
            gain_db.map(|db| within("gain_db", db, " dB", &HeardAs::GAIN_DB)).transpose()?;
        let pan = pan.map(|pan| within("pan", pan, "", &HeardAs::PAN)).transpose()?;
        let other = ParticipantId(participant);
        let mut state = self.state();
        let (name, room) = state.room_of(id)?;
        if other == id || !room.people.contains_key(&other) {
            return Err(not_here(name, Some(other)));
        }
        let chain = room.chains.chain();
        if chain.mix.is_none() {
            let message = "The chain of this room has no `mix`: you hear nobody but yourself.";
            return Err(ErrorMessage::new(ErrorCode::NoMix, message));
        }
        if pan.is_some_and(|pan| pan != 0.0) && chain.format != StageFormat::STEREO {
            let message = "This room is mono (`channels` of its chain is 1): there are no sides to move \
                           anybody to. Leave `pan` out.";
            return Err(ErrorMessage::new(ErrorCode::BadValue, message));
        }
        let all_taken = own_mixes(room) >= MOST_OWN_MIXES && room.groups.is_empty();
        let listener = room.people.get_mut(&id).ok_or_else(not_joined)?;
        let before = listener.hears.get(&other).copied().unwrap_or(HeardAs::PLAIN);
        let heard = HeardAs {
            gain_db: gain_db.unwrap_or(before.gain_db),
            pan: pan.unwrap_or(before.pan),
            muted: muted.unwrap_or(before.muted),
        };
        if heard == HeardAs::PLAIN {
            listener.hears.remove(&other);
        } else if all_taken && !listener.has_own_mix() {
            return Err(too_many());
        } else {
            listener.hears.insert(other, heard);
        }
        let heard = room.groups.heard(id, other, heard);
        self.command(room.worker, Command::HearAs(id, other, heard))
    }

    /// Has all the others hear a person by so much louder, 0 as they come out of their chain.
    ///
    /// # Errors
    /// `bad-value`; `not-found`, if they are not in that room; `bad-room`, `no-mix` or `internal`.
    pub(crate) fn set_gain(
        &self,
        room: &str,
        id: ParticipantId,
        gain_db: f64,
    ) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let gain_db = within("gain_db", gain_db, " dB", &HeardAs::GAIN_DB)?;
        let mut state = self.state();
        let open = state.rooms.get_mut(room).ok_or_else(|| not_here(room, Some(id)))?;
        if open.chains.chain().mix.is_none() {
            let message = "The chain of this room has no `mix`: nobody hears anybody else.";
            return Err(ErrorMessage::new(ErrorCode::NoMix, message));
        }
        let member = open.people.get_mut(&id).ok_or_else(|| not_here(room, Some(id)))?;
        member.gain_db = gain_db;
        self.command(open.worker, Command::Gain(id, gain_db))
    }

    /// Gives a person their own voice back for so many seconds, beside all that they hear, while nobody else
    /// hears it, muted or not. Where the chain does not mix they hear themselves anyway.
    ///
    /// # Errors
    /// `bad-value`, `not-joined`, `too-many` or `internal`.
    pub fn loop_back(&self, id: ParticipantId, seconds: f64) -> Result<(), ErrorMessage> {
        let seconds = within("seconds", seconds, " s", &(0.0..=MOST_LOOPBACK_S))?;
        let duration = Duration::from_secs_f32(seconds);
        let mut state = self.state();
        let (_, room) = state.room_of(id)?;
        let all_taken = own_mixes(room) >= MOST_OWN_MIXES && room.groups.is_empty();
        let listener = room.people.get_mut(&id).ok_or_else(not_joined)?;
        if all_taken && !listener.has_own_mix() && !duration.is_zero() {
            return Err(too_many());
        }
        listener.loops_back_until = Some(Instant::now() + duration);
        self.command(room.worker, Command::LoopBack(id, duration))
    }
}

impl RoomState {
    /// How a person hears the others, and they that person, where it is otherwise than they come: listener, other, how.
    pub(crate) fn heard_otherwise(
        &self,
        id: ParticipantId,
    ) -> Vec<(ParticipantId, ParticipantId, HeardAs)> {
        let others = self.people.keys().filter(|other| **other != id);
        let pairs = others.flat_map(|other| [(id, *other), (*other, id)]);
        let heard = pairs.map(|(listener, other)| {
            let own = self.people.get(&listener).and_then(|member| member.hears.get(&other));
            let own = own.copied().unwrap_or(HeardAs::PLAIN);
            (listener, other, self.groups.heard(listener, other, own))
        });
        heard.filter(|(.., heard)| *heard != HeardAs::PLAIN).collect()
    }
}

fn own_mixes(room: &RoomState) -> usize {
    room.people.values().filter(|member| member.has_own_mix()).count()
}

fn too_many() -> ErrorMessage {
    let message = format!(
        "{MOST_OWN_MIXES} people in this room hear others louder or softer than they come, or \
         themselves, which is as many as can: each of them takes an encoder of the server."
    );
    ErrorMessage::new(ErrorCode::TooMany, message)
}

fn within(
    field: &str,
    value: f64,
    unit: &str,
    allowed: &RangeInclusive<f32>,
) -> Result<f32, ErrorMessage> {
    let (least, most) = (*allowed.start(), *allowed.end());
    if (f64::from(least)..=f64::from(most)).contains(&value) {
        return Ok(value as f32);
    }
    let message = format!("`{field}` goes from {least} to {most}{unit}; got {value}.");
    Err(ErrorMessage::new(ErrorCode::BadValue, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_within_its_range_or_told_what_that_is() {
        assert_eq!(within("gain_db", -60.0, " dB", &HeardAs::GAIN_DB), Ok(-60.0));
        for value in [12.5, -61.0, f64::INFINITY] {
            let error = within("gain_db", value, " dB", &HeardAs::GAIN_DB).expect_err("too far");
            assert_eq!(error.code, ErrorCode::BadValue);
            assert!(error.message.contains("from -60 to 12 dB"), "{}", error.message);
        }
    }
}
