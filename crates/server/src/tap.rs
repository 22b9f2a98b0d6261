//! `GET /api/v1/rooms/{room}/tap`: what is heard in a room as samples over a WebSocket, for transcription.
//!
//! Packets come by a ring from the media thread to a thread of the tap, which decodes them and puts what comes of it into a short
//! queue; the socket takes it from there. Who reads too slowly misses sound and is told how much: nothing waits for them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use audiopus::coder::Decoder;
use audiopus::packet::Packet;
use audiopus::{Channels, MutSignals, SampleRate};
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use foldback_record::{Feed, Intake, ring, samples_of};
use foldback_room::{Admission, ParticipantId};
use foldback_worker::{Command, Ear, RoomKey};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::conference::Conference;
use crate::control::not_here;
use crate::control_api::{PathOf, target};
use crate::http::{App, HttpError};
use crate::message::{ErrorCode, ErrorMessage, read};
use crate::openapi::{ForOperators, OfOpenRoom, OfRoom};
use crate::operator::AsOperator;
use crate::recording::nobody;
use crate::websocket::turned_true;

/// Frames that wait for a socket: over a second.
const QUEUE: usize = 64;
/// How often the ring is looked into: half a frame.
const LOOK: Duration = Duration::from_millis(10);
/// A message that cannot be sent for so long is the last.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Who has said nothing for so long, not even that they got a ping, is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Every so often they are asked.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Of a voice so many lost packets in a row are concealed; more are a gap in the times.
const MOST_CONCEALED: u64 = 5;
/// Taps of one room.
const MOST_OF_A_ROOM: usize = 16;
/// The longest packet at 48 kHz.
const MOST_SAMPLES: usize = 5760;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(upgrade))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// `mix`, or the number of a participant.
    #[serde(default = "the_mix")]
    #[param(required = false, pattern = "^(mix|[1-9][0-9]{0,18})$", default = "mix")]
    of: String,
    /// In Hz: 8000, 12000, 16000, 24000 or 48000.
    #[serde(default = "usual_rate")]
    #[param(required = false, default = 16000, example = 16000)]
    rate: u32,
}

fn the_mix() -> String {
    "mix".to_owned()
}

fn usual_rate() -> u32 {
    16_000
}

/// What is tapped, at which rate.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// Whose voice; `None`: the mix.
    of: Option<ParticipantId>,
    rate: SampleRate,
}

impl Asked {
    fn check(&self) -> Result<Wanted, ErrorMessage> {
        let rate = match self.rate {
            8_000 => SampleRate::Hz8000,
            12_000 => SampleRate::Hz12000,
            16_000 => SampleRate::Hz16000,
            24_000 => SampleRate::Hz24000,
            48_000 => SampleRate::Hz48000,
            other => {
                let sentence =
                    format!("`rate` is {other}, must be 8000, 12000, 16000, 24000 or 48000 (Hz).");
                return Err(ErrorMessage::new(ErrorCode::BadValue, sentence));
            }
        };
        let of = match self.of.as_str() {
            "mix" => None,
            id => Some(ParticipantId(id.parse().map_err(|_| {
                let sentence =
                    format!("`of` is {id:?}, must be \"mix\" or the number of a participant.");
                ErrorMessage::new(ErrorCode::BadValue, sentence)
            })?)),
        };
        Ok(Wanted { of, rate })
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Said {
    Start {},
    Stop {},
}

/// The sound of a room, or of somebody in it, as PCM over a WebSocket
///
/// What is said on it is in docs/playing.md. For operators.
#[utoipa::path(get, path = "/api/v1/rooms/{room}/tap", operation_id = "tap", tag = "sound", params(OfRoom, Asked),
    security((), ("token" = [])),
    responses((status = 101, description = "It goes on as a WebSocket"), ForOperators, OfOpenRoom,
        (status = 400, description = "No handshake of a WebSocket", body = String, content_type = "text/plain"),
        (status = 426, description = "The connection is none that can go on as a WebSocket", body = String, content_type = "text/plain"),
        (status = 422, description = "`bad-room`, `bad-value`, `no-mix`, or `too-many`: it is tapped as often as can be", body = ErrorMessage)))]
