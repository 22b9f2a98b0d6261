//! Who says what in a room and when: what is to be heard there.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::marker;
use crate::voice::{PACKET_TIME, Voice};

/// Louder than that one is heard whatever the chain.
const AUDIBLE_MINUS_DBOV: u8 = 45;

/// A room as its clients know it.
#[derive(Debug)]
pub(crate) struct Room {
    /// Its name.
    pub(crate) name: String,
    /// The first one's voice has the markers.
    pub(crate) talkers: Vec<Talker>,
}

/// One who talks.
#[derive(Debug)]
pub(crate) struct Talker {
    voice: Arc<Voice>,
    /// When the voice was at its beginning: set as soon as it is connected.
    began: OnceLock<Instant>,
}

impl Talker {
    pub(crate) fn new(voice: Arc<Voice>) -> Self {
        Self { voice, began: OnceLock::new() }
    }

    pub(crate) fn voice(&self) -> &Arc<Voice> {
        &self.voice
    }

    /// It begins to talk.
    pub(crate) fn begin(&self, at: Instant) {
        self.began.get_or_init(|| at);
    }

    /// Whether it is audible all the time from one instant to another.
    fn is_audible(&self, from: Instant, to: Instant) -> bool {
        let Some(began) = self.began.get() else { return false };
        let place = |at: Instant| {
            let since = at.checked_duration_since(*began)?;
            u64::try_from(since.as_nanos() / PACKET_TIME.as_nanos()).ok()
        };
        let (Some(first), Some(last)) = (place(from), place(to)) else { return false };
        (first..=last).all(|place| self.voice.level_minus_dbov(place) <= AUDIBLE_MINUS_DBOV)
    }
}

impl Room {
    /// Whether somebody talks already whom the participant of that number (talkers first) hears.
    pub(crate) fn talks_to(&self, participant: usize) -> bool {
        self.others(participant).any(|talker| talker.began.get().is_some())
    }

    /// Whether somebody whom the participant hears is audible all that time.
    pub(crate) fn is_audible_to(&self, participant: usize, from: Instant, to: Instant) -> bool {
        self.others(participant).any(|talker| talker.is_audible(from, to))
    }

    /// When the `number`th marker was spoken, once that is known.
    pub(crate) fn marker_at(&self, number: u32) -> Option<Instant> {
        let began = *self.talkers.first()?.began.get()?;
        Some(began + marker::EVERY * number + marker::BEGINS_AT)
    }

    /// The first marker spoken at `at` or later.
    pub(crate) fn first_marker_from(&self, at: Instant) -> Option<u32> {
        let since = at.saturating_duration_since(self.marker_at(0)?);
        let periods = since.as_nanos().div_ceil(marker::EVERY.as_nanos());
        u32::try_from(periods).ok()
    }

    fn others(&self, participant: usize) -> impl Iterator<Item = &Talker> {
        let talkers = self.talkers.iter().enumerate();
        talkers.filter(move |(number, _)| *number != participant).map(|(_, talker)| talker)
    }
}
