//! A sound card whose microphone and speaker a test knows the time of; without one Firefox's WebAudio stands still.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::pipe::fcntl_setpipe_size;

use crate::child::TestChild;

/// What it needs, and where that comes from.
pub(crate) const PULSEAUDIO: (&str, &str) =
    ("pulseaudio", "`make setup` installs it on Debian, but not beside PipeWire");

const RATE_HZ: u32 = 48_000;
/// What microphone and speaker take at a time. A real card says more finely where it is.
const PIECE_SAMPLES: usize = 120;
const PIECE: Duration = Duration::from_micros(2_500);
/// The speaker plays in stereo, of 16 bits.
const SPEAKER_FRAME_BYTES: usize = 4;
/// Of sound that waits to be played: 43 ms.
const SPEAKER_BUFFER_BYTES: usize = 8192;

/// A PulseAudio of its own: its microphone picks up a signal in real time, again and again from its
/// start, and its speaker plays in real time too.
#[derive(Debug)]
pub struct SoundCard {
    _pulseaudio: TestChild,
    socket: PathBuf,
    spoken: Arc<OnceLock<Instant>>,
    heard: Arc<OnceLock<Heard>>,
}

/// What the speaker played so far, from when on.
#[derive(Debug)]
struct Heard {
    began: Instant,
    samples: Mutex<Vec<f32>>,
}

impl SoundCard {
    /// # Panics
    /// If PulseAudio is missing or does not start within 30 s, or the signal is shorter than 2.5 ms.
    pub(crate) async fn start(signal: &[f32]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [socket, microphone, speaker] =
            ["socket", "microphone", "speaker"].map(|name| folder.path().join(name));
        // Browsers play and record at the server's usual rate.
        let settings = folder.path().join(".config/pulse");
        let rate = format!("default-sample-rate = {RATE_HZ}\n");
        std::fs::create_dir_all(&settings).expect("a temporary folder takes another one");
        std::fs::write(settings.join("daemon.conf"), rate)
            .expect("a temporary folder takes a file");
        let mut command = Command::new("pulseaudio");
        command
            .args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"])
            .arg("--disable-shm=yes")
            .arg(pipe("module-pipe-sink sink_name=speaker", &speaker, 2))
            .arg(pipe("module-pipe-source source_name=microphone", &microphone, 1))
            .arg(format!(
                "--load=module-native-protocol-unix auth-anonymous=1 socket={}",
                socket.display()
            ))
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path());
        let mut pulseaudio = TestChild::start(&mut command, folder);
        let listening = async |_: &str| {
            (socket.exists() && microphone.exists() && speaker.exists()).then_some(())
        };
        pulseaudio.wait_until("listening", Duration::from_secs(30), listening).await;
        let pieces = signal.chunks_exact(PIECE_SAMPLES).map(to_s16).collect::<Vec<_>>();
        assert!(!pieces.is_empty(), "{} samples are no signal", signal.len());
        let (spoken, heard) = (Arc::<OnceLock<_>>::default(), Arc::<OnceLock<_>>::default());
        thread::spawn({
            let spoken = Arc::clone(&spoken);
            move || speak(&microphone, &pieces, &spoken)
        });
        thread::spawn({
            let heard = Arc::clone(&heard);
            move || listen(&speaker, &heard)
        });
        Self { _pulseaudio: pulseaudio, socket, spoken, heard }
    }

    /// What the environment variable `PULSE_SERVER` of who is to use it says.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// When the first sample of the signal was in the air before the microphone, at its first time.
    ///
    /// # Panics
    /// If the microphone is not on yet.
    #[must_use]
    pub fn spoken(&self) -> Instant {
        *self.spoken.get().expect("the microphone is on")
    }

    /// What the speaker's left side played so far, 48 kHz, and when its first sample was in the air.
    ///
    /// # Panics
    /// If the speaker is not on yet.
    #[must_use]
    pub fn heard(&self) -> (Instant, Vec<f32>) {
        let heard = self.heard.get().expect("the speaker is on");
        (heard.began, heard.samples.lock().expect("nobody panics with it").clone())
    }
}

fn pipe(module: &str, path: &Path, channels: usize) -> String {
    format!(
        "--load={module} file={} format=s16le rate={RATE_HZ} channels={channels}",
        path.display()
    )
}

/// Until nobody listens any more. PulseAudio takes from a pipe whatever is there: the time is kept here.
fn speak(microphone: &Path, pieces: &[Vec<u8>], spoken: &OnceLock<Instant>) {
    let Ok(mut pipe) = OpenOptions::new().write(true).open(microphone) else { return };
    let mut due = Instant::now();
    // A card gives a piece once it has all of it.
    spoken.get_or_init(|| due - PIECE);
    for piece in pieces.iter().cycle() {
        if pipe.write_all(piece).is_err() {
            return;
        }
        due += PIECE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Until nobody plays any more. PulseAudio fills the pipe: it is taken from as a speaker plays, silence where
/// there is nothing in time.
fn listen(speaker: &Path, heard: &OnceLock<Heard>) {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    let Ok(mut pipe) = options.open(speaker) else { return };
    fcntl_setpipe_size(&pipe, SPEAKER_BUFFER_BYTES).expect("a pipe takes a size");
    let mut due = Instant::now();
    let heard = heard.get_or_init(|| Heard { began: due, samples: Mutex::default() });
    loop {
        let mut piece = [0; PIECE_SAMPLES * SPEAKER_FRAME_BYTES];
        match pipe.read(&mut piece) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return,
            _ => {}
        }
        let left = piece
            .chunks_exact(SPEAKER_FRAME_BYTES)
            .map(|frame| f32::from(i16::from_le_bytes([frame[0], frame[1]])) / 32_768.0);
        heard.samples.lock().expect("nobody panics with it").extend(left);
        due += PIECE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn to_s16(piece: &[f32]) -> Vec<u8> {
    piece.iter().flat_map(|sample| ((sample * 32_768.0) as i16).to_le_bytes()).collect()
}
