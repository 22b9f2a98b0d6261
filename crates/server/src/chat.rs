//! What people write to their room, over the data channel `foldback`.

use std::time::{Duration, Instant};

use foldback_room::ParticipantId;
use foldback_worker::{Command, MessageRefused};
use serde::Deserialize;

use crate::conference::{Conference, encoded};
use crate::message::{ErrorCode, ErrorMessage, ServerMessage, read};
use crate::names::check_text;

/// What a room may hear at once, and how much of that a message takes for each who gets it: a thousand
/// a second may be sent out.
pub(crate) const ROOM_BURST: Duration = Duration::from_secs(2);
const COST_OF_ONE: Duration = Duration::from_millis(1);

/// What a client says on its data channel.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum ChannelMessage {
    /// To everybody in the room.
    Chat { text: String },
}

impl ChannelMessage {
    const TYPES: &'static [(&'static str, &'static [&'static str])] = &[("chat", &["text"])];
}

impl Conference {
    /// Takes what a participant said on its data channel: everybody in the room gets it, or that one is
    /// told why not.
    pub(crate) fn take_message(&self, id: ParticipantId, message: Result<String, MessageRefused>) {
        let done = message.map_err(refused).and_then(|text| self.chat(id, &text));
        let Err(error) = done else { return };
        let mut state = self.state();
        let Ok((_, room)) = state.room_of(id) else { return };
        let text = encoded(&ServerMessage::Error(error));
        // A worker that takes no command has more to do than to tell that.
        let _ = self.command(room.worker, Command::Tell(id, text.as_str().into()));
    }

    fn chat(&self, id: ParticipantId, text: &str) -> Result<(), ErrorMessage> {
        let ChannelMessage::Chat { text } = read(text, ChannelMessage::TYPES)?;
        let text = check_text(&text)
            .map_err(|sentence| ErrorMessage::new(ErrorCode::BadValue, sentence))?;
        let mut state = self.state();
        let (_, room) = state.room_of(id)?;
        let cost = COST_OF_ONE * u32::try_from(room.people.len()).unwrap_or(u32::MAX);
        if !room.chat.take(Instant::now(), cost) {
            let message = "So much is written in this room just now that the server cannot pass on \
                           more. Send it again in some seconds.";
            return Err(ErrorMessage::new(ErrorCode::TooFast, message));
        }
        let message = encoded(&ServerMessage::Chat { id: id.0, text });
        self.command(room.worker, Command::TellRoom(room.key, message.as_str().into()))
    }
}

fn refused(why: MessageRefused) -> ErrorMessage {
    match why {
        MessageRefused::TooFast => ErrorMessage::new(
            ErrorCode::TooFast,
            "Ten messages at once, and then one every half second, are passed on. Send it again in some seconds.",
        ),
        MessageRefused::TooLarge => ErrorMessage::new(
            ErrorCode::TooLarge,
            "A message on the data channel may have 16384 bytes at most.",
        ),
        MessageRefused::NoText => ErrorMessage::new(
            ErrorCode::BadJson,
            "Messages on the data channel are JSON text, not binary.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_on_the_channel_is_read_or_told_what_is_wrong() {
        let read = |text| read::<ChannelMessage>(text, ChannelMessage::TYPES);
        let said = ChannelMessage::Chat { text: "hello".into() };
        assert_eq!(read(r#"{"type":"chat","text":"hello"}"#), Ok(said));
        for (text, code) in [
            ("hello", ErrorCode::BadJson),
            (r#"{"type":"mute","muted":true}"#, ErrorCode::UnknownType),
            (r#"{"type":"chat"}"#, ErrorCode::MissingField),
            (r#"{"type":"chat","text":7}"#, ErrorCode::BadJson),
        ] {
            assert_eq!(read(text).expect_err(text).code, code, "{text}");
        }
    }
}
