//! Recording rooms to files, and who is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use foldback_chain::ChainSpec;
use foldback_record::{Ended, FileInfo, Names, Plan, Recording, ring};
use foldback_room::{Admission, ParticipantId};
use foldback_worker::{Command, Ear, RoomKey};
use serde::{Deserialize, Serialize};
use time::UtcDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::clock;
use crate::conference::{Conference, ECHO_ROOMS};
use crate::control::not_here;
use crate::happenings::What;
use crate::message::{ErrorCode, ErrorMessage, ServerMessage};
use crate::sentences::capitalised;

/// Files are closed within a moment of the last packet, unless the disk hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// What of a room is to be recorded.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecordingWanted)]
pub(crate) struct Wanted {
    /// What those hear who do not talk.
    #[serde(default = "yes")]
    pub(crate) mix: bool,
    /// The voice of each one by itself, as it came.
    #[serde(default = "yes")]
    pub(crate) tracks: bool,
}

impl Wanted {
    pub(crate) const ALL: Self = Self { mix: true, tracks: true };
}

fn yes() -> bool {
    true
}

/// The recording of a room, also when it is over.
#[derive(Debug)]
pub(crate) struct RoomRecording {
    recording: Arc<Recording>,
    /// As who it hears the room.
    ear: ParticipantId,
    wanted: Wanted,
    since: SystemTime,
}

impl RoomRecording {
    pub(crate) fn is_running(&self) -> bool {
        self.recording.ended().is_none()
    }

    /// As who it is a listener of the room, if it is one.
    pub(crate) fn listener(&self) -> Option<ParticipantId> {
        (self.wanted.mix && self.is_running()).then_some(self.ear)
    }
}

/// What operators are told of it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct RecordingReport {
    /// `recording`, `stopped` or `failed`; `none` if the room was not recorded since somebody is in it.
    state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    mix: bool,
    tracks: bool,
    /// The longest of its files.
    seconds: f64,
    bytes: u64,
    /// Packets for which there was no room, since the disk was too slow.
    missed_packets: u64,
    files: Vec<FileReport>,
}

/// One of its files.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct FileReport {
    file: String,
    /// Whose voice; null: the mix.
    participant: Option<u64>,
    name: Option<String>,
    /// When its sound begins; silence stands before.
    starts_ms: u64,
    seconds: f64,
    bytes: u64,
    /// Gaps in it that were filled.
    gaps: u64,
}

impl From<FileInfo> for FileReport {
    fn from(info: FileInfo) -> Self {
        Self {
            file: info.file,
            participant: info.participant,
            name: info.name,
            starts_ms: info.starts.as_millis().try_into().unwrap_or(u64::MAX),
            seconds: hundredths(info.length),
            bytes: info.bytes,
            gaps: info.gaps,
        }
    }
}

fn hundredths(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}

impl RecordingReport {
    const NONE: Self = Self {
        state: "none",
        failure: None,
        since: None,
        mix: false,
        tracks: false,
        seconds: 0.0,
        bytes: 0,
        missed_packets: 0,
        files: Vec::new(),
    };

    fn of(recorded: &RoomRecording) -> Self {
        let RoomRecording { recording, wanted, since, .. } = recorded;
        let (state, failure) = match recording.ended() {
            None => ("recording", None),
            Some(Ended::Stopped) => ("stopped", None),
            Some(Ended::Failed(why)) => ("failed", Some(capitalised(&why))),
        };
        let files = recording.files();
        Self {
            state,
            failure,
            since: UtcDateTime::from(*since).format(&Rfc3339).ok(),
            mix: wanted.mix,
            tracks: wanted.tracks,
            seconds: files.iter().map(|info| hundredths(info.length)).fold(0.0, f64::max),
            bytes: files.iter().map(|info| info.bytes).sum(),
            missed_packets: recording.missed(),
            files: files.into_iter().map(FileReport::from).collect(),
        }
    }
}

impl Conference {
    /// How the recording of a room goes, or went.
    ///
    /// # Errors
    /// `bad-room`; `not-found`, if nobody is in the room.
    pub(crate) fn recording(&self, room: &str) -> Result<RecordingReport, ErrorMessage> {
        self.chain_of(room)?;
        let state = self.state();
        let open = state.rooms.get(room).ok_or_else(|| nobody(room))?;
        Ok(open.recording.as_ref().map_or(RecordingReport::NONE, RecordingReport::of))
    }

