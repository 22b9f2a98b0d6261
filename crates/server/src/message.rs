//! The messages of `GET /ws`; `docs/signalling.md` is the contract.

use std::collections::BTreeMap;

use foldback_config::Secret;
use foldback_metrics::{LatencyParts, RecentLatency};
use foldback_room::Level;
use foldback_stage::RawValue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::auth::{Key, Role};
use crate::chain_info::ChainInfo;
use crate::chain_view::Means;
use crate::groups::Groups;
use crate::ice_servers::IceServer;
use crate::live::StageChange;
use crate::report::{ParticipantReport, tenths, tenths_of_ms};
use crate::waiting::WaitingPerson;

/// What a client says.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ClientMessage {
    /// Joins a room.
    Join {
        /// The room's name.
        room: String,
        /// The person's name.
        name: String,
        /// The room's PIN, where it has one.
        pin: Option<Secret>,
        /// A join token.
        token: Option<Secret>,
        /// What one comes back by who was lost.
        return_key: Option<Key>,
    },
    /// Brings the browser's SDP.
    Offer {
        /// The offer.
        sdp: String,
    },
    /// Trickles a candidate; `null` ends them.
    Candidate {
        /// An `RTCIceCandidateInit`.
        candidate: Option<Candidate>,
    },
    /// Mutes or unmutes oneself.
    Mute {
        /// Whether to be muted.
        muted: bool,
    },
    /// Hears somebody louder, softer or elsewhere than they come.
    Hear(Hear),
    /// Hears oneself for a while, and nobody else does.
    Loopback {
        /// For how long, in seconds; 0 ends it.
        seconds: f64,
    },
    /// Raises one's hand, or lowers it.
    Hand {
        /// Whether it is up.
        raised: bool,
    },
    /// Shows the operator's token.
    Operator {
        /// The token.
        token: Secret,
    },
    /// Changes a stage of the room, or of one participant.
    SetStage(SetStage),
    /// Changes several at once, all or none.
    SetStages(SetStages),
    /// Does itself what stages of these kinds do, and no others that it said so of before.
    Spare {
        /// The kinds' names.
        kinds: Vec<String>,
    },
    /// Records the room, mix and voices, or ends that.
    Record {
        /// Whether it is to be recorded.
        recording: bool,
    },
    /// Closes the room's door, or opens it.
    Lock {
        /// Whether hosts alone are to come in.
        locked: bool,
    },
    /// Mutes everybody in the room but its hosts, or unmutes whom a host or an operator muted.
    MuteAll {
        /// Whether they are to be muted.
        muted: bool,
    },
    /// Lets those in who wait.
    Admit {
        /// Their numbers.
        ids: Vec<u64>,
    },
    /// Sends those away who wait.
    Refuse {
        /// Their numbers.
        ids: Vec<u64>,
    },
    /// Has people in the room whisper in these groups, and in no others.
    SetGroups(Groups),
    /// Leaves the room.
    Leave {},
}

/// How to hear somebody; what is left out stays.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub struct Hear {
    /// Whom.
    pub participant: u64,
    /// By how much louder, in dB.
    pub gain_db: Option<f64>,
    /// From -1, left, to 1, right.
    pub pan: Option<f64>,
    /// Not at all.
    pub muted: Option<bool>,
}

/// What is to be another of a stage.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct SetStage {
    /// Its name.
    pub stage: String,
    /// For whom; without one, for the room.
    pub participant: Option<u64>,
    /// What.
    #[serde(flatten)]
    pub change: StagePatch,
}

/// What is to be another of several stages.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct SetStages {
    /// What, by their names.
    pub stages: BTreeMap<String, StagePatch>,
    /// For whom; without one, for the room.
    pub participant: Option<u64>,
}

impl SetStages {
    /// What it says of each.
    ///
    /// # Errors
    /// `missing-field`, if it says nothing of one, or names none.
    pub(crate) fn changes(&self) -> Result<Vec<StageChange<'_>>, ErrorMessage> {
        if self.stages.is_empty() {
            let sentence = "Nothing is to change: `stages` holds no stage.";
            return Err(ErrorMessage::new(ErrorCode::MissingField, sentence));
        }
        self.stages.iter().map(|(stage, patch)| patch.of(stage)).collect()
    }
}

/// Other values for a stage; at least one of them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct StagePatch {
    /// Whether it runs.
    pub enabled: Option<bool>,
    /// Its parameters by their names.
    #[serde(default)]
    pub params: serde_json::Map<String, Value>,
}

