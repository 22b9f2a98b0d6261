//! A recording: its files, and the thread that writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::VoicePacket;
use crate::feed::{Intake, Missed};
use crate::ogg_opus::{OggOpus, PAGE};
use crate::track::Track;

/// How often the ring is looked into.
const LOOK: Duration = Duration::from_millis(50);
/// Recordings that begin in the same second of the same room have numbers up to this.
const MOST_OF_A_NAME: usize = 1000;

/// What is to be recorded, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder, which must be there.
    pub directory: PathBuf,
    /// What names of files begin with: no path, and nothing that has a meaning in one.
    pub stem: String,
    /// What the files say that they are of.
    pub title: String,
    /// Channels of the mix, 1 or 2.
    pub channels: u8,
    /// Whether there is a mix.
    pub mix: bool,
    /// It ends when less than this is free in the folder's file system.
    pub min_free_bytes: u64,
}

/// Who follows a recording, on its thread.
pub trait Names: Send + 'static {
    /// What a participant is called.
    fn name(&self, participant: u64) -> Option<String>;
    /// So many bytes more than told before, and so many more packets for which there was no room.
    fn wrote(&self, bytes: u64, missed: u64);
    /// It is over, and its files are closed.
    fn ended(&self, how: &Ended);
}

/// How a recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No more came: it was stopped, or its room closed.
    Stopped,
    /// It could not go on: a sentence. What was written until then plays.
    Failed(String),
}

/// Why a recording could not begin: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// A file of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct FileInfo {
    /// Its name in the folder.
    pub file: String,
    /// Whose voice; `None`: the mix.
    pub participant: Option<u64>,
    /// What they are called.
    pub name: Option<String>,
    /// When its sound begins, from the beginning of the recording; silence stands before.
    pub starts: Duration,
    /// How long it is, from the beginning of the recording.
    pub length: Duration,
    /// How large.
    pub bytes: u64,
    /// Gaps in it that were filled.
    pub gaps: u64,
}

/// A recording that runs, or ran. Dropped, it goes on until its [`Feed`](crate::Feed) is.
#[derive(Debug)]
pub struct Recording {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    missed: Missed,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<Vec<FileInfo>>,
    ended: Mutex<Option<Ended>>,
    bytes: AtomicU64,
}

impl Recording {
    /// Writes what comes by `intake` from now on, on a thread of its own. Looks at the folder, and makes the file of the
    /// mix: may block.
    ///
    /// # Errors
    /// A sentence: the folder is missing, no file can be made in it, or too little is free there.
    pub fn start(plan: Plan, intake: Intake, names: impl Names) -> Result<Self, StartError> {
        let refuse = |sentence: String| Err(StartError(sentence));
        if !plan.directory.is_dir() {
            return refuse(format!("the folder {} is not there", plan.directory.display()));
        }
        if let Some(sentence) = too_full(&plan) {
            return refuse(sentence);
        }
        let missed = intake.missed().clone();
        let shared = Arc::<Shared>::default();
        let writer = Writer::new(plan, intake, names, Arc::clone(&shared));
        let mut writer = writer.map_err(StartError)?;
        let thread = std::thread::Builder::new().name("recording".to_owned());
        let thread = thread.spawn(move || writer.run());
        let thread = thread.map_err(|error| StartError(format!("no thread for it: {error}")))?;
        Ok(Self { shared, thread, missed })
    }

    /// Its files, as of half a second ago: the mix first, then voices as they came.
    #[must_use]
    pub fn files(&self) -> Vec<FileInfo> {
        lock(&self.shared.files).clone()
    }

    /// Bytes written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Packets that were left out because the disk was too slow.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.count()
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        lock(&self.shared.ended).clone()
    }

    /// Waits until its files are closed and [`Names::ended`] is told, but for no longer than `patience`; false if they are not.
    pub fn wait(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.thread.is_finished() && self.ended().is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is free for others than root in the file system of a folder, in bytes.
///
/// # Errors
/// As the system has it.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn too_full(plan: &Plan) -> Option<String> {
    let free = free_bytes(&plan.directory).ok()?;
    let mb = |bytes: u64| bytes / (1 << 20);
    (free < plan.min_free_bytes).then(|| {
        format!(
            "{} MiB are free in {}, and {} are to stay free",
            mb(free),
            plan.directory.display(),
            mb(plan.min_free_bytes)
        )
    })
}

struct Writer<N> {
    plan: Plan,
    intake: Intake,
    names: N,
    shared: Arc<Shared>,
    epoch: Instant,
    mix: Option<Track<File>>,
    /// Packets of the mix so far, and the time of the next.
    mixed: u64,
    rtp_time: u64,
    voices: BTreeMap<u64, Track<File>>,
    /// Whose files are complete since they left.
    gone: BTreeSet<u64>,
    serial: u32,
    /// What was told of bytes, and of packets that were left out.
    told: [u64; 2],
}