    /// Records a room from now on; everybody in it is told. Looks at the disk: blocks.
    ///
    /// # Errors
    /// `not-found`, if nobody is in the room; `already-recording`; `recording-off`, if the configuration has no folder;
    /// `cannot-record`, if nothing can be written there; `no-mix`, if a mix is wanted of a chain without; `missing-field`, if nothing
    /// is wanted; `bad-room` or `internal`.
    pub(crate) fn record(
        self: &Arc<Self>,
        room: &str,
        wanted: Wanted,
    ) -> Result<RecordingReport, ErrorMessage> {
        self.chain_of(room)?;
        if !(wanted.mix || wanted.tracks) {
            let sentence = "Nothing is to be recorded: `mix`, `tracks` or both must be true.";
            return Err(ErrorMessage::new(ErrorCode::MissingField, sentence));
        }
        // One after the other: each may wait for the same disk.
        let _beginning = self.beginning_recording.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, ear, chain, turn) = {
            let mut state = self.state();
            state.last_participant += 1;
            let ear = ParticipantId(state.last_participant);
            let open = state.rooms.get(room).ok_or_else(|| nobody(room))?;
            if open.is_recorded() {
                let sentence = format!("The room `{room}` is being recorded already.");
                return Err(ErrorMessage::new(ErrorCode::AlreadyRecording, sentence));
            }
            (open.key, ear, Arc::clone(open.chains.chain()), Arc::clone(&open.turn))
        };
        check_mix(wanted, &chain)?;
        // They stay the same for as long as anybody is in the room.
        let channels = u8::try_from(chain.format.channels).unwrap_or(1);
        let since = SystemTime::now();
        let plan = self.plan(room, since, wanted, channels)?;
        let (feed, intake) = ring(wanted.mix, wanted.tracks, None);
        let told = Arc::<AtomicBool>::default();
        let watch = Watch {
            conference: Arc::downgrade(self),
            room: room.to_owned(),
            key,
            ear,
            told: Arc::clone(&told),
        };
        let recording = Recording::start(plan, intake, watch).map_err(|error| {
            tracing::error!(%room, %error, "a recording could not begin");
            self.metrics.recording_failed();
            ErrorMessage::new(ErrorCode::CannotRecord, capitalised(&error.to_string()))
        })?;
        let recording = Arc::new(recording);
        let mut running = self.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|recording| recording.ended().is_none());
        running.push(Arc::clone(&recording));
        drop(running);
        self.metrics.recording_began();
        // Whoever joins waits for this turn, so they do not wait for the disk. Until the worker has the listener, the room's
        // chain stays as it is built for. To go without it drops the feed, which ends what has begun.
        let _turn = turn.blocking_lock();
        let chain = self.state().open(room, key).map(|open| Arc::clone(open.chains.chain()));
        let spec = self.spec(chain.ok_or_else(|| nobody(room))?);
        check_mix(wanted, &spec.chain)?;
        let admission = wanted.mix.then(|| Admission::build(&spec)).transpose();
        let admission = admission.map_err(|error| {
            tracing::error!(%room, %error, "the listener of a recording could not be built");
            ErrorMessage::internal()
        })?;
        let mut state = self.state();
        let open = state.open(room, key).ok_or_else(|| nobody(room))?;
        let worker = open.worker;
        self.command(
            worker,
            Command::Listen(Box::new(Ear { room: key, id: ear, admission, feed })),
        )?;
        let recorded = RoomRecording { recording, ear, wanted, since };
        let report = RecordingReport::of(&recorded);
        open.recording = Some(recorded);
        if let Some(why) = report.failure {
            // It ended before it could be listened for, so nobody else says so.
            self.command(worker, Command::Unlisten(key, ear))?;
            return Err(ErrorMessage::new(ErrorCode::CannotRecord, why));
        }
        told.store(true, Ordering::Relaxed);
        open.tell_all(&ServerMessage::Recording { recording: true, failed: false });
        self.happenings.tell(What::RecordingStarted { room: room.to_owned() });
        drop(state);
        self.chime_for_recording(room);
        tracing::info!(%room, mix = wanted.mix, tracks = wanted.tracks, "recording");
        Ok(report)
    }

    /// Ends the recording of a room, and waits until its files are closed; everybody in it is told.
    ///
    /// # Errors
    /// `not-recording`; `not-found`, if nobody is in the room; `bad-room` or `internal`.
    pub(crate) fn stop_recording(&self, room: &str) -> Result<RecordingReport, ErrorMessage> {
        self.chain_of(room)?;
        let recording = {
            let mut state = self.state();
            let open = state.rooms.get_mut(room).ok_or_else(|| nobody(room))?;
            let recorded = open.recording.as_ref().filter(|recorded| recorded.is_running());
            let recorded = recorded.ok_or_else(|| {
                let sentence = format!("The room `{room}` is not being recorded.");
                ErrorMessage::new(ErrorCode::NotRecording, sentence)
            })?;
            self.command(open.worker, Command::Unlisten(open.key, recorded.ear))?;
            Arc::clone(&recorded.recording)
        };
        if !recording.wait(PATIENCE) {
            tracing::warn!(%room, "the files of a recording take long to be closed");
        }
        self.recording(room)
    }

    /// Begins to record a room that is to be recorded from its beginning on.
    pub(crate) fn record_by_rule(self: &Arc<Self>, room: &str) {
        let rule = self.running();
        let is_wanted = rule.config.rule_for_room(room).is_some_and(|rule| rule.record);
        if !is_wanted || room.starts_with(ECHO_ROOMS) {
            return;
        }
        let (conference, room) = (Arc::clone(self), room.to_owned());
        let begin = move || {
            let mixes = conference.chain_of(&room).is_ok_and(|chain| chain.mix.is_some());
            if let Err(error) = conference.record(&room, Wanted { mix: mixes, ..Wanted::ALL }) {
                let why = error.message;
                tracing::error!(%room, %why, "the room is to be recorded, and is not");
            }
        };
        if let Err(error) = std::thread::Builder::new().name("record".to_owned()).spawn(begin) {
            tracing::error!(%error, "the room is to be recorded, and is not");
        }
    }

    /// Waits until all files are closed, once no more comes. Blocks, for as long as one may take for all of them.
    pub(crate) fn finish_recordings(&self) {
        let deadline = Instant::now() + PATIENCE;
        let running = self.recordings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for recording in running {
            if !recording.wait(deadline.saturating_duration_since(Instant::now())) {
                tracing::error!("the files of a recording could not be closed in time");
            }
        }
    }

    fn plan(
        &self,
        room: &str,
        since: SystemTime,
        wanted: Wanted,
        channels: u8,
    ) -> Result<Plan, ErrorMessage> {
        let config = &self.running().config.recording;
        let directory = config.directory.clone().ok_or_else(|| {
            let sentence = "This server records nothing: its configuration names no `directory` in [recording].";
            ErrorMessage::new(ErrorCode::RecordingOff, sentence)
        })?;
        Ok(Plan {
            directory,
            // Names of rooms have nothing in them that a path does not carry.
            stem: format!("{room}-{}Z", clock::stamp(since)),
            title: room.to_owned(),
            channels,
            mix: wanted.mix,
            min_free_bytes: u64::from(config.min_free_mb) << 20,
        })
    }
}