impl StagePatch {
    /// What it says of the stage of that name.
    ///
    /// # Errors
    /// `missing-field`, if it says nothing.
    pub(crate) fn of<'a>(&'a self, stage: &'a str) -> Result<StageChange<'a>, ErrorMessage> {
        if self.enabled.is_none() && self.params.is_empty() {
            return Err(ErrorMessage::new(
                ErrorCode::MissingField,
                "Nothing is to change: give `enabled` (true or false), `params` (values by their \
                 names), or both.",
            ));
        }
        let raw = |value: &'a Value| match value {
            Value::Bool(value) => RawValue::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => RawValue::Int(whole),
                (None, Some(value)) => RawValue::Float(value),
                (None, None) => RawValue::Other,
            },
            Value::String(text) => RawValue::Text(text),
            Value::Null | Value::Array(_) | Value::Object(_) => RawValue::Other,
        };
        let params = self.params.iter().map(|(name, value)| (name.as_str(), raw(value)));
        Ok(StageChange { stage, enabled: self.enabled, params: params.collect() })
    }
}

/// The part of an `RTCIceCandidateInit` that matters.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Candidate {
    /// The candidate in SDP form; empty at the end.
    pub candidate: String,
}

impl ClientMessage {
    /// Every type with the fields it must have.
    const TYPES: &'static [(&'static str, &'static [&'static str])] = &[
        ("join", &["room", "name"]),
        ("offer", &["sdp"]),
        ("candidate", &["candidate"]),
        ("mute", &["muted"]),
        ("hear", &["participant"]),
        ("loopback", &["seconds"]),
        ("hand", &["raised"]),
        ("operator", &["token"]),
        ("set-stage", &["stage"]),
        ("set-stages", &["stages"]),
        ("spare", &["kinds"]),
        ("record", &["recording"]),
        ("lock", &["locked"]),
        ("mute-all", &["muted"]),
        ("admit", &["ids"]),
        ("refuse", &["ids"]),
        ("set-groups", &["groups"]),
        ("leave", &[]),
    ];

    /// Reads one text message.
    ///
    /// # Errors
    /// An [`ErrorMessage`] with code `bad-json`, `unknown-type` or `missing-field`.
    pub fn parse(text: &str) -> Result<Self, ErrorMessage> {
        read(text, Self::TYPES)
    }
}

