//! Playing files into rooms, and the chimes that say that somebody came or that a recording began.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use foldback_room::{Player, PlayerFeed};
use foldback_stage::{SAMPLE_RATE_HZ, StageFormat, db_to_amplitude};
use foldback_worker::{Command, RoomKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::conference::Conference;
use crate::happenings::What;
use crate::message::{ErrorCode, ErrorMessage};
use crate::process::{AudioFile, resample};
use crate::recording::nobody;
use crate::roster::RoomState;
use crate::sentences::capitalised;

/// Frames that wait for a room: 1 s.
const FRAMES: usize = SAMPLE_RATE_HZ as usize;
/// How often a ring that is full is looked into.
const LOOK: Duration = Duration::from_millis(100);
/// The longest file that is played: it is in memory as a whole.
const MOST_SECONDS: f64 = 3600.0;
/// No file of that length has more bytes, at 48 kHz, in stereo, of 32 bits.
const MOST_BYTES: u64 = 48_000 * 8 * 3600;
const GAIN_DB: std::ops::RangeInclusive<f64> = -60.0..=12.0;

/// Of those who come at once so many are heard to come; by more chimes nobody would know more.
const MOST_ARRIVALS: usize = 2;
/// That it is recorded everybody is told, whoever comes meanwhile. A room plays as much, a file, and the end of the one before.
const MOST_CHIMES: usize = MOST_ARRIVALS + 1;
/// What of a chime is heard: soft, so that it goes under a voice.
const CHIME_DBFS: f32 = -26.0;
/// A note of a chime, from when on and for how long, in s.
type Note = (f32, f32, f32);
/// Somebody came: upwards.
const CAME: [Note; 2] = [(587.33, 0.0, 0.25), (880.0, 0.14, 0.4)];
/// A recording began: one note, thrice.
const RECORDED: [Note; 3] = [(783.99, 0.0, 0.14), (783.99, 0.17, 0.14), (783.99, 0.34, 0.25)];

/// What is to be played.
#[derive(Clone, Debug, Deserialize, PartialEq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlayingWanted)]
pub(crate) struct Wanted {
    /// The name of a file in the folder for them.
    file: String,
    /// By how much louder.
    #[serde(default)]
    gain_db: f64,
}

/// What plays in a room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Playing {
    id: u64,
    file: String,
    since: Instant,
    seconds: f64,
}

/// What operators are told of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct PlayingReport {
    /// Null: nothing plays.
    file: Option<String>,
    /// How long the file is.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// How much of it is still to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<f64>,
}

impl PlayingReport {
    fn of(playing: &Playing) -> Self {
        let tenths = |seconds: f64| (seconds * 10.0).round() / 10.0;
        let left = (playing.seconds - playing.since.elapsed().as_secs_f64()).max(0.0);
        Self {
            file: Some(playing.file.clone()),
            seconds: Some(tenths(playing.seconds)),
            seconds_left: Some(tenths(left)),
        }
    }
}

impl Conference {
    /// What plays in a room.
    ///
    /// # Errors
    /// `bad-room`; `not-found`, if nobody is in the room.
    pub(crate) fn playing(&self, room: &str) -> Result<PlayingReport, ErrorMessage> {
        self.chain_of(room)?;
        let state = self.state();
        let open = state.rooms.get(room).ok_or_else(|| nobody(room))?;
        Ok(open.playing.as_ref().map_or_else(PlayingReport::default, PlayingReport::of))
    }