fn check_mix(wanted: Wanted, chain: &ChainSpec) -> Result<(), ErrorMessage> {
    if wanted.mix && chain.mix.is_none() {
        let sentence = format!("Chain `{}` does not mix: there are voices alone.", chain.name);
        return Err(ErrorMessage::new(ErrorCode::NoMix, sentence));
    }
    Ok(())
}

/// What becomes of a recording, told on its thread.
struct Watch {
    conference: Weak<Conference>,
    room: String,
    key: RoomKey,
    ear: ParticipantId,
    /// Whether anybody was told that it began. Changes under the lock of the conference.
    told: Arc<AtomicBool>,
}

impl Names for Watch {
    fn name(&self, participant: u64) -> Option<String> {
        let conference = self.conference.upgrade()?;
        let mut state = conference.state();
        let open = state.open(&self.room, self.key)?;
        Some(open.people.get(&ParticipantId(participant))?.person.name.clone())
    }

    fn wrote(&self, bytes: u64, missed: u64) {
        if let Some(conference) = self.conference.upgrade() {
            conference.metrics.recorded(bytes, missed);
        }
    }

    fn ended(&self, how: &Ended) {
        let room = &self.room;
        let failed = match how {
            Ended::Stopped => None,
            Ended::Failed(why) => Some(why),
        };
        match failed {
            Some(why) => tracing::error!(%room, %why, "the recording could not go on"),
            None => tracing::info!(%room, "the recording is over"),
        }
        let Some(conference) = self.conference.upgrade() else { return };
        conference.metrics.recording_ended();
        if failed.is_some() {
            conference.metrics.recording_failed();
        }
        let mut state = conference.state();
        if !self.told.load(Ordering::Relaxed) {
            return;
        }
        conference.happenings.tell(What::RecordingEnded {
            room: room.clone(),
            failure: failed.map(ToString::to_string),
        });
        let Some(open) = state.open(&self.room, self.key) else { return };
        // The next one may have begun already.
        if !open.is_recorded() {
            open.tell_all(&ServerMessage::Recording { recording: false, failed: failed.is_some() });
        }
        if failed.is_some() {
            // Nothing comes of it if the worker has ended.
            let _ = conference.command(open.worker, Command::Unlisten(self.key, self.ear));
        }
    }
}

pub(crate) fn nobody(room: &str) -> ErrorMessage {
    ErrorMessage { message: format!("Nobody is in the room `{room}`."), ..not_here(room, None) }
}
