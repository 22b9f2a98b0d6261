//! `record`: keeps what passes in a WAV file.
//!
//! The media side only puts samples into a ring. A thread of the stage's own takes them out and
//! does all that may block. Where it is too slow, samples are left out and counted.

mod writer;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, Thread};
use std::time::Duration;

use foldback_stage::{
    AudioBlock, AudioBuffer, BlockContext, BuildError, ParamSpec, Params, SAMPLE_RATE_HZ, Stage,
    StageFormat, StageKind, StageReport,
};
use rtrb::{Consumer, Producer, RingBuffer};

use writer::{Destination, Progress, SampleFormat, Writer};

const FOLDER: ParamSpec = ParamSpec::text(
    "folder",
    "recordings",
    "Where the files go; made if it is not there. Relative to where the server was started.",
);

const PREFIX: ParamSpec =
    ParamSpec::text("prefix", "foldback", "How the names of the files begin.");

const SAMPLE_FORMAT: ParamSpec = ParamSpec::choice(
    "sample_format",
    &["float32", "pcm16"],
    "float32",
    "float32: every bit, 12 MB a minute and channel; pcm16: half of that.",
);

const MAX_MINUTES: ParamSpec = ParamSpec::int(
    "max_minutes",
    "minutes",
    1,
    // A WAV file ends at 4 GiB: 186 minutes of stereo in 32 bits.
    180,
    60,
    "When a recording ends by itself.",
);

/// `{ kind = "record", folder = "recordings", prefix = "foldback", max_minutes = 60 }`
pub const KIND: StageKind = StageKind {
    name: "record",
    about: "Keeps what passes in a WAV file; changes no sample.",
    params: &[FOLDER, PREFIX, SAMPLE_FORMAT, MAX_MINUTES],
    build: &build,
};

/// How long the disk may stand still before samples are left out.
const RING_SECONDS: usize = 4;

fn build(params: &Params, format: StageFormat) -> Result<Box<dyn Stage>, BuildError> {
    let destination = destination(params, format)?;
    let (mut stage, samples) = Record::new(format.channels);
    let writer = Writer::new(destination, samples, Arc::clone(&stage.progress));
    let thread = thread::Builder::new().name("record".to_owned());
    let spawned = thread.spawn(move || writer.run());
    let spawned =
        spawned.map_err(|error| BuildError::new(format!("no thread to write a file: {error}")))?;
    stage.writer = Some(spawned.thread().clone());
    Ok(Box::new(stage))
}

fn destination(params: &Params, format: StageFormat) -> Result<Destination, BuildError> {
    let (folder, prefix) = (params.text(&FOLDER), params.text(&PREFIX));
    check_folder(Path::new(&*folder))?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !(1..=64).contains(&prefix.len()) || !prefix.bytes().all(allowed) {
        let allowed = "1 to 64 letters, digits, dots, hyphens or underscores";
        return Err(BuildError::new(format!("`prefix` must be {allowed}, not {prefix:?}")));
    }
    let minutes = params.int(&MAX_MINUTES).unsigned_abs();
    Ok(Destination {
        folder: folder.to_string().into(),
        prefix: prefix.to_string(),
        sample_format: match params.choice(&SAMPLE_FORMAT) {
            "pcm16" => SampleFormat::Pcm16,
            _ => SampleFormat::Float32,
        },
        channels: format.channels,
        max_frames: minutes * 60 * u64::from(SAMPLE_RATE_HZ),
    })
}

/// Whether there is such a folder, or could be. Makes none: many stages are built only to be asked
/// for their delay.
fn check_folder(folder: &Path) -> Result<(), BuildError> {
    if folder.as_os_str().is_empty() {
        return Err(BuildError::new("`folder` must name a folder"));
    }
    let refuse = |part: &Path, why: &str| {
        let (folder, part) = (folder.display(), part.display());
        Err(BuildError::new(format!("`folder` {folder} cannot be used: {part} {why}")))
    };
    for part in folder.ancestors().filter(|part| !part.as_os_str().is_empty()) {
        match fs::metadata(part) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => return refuse(part, "is no folder"),
            // What stands above it decides.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return refuse(part, &format!("cannot be looked at: {error}")),
        }
    }
    Ok(())
}

struct Record {
    channels: usize,
    /// To the writer, interleaved. Abandoned once that has ended.
    ring: Producer<f32>,
    started: bool,
    /// Per channel.
    dropped_samples: u64,
    /// Samples of all channels that went into the ring.
    handed_on: u64,
    /// What the writer made of them.
    progress: Arc<Progress>,
    /// The writer's thread.
    writer: Option<Thread>,
}

impl Record {
    /// The stage, and what comes out of it.
    fn new(channels: usize) -> (Self, Consumer<f32>) {
        let (ring, samples) = RingBuffer::new(RING_SECONDS * SAMPLE_RATE_HZ as usize * channels);
        let stage = Self {
            channels,
            ring,
            started: false,
            dropped_samples: 0,
            handed_on: 0,
            progress: Arc::default(),
            writer: None,
        };
        (stage, samples)
    }

    /// Hands a block on to the writer: all of it or nothing, so that channels keep their places.
    fn hand_on(&mut self, block: &AudioBlock<'_>) {
        if self.ring.is_abandoned() {
            return;
        }
        let mut planes = block.planes();
        let taken = match (planes.next(), planes.next()) {
            (Some(left), Some(right)) => {
                let interleaved = left.iter().zip(right).flat_map(|(l, r)| [*l, *r]);
                let space = self.ring.write_chunk_uninit(2 * left.len());
                space.map(|space| _ = space.fill_from_iter(interleaved))
            }
            _ => self.ring.push_entire_slice(block.left()),
        };
        match taken {
            Ok(()) => self.handed_on += (self.channels * block.frames()) as u64,
            Err(_) => self.dropped_samples += block.frames() as u64,
        }
    }
}