    /// Plays a file to everybody in a room, from its beginning. Reads the whole of it: blocks.
    ///
    /// # Errors
    /// `not-found`, if nobody is in the room, or there is no such file; `playing-off`, if the configuration has no folder for
    /// them; `already-playing`; `bad-value`, if it is no sound that can be played, or the gain is out of range; `no-mix`, if the room's chain
    /// has none; `bad-room` or `internal`.
    pub(crate) fn play(&self, room: &str, wanted: &Wanted) -> Result<PlayingReport, ErrorMessage> {
        self.chain_of(room)?;
        if !GAIN_DB.contains(&wanted.gain_db) {
            let sentence = format!("`gain_db` is {}, must be -60 to 12.", wanted.gain_db);
            return Err(ErrorMessage::new(ErrorCode::BadValue, sentence));
        }
        let (key, format) = {
            let state = self.state();
            let open = state.rooms.get(room).ok_or_else(|| nobody(room))?;
            let chain = open.chains.chain();
            if chain.mix.is_none() {
                let sentence =
                    format!("Chain `{}` does not mix: nobody would hear it.", chain.name);
                return Err(ErrorMessage::new(ErrorCode::NoMix, sentence));
            }
            (open.key, chain.format)
        };
        let path = self.file_to_play(&wanted.file)?;
        let frames = read(&path, wanted.gain_db as f32)
            .map_err(|sentence| ErrorMessage::new(ErrorCode::BadValue, capitalised(&sentence)))?;
        let mut state = self.state();
        state.last_player += 1;
        let id = state.last_player;
        // It may have emptied meanwhile, and be another one by now.
        let open = state.open(room, key).ok_or_else(|| nobody(room))?;
        if let Some(Playing { file, .. }) = &open.playing {
            let sentence = format!("`{file}` plays in the room `{room}`; stop it first.");
            return Err(ErrorMessage::new(ErrorCode::AlreadyPlaying, sentence));
        }
        let seconds = frames.len() as f64 / f64::from(SAMPLE_RATE_HZ);
        self.send_to_play(open, id, format, frames)?;
        let playing = Playing { id, file: wanted.file.clone(), since: Instant::now(), seconds };
        let report = PlayingReport::of(&playing);
        open.playing = Some(playing);
        self.happenings
            .tell(What::PlayingStarted { room: room.to_owned(), file: wanted.file.clone() });
        tracing::info!(%room, file = wanted.file, "playing");
        Ok(report)
    }

    /// Ends what plays in a room, faded out.
    ///
    /// # Errors
    /// `not-playing`; `not-found`, if nobody is in the room; `bad-room` or `internal`.
    pub(crate) fn stop_playing(&self, room: &str) -> Result<(), ErrorMessage> {
        self.chain_of(room)?;
        let mut state = self.state();
        let open = state.rooms.get_mut(room).ok_or_else(|| nobody(room))?;
        let playing = open.playing.take().ok_or_else(|| {
            let sentence = format!("Nothing plays in the room `{room}`.");
            ErrorMessage::new(ErrorCode::NotPlaying, sentence)
        })?;
        self.command(open.worker, Command::StopPlaying(open.key, playing.id))?;
        self.happenings.tell(What::PlayingEnded { room: room.to_owned(), file: playing.file });
        Ok(())
    }

    /// A worker has played something to its end.
    pub(crate) fn played(&self, key: RoomKey, player: &Player) {
        if player.missed() > 0 {
            tracing::warn!(
                frames = player.missed(),
                "what was played had gaps: the machine was too busy to read it in time"
            );
        }
        let mut state = self.state();
        let Some(room) = state.names.get(&key).cloned() else { return };
        let Some(open) = state.room_by_key(key) else { return };
        open.chimes.retain(|id| *id != player.id());
        let over = open.playing.take_if(|playing| playing.id == player.id());
        if let Some(Playing { file, .. }) = over {
            self.happenings.tell(What::PlayingEnded { room, file });
        }
    }

    /// Tells everybody in a room by a sound that somebody came.
    pub(crate) fn chime(&self, room: &str) {
        if self.running().config.rule_for_room(room).is_some_and(|rule| rule.chime) {
            self.sound(room, &CAME, MOST_ARRIVALS);
        }
    }

    /// Tells everybody in a room by a sound that it is recorded from now on.
    pub(crate) fn chime_for_recording(&self, room: &str) {
        if self.running().config.recording.chime {
            self.sound(room, &RECORDED, MOST_CHIMES);
        }
    }

    /// Unless as many as `most` sound already.
    fn sound(&self, room: &str, notes: &[Note], most: usize) {
        // Before the lock, since others wait for it.
        let frames = chime(notes);
        let mut state = self.state();
        state.last_player += 1;
        let id = state.last_player;
        let Some(open) = state.rooms.get_mut(room) else { return };
        let chain = open.chains.chain();
        if chain.mix.is_none() || open.chimes.len() >= most {
            return;
        }
        let format = chain.format;
        match self.send_to_play(open, id, format, frames) {
            Ok(()) => open.chimes.push(id),
            Err(_) => tracing::warn!(%room, "a chime could not be played"),
        }
    }

    fn send_to_play(
        &self,
        open: &RoomState,
        id: u64,
        format: StageFormat,
        frames: Vec<[f32; 2]>,
    ) -> Result<(), ErrorMessage> {
        let (player, feed) = Player::new(id, format, FRAMES.min(frames.len()));
        self.command(open.worker, Command::Play(open.key, player))?;
        let thread = std::thread::Builder::new().name("playing".to_owned());
        let thread = thread.spawn(move || fill(feed, &frames));
        thread.map(drop).map_err(|error| {
            tracing::error!(%error, "no thread to play with");
            ErrorMessage::internal()
        })
    }

