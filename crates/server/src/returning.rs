//! Coming back by right: whoever is lost gets into their room again, also where nobody new would.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use foldback_room::ParticipantId;

use crate::auth::{Admitted, Key};
use crate::conference::Conference;
use crate::groups::Whispered;
use crate::message::LeftReason;
use crate::roster::State;

/// For so long after they were lost somebody may come back by their key.
const LOST_FOR: Duration = Duration::from_secs(120);
/// So many who are lost are remembered, of all rooms; above that the first lost are forgotten.
const MOST_LOST: usize = 4096;

/// How somebody comes into a room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// Through the door, where it is open, and the waiting room, where there is one.
    Door,
    /// As an operator, who need not wait.
    Operator,
    /// From the waiting room, since they were let in.
    LetIn,
    /// By their key.
    Back(&'a Returning),
}

/// Who came by a key, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Returning {
    pub(crate) participant: ParticipantId,
    pub(crate) who: Admitted,
    /// Of the room, see [`crate::roster::RoomState::opening`].
    pub(crate) opening: u64,
    /// When they were lost.
    pub(crate) whispered: Whispered,
    lost: Option<Instant>,
}

impl Returning {
    pub(crate) fn new(participant: ParticipantId, who: Admitted, opening: u64) -> Self {
        Self { participant, who, opening, whispered: Whispered::default(), lost: None }
    }
}

/// The keys of all who may come back: whoever knows one takes the place of whom it was given to. A conference keeps them under its lock.
#[derive(Debug, Default)]
pub(crate) struct Returns {
    by_key: HashMap<Key, Returning>,
    /// In the order of their loss; some of them came back since.
    lost: VecDeque<(Instant, Key)>,
}

impl Returns {
    pub(crate) fn add(&mut self, key: Key, returning: Returning) {
        self.by_key.insert(key, returning);
    }

    /// Somebody is gone. Whoever left or was taken out does not come back by right.
    pub(crate) fn gone(
        &mut self,
        key: Key,
        whispered: Whispered,
        reason: LeftReason,
        now: Instant,
    ) {
        if let Some(returning) = self.by_key.get_mut(&key) {
            returning.whispered = whispered;
        }
        match reason {
            LeftReason::Left | LeftReason::Kicked => _ = self.by_key.remove(&key),
            LeftReason::Timeout | LeftReason::Closed => self.lose(key, now),
        }
    }

    fn lose(&mut self, key: Key, now: Instant) {
        if let Some(returning) = self.by_key.get_mut(&key) {
            returning.lost = Some(now);
            self.lost.push_back((now, key));
        }
        while let Some((since, key)) = self.lost.front()
            && (self.lost.len() > MOST_LOST || now.duration_since(*since) > LOST_FOR)
        {
            if self.by_key.get(key).is_some_and(|it| it.lost.is_some()) {
                self.by_key.remove(key);
            }
            self.lost.pop_front();
        }
    }

    /// Takes a key that is good for that room, with which nobody else can come then.
    fn take(&mut self, key: &Key, room: &str, now: Instant) -> Option<Returning> {
        let known = self.by_key.get(key)?;
        let in_time = known.lost.is_none_or(|since| now.duration_since(since) <= LOST_FOR);
        let is_good = in_time && known.who.room == room;
        if is_good { self.by_key.remove(key) } else { None }
    }
}

impl State {
    /// Whether a room is the one that a key was given in: not one that others opened since that one was empty.
    fn is_still(&self, room: &str, opening: u64) -> bool {
        self.rooms.get(room).is_none_or(|open| open.opening == opening)
    }
}

impl Conference {
    /// Who has that key for that room, if it is good. It is used up by that.
    pub(crate) fn returning(&self, key: &Key, room: &str) -> Option<Returning> {
        let mut state = self.state();
        let returning = state.returns.take(key, room, Instant::now())?;
        state.is_still(room, returning.opening).then_some(returning)
    }

    /// Lets a key be good again, by which somebody could not come in for now.
    pub(crate) fn give_back(&self, key: Key, returning: Returning) {
        let mut state = self.state();
        let is_in = state.rooms_of.contains_key(&returning.participant);
        let was_lost = returning.lost.is_some();
        state.returns.add(key.clone(), returning);
        // Who was lost before is among the lost already.
        if !is_in && !was_lost {
            state.returns.lose(key, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::random().expect("the system gives random numbers")
    }

    fn with(keys: &[&Key]) -> Returns {
        let mut returns = Returns::default();
        for key in keys {
            let who = Admitted::of("lobby", "Ann");
            returns.add((*key).clone(), Returning::new(ParticipantId(1), who, 0));
        }
        returns
    }

    #[test]
    fn a_key_is_good_once_for_its_room_while_one_is_in_and_for_a_while_after_one_was_lost() {
        let (key, now) = (key(), Instant::now());
        let mut returns = with(&[&key]);
        assert!(returns.take(&key, "other", now).is_none(), "another room");
        assert_eq!(returns.take(&key, "lobby", now).expect("it is good").who.name, "Ann");
        assert!(returns.take(&key, "lobby", now).is_none(), "used up");
        for (reason, seconds, is_good) in [
            (LeftReason::Closed, 120, true),
            (LeftReason::Timeout, 120, true),
            (LeftReason::Timeout, 121, false),
            (LeftReason::Left, 0, false),
            (LeftReason::Kicked, 0, false),
        ] {
            let mut returns = with(&[&key]);
            returns.gone(key.clone(), Whispered::default(), reason, now);
            let later = now + Duration::from_secs(seconds);
            let found = returns.take(&key, "lobby", later).is_some();
            assert_eq!(found, is_good, "{reason:?} {seconds} s ago");
        }
    }

    #[test]
    fn who_is_lost_for_good_is_forgotten() {
        let keys: Vec<_> = (0..MOST_LOST + 2).map(|_| key()).collect();
        let mut returns = with(&keys.iter().collect::<Vec<_>>());
        let now = Instant::now();
        for key in &keys[1..] {
            returns.gone(key.clone(), Whispered::default(), LeftReason::Closed, now);
        }
        assert_eq!(returns.by_key.len(), MOST_LOST + 1, "one is in, and so many are lost");
        assert!(returns.take(&keys[1], "lobby", now).is_none(), "the first of them");
        let later = now + LOST_FOR + Duration::from_millis(1);
        returns.gone(keys[0].clone(), Whispered::default(), LeftReason::Closed, later);
        assert_eq!((returns.by_key.len(), returns.lost.len()), (1, 1));
    }
}