/// Reads one message of these types, each with the fields that it must have.
///
/// # Errors
/// As [`ClientMessage::parse`].
pub(crate) fn read<T: DeserializeOwned>(
    text: &str,
    types: &[(&str, &[&str])],
) -> Result<T, ErrorMessage> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        ErrorMessage::new(ErrorCode::BadJson, format!("The message is not JSON: {error}."))
    })?;
    if !value.is_object() {
        return Err(ErrorMessage::new(ErrorCode::BadJson, "A message is a JSON object."));
    }
    let Some(kind) = value.get("type") else {
        return Err(ErrorMessage::new(ErrorCode::MissingField, "A message needs a `type`."));
    };
    let Some(kind) = kind.as_str() else {
        return Err(ErrorMessage::new(ErrorCode::BadJson, "The `type` of a message is text."));
    };
    let Some((kind, fields)) = types.iter().find(|(name, _)| *name == kind) else {
        let allowed: Vec<_> = types.iter().map(|(name, _)| *name).collect();
        let shown: String = kind.chars().take(40).collect();
        return Err(ErrorMessage::new(
            ErrorCode::UnknownType,
            format!("There is no message type {shown:?}; there are {}.", allowed.join(", ")),
        ));
    };
    if let Some(missing) = fields.iter().find(|field| value.get(**field).is_none()) {
        return Err(ErrorMessage::new(
            ErrorCode::MissingField,
            format!("A message of type `{kind}` needs a field `{missing}`."),
        ));
    }
    serde_json::from_value(value).map_err(|error| {
        ErrorMessage::new(ErrorCode::BadJson, format!("`{kind}` cannot be read: {error}."))
    })
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// The client is in the room.
    Joined {
        /// The room's name.
        room: String,
        /// The client's own number.
        participant: u64,
        /// The room's chain.
        chain: ChainInfo,
        /// Everybody in the room, the client included.
        participants: Vec<Person>,
        /// Whether this socket may change sound.
        operator: bool,
        /// Whether the room is being recorded.
        recording: bool,
        /// Whether hosts alone come in.
        locked: bool,
        /// What the client comes back by if it is lost.
        #[serde(skip_serializing_if = "Option::is_none")]
        return_key: Option<Key>,
        /// Who whispers with whom.
        whisper: Groups,
        /// What helps the client to reach the media.
        ice_servers: Vec<IceServer>,
    },
    /// This socket may change sound from here on.
    Operator {},
    /// The answer to an offer.
    Answer {
        /// SDP with all candidates inside.
        sdp: String,
    },
    /// Somebody came.
    ParticipantJoined {
        /// Who.
        participant: Person,
    },
    /// Somebody is gone.
    ParticipantLeft {
        /// Who.
        id: u64,
        /// Why.
        reason: LeftReason,
    },
    /// Somebody muted or unmuted.
    ParticipantMuted {
        /// Who.
        id: u64,
        /// Now muted or not.
        muted: bool,
        /// An operator did it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        by_operator: bool,
        /// The name of the host who did it, where it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// Several were muted, or unmuted, at once.
    ParticipantsMuted {
        /// Who.
        ids: Vec<u64>,
        /// Now muted or not.
        muted: bool,
        /// An operator did it, or a host.
        by_operator: bool,
        /// As of one.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// The room's door was closed, or opened.
    RoomLocked {
        /// Whether hosts alone come in.
        locked: bool,
        /// The name of the host who did it, where it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// The client waits until it is let into the room.
    Waiting {
        /// The room's name.
        room: String,
        /// For how long at most.
        seconds_left: u64,
    },
    /// Who waits for the room now; for those who let people in.
    WaitingList {
        /// In the order of their coming.
        waiting: Vec<WaitingPerson>,
    },
    /// Who whispers with whom from now on.
    Groups(Groups),
    /// Somebody raised a hand or lowered it.
    ParticipantHand {
        /// Who.
        id: u64,
        /// As in [`Person`].
        hand: Option<u64>,
    },
    /// The room is recorded from now on, or no longer.
    Recording {
        /// Whether it is.
        recording: bool,
        /// It ended because it could not go on.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        failed: bool,
    },
    /// Somebody wrote to the room; by data channel.
    Chat {
        /// Who.
        id: u64,
        /// What.
        text: String,
    },
    /// The room goes on with another chain.
    ChainChanged {
        /// The chain.
        chain: ChainInfo,
    },
    /// How loud everybody is.
    Levels {
        /// One entry for each participant that is not silent.
        levels: Vec<LevelInfo>,
    },
    /// Figures about this client's connection.
    Stats {
        /// Of the worker that the room is on.
        server_latency_ms: LatencyInfo,
        /// The client's jitter buffer on the server.
        jitter_buffer_ms: f32,
        /// Round trip by RTCP; `null` before the first report.
        round_trip_ms: Option<f32>,
        /// RTP packets of the client that came.
        packets_received: u64,
        /// RTP packets of the client that did not, or not in time.
        packets_lost: u64,
        /// What the stages of the client's own voice and those after `mix` read, by stage.
        readings: BTreeMap<String, Means>,
        /// What they took on average for a block of 10 ms, in µs.
        stage_time_us: BTreeMap<String, f32>,
        /// All figures, by their usual names.
        #[serde(flatten)]
        report: Box<ParticipantReport>,
    },
    /// The server is asked to end, and does so by then.
    Draining {
        /// From now on, at most.
        seconds_left: u64,
    },
    /// A mistake.
    Error(ErrorMessage),
}

impl ServerMessage {
    /// Whether the next one of its kind makes up for one that was missed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Levels { .. } | Self::Stats { .. })
    }
}

/// Somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Person {
    /// Unique as long as the server runs.
    pub id: u64,
    /// As they named themselves, or their token does.
    pub name: String,
    /// What they may.
    pub role: Role,
    /// Whether they are muted.
    pub muted: bool,
    /// `null` while their hand is down; else a number that is the higher, the later it was raised.
    pub hand: Option<u64>,
}

/// Why somebody is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeftReason {
    /// They said so.
    Left,
    /// Nothing was heard of them for too long.
    Timeout,
    /// Their connection ended.
    Closed,
    /// An operator removed them.
    Kicked,
}

impl LeftReason {
    /// As messages and metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Kicked => "kicked",
        }
    }
}

/// How loud somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LevelInfo {
    /// Who.
    pub id: u64,
    /// After their chain; -90 stands for silence.
    pub level_dbfs: f32,
    /// Whether they are in the mix.
    pub talking: bool,
}

