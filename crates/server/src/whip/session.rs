//! The sessions that have an address of their own, for as long as their participant is in a room.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_room::ParticipantId;
use foldback_worker::Allowance;
use tokio::sync::Mutex;

use super::fragment::{Credentials, Fragment};
use crate::auth::Key;
use crate::conference::Conference;
use crate::message::{ErrorCode, ErrorMessage, LeftReason};
use crate::roster::not_joined;

/// A client may tell two hundred candidates at once, and ten more in each second.
const CANDIDATES_BURST: Duration = Duration::from_secs(20);
const CANDIDATE_COST: Duration = Duration::from_millis(100);

/// The protocols, which differ in the way that sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Who comes by it speaks.
    Whip,
    /// Who comes by it listens.
    Whep,
}

/// All that there are, by what the address of each ends with: whoever knows it may change and end that session. A conference keeps
/// them under its lock.
pub(crate) type Sessions = HashMap<Key, Session>;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) participant: ParticipantId,
    protocol: Protocol,
    /// Held while it changes, so that what is told of it is true.
    pub(crate) ice: Arc<Mutex<Ice>>,
}

/// What ICE runs with.
#[derive(Debug)]
pub(crate) struct Ice {
    /// The client's offer, with the credentials that it has now.
    offer: String,
    /// Strong, and another one after each start.
    pub(crate) tag: String,
    candidates: Allowance,
}

impl Ice {
    pub(crate) fn new(offer: String, answer: &str) -> Self {
        let tag = tag_of(answer);
        Self { offer, tag, candidates: Allowance::new(CANDIDATES_BURST) }
    }

    /// By which the client is known now.
    pub(crate) fn credentials(&self) -> Option<Credentials<'_>> {
        Fragment::credentials_of(&self.offer)
    }

    pub(crate) fn offer(&self) -> &str {
        &self.offer
    }

    /// It started anew.
    pub(crate) fn restarted(&mut self, offer: String, answer: &str) {
        self.offer = offer;
        self.tag = tag_of(answer);
    }

    /// Whether so many candidates more may be told.
    pub(crate) fn takes(&mut self, candidates: usize) -> bool {
        let count = u32::try_from(candidates).unwrap_or(u32::MAX);
        self.candidates.take(Instant::now(), CANDIDATE_COST.saturating_mul(count))
    }
}

/// Each start of ICE has another name on this side, which tells it from all others.
fn tag_of(answer: &str) -> String {
    format!("\"{}\"", Fragment::credentials_of(answer).map_or("", |it| it.ufrag))
}

impl Conference {
    /// Gives somebody's session an address.
    ///
    /// # Errors
    /// `not-joined`, if they are gone meanwhile; `internal`.
    pub(crate) fn open_session(
        &self,
        participant: ParticipantId,
        protocol: Protocol,
        ice: Ice,
    ) -> Result<Key, ErrorMessage> {
        let key = Key::random()?;
        let mut state = self.state();
        let (_, room) = state.room_of(participant)?;
        let member = room.people.get_mut(&participant).ok_or_else(not_joined)?;
        member.session = Some(key.clone());
        let session = Session { participant, protocol, ice: Arc::new(Mutex::new(ice)) };
        state.sessions.insert(key.clone(), session);
        Ok(key)
    }

    /// The session of that key in a room.
    ///
    /// # Errors
    /// `not-found`, which tells nothing of what else there is.
    pub(crate) fn session(
        &self,
        protocol: Protocol,
        room: &str,
        key: &str,
    ) -> Result<Session, ErrorMessage> {
        let state = self.state();
        let session = state.sessions.get(&Key::from(key.to_owned())).filter(|session| {
            let is_in = state.rooms_of.get(&session.participant).is_some_and(|it| it == room);
            session.protocol == protocol && is_in
        });
        session.cloned().ok_or_else(|| {
            ErrorMessage::new(ErrorCode::NotFound, "There is no such session, or it has ended.")
        })
    }

    /// Ends a session as its client asks.
    pub(crate) fn end_session(&self, session: &Session) {
        self.leave(session.participant, LeftReason::Left);
    }
}