async fn upgrade(
    _: AsOperator,
    State(app): State<App>,
    path: PathOf,
    query: Result<Query<Asked>, QueryRejection>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, HttpError> {
    let (room, ..) = target(path)?;
    let Query(asked) = query.map_err(|rejection| {
        ErrorMessage::new(ErrorCode::BadValue, format!("{}.", rejection.body_text()))
    })?;
    let wanted = asked.check()?;
    app.conference.can_be_tapped(&room, wanted.of)?;
    Ok(upgrade.max_message_size(4096).on_upgrade(async move |socket| {
        Tap { app, room, wanted, source: None }.run(socket).await;
    }))
}

/// One socket.
struct Tap {
    app: App,
    room: String,
    wanted: Wanted,
    source: Option<Source>,
}

/// What comes of the room while it is tapped. Dropped, the room is tapped no longer.
struct Source {
    conference: Arc<Conference>,
    room: String,
    key: RoomKey,
    ear: ParticipantId,
    frames: Receiver<Frame>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.conference.untap(&self.room, self.key, self.ear);
    }
}

enum Frame {
    /// Ready to be sent.
    Sound(Bytes),
    /// So many samples were left out before the next.
    Lost(u64),
}

impl Tap {
    async fn run(&mut self, mut socket: WebSocket) {
        let mut ending = self.app.conference.ending();
        let rate = self.wanted.rate as i32;
        let of = self.wanted.of.map_or(json!("mix"), |id| json!(id.0));
        let ready = json!({ "type": "ready", "room": self.room, "of": of, "rate": rate, "channels": 1, "format": "s16le" });
        if !send(&mut socket, text(&ready)).await {
            return;
        }
        let mut pings = tokio::time::interval(PING_EVERY);
        let mut heard = Instant::now();
        loop {
            let message = tokio::select! {
                () = turned_true(&mut ending) => return,
                _ = pings.tick() => match heard.elapsed() {
                    silent if silent > SILENCE => return,
                    _ => Message::Ping(Bytes::new()),
                },
                frame = next(&mut self.source) => match frame {
                    Some(Frame::Sound(bytes)) => Message::Binary(bytes),
                    Some(Frame::Lost(samples)) => text(&json!({ "type": "lost", "samples": samples })),
                    // The room is gone.
                    None => {
                        let _ = send(&mut socket, text(&json!({ "type": "ended" }))).await;
                        return;
                    }
                },
                received = socket.recv() => match received.inspect(|_| heard = Instant::now()) {
                    Some(Ok(Message::Text(said))) => match self.take(&said).await {
                        Ok(message) => message,
                        Err(error) => text(&json!({ "type": "error", "code": error.code, "message": error.message })),
                    },
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                },
            };
            if !send(&mut socket, message).await {
                return;
            }
        }
    }

    async fn take(&mut self, said: &str) -> Result<Message, ErrorMessage> {
        match read(said, &[("start", &[]), ("stop", &[])])? {
            Said::Start {} => {
                if self.source.is_none() {
                    let (room, wanted) = (self.room.clone(), self.wanted);
                    let source = self.app.blocking(move |it| it.tap(&room, wanted)).await?;
                    self.source = Some(source);
                }
                Ok(text(&json!({ "type": "started" })))
            }
            Said::Stop {} => {
                self.source = None;
                Ok(text(&json!({ "type": "stopped" })))
            }
        }
    }
}

async fn next(source: &mut Option<Source>) -> Option<Frame> {
    match source {
        Some(source) => source.frames.recv().await,
        None => std::future::pending().await,
    }
}

fn text(message: &serde_json::Value) -> Message {
    Message::Text(message.to_string().into())
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await, Ok(Ok(())))
}