    /// A file of the folder for them, and nothing else.
    fn file_to_play(&self, file: &str) -> Result<PathBuf, ErrorMessage> {
        let config = &self.running().config.playing;
        let folder = config.directory.as_deref().ok_or_else(|| {
            let sentence =
                "This server plays nothing: its configuration names no `directory` in [playing].";
            ErrorMessage::new(ErrorCode::PlayingOff, sentence)
        })?;
        let missing = || {
            let sentence = format!("There is no file {file:?} in the folder for what is played.");
            ErrorMessage::new(ErrorCode::NotFound, sentence)
        };
        let is_name = Path::new(file).file_name().is_some_and(|name| name == file);
        let path = folder.join(file);
        // A link may lead out of the folder.
        let (real, folder) = (path.canonicalize(), folder.canonicalize());
        match (real, folder) {
            (Ok(real), Ok(folder)) if is_name && real.starts_with(&folder) && real.is_file() => {
                Ok(real)
            }
            _ => Err(missing()),
        }
    }
}

/// Gives a room all frames, as it takes them.
fn fill(mut feed: PlayerFeed, mut frames: &[[f32; 2]]) {
    while !frames.is_empty() && !feed.is_abandoned() {
        let count = feed.slots().min(frames.len());
        let (now, later) = frames.split_at(count);
        if let Ok(chunk) = feed.write_chunk_uninit(count) {
            chunk.fill_from_iter(now.iter().copied());
            frames = later;
        }
        std::thread::sleep(LOOK);
    }
}

/// A sound file at 48 kHz, that much louder.
fn read(path: &Path, gain_db: f32) -> Result<Vec<[f32; 2]>, String> {
    let bytes = std::fs::metadata(path).map_or(0, |data| data.len());
    let too_long = || format!("{} is longer than an hour", path.display());
    if bytes > MOST_BYTES {
        return Err(too_long());
    }
    let sound = AudioFile::read(path)?;
    if sound.duration_s() > MOST_SECONDS {
        return Err(too_long());
    }
    let planes = resample(sound.planes, sound.rate_hz, SAMPLE_RATE_HZ)?;
    let gain = db_to_amplitude(gain_db);
    let (left, right) = (&planes[0], planes.last().unwrap_or(&planes[0]));
    Ok(left.iter().zip(right).map(|(left, right)| [left * gain, right * gain]).collect())
}

fn chime(notes: &[Note]) -> Vec<[f32; 2]> {
    let rate = SAMPLE_RATE_HZ as f32;
    let end = notes.iter().map(|(_, from, long)| from + long).fold(0.0, f32::max);
    let amplitude = db_to_amplitude(CHIME_DBFS);
    let sample = |n: usize| {
        let at = n as f32 / rate;
        let note = |(hz, from, long): &Note| {
            let since = at - from;
            let sounds = (0.0..*long).contains(&since);
            // A soft beginning, and dying away.
            let envelope = (since / 0.008).min(1.0) * (1.0 - since / long).powi(2);
            if sounds {
                amplitude * envelope * (std::f32::consts::TAU * hz * since).sin()
            } else {
                0.0
            }
        };
        [notes.iter().map(note).sum(); 2]
    };
    (0..(end * rate) as usize).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chimes_are_short_soft_and_without_clicks() {
        for notes in [&CAME[..], &RECORDED[..]] {
            let frames = chime(notes);
            assert!(frames.len() < 48_000, "{} frames", frames.len());
            let peak = frames.iter().map(|[left, _]| left.abs()).fold(0.0, f32::max);
            assert!(peak > 0.02 && peak < 0.12, "{peak}");
            let step = frames.windows(2).map(|pair| (pair[1][0] - pair[0][0]).abs());
            assert!(step.fold(0.0, f32::max) < 0.012);
            assert!(frames.last().is_some_and(|[left, _]| left.abs() < 1e-4));
        }
    }

    #[test]
    fn a_ring_that_nobody_empties_any_more_is_filled_no_further() {
        let (player, feed) = Player::new(1, StageFormat::MONO, 100);
        let filled = std::thread::spawn(move || fill(feed, &[[0.5; 2]; 1000]));
        drop(player);
        filled.join().expect("it ends");
    }
}
