//! The thread that writes what a `record` stage hands on.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use foldback_stage::SAMPLE_RATE_HZ;
use hound::{WavSpec, WavWriter};
use rtrb::Consumer;
use time::OffsetDateTime;

/// How often the ring is looked at, and the most that a file lacks when the server is killed. To
/// be woken by the stage instead would cost that a system call: it does so offline only.
const POLL: Duration = Duration::from_millis(200);

/// What to write, and where.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) folder: PathBuf,
    pub(super) prefix: String,
    pub(super) sample_format: SampleFormat,
    pub(super) channels: usize,
    /// Samples per channel after which the recording ends.
    pub(super) max_frames: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SampleFormat {
    Float32,
    Pcm16,
}

/// How far the writer is, for the stage to see.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Whether it ended because it could not write.
    pub(super) failed: AtomicBool,
    /// Samples of all channels that are in the file.
    pub(super) written_samples: AtomicU64,
}

pub(super) struct Writer {
    destination: Destination,
    samples: Consumer<f32>,
    progress: Arc<Progress>,
    /// Made with the first samples: many stages are built only to be asked for their delay.
    file: Option<WavWriter<BufWriter<File>>>,
    samples_left: u64,
}

impl Writer {
    pub(super) fn new(
        destination: Destination,
        samples: Consumer<f32>,
        progress: Arc<Progress>,
    ) -> Self {
        let samples_left = destination.max_frames * destination.channels as u64;
        Self { destination, samples, progress, file: None, samples_left }
    }

    /// Writes until the stage is dropped, the recording is long enough, or the disk refuses.
    pub(super) fn run(mut self) {
        loop {
            // Asked first, so that nothing can come after what is written now.
            let stage_is_gone = self.samples.is_abandoned();
            if let Err(error) = self.write_all() {
                let folder = self.destination.folder.display();
                tracing::error!(%folder, %error, "a recording ended");
                self.progress.failed.store(true, Ordering::Relaxed);
                return;
            }
            if stage_is_gone || self.samples_left == 0 {
                return;
            }
            thread::park_timeout(POLL);
        }
    }

    /// Writes what is in the ring, and leaves a file that is whole.
    fn write_all(&mut self) -> Result<(), hound::Error> {
        let waiting = self.samples.slots();
        let taken = usize::try_from(self.samples_left).map_or(waiting, |left| waiting.min(left));
        if taken == 0 {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(create(&self.destination)?),
        };
        // So many are there: only this side takes them out.
        let Ok(chunk) = self.samples.read_chunk(taken) else { return Ok(()) };
        for sample in chunk {
            match self.destination.sample_format {
                SampleFormat::Float32 => file.write_sample(sample)?,
                SampleFormat::Pcm16 => file.write_sample(pcm16(sample))?,
            }
        }
        self.samples_left -= taken as u64;
        file.flush()?;
        self.progress.written_samples.fetch_add(taken as u64, Ordering::Release);
        Ok(())
    }
}

/// `foldback-20261124T055150Z-7.wav`: the number keeps those apart that begin in one second.
fn create(destination: &Destination) -> Result<WavWriter<BufWriter<File>>, hound::Error> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let Destination { folder, prefix, sample_format, channels, .. } = destination;
    let (bits_per_sample, sample_format) = match sample_format {
        SampleFormat::Float32 => (32, hound::SampleFormat::Float),
        SampleFormat::Pcm16 => (16, hound::SampleFormat::Int),
    };
    let spec = WavSpec {
        channels: *channels as u16,
        sample_rate: SAMPLE_RATE_HZ,
        bits_per_sample,
        sample_format,
    };
    fs::create_dir_all(folder)?;
    let now = utc_now();
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        match File::create_new(folder.join(format!("{prefix}-{now}-{number}.wav"))) {
            // Another server's, or that of one that ran a moment ago.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return WavWriter::new(BufWriter::new(file?), spec),
        }
    }
}