impl<N: Names> Writer<N> {
    fn new(mut plan: Plan, intake: Intake, names: N, shared: Arc<Shared>) -> Result<Self, String> {
        plan.stem = free_stem(&plan)?;
        let mut writer = Self {
            plan,
            intake,
            names,
            shared,
            epoch: Instant::now(),
            mix: None,
            mixed: 0,
            rtp_time: 0,
            voices: BTreeMap::new(),
            gone: BTreeSet::new(),
            serial: 0,
            told: [0; 2],
        };
        if writer.plan.mix {
            writer.mix = Some(writer.new_track(None, Duration::ZERO)?);
        }
        Ok(writer)
    }

    fn run(&mut self) {
        let ended = match self.write() {
            Ok(()) => Ended::Stopped,
            Err(why) => Ended::Failed(why),
        };
        self.tell();
        *lock(&self.shared.ended) = Some(ended.clone());
        self.names.ended(&ended);
    }

    fn write(&mut self) -> Result<(), String> {
        let mut page = Instant::now();
        loop {
            let is_over = self.intake.is_over();
            self.take()?;
            if is_over {
                return self.finish();
            }
            let now = Instant::now();
            if now - page >= PAGE {
                page = now;
                self.end_pages(now)?;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Gives all packets that wait to their tracks.
    fn take(&mut self) -> Result<(), String> {
        while let Some(packet) = self.intake.next_mix() {
            let Some(mix) = &mut self.mix else { continue };
            let step = packet.rtp_time.wrapping_sub(self.rtp_time as u32);
            self.rtp_time = match self.mixed {
                0 => packet.rtp_time.into(),
                _ => self.rtp_time + u64::from(step),
            };
            let packet = VoicePacket {
                participant: 0,
                ssrc: 0,
                seq: self.mixed,
                rtp_time: self.rtp_time,
                arrival: packet.at,
                payload: packet.payload().into(),
            };
            self.mixed += 1;
            mix.push(packet).map_err(|error| cannot_write(&self.plan, &error))?;
        }
        while let Some(packet) = self.intake.next_voice() {
            let id = packet.participant;
            if self.gone.contains(&id) {
                continue;
            }
            if !self.voices.contains_key(&id) {
                let starts = packet.arrival.saturating_duration_since(self.epoch);
                let track = self.new_track(Some(id), starts)?;
                self.voices.insert(id, track);
            }
            if let Some(voice) = self.voices.get_mut(&id) {
                voice.push(packet).map_err(|error| cannot_write(&self.plan, &error))?;
            }
        }
        Ok(())
    }

    fn end_pages(&mut self, now: Instant) -> Result<(), String> {
        for track in self.mix.iter_mut().chain(self.voices.values_mut()) {
            let done = track.follow(now).and_then(|()| track.end_page());
            done.map_err(|error| cannot_write(&self.plan, &error))?;
        }
        let left = self.voices.keys().copied().filter(|id| self.names.name(*id).is_none());
        for id in left.collect::<Vec<_>>() {
            self.gone.insert(id);
            if let Some(track) = self.voices.remove(&id) {
                self.close(Some(id), track, None)?;
            }
        }
        self.tell();
        match too_full(&self.plan) {
            Some(sentence) => Err(sentence),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        let now = Instant::now();
        self.tell();
        let voices = std::mem::take(&mut self.voices);
        let tracks = self.mix.take().map(|mix| (None, mix)).into_iter();
        for (id, track) in tracks.chain(voices.into_iter().map(|(id, track)| (Some(id), track))) {
            self.close(id, track, Some(now))?;
        }
        Ok(())
    }

    /// Completes a file, with silence until `end` if there is one.
    fn close(
        &self,
        id: Option<u64>,
        track: Track<File>,
        end: Option<Instant>,
    ) -> Result<(), String> {
        let length = length_of(&track);
        let file = track.finish(end).map_err(|error| cannot_write(&self.plan, &error))?;
        let bytes = file.metadata().map_or(0, |data| data.len());
        file.sync_data().map_err(|error| cannot_write(&self.plan, &error))?;
        let length = end.map_or(length, |end| end - self.epoch);
        let mut files = lock(&self.shared.files);
        if let Some(info) = files.iter_mut().find(|info| info.participant == id) {
            (info.bytes, info.length) = (bytes, length);
        }
        Ok(())
    }

    fn new_track(&mut self, id: Option<u64>, starts: Duration) -> Result<Track<File>, String> {
        let what = id.map_or_else(|| "mix".to_owned(), |id| id.to_string());
        let file = format!("{}-{what}.opus", self.plan.stem);
        let path = self.plan.directory.join(&file);
        // Whatever has that name already is not ours to write over, a link that leads elsewhere neither.
        // What people said is for whoever runs the server, not for all of its users.
        let out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let out = out.map_err(|error| cannot_write_file(&path, &error))?;
        let name = id.and_then(|id| self.names.name(id));
        let starts_ms = starts.as_millis().to_string();
        let mut comments = vec![("TITLE", self.plan.title.as_str())];
        comments.extend(name.as_deref().map(|name| ("PERFORMER", name)));
        comments.push(("FOLDBACK_STARTS_MS", &starts_ms));
        self.serial += 1;
        let channels = if id.is_none() { self.plan.channels } else { 1 };
        let stream = OggOpus::new(out, channels, self.serial, &comments);
        let stream = stream.map_err(|error| cannot_write_file(&path, &error))?;
        let info = FileInfo {
            file,
            participant: id,
            name,
            starts,
            length: Duration::ZERO,
            bytes: stream.bytes(),
            gaps: 0,
        };
        lock(&self.shared.files).push(info);
        Ok(Track::new(stream, self.epoch))
    }

    /// Tells what was written since the last call.
    fn tell(&mut self) {
        let mut files = lock(&self.shared.files);
        let track = |id: Option<u64>| match id {
            Some(id) => self.voices.get(&id),
            None => self.mix.as_ref(),
        };
        for info in files.iter_mut() {
            let Some(track) = track(info.participant) else { continue };
            info.length = length_of(track);
            (info.bytes, info.gaps) = (track.bytes(), track.gaps());
        }
        let bytes = files.iter().map(|info| info.bytes).sum::<u64>();
        drop(files);
        self.shared.bytes.store(bytes, Ordering::Relaxed);
        let now = [bytes, self.intake.missed().count()];
        let [bytes, missed] = [0, 1].map(|n| now[n].saturating_sub(self.told[n]));
        self.names.wrote(bytes, missed);
        self.told = now;
    }
}

fn cannot_write(plan: &Plan, error: &io::Error) -> String {
    cannot_write_file(&plan.directory, error)
}

fn cannot_write_file(path: &Path, error: &io::Error) -> String {
    format!("cannot write to {}: {error}", path.display())
}

/// The stem, or the stem with a number, under which there is nothing yet.
fn free_stem(plan: &Plan) -> Result<String, String> {
    let cannot = |error| format!("cannot read {}: {error}", plan.directory.display());
    let taken = std::fs::read_dir(&plan.directory).map_err(cannot)?;
    let taken: Vec<_> = taken.flatten().map(|entry| entry.file_name()).collect();
    let is_free = |stem: &String| {
        let start = format!("{stem}-");
        !taken.iter().any(|name| name.to_string_lossy().starts_with(&start))
    };
    let stems = (1..=MOST_OF_A_NAME).map(|n| match n {
        1 => plan.stem.clone(),
        _ => format!("{}.{n}", plan.stem),
    });
    let mut stems = stems.filter(is_free);
    stems.next().ok_or_else(|| format!("every name for {} is taken", plan.stem))
}

fn length_of(track: &Track<File>) -> Duration {
    Duration::from_nanos(track.position() * 1_000_000 / 48)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::ring;
    use crate::track::tests::{played, rms_dbfs, tone};

    struct Told(Sender<Ended>);

    /// Leaves at once.
    const GUEST: u64 = 9;

    impl Names for Told {
        fn name(&self, participant: u64) -> Option<String> {
            (participant != GUEST).then(|| format!("person {participant}"))
        }
        fn wrote(&self, _: u64, _: u64) {}
        fn ended(&self, how: &Ended) {
            let _ = self.0.send(how.clone());
        }
    }

    fn plan(folder: &Path) -> Plan {
        Plan {
            directory: folder.to_owned(),
            stem: "lobby-20261129T120000Z".to_owned(),
            title: "lobby".to_owned(),
            channels: 1,
            mix: true,
            min_free_bytes: 0,
        }
    }

    #[test]
    fn mix_and_voices_come_to_files_that_are_as_long_as_the_recording() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut feed, intake) = ring(true, true, None);
        let (told, ended) = channel();
        let recording = Recording::start(plan(folder.path()), intake, Told(told)).expect("starts");
        let begun = Instant::now();
        for (n, payload) in tone(50).into_iter().enumerate() {
            let at = begun + Duration::from_millis(20 * n as u64);
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            feed.mix(at, (u32::MAX - 9600).wrapping_add(n as u32 * 960), &payload);
            if n >= 25 {
                let (seq, rtp_time) = (n as u64, n as u64 * 960);
                let packet =
                    VoicePacket { participant: 7, ssrc: 1, seq, rtp_time, arrival: at, payload };
                feed.voice(packet);
            }
        }
        drop(feed);
        assert!(recording.wait(Duration::from_secs(5)));
        assert_eq!(ended.recv(), Ok(Ended::Stopped));
        let files = recording.files();
        let names: Vec<_> = files.iter().map(|info| info.file.as_str()).collect();
        assert_eq!(names, ["lobby-20261129T120000Z-mix.opus", "lobby-20261129T120000Z-7.opus"]);
        assert_eq!(files[1].name.as_deref(), Some("person 7"));
        assert!(files[1].starts >= Duration::from_millis(480), "{:?}", files[1].starts);
        let sounds: Vec<_> = files
            .iter()
            .map(|info| played(&std::fs::read(folder.path().join(&info.file)).expect("is there")))
            .collect();
        assert!(sounds[0].len().abs_diff(sounds[1].len()) <= 960);
        assert!(rms_dbfs(&sounds[1][..22_000]) < -100.0, "nothing was said yet");
        assert!((rms_dbfs(&sounds[1][26_000..46_000]) + 9.0).abs() < 1.0);
    }

    #[test]
    fn the_file_of_who_left_is_complete_and_is_not_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut feed, intake) = ring(true, true, None);
        let (told, ended) = channel();
        let recording = Recording::start(plan(folder.path()), intake, Told(told)).expect("starts");
        let begun = Instant::now();
        for (n, payload) in tone(100).into_iter().enumerate() {
            let arrival = begun + Duration::from_millis(20 * n as u64);
            std::thread::sleep(arrival.saturating_duration_since(Instant::now()));
            let (participant, seq, rtp_time) = (GUEST, n as u64, n as u64 * 960);
            feed.voice(VoicePacket { participant, ssrc: 1, seq, rtp_time, arrival, payload });
        }
        let guest = folder.path().join("lobby-20261129T120000Z-9.opus");
        let complete = std::fs::read(&guest).expect("it is there");
        let heard = played(&complete).len();
        assert!((12_000..72_000).contains(&heard), "{heard} samples of the first page");
        drop(feed);
        assert!(recording.wait(Duration::from_secs(5)));
        assert_eq!(ended.recv(), Ok(Ended::Stopped), "late packets do no harm");
        assert_eq!(std::fs::read(&guest).expect("it is there"), complete, "nothing is added");
        let files = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 2, "the mix and the guest");
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&guest).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "nobody else may read it: {mode:o}");
    }

    #[test]
    fn a_second_recording_of_the_same_second_gets_another_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let names: Vec<_> = (0..2)
            .map(|_| {
                let (_feed, intake) = ring(true, false, None);
                let plan = plan(folder.path());
                let recording = Recording::start(plan, intake, Told(channel().0)).expect("starts");
                recording.files()[0].file.clone()
            })
            .collect();
        assert_eq!(names[0], "lobby-20261129T120000Z-mix.opus");
        assert_eq!(names[1], "lobby-20261129T120000Z.2-mix.opus");
    }

    #[test]
    fn a_folder_that_is_not_there_or_too_full_is_told_before_anything_begins() {
        let folder = tempfile::tempdir().expect("a folder");
        let start = |plan| {
            let intake = ring(true, false, None).1;
            Recording::start(plan, intake, Told(channel().0)).expect_err("it cannot").to_string()
        };
        let missing = plan(&folder.path().join("not-there"));
        assert!(start(missing).ends_with("not-there is not there"));
        let full = Plan { min_free_bytes: u64::MAX, ..plan(folder.path()) };
        assert!(start(full).contains("are to stay free"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("is there").count(), 0);
    }

    #[test]
    fn a_file_that_is_in_the_way_ends_it_and_is_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut feed, intake) = ring(true, true, None);
        let (told, ended) = channel();
        let recording = Recording::start(plan(folder.path()), intake, Told(told)).expect("starts");
        let other = folder.path().join("lobby-20261129T120000Z-7.opus");
        std::fs::write(&other, "precious").expect("writes");
        let (arrival, payload) = (Instant::now(), Arc::from([0xf8, 0xff, 0xfe]));
        let packet = VoicePacket { participant: 7, ssrc: 1, seq: 0, rtp_time: 0, arrival, payload };
        feed.voice(packet);
        let Ok(Ended::Failed(why)) = ended.recv() else { panic!("it goes on") };
        assert!(why.contains("-7.opus") && why.contains("exists"), "{why}");
        assert!(recording.wait(Duration::from_secs(1)));
        assert_eq!(std::fs::read(&other).expect("is there"), b"precious");
    }
}