impl Conference {
    fn can_be_tapped(&self, room: &str, of: Option<ParticipantId>) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let state = self.state();
        let open = state.rooms.get(room).ok_or_else(|| nobody(room))?;
        if let Some(id) = of.filter(|id| !open.people.contains_key(id)) {
            return Err(not_here(room, Some(id)));
        }
        if of.is_none() && open.chains.chain().mix.is_none() {
            let sentence = format!(
                "Chain `{}` does not mix: there are voices alone.",
                open.chains.chain().name
            );
            return Err(ErrorMessage::new(ErrorCode::NoMix, sentence));
        }
        if open.taps.len() >= MOST_OF_A_ROOM {
            let sentence = format!(
                "The room `{room}` is tapped {MOST_OF_A_ROOM} times, which is as often as can be."
            );
            return Err(ErrorMessage::new(ErrorCode::TooMany, sentence));
        }
        Ok(())
    }

    /// Taps a room from now on. Builds a listener: blocks.
    fn tap(self: &Arc<Self>, room: &str, wanted: Wanted) -> Result<Source, ErrorMessage> {
        let turn = self.state().rooms.get(room).map(|open| Arc::clone(&open.turn));
        let turn = turn.ok_or_else(|| nobody(room))?;
        // Until the worker has it, the room's chain stays as the listener is built for.
        let _turn = turn.blocking_lock();
        self.can_be_tapped(room, wanted.of)?;
        let (key, worker, ear, spec) = {
            let mut state = self.state();
            state.last_participant += 1;
            let ear = ParticipantId(state.last_participant);
            let open = state.rooms.get(room).ok_or_else(|| nobody(room))?;
            (open.key, open.worker, ear, self.spec(Arc::clone(open.chains.chain())))
        };
        let hears_mix = wanted.of.is_none();
        let admission = hears_mix.then(|| Admission::build(&spec)).transpose();
        let admission = admission.map_err(|error| failed(room, &error))?;
        let decoder =
            Decoder::new(wanted.rate, Channels::Mono).map_err(|error| failed(room, &error))?;
        let (feed, intake) = ring(hears_mix, !hears_mix, wanted.of.map(|id| id.0));
        let (frames, queue) = channel(QUEUE);
        let reader = Reader {
            intake,
            decoder,
            per_second: wanted.rate as i32 as u64,
            frames,
            next: None,
            lost: 0,
            clock: (Instant::now(), SystemTime::now()),
        };
        let thread = std::thread::Builder::new().name("tap".to_owned()).spawn(move || reader.run());
        thread.map_err(|error| failed(room, &error))?;
        let mut state = self.state();
        let open = state.open(room, key).ok_or_else(|| nobody(room))?;
        self.command(worker, listen(key, ear, admission, feed))?;
        open.taps.push((ear, hears_mix));
        tracing::info!(%room, of = ?wanted.of, "tapped");
        let (conference, room) = (Arc::clone(self), room.to_owned());
        Ok(Source { conference, room, key, ear, frames: queue })
    }

    fn untap(&self, room: &str, key: RoomKey, ear: ParticipantId) {
        let mut state = self.state();
        if let Some(open) = state.open(room, key) {
            open.taps.retain(|(id, _)| *id != ear);
            // Nothing comes of it if the worker has ended.
            let _ = self.command(open.worker, Command::Unlisten(key, ear));
        }
        tracing::info!(%room, "tapped no longer");
    }
}

fn listen(room: RoomKey, id: ParticipantId, admission: Option<Admission>, feed: Feed) -> Command {
    Command::Listen(Box::new(Ear { room, id, admission, feed }))
}

fn failed(room: &str, error: &dyn std::error::Error) -> ErrorMessage {
    tracing::error!(%room, %error, "a tap could not be built");
    ErrorMessage::internal()
}

/// The thread of a tap.
struct Reader {
    intake: Intake,
    decoder: Decoder,
    /// Samples a second that the decoder gives.
    per_second: u64,
    frames: Sender<Frame>,
    /// Of a voice: its stream, and the number of its next packet.
    next: Option<(u32, u64)>,
    /// Samples that the socket did not take, not told yet.
    lost: u64,
    /// The same moment on both clocks.
    clock: (Instant, SystemTime),
}