/// ISO 8601, in the form without colons that every file system takes.
fn utc_now() -> String {
    let now = OffsetDateTime::now_utc();
    let (year, month, day) = now.to_calendar_date();
    let (hour, minute, second) = now.to_hms();
    let month = u8::from(month);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// To the nearest step; what is beyond full scale is cut off.
fn pcm16(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
mod tests {
    use foldback_stage_testkit::signal::{tone, white_noise};
    use rtrb::{Producer, RingBuffer};

    use super::*;

    struct Bench {
        folder: tempfile::TempDir,
        ring: Producer<f32>,
        writer: Writer,
    }

    fn bench(change: impl FnOnce(&mut Destination)) -> Bench {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut destination = Destination {
            folder: folder.path().join("a/b"),
            prefix: "tap".to_owned(),
            sample_format: SampleFormat::Float32,
            channels: 1,
            max_frames: 1_000_000,
        };
        change(&mut destination);
        let (ring, samples) = RingBuffer::new(100_000);
        let writer = Writer::new(destination, samples, Arc::default());
        Bench { folder, ring, writer }
    }

    impl Bench {
        /// Through the ring and into the file.
        fn write(&mut self, samples: &[f32]) {
            self.ring.push_entire_slice(samples).expect("space");
            self.writer.write_all().expect("written");
        }

        fn files(&self) -> Vec<PathBuf> {
            let entries = fs::read_dir(self.folder.path().join("a/b"));
            entries.into_iter().flatten().map(|entry| entry.expect("readable").path()).collect()
        }

        /// Spec and samples of the one file, as they are on the disk now.
        fn read<S: hound::Sample>(&self) -> (WavSpec, Vec<S>) {
            let files = self.files();
            assert_eq!(files.len(), 1, "{files:?}");
            let mut reader = hound::WavReader::open(&files[0]).expect("a WAV file");
            let samples = reader.samples().collect::<Result<_, _>>().expect("samples");
            (reader.spec(), samples)
        }
    }

    #[test]
    fn float_files_hold_every_bit() {
        let mut bench = bench(|_| {});
        let mut signal = white_noise(1, -10.0, 1.0);
        signal[7] = 1.5;
        bench.write(&signal);
        let (spec, samples) = bench.read::<f32>();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 48_000, 32));
        assert_eq!(samples, signal);
    }

    #[test]
    fn pcm_files_hold_the_nearest_step_and_cut_what_is_too_loud() {
        let mut bench = bench(|to| to.sample_format = SampleFormat::Pcm16);
        bench.write(&[0.0, 0.5, -1.0, 1.0, 3.0, -3.0, 1.4 / 32_768.0, -1.6 / 32_768.0]);
        let (spec, samples) = bench.read::<i16>();
        assert_eq!(spec.bits_per_sample, 16);
        assert_eq!(samples, [0, 16_384, -32_768, 32_767, 32_767, -32_768, 1, -2]);
    }

    #[test]
    fn there_is_no_file_before_there_is_something_to_write() {
        let mut bench = bench(|_| {});
        bench.write(&[]);
        assert!(bench.files().is_empty(), "{:?}", bench.files());
    }

    #[test]
    fn a_file_is_whole_after_every_turn_though_nobody_ends_it() {
        let mut bench = bench(|to| to.channels = 2);
        let signal = tone(440.0, -6.0, 0.5);
        for (turn, part) in signal.chunks(4_800).enumerate() {
            bench.write(part);
            let (spec, samples) = bench.read::<f32>();
            assert_eq!((spec.channels, samples.len()), (2, (turn + 1) * 4_800));
        }
        // As if the process were killed: no destructor runs.
        std::mem::forget(bench.writer.file.take());
        assert_eq!(bench.read::<f32>().1, signal);
    }

    #[test]
    fn a_recording_ends_when_it_is_long_enough() {
        let mut bench = bench(|to| (to.channels, to.max_frames) = (2, 1_000));
        bench.write(&[0.25; 1_500]);
        assert_eq!(bench.writer.samples_left, 500);
        bench.write(&[0.5; 1_500]);
        assert_eq!(bench.read::<f32>().1.len(), 2_000);
        bench.writer.run();
        assert!(bench.ring.is_abandoned(), "the writer goes on");
    }

    #[test]
    fn a_disk_that_refuses_ends_the_recording_and_is_told() {
        let mut bench = bench(|_| {});
        fs::write(bench.folder.path().join("a"), "no folder").expect("written");
        let progress = Arc::clone(&bench.writer.progress);
        bench.ring.push_entire_slice(&[0.5; 480]).expect("space");
        bench.writer.run();
        assert!(bench.ring.is_abandoned() && progress.failed.load(Ordering::Relaxed));
    }

    #[test]
    fn recordings_that_begin_at_once_have_names_of_their_own() {
        let mut first = bench(|_| {});
        first.write(&[0.5; 480]);
        let (mut ring, samples) = RingBuffer::new(480);
        let destination = first.writer.destination.clone();
        let mut second = Writer::new(destination, samples, Arc::default());
        ring.push_entire_slice(&[0.5; 480]).expect("space");
        second.write_all().expect("written");
        assert_eq!(first.files().len(), 2, "{:?}", first.files());
        for file in first.files() {
            let name = file.file_stem().expect("a name").to_string_lossy();
            let parts: Vec<_> = name.split('-').collect();
            assert_eq!((parts.len(), parts[0], parts[1].len()), (3, "tap", 16), "{name}");
        }
    }
}