impl LevelInfo {
    /// As a worker tells it.
    #[must_use]
    pub fn new(Level { id, level_dbfs, talking }: Level) -> Self {
        Self { id: id.0, level_dbfs: tenths(level_dbfs.min(0.0)), talking }
    }
}

/// How long sound takes through the server, in ms; `null` before anybody was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct LatencyInfo {
    /// Median.
    pub p50: Option<f32>,
    /// 95th percentile.
    pub p95: Option<f32>,
    /// What it is made of, means of the last second; `null` where nobody talked in it.
    pub parts: Option<LatencyPartsInfo>,
}

/// Parts of the time through the server, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LatencyPartsInfo {
    /// Held back so that later packets could still come in time.
    pub jitter_buffer: f32,
    /// From the arrival to the next tick.
    pub tick_wait: f32,
    /// In stages: their delay, and all computing but the encoder's.
    pub chain: f32,
    /// Encoding and sending.
    pub encode: f32,
}

impl From<RecentLatency> for LatencyInfo {
    fn from(latency: RecentLatency) -> Self {
        let RecentLatency { p50, p95, parts } = latency;
        let parts = parts.map(|LatencyParts { jitter_buffer, tick_wait, chain, encode }| {
            let [jitter_buffer, tick_wait, chain, encode] =
                [jitter_buffer, tick_wait, chain, encode].map(tenths_of_ms);
            LatencyPartsInfo { jitter_buffer, tick_wait, chain, encode }
        });
        Self { p50: Some(tenths_of_ms(p50)), p95: Some(tenths_of_ms(p95)), parts }
    }
}

/// A mistake, for a program (`code`) and for a person (`message`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorMessage {
    /// What it is.
    pub code: ErrorCode,
    /// A sentence: what was found, what is allowed.
    pub message: String,
}

impl ErrorMessage {
    /// An error of that code that reads as `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The server is at fault; what it was is in its log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "The server could not do this; its log says why. Try again.")
    }
}

