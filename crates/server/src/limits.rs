//! How many may be in a room, and on the server.

use foldback_config::Config;

use crate::auth::SharedToken;
use crate::message::{ErrorCode, ErrorMessage};
use crate::roster::State;

/// Whether there is room for one more, after `others` who are about to come, in the room of that name, and on the server. Those who are in stay in, also where
/// the configuration now says less, and who `comes_back` to a room has a place in it.
///
/// # Errors
/// `room-full` or `server-full`.
pub(crate) fn check(
    config: &Config,
    state: &State,
    room: &str,
    comes_back: bool,
    others: usize,
) -> Result<(), ErrorMessage> {
    let (limits, rule) = (&config.limits, config.rule_for_room(room));
    let is_full = |most: usize, there: usize| most > 0 && there >= most;
    let server_full = |what: String| {
        let sentence = format!("The server is full: it takes {what} at a time. Try again later.");
        Err(ErrorMessage::new(ErrorCode::ServerFull, sentence))
    };
    // Those who wait are on the server too.
    if is_full(limits.participants, state.rooms_of.len() + state.waiting.count() + others) {
        return server_full(people(limits.participants));
    }
    let Some(open) = state.rooms.get(room) else {
        return match is_full(limits.rooms, state.rooms.len()) {
            true if limits.rooms == 1 => server_full("1 room".to_owned()),
            true => server_full(format!("{} rooms", limits.rooms)),
            false => Ok(()),
        };
    };
    let most = rule.and_then(|rule| rule.max_participants).unwrap_or(limits.participants_per_room);
    if !comes_back && is_full(most, open.people.len() + others) {
        let sentence = format!("This room is full: it takes {}.", people(most));
        return Err(ErrorMessage::new(ErrorCode::RoomFull, sentence));
    }
    Ok(())
}

/// Whether one more may be in by a token.
///
/// # Errors
/// `token-in-use`.
pub(crate) fn check_token(state: &State, token: Option<&SharedToken>) -> Result<(), ErrorMessage> {
    let Some(SharedToken { payload, max }) = token else { return Ok(()) };
    if state.tokens.values().filter(|known| *known == payload).count() < *max {
        return Ok(());
    }
    let sentence = match max {
        1 => "Somebody is in by this invitation already, which is for one person.".to_owned(),
        max => format!("{} are in by this invitation already, as many as it is for.", people(*max)),
    };
    Err(ErrorMessage::new(ErrorCode::TokenInUse, sentence))
}

fn people(count: usize) -> String {
    match count {
        1 => "1 person".to_owned(),
        count => format!("{count} people"),
    }
}
