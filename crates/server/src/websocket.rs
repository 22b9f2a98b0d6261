//! `GET /ws`: one client's signalling.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use foldback_room::ParticipantId;
use foldback_worker::Allowance;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::auth::{Caller, Credentials, Key, Seat, Wish, check_origin};
use crate::conference::{Conference, encoded};
use crate::http::{App, HttpError, MAX_MESSAGE_BYTES};
use crate::message::{
    ClientMessage, ErrorCode, ErrorMessage, LeftReason, ServerMessage, SetStage, SetStages,
};
use crate::recording::Wanted;
use crate::returning::Way;
use crate::waiting::{LONGEST_WAIT, Waiting, not_let_in};

/// Messages that may wait for a client: more than many say at once who say all that they may.
const OUTBOX: usize = 1024;
/// More than a client sends at once, but for its offer.
const READ_BUFFER_BYTES: usize = 4096;
/// A client without media that says nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// A message that cannot be sent for so long is the last.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Of what a client says much goes to everybody in its room, so a hundred messages are taken at once, and fifty more in each
/// second.
const MESSAGES_BURST: Duration = Duration::from_secs(2);
const MESSAGE_COST: Duration = Duration::from_millis(20);
/// So often it is looked whether one who waits to be let in is still there.
const LOOK: Duration = Duration::from_secs(20);

pub(crate) async fn upgrade(
    State(app): State<App>,
    caller: Caller,
    request: Parts,
    upgrade: WebSocketUpgrade,
) -> Response {
    if let Err(error) = check_origin(&request, &app.conference.running().config.auth) {
        return HttpError::from(error).into_response();
    }
    let seat = match app.door.seat(caller.address) {
        Ok(seat) => seat,
        Err(error) => return HttpError::from(error).into_response(),
    };
    let operator = app.operator.check(&request);
    // Somewhat more than is allowed is read, so that the mistake can be told.
    upgrade
        .max_message_size(2 * MAX_MESSAGE_BYTES)
        // Each socket has one, and the library clears it each time it looks for something to read.
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_frame_size(2 * MAX_MESSAGE_BYTES)
        .on_upgrade(move |socket| async move {
            let (outbox, messages) = channel(OUTBOX);
            let (id, outbox, left) = (None, Some(outbox), LeftReason::Closed);
            let has_media = false;
            let (waiting, allowance) = (None, Allowance::new(MESSAGES_BURST));
            let mut session = Session {
                app,
                caller,
                seat,
                allowance,
                id,
                outbox,
                waiting,
                has_media,
                left,
                operator,
            };
            let close = session.run(socket, messages).await;
            if let Some(waiting) = session.waiting.take() {
                session.conference().stop_waiting(&waiting);
            }
            if let Some(id) = session.id {
                session.app.conference.leave(id, session.left);
            }
            tracing::debug!(id = ?session.id, code = close, "socket closed");
        })
}

struct Session {
    app: App,
    caller: Caller,
    /// Until somebody joins.
    seat: Option<Seat>,
    /// What it may still say.
    allowance: Allowance,
    id: Option<ParticipantId>,
    /// The session's own end; given to the room on joining, so that the room's dropping it ends
    /// the session.
    outbox: Option<Sender<Utf8Bytes>>,
    /// Until somebody lets them in, or not.
    waiting: Option<Waiting>,
    /// From the first offer that was answered on, the media tells whether anybody is there.
    has_media: bool,
    /// What the others are told if the session ends now.
    left: LeftReason,
    /// Whether it may change sound.
    operator: Result<(), ErrorMessage>,
}