/// What programs tell mistakes apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Not JSON.
    BadJson,
    /// No such message type.
    UnknownType,
    /// A field is missing or of the wrong type.
    MissingField,
    /// Not a room's name, or no chain serves it.
    BadRoom,
    /// Not a person's name.
    BadName,
    /// Join first.
    NotJoined,
    /// Joined before.
    AlreadyJoined,
    /// The SDP cannot be used.
    BadSdp,
    /// There is a session already.
    AlreadyConnected,
    /// The candidate cannot be used.
    BadCandidate,
    /// Send an offer first.
    NotConnected,
    /// The operator token is missing or wrong.
    Unauthorized,
    /// Only this machine may, or a host, or whoever may talk.
    Forbidden,
    /// Only the participant may.
    MutedByThemselves,
    /// The configuration has mistakes.
    BadConfig,
    /// There is no configuration file to read again.
    NoConfigFile,
    /// No such version of the configuration is kept.
    NoSuchVersion,
    /// Nobody there of that number, or in that room.
    NotFound,
    /// No chain of that name.
    BadChain,
    /// No stage of that name that can be changed there.
    BadStage,
    /// No parameter of that name, or not with that value.
    BadParam,
    /// A value out of its range, or that makes no sense there.
    BadValue,
    /// The room's chain does not mix.
    NoMix,
    /// As many have it as can.
    TooMany,
    /// The room is being recorded.
    AlreadyRecording,
    /// The room is not being recorded.
    NotRecording,
    /// The configuration has no folder for recordings.
    RecordingOff,
    /// Nothing is kept of the room.
    FlightRecorderOff,
    /// Nothing can be written there.
    CannotRecord,
    /// Something plays in the room.
    AlreadyPlaying,
    /// Nothing plays in the room.
    NotPlaying,
    /// The configuration has no folder for what is played.
    PlayingOff,
    /// The configuration has no ports for lines of RTP.
    RtpOff,
    /// Too much in a short time.
    TooFast,
    /// The message or body is too large.
    TooLarge,
    /// The room has a PIN, which is missing.
    PinRequired,
    /// This is not the room's PIN.
    WrongPin,
    /// Nobody comes in here without a token.
    TokenRequired,
    /// The token is none that this server takes.
    BadToken,
    /// The token's time is over.
    TokenExpired,
    /// The token is for another room.
    WrongRoom,
    /// As many are in by the token as may be.
    TokenInUse,
    /// A page of another site asks.
    WrongOrigin,
    /// A host has closed the room's door.
    RoomLocked,
    /// The room has a waiting room, which is not for whoever comes this way.
    WaitingRoom,
    /// Nobody let one in.
    NotAdmitted,
    /// As many are in the room as may be.
    RoomFull,
    /// As many are on the server as may be, or as many rooms.
    ServerFull,
    /// The server has too much to do to let anybody in.
    Overloaded,
    /// The server is about to end, and takes nobody new.
    Draining,
    /// The body is not of the type that is taken there.
    BadContentType,
    /// The offer asks for what cannot be had, or the answer would be of a type that is not wanted.
    NotAcceptable,
    /// The fragment of SDP cannot be read.
    BadFragment,
    /// Say which state of the session is meant.
    PreconditionRequired,
    /// The session is no longer in the state that is meant.
    PreconditionFailed,
    /// The server is at fault.
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> ErrorCode {
        ClientMessage::parse(text).expect_err(text).code
    }

    #[test]
    fn messages_are_read_as_documented() {
        let join = r#"{"type":"join","room":"lobby","name":"Ann"}"#;
        let (room, name) = ("lobby".to_owned(), "Ann".to_owned());
        let expected = ClientMessage::Join { room, name, pin: None, token: None, return_key: None };
        assert_eq!(ClientMessage::parse(join), Ok(expected));
        let end = r#"{"type":"candidate","candidate":null}"#;
        assert_eq!(ClientMessage::parse(end), Ok(ClientMessage::Candidate { candidate: None }));
        assert_eq!(ClientMessage::parse(r#"{"type":"leave"}"#), Ok(ClientMessage::Leave {}));
    }

    #[test]
    fn a_change_of_a_stage_says_which_and_what() {
        let text = r#"{"type":"set-stage","stage":"gain","participant":7,"params":{"gain_db":3}}"#;
        let Ok(ClientMessage::SetStage(set)) = ClientMessage::parse(text) else {
            panic!("not read: {:?}", ClientMessage::parse(text));
        };
        assert_eq!((set.stage.as_str(), set.participant), ("gain", Some(7)));
        let change = set.change.of(&set.stage).expect("a change");
        assert_eq!((change.enabled, change.params), (None, vec![("gain_db", RawValue::Int(3))]));
        let nothing = StagePatch::default().of("gain").expect_err("nothing is to change");
        assert_eq!(nothing.code, ErrorCode::MissingField);
    }

    #[test]
    fn a_change_of_several_stages_names_each_and_says_something_of_it() {
        let parse = |text| match ClientMessage::parse(text) {
            Ok(ClientMessage::SetStages(set)) => set,
            other => panic!("not read: {other:?}"),
        };
        let set = parse(
            r#"{"type":"set-stages","stages":{"gain":{"params":{"gain_db":3}},"gate":{"enabled":false}}}"#,
        );
        let changes = set.changes().expect("changes");
        let told: Vec<_> = changes.iter().map(|it| (it.stage, it.enabled)).collect();
        assert_eq!(told, [("gain", None), ("gate", Some(false))]);
        for nothing in [
            r#"{"type":"set-stages","stages":{}}"#,
            r#"{"type":"set-stages","stages":{"gain":{}}}"#,
        ] {
            let error = parse(nothing).changes().expect_err(nothing);
            assert_eq!(error.code, ErrorCode::MissingField, "{nothing}");
        }
    }

    #[test]
    fn each_mistake_has_its_code() {
        assert_eq!(code("{"), ErrorCode::BadJson);
        assert_eq!(code("[]"), ErrorCode::BadJson);
        assert_eq!(code("{}"), ErrorCode::MissingField);
        assert_eq!(code(r#"{"type":"jion"}"#), ErrorCode::UnknownType);
        assert_eq!(code(r#"{"type":"join","room":"r"}"#), ErrorCode::MissingField);
        assert_eq!(code(r#"{"type":"mute","muted":"yes"}"#), ErrorCode::BadJson);
        assert_eq!(code(r#"{"type":"candidate"}"#), ErrorCode::MissingField);
    }

    #[test]
    fn errors_are_written_as_documented() {
        let error = ErrorMessage::new(ErrorCode::BadSdp, "No.");
        let text = serde_json::to_string(&ServerMessage::Error(error)).expect("serialises");
        assert_eq!(text, r#"{"type":"error","code":"bad-sdp","message":"No."}"#);
    }
}
