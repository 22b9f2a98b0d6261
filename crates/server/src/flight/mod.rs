//! The flight recorder: saving the last of what a room was given, and running it again.

mod file;
mod replay;

use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use foldback_room::{Flight, RoomSpec};
use foldback_worker::{Command, RoomKey};
use serde::Serialize;
use time::UtcDateTime;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use crate::clock;
use crate::conference::Conference;
use crate::message::{ErrorCode, ErrorMessage};
use crate::recording::nobody;

pub(crate) use replay::{ReplayOptions, run};

/// A media thread gives it away within a tick or two.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a fault of a room was saved, others of it are for so long of the same kind.
const BETWEEN_FAULTS: Duration = Duration::from_secs(60);

/// A file that was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SavedFlight {
    /// Its name in the folder for them.
    file: String,
    bytes: u64,
}

/// What is kept of a room on this side.
#[derive(Debug, Default)]
pub(crate) struct KeptFlight {
    /// What was given away by its media thread when it was saved last: what comes goes on behind it.
    before: Option<Box<Flight>>,
    /// When a fault was saved last.
    fault: Option<Instant>,
}

impl Conference {
    /// Saves the last of what a room was given, and says where.
    ///
    /// # Errors
    /// `flight-recorder-off`, if the configuration has no folder for it; `not-found`, if nobody is in the room;
    /// `cannot-record`, if nothing can be written there; `internal`, if the room's worker does not answer.
    pub(crate) async fn save_flight(
        self: &Arc<Self>,
        room: &str,
        why: &'static str,
    ) -> Result<SavedFlight, ErrorMessage> {
        let folder = self.running().config.flight_recorder.directory.clone().ok_or_else(|| {
            let sentence = "This server keeps no flights: its configuration names no `directory` in [flight_recorder].";
            ErrorMessage::new(ErrorCode::FlightRecorderOff, sentence)
        })?;
        // One at a time: each goes on behind the one before.
        let _turn = self.saving_flight.lock().await;
        let (answer, taken) = oneshot::channel();
        let (key, spec) = {
            let state = self.state();
            let open = state.rooms.get(room).ok_or_else(|| nobody(room))?;
            self.command(open.worker, Command::TakeFlight(open.key, answer))?;
            (open.key, self.spec(Arc::clone(open.chains.chain())))
        };
        let taken = tokio::time::timeout(PATIENCE, taken).await;
        let Ok(Ok(taken)) = taken else {
            // It may yet give it away, to nobody: what comes later would not go on behind what is kept.
            self.kept_flight(room, key);
            let sentence = "The worker of the room does not answer.";
            return Err(ErrorMessage::new(ErrorCode::Internal, sentence));
        };
        let flight = taken.ok_or_else(|| {
            let sentence = format!("Nothing was kept of the room `{room}`: it was open before the flight recorder was on.");
            ErrorMessage::new(ErrorCode::FlightRecorderOff, sentence)
        })?;
        let flight = Box::new(match self.kept_flight(room, key) {
            Some(before) => flight.behind(*before),
            None => *flight,
        });
        let (name, conference) = (room.to_owned(), Arc::clone(self));
        let saved = tokio::task::spawn_blocking(move || {
            let saved = save(&folder, &name, why, &flight, &spec);
            let mut state = conference.state();
            if let Some(open) = state.open(&name, key) {
                open.flight.before = Some(flight);
            }
            saved
        });
        match saved.await.map_err(|_| ErrorMessage::internal())? {
            Ok(saved) => {
                tracing::info!(%room, file = saved.file, why, "the flight was saved");
                Ok(saved)
            }
            Err(error) => {
                let sentence = format!("The flight cannot be saved: {error}.");
                Err(ErrorMessage::new(ErrorCode::CannotRecord, sentence))
            }
        }
    }

    /// A stage of a room was taken out: what led to it is saved.
    pub(crate) fn save_fault(self: &Arc<Self>, key: RoomKey) {
        if self.running().config.flight_recorder.directory.is_none() {
            return;
        }
        let room = {
            let mut state = self.state();
            let Some(name) = state.names.get(&key).cloned() else { return };
            let Some(open) = state.open(&name, key) else { return };
            let is_new = open.flight.fault.is_none_or(|before| before.elapsed() > BETWEEN_FAULTS);
            if !is_new {
                return;
            }
            open.flight.fault = Some(Instant::now());
            name
        };
        let conference = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = conference.save_flight(&room, "fault").await {
                tracing::error!(%room, why = error.message, "the flight of a fault is lost");
            }
        });
    }

    fn kept_flight(&self, room: &str, key: RoomKey) -> Option<Box<Flight>> {
        self.state().open(room, key)?.flight.before.take()
    }
}

/// Writes a file, whole or not at all.
fn save(
    folder: &Path,
    room: &str,
    why: &str,
    flight: &Flight,
    spec: &RoomSpec,
) -> std::io::Result<SavedFlight> {
    let at = SystemTime::now();
    let ms = UtcDateTime::from(at).millisecond();
    // Names of rooms have nothing in them that a path does not carry, and slashes not but in those of echo tests.
    let stem = room.replace('/', "-");
    let file = format!("{stem}-{}.{ms:03}Z.flight", clock::stamp(at));
    let (path, draft) = (folder.join(&file), folder.join(format!(".{file}~")));
    let written = write(&draft, flight, spec, (room, &clock::now(), why));
    let bytes = match written.and_then(|()| std::fs::rename(&draft, &path)) {
        Ok(()) => std::fs::metadata(&path)?.len(),
        Err(error) => {
            let _ = std::fs::remove_file(&draft);
            return Err(error);
        }
    };
    Ok(SavedFlight { file, bytes })
}

fn write(
    draft: &PathBuf,
    flight: &Flight,
    spec: &RoomSpec,
    about: (&str, &str, &str),
) -> std::io::Result<()> {
    // What is said in the room is in it.
    let file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    let mut file = BufWriter::new(file);
    file::write(&mut file, flight, spec, about)?;
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}