impl Reader {
    fn run(mut self) {
        loop {
            let is_over = self.intake.is_over();
            while let Some(packet) = self.intake.next_mix() {
                self.decode(Some(packet.payload()), 0, packet.at);
            }
            while let Some(packet) = self.intake.next_voice() {
                let (ssrc, seq, at) = (packet.ssrc, packet.seq, packet.arrival);
                let missing = match self.next {
                    Some((known, next)) if known == ssrc && seq < next => continue,
                    Some((known, next)) if known == ssrc => seq - next,
                    _ => 0,
                };
                self.next = Some((ssrc, seq + 1));
                let samples = samples_of(&packet.payload).unwrap_or(0) as usize;
                if missing <= MOST_CONCEALED {
                    (0..missing).for_each(|_| self.decode(None, samples, at));
                }
                self.decode(Some(&packet.payload), 0, at);
            }
            if is_over || self.frames.is_closed() {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Decodes a packet, or makes up what so many samples at 48 kHz may have been.
    fn decode(&mut self, payload: Option<&[u8]>, missing: usize, at: Instant) {
        let mut pcm = [0_i16; MOST_SAMPLES];
        let space = if payload.is_some() { MOST_SAMPLES } else { missing.min(MOST_SAMPLES) };
        let space = space * self.per_second as usize / 48_000;
        let packet = payload.and_then(|payload| Packet::try_from(payload).ok());
        if packet.is_none() && (payload.is_some() || space == 0) {
            return;
        }
        let Ok(output) = MutSignals::try_from(&mut pcm[..space]) else { return };
        let Ok(samples) = self.decoder.decode(packet, output, false) else { return };
        let at = self.since_epoch(at);
        let mut bytes = Vec::with_capacity(8 + 2 * samples);
        bytes.extend(u64::try_from(at.as_micros()).unwrap_or(u64::MAX).to_le_bytes());
        pcm[..samples].iter().for_each(|sample| bytes.extend(sample.to_le_bytes()));
        self.give(bytes.into(), samples as u64);
    }

    /// The first packets may be from before the clocks were read.
    fn since_epoch(&self, at: Instant) -> Duration {
        let (then, wall) = self.clock;
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        match at.checked_duration_since(then) {
            Some(after) => wall + after,
            None => wall.saturating_sub(then.saturating_duration_since(at)),
        }
    }

    /// Puts a frame into the queue, if it has room for it, and before it what was lost.
    fn give(&mut self, frame: Bytes, samples: u64) {
        if self.lost > 0 {
            match self.frames.try_send(Frame::Lost(self.lost)) {
                Ok(()) => self.lost = 0,
                Err(_) => return self.lost += samples,
            }
        }
        if let Err(TrySendError::Full(_)) = self.frames.try_send(Frame::Sound(frame)) {
            self.lost += samples;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opus that says "silence" in 20 ms.
    const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

    fn reader(intake: Intake, frames: Sender<Frame>) -> Reader {
        let decoder = Decoder::new(SampleRate::Hz16000, Channels::Mono).expect("a decoder");
        let clock = (Instant::now(), SystemTime::now());
        Reader { intake, decoder, per_second: 16_000, frames, next: None, lost: 0, clock }
    }

    #[test]
    fn packets_from_before_the_clocks_were_read_keep_their_distance() {
        let (_feed, intake) = ring(true, false, None);
        let (frames, _queue) = channel(QUEUE);
        let reader = reader(intake, frames);
        let at = reader.clock.0;
        let tick = Duration::from_millis(20);
        let earlier = at.checked_sub(tick).expect("the machine runs that long");
        assert_eq!(reader.since_epoch(at) - reader.since_epoch(earlier), tick);
        assert_eq!(reader.since_epoch(at + tick) - reader.since_epoch(at), tick);
    }

    #[test]
    fn who_does_not_read_loses_sound_and_is_told_how_much_before_the_next() {
        let (mut feed, intake) = ring(true, false, None);
        let (frames, mut queue) = channel(QUEUE);
        let reader = reader(intake, frames);
        let now = reader.clock.0;
        let thread = std::thread::spawn(move || reader.run());
        let send = |feed: &mut Feed, packets: u32| {
            (0..packets).for_each(|n| feed.mix(now, n * 960, &SILENCE));
            std::thread::sleep(10 * LOOK);
        };
        send(&mut feed, QUEUE as u32 + 36);
        for _ in 0..QUEUE {
            let Some(Frame::Sound(bytes)) = queue.blocking_recv() else { panic!("it was there") };
            assert_eq!(bytes.len(), 8 + 2 * 320);
        }
        send(&mut feed, 1);
        drop(feed);
        let Some(Frame::Lost(samples)) = queue.blocking_recv() else { panic!("nothing is told") };
        assert_eq!(samples, 36 * 320);
        assert!(matches!(queue.blocking_recv(), Some(Frame::Sound(_))));
        assert!(queue.blocking_recv().is_none(), "no more comes");
        thread.join().expect("it ends");
    }

    #[test]
    fn of_a_voice_a_few_lost_packets_are_made_up_and_those_that_come_late_are_left_out() {
        let (mut feed, intake) = ring(false, true, Some(7));
        let (frames, mut queue) = channel(QUEUE);
        let reader = reader(intake, frames);
        let now = reader.clock.0;
        for seq in [10, 11, 13, 12, 40] {
            feed.voice(foldback_record::VoicePacket {
                participant: 7,
                ssrc: 1,
                seq,
                rtp_time: seq * 960,
                arrival: now,
                payload: Arc::from(SILENCE),
            });
        }
        drop(feed);
        reader.run();
        let mut given = 0;
        while let Some(Frame::Sound(_)) = queue.blocking_recv() {
            given += 1;
        }
        assert_eq!(given, 5, "10, 11, 12 made up, 13 and 40");
    }
}
