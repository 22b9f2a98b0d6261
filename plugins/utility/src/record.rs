//! `record`: keeps what passes in a WAV file.
//!
//! The media side only puts samples into a ring. A thread of the stage's own takes them out and
//! does all that may block. Where it is too slow, samples are left out and counted.

mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldback_stage::{
    AudioBlock, AudioBuffer, BlockContext, BuildError, ParamSpec, Params, SAMPLE_RATE_HZ, Stage,
    StageFormat, StageKind, StageReport,
};
use rtrb::{Consumer, Producer, RingBuffer};

use writer::{Destination, SampleFormat, Writer};

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
    let (stage, samples) = Record::new(format.channels);
    let writer = Writer::new(destination, samples, Arc::clone(&stage.failed));
    let thread = std::thread::Builder::new().name("record".to_owned());
    let spawned = thread.spawn(move || writer.run());
    spawned.map_err(|error| BuildError::new(format!("no thread to write a file: {error}")))?;
    Ok(Box::new(stage))
}

fn destination(params: &Params, format: StageFormat) -> Result<Destination, BuildError> {
    let (folder, prefix) = (params.text(&FOLDER), params.text(&PREFIX));
    if folder.is_empty() {
        return Err(BuildError::new("`folder` must name a folder"));
    }
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

struct Record {
    channels: usize,
    /// To the writer, interleaved. Abandoned once that has ended.
    ring: Producer<f32>,
    started: bool,
    /// Per channel.
    dropped_samples: u64,
    /// Whether the writer ended because it could not write.
    failed: Arc<AtomicBool>,
}

impl Record {
    /// The stage, and what comes out of it.
    fn new(channels: usize) -> (Self, Consumer<f32>) {
        let (ring, samples) = RingBuffer::new(RING_SECONDS * SAMPLE_RATE_HZ as usize * channels);
        let failed = Arc::default();
        (Self { channels, ring, started: false, dropped_samples: 0, failed }, samples)
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
        if taken.is_err() {
            self.dropped_samples += block.frames() as u64;
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

    fn report(&self, report: &mut StageReport) {
        let flag = |on| if on { 1.0 } else { 0.0 };
        report.add("recording", flag(self.started && !self.ring.is_abandoned()));
        report.add("dropped_samples", self.dropped_samples as f32);
        report.add("write_failed", flag(self.failed.load(Ordering::Relaxed)));
    }
}

#[cfg(test)]
mod tests {
    use foldback_stage::BLOCK_SAMPLES;
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
    fn once_the_writer_has_ended_nothing_counts_as_left_out() {
        let (mut stage, samples) = Record::new(1);
        let sound = tone(440.0, -6.0, 6.0);
        let _ = run(&mut stage, &sound[..480]);
        drop(samples);
        assert_eq!(run(&mut stage, &sound), sound);
        assert_eq!(readings(&stage), [Some(0.0), Some(0.0)]);
    }
}