impl Stage for Record {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        self.started = true;
        self.hand_on(block);
    }

    /// Writes silence, so that a second of the file is a second of the room.
    fn idle(&mut self, _cx: &mut BlockContext<'_>) {
        if self.started {
            let mut silence = match self.channels {
                1 => AudioBuffer::mono(),
                _ => AudioBuffer::stereo(),
            };
            self.hand_on(&silence.block());
        }
    }

    /// Waits for the file to hold all that was handed on, or for the writer to end.
    fn catch_up(&mut self) {
        let Some(writer) = &self.writer else { return };
        while !self.ring.is_abandoned()
            && self.progress.written_samples.load(Ordering::Acquire) < self.handed_on
        {
            writer.unpark();
            thread::sleep(Duration::from_micros(20));
        }
    }

    fn report(&self, report: &mut StageReport) {
        let flag = |on| if on { 1.0 } else { 0.0 };
        report.add("recording", flag(self.started && !self.ring.is_abandoned()));
        report.add("dropped_samples", self.dropped_samples as f32);
        report.add("write_failed", flag(self.progress.failed.load(Ordering::Relaxed)));
    }
}

#[cfg(test)]
mod tests {
    use foldback_stage::{BLOCK_SAMPLES, RawValue};
    use foldback_stage_testkit::signal::{silence, tone, white_noise};
    use foldback_stage_testkit::stages::{reading, run, run_stereo};

    use super::*;

    fn taken(samples: &mut Consumer<f32>) -> Vec<f32> {
        let all = samples.read_chunk(samples.slots()).expect("so many are there");
        all.into_iter().collect()
    }

    fn readings(stage: &Record) -> [Option<f32>; 2] {
        ["recording", "dropped_samples"].map(|name| reading(stage, name))
    }

    #[test]
    fn audio_passes_unchanged_and_is_handed_on_with_its_channels_in_turn() {
        let (left, right) = (tone(440.0, -6.0, 0.1), white_noise(1, -20.0, 0.1));
        let (mut mono, mut samples) = Record::new(1);
        assert_eq!(run(&mut mono, &left), left);
        assert_eq!(taken(&mut samples), left);
        let (mut stereo, mut samples) = Record::new(2);
        let passed = run_stereo(&mut stereo, &left, &right);
        let expected: Vec<f32> = left.iter().zip(&right).flat_map(|(l, r)| [*l, *r]).collect();
        assert_eq!(taken(&mut samples), expected);
        assert_eq!(passed, (left, right));
    }

    #[test]
    fn what_finds_the_ring_full_is_left_out_by_whole_blocks_and_counted() {
        let (mut stage, mut samples) = Record::new(1);
        let _ = run(&mut stage, &silence(RING_SECONDS as f64));
        assert_eq!(readings(&stage), [Some(1.0), Some(0.0)]);
        let _ = run(&mut stage, &tone(440.0, -6.0, 0.05));
        assert_eq!(readings(&stage), [Some(1.0), Some(5.0 * 480.0)]);
        assert!(taken(&mut samples).iter().all(|s| *s == 0.0), "what came first was overwritten");
        let later = tone(880.0, -6.0, 0.05);
        let _ = run(&mut stage, &later);
        assert_eq!(taken(&mut samples), later);
    }

    #[test]
    fn pauses_take_their_time_in_the_file_once_something_was_heard() {
        let (mut stage, mut samples) = Record::new(2);
        stage.idle(&mut BlockContext::default());
        assert_eq!(readings(&stage), [Some(0.0), Some(0.0)]);
        assert_eq!(taken(&mut samples), []);
        let sound = tone(440.0, -6.0, 0.01);
        let _ = run_stereo(&mut stage, &sound, &sound);
        stage.idle(&mut BlockContext::default());
        assert_eq!(taken(&mut samples)[2 * BLOCK_SAMPLES..], [0.0; 2 * BLOCK_SAMPLES]);
    }

    #[test]
    fn a_folder_that_cannot_be_is_refused_before_anything_is_recorded_and_none_is_made() {
        let build = |folder: &str| {
            let mut params = Params::defaults(KIND.params);
            params.set(&FOLDER, RawValue::Text(folder)).expect("text");
            (KIND.build)(&params, StageFormat::MONO).err().map(|error| error.to_string())
        };
        let refused = build("/dev/null/taps").expect("is refused");
        assert_eq!(refused, "`folder` /dev/null/taps cannot be used: /dev/null is no folder");
        let home = tempfile::tempdir().expect("a temporary folder");
        let folder = home.path().join("to/be/made");
        assert_eq!(build(folder.to_str().expect("a plain path")), None);
        assert_eq!(build("relative/to/be/made"), None);
        assert_eq!(home.path().read_dir().expect("is there").count(), 0);
    }

    #[test]
    fn once_the_writer_has_ended_nothing_counts_as_left_out() {
        let (mut stage, samples) = Record::new(1);
        let sound = tone(440.0, -6.0, 6.0);
        let _ = run(&mut stage, &sound[..480]);
        drop(samples);
        assert_eq!(run(&mut stage, &sound), sound);
        assert_eq!(readings(&stage), [Some(0.0), Some(0.0)]);
    }
}