impl Session {
    /// Talks until one side ends it; returns the close code.
    async fn run(&mut self, mut socket: WebSocket, mut messages: Receiver<Utf8Bytes>) -> u16 {
        let mut ending = self.conference().ending();
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let code = loop {
            tokio::select! {
                () = &mut patience, if !self.has_media => {
                    self.left = LeftReason::Timeout;
                    break close_code::POLICY;
                }
                () = turned_true(&mut ending) => break close_code::AWAY,
                decision = decided(&mut self.waiting) => {
                    let answer = self.leave_waiting_room(decision);
                    patience.as_mut().reset(Instant::now() + PATIENCE);
                    if !send(&mut socket, encoded(&answer)).await {
                        return close_code::ABNORMAL;
                    }
                }
                _ = look.tick(), if self.waiting.is_some() => {
                    // Any answer shows that they are.
                    let ping = socket.send(Message::Ping(Bytes::new()));
                    if !matches!(tokio::time::timeout(SEND_TIMEOUT, ping).await, Ok(Ok(()))) {
                        return close_code::ABNORMAL;
                    }
                }
                message = messages.recv() => match message {
                    Some(text) => {
                        if !send(&mut socket, text).await {
                            return close_code::ABNORMAL;
                        }
                    }
                    // The room let this participant go.
                    None => break close_code::NORMAL,
                },
                received = socket.recv() => match received {
                    Some(Ok(Message::Text(text))) => {
                        patience.as_mut().reset(Instant::now() + PATIENCE);
                        match self.text(&text).await {
                            Reply::Nothing => {}
                            Reply::Say(message) => {
                                if !send(&mut socket, encoded(&message)).await {
                                    return close_code::ABNORMAL;
                                }
                            }
                            Reply::Close => break close_code::NORMAL,
                            Reply::TooLarge => {
                                send(&mut socket, encoded(&too_large())).await;
                                break close_code::SIZE;
                            }
                        }
                    }
                    Some(Ok(Message::Binary(_))) => {
                        let error = ErrorMessage::new(
                            ErrorCode::BadJson,
                            "Messages are JSON text, not binary.",
                        );
                        if !send(&mut socket, encoded(&ServerMessage::Error(error))).await {
                            return close_code::ABNORMAL;
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                        if self.waiting.is_some() {
                            patience.as_mut().reset(Instant::now() + PATIENCE);
                        }
                    }
                    Some(Ok(Message::Close(_))) | None => return close_code::NORMAL,
                    Some(Err(error)) => break code_of(&error),
                },
            }
        };
        let frame = CloseFrame { code, reason: Utf8Bytes::default() };
        let close = socket.send(Message::Close(Some(frame)));
        let _ = tokio::time::timeout(SEND_TIMEOUT, close).await;
        code
    }

    async fn text(&mut self, text: &str) -> Reply {
        if text.len() > MAX_MESSAGE_BYTES {
            return Reply::TooLarge;
        }
        if !self.allowance.take(std::time::Instant::now(), MESSAGE_COST) {
            let sentence =
                "So many messages came in a short time that this one is left out; wait a second.";
            let error = ErrorMessage::new(ErrorCode::TooFast, sentence);
            return Reply::say(ServerMessage::Error(error));
        }
        let done = match ClientMessage::parse(text) {
            Ok(message) => self.act(message).await,
            Err(error) => Err(error),
        };
        done.unwrap_or_else(|error| Reply::say(ServerMessage::Error(error)))
    }

    async fn act(&mut self, message: ClientMessage) -> Result<Reply, ErrorMessage> {
        match message {
            ClientMessage::Join { room, name, pin, token, return_key } => {
                let credentials = Credentials { pin, token };
                let wish = Wish { room: &room, name: &name, credentials: &credentials };
                self.join(wish, return_key)
            }
            ClientMessage::Offer { sdp } => {
                let id = self.joined()?;
                let sdp = self.conference().connect(id, sdp).await?;
                self.has_media = true;
                Ok(Reply::say(ServerMessage::Answer { sdp }))
            }
            ClientMessage::Candidate { candidate } => {
                let id = self.joined()?;
                if let Some(candidate) = candidate.filter(|c| !c.candidate.is_empty()) {
                    self.conference().candidate(id, &candidate.candidate)?;
                }
                Ok(Reply::Nothing)
            }
            ClientMessage::Mute { muted } => {
                self.conference().mute(self.joined()?, muted)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Hear(wanted) => {
                self.conference().hear(self.joined()?, &wanted)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Loopback { seconds } => {
                self.conference().loop_back(self.joined()?, seconds)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Hand { raised } => {
                self.conference().raise_hand(self.joined()?, raised)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Operator { token } => {
                self.app.operator.check_token(token.expose())?;
                self.operator = Ok(());
                if let Some(id) = self.id {
                    self.conference().show_waiting(id, true);
                }
                Ok(Reply::say(ServerMessage::Operator {}))
            }
            ClientMessage::SetStage(SetStage { stage, participant, change }) => {
                let stages = [(stage, change)].into();
                self.set_stages(SetStages { stages, participant }).await?;
                Ok(Reply::Nothing)
            }
            ClientMessage::SetStages(wanted) => {
                self.set_stages(wanted).await?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Spare { kinds } => {
                self.spare(kinds).await?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Record { recording } => {
                self.record(recording).await?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Lock { locked } => {
                let (room, by) = self.host()?;
                self.conference().lock(&room, locked, by)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::MuteAll { muted } => {
                let (room, by) = self.host()?;
                self.conference().mute_all(&room, muted, by)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Admit { ids } => {
                let (room, _) = self.host()?;
                self.conference().decide(&room, Some(&ids), true)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Refuse { ids } => {
                let (room, _) = self.host()?;
                self.conference().decide(&room, Some(&ids), false)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::SetGroups(groups) => {
                let (room, _) = self.host()?;
                self.conference().set_groups(&room, groups)?;
                Ok(Reply::Nothing)
            }
            ClientMessage::Leave {} => {
                if self.waiting.is_none() {
                    self.joined()?;
                }
                self.left = LeftReason::Left;
                Ok(Reply::Close)
            }
        }
    }

    /// By a key that is no longer good as without one.
    fn join(&mut self, wish: Wish<'_>, key: Option<Key>) -> Result<Reply, ErrorMessage> {
        if self.waiting.is_some() {
            return Err(ErrorMessage::new(
                ErrorCode::AlreadyJoined,
                "This socket waits to be let into a room already; leave first.",
            ));
        }
        if self.id.is_some() {
            return Err(ErrorMessage::new(
                ErrorCode::AlreadyJoined,
                "This socket is in a room already; leave first.",
            ));
        }
        let outbox = self.outbox.clone();
        let known = key.and_then(|key| Some((self.conference().returning(&key, wish.room)?, key)));
        if let Some((returning, key)) = known {
            let joined = self.app.come_back(self.caller, key, returning, outbox)?;
            return Ok(Reply::say(self.enter(joined)));
        }
        let admitted = self.app.admit(self.caller, wish)?;
        let way = if self.operator.is_ok() { Way::Operator } else { Way::Door };
        match self.app.conference.join(&admitted, way, outbox) {
            Err(error) if error.code == ErrorCode::WaitingRoom => {
                let room = admitted.room.clone();
                self.waiting = Some(self.conference().wait(admitted)?);
                let seconds_left = LONGEST_WAIT.as_secs();
                Ok(Reply::say(ServerMessage::Waiting { room, seconds_left }))
            }
            joined => Ok(Reply::say(self.enter(joined?))),
        }
    }

    /// What one who waited is told.
    fn leave_waiting_room(&mut self, decision: Option<bool>) -> ServerMessage {
        let Some(waiting) = self.waiting.take() else {
            return ServerMessage::Error(ErrorMessage::internal());
        };
        self.conference().stop_waiting(&waiting);
        let joined = match decision {
            Some(true) => {
                let outbox = self.outbox.clone();
                self.app.conference.join(&waiting.who, Way::LetIn, outbox)
            }
            refused => Err(not_let_in(refused)),
        };
        joined.map_or_else(ServerMessage::Error, |joined| self.enter(joined))
    }

    /// Who joined is in from now on.
    fn enter(&mut self, (id, mut joined): (ParticipantId, ServerMessage)) -> ServerMessage {
        let is_operator = self.operator.is_ok();
        if let ServerMessage::Joined { operator, .. } = &mut joined {
            *operator = is_operator;
        }
        self.id = Some(id);
        (self.outbox, self.seat) = (None, None);
        self.conference().show_waiting(id, is_operator);
        joined
    }

    async fn set_stages(&self, wanted: SetStages) -> Result<(), ErrorMessage> {
        self.operator.clone()?;
        let id = self.joined()?;
        let set = move |conference: &Arc<Conference>| {
            let room = conference.room_with(id)?;
            let of = wanted.participant.map(ParticipantId);
            conference.set_stages(&room, of, &wanted.changes()?)
        };
        self.app.blocking(set).await
    }

    /// Of its own stages, so nobody has to be an operator.
    async fn spare(&self, kinds: Vec<String>) -> Result<(), ErrorMessage> {
        let id = self.joined()?;
        self.app.blocking(move |conference| conference.spare(id, &kinds)).await
    }

    async fn record(&self, on: bool) -> Result<(), ErrorMessage> {
        self.operator.clone()?;
        let id = self.joined()?;
        let act = move |conference: &Arc<Conference>| {
            let room = conference.room_with(id)?;
            match on {
                true => conference.record(&room, Wanted::ALL),
                false => conference.stop_recording(&room),
            }
        };
        self.app.blocking(act).await.map(drop)
    }

    /// The room that a host or an operator does something in, and what the host is called.
    fn host(&self) -> Result<(String, Option<String>), ErrorMessage> {
        self.conference().host(self.joined()?, self.operator.is_ok())
    }

    fn joined(&self) -> Result<ParticipantId, ErrorMessage> {
        self.id.ok_or_else(|| ErrorMessage::new(ErrorCode::NotJoined, "Join a room first."))
    }

    fn conference(&self) -> &Conference {
        &self.app.conference
    }
}

/// Never, where nobody waits.
async fn decided(waiting: &mut Option<Waiting>) -> Option<bool> {
    match waiting {
        Some(waiting) => waiting.decided().await,
        None => std::future::pending().await,
    }
}

enum Reply {
    Nothing,
    Say(Box<ServerMessage>),
    Close,
    TooLarge,
}

impl Reply {
    fn say(message: ServerMessage) -> Self {
        Self::Say(Box::new(message))
    }
}

pub(crate) async fn turned_true(value: &mut watch::Receiver<bool>) {
    // An error is a sender that is gone, and with it the server.
    let _ = value.wait_for(|value| *value).await;
}

/// What a frame that could not be read is answered with (RFC 6455, section 7.4.1).
fn code_of(error: &axum::Error) -> u16 {
    let reason = error.to_string();
    if reason.contains("UTF-8") || reason.contains("utf-8") {
        close_code::INVALID
    } else if reason.contains("too long") || reason.contains("too large") {
        close_code::SIZE
    } else {
        close_code::PROTOCOL
    }
}

fn too_large() -> ServerMessage {
    ServerMessage::Error(ErrorMessage::new(
        ErrorCode::TooLarge,
        format!("A message may have {MAX_MESSAGE_BYTES} bytes at most."),
    ))
}

async fn send(socket: &mut WebSocket, text: Utf8Bytes) -> bool {
    let sent = tokio::time::timeout(SEND_TIMEOUT, socket.send(Message::Text(text))).await;
    matches!(sent, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_takes_little_memory_between_messages() {
        let bytes = bytes_of(Session::run);
        assert!(bytes <= 4096, "{bytes} bytes");
    }

    /// A task takes room for all that it ever holds at one time, for as long as it lasts.
    fn bytes_of<'a, F>(_: fn(&'a mut Session, WebSocket, Receiver<Utf8Bytes>) -> F) -> usize {
        size_of::<F>()
    }
}
