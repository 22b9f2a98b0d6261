//! A sound card for a browser whose WebAudio stands still without one.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::TestChild;

/// What the microphone gives at a time, at 48 kHz.
const BLOCK_SAMPLES: usize = 480;
const BLOCK: Duration = Duration::from_millis(10);

/// A PulseAudio of its own: its speaker plays into nothing, and its microphone picks up a signal in real
/// time, again and again from its start.
#[derive(Debug)]
pub(crate) struct SoundCard {
    _pulseaudio: TestChild,
    socket: PathBuf,
}

impl SoundCard {
    /// # Panics
    /// If PulseAudio is missing or does not start within 30 s, or the signal is shorter than 10 ms.
    pub(crate) async fn start(signal: &[f32]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [socket, microphone] = ["socket", "microphone"].map(|name| folder.path().join(name));
        // A null sink asks for two seconds at a time, and a browser that starts to play meanwhile hears what it receives
        // three seconds late; one that does not rewind asks for 50 ms.
        let mut command = Command::new("pulseaudio");
        command
            .args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"])
            .arg("--disable-shm=yes")
            .arg("--load=module-null-sink sink_name=speaker rate=48000 channels=2 norewinds=1")
            .arg(format!(
                "--load=module-pipe-source source_name=microphone file={} format=s16le rate=48000 \
                 channels=1",
                microphone.display()
            ))
            .arg(format!(
                "--load=module-native-protocol-unix auth-anonymous=1 socket={}",
                socket.display()
            ))
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path());
        let mut pulseaudio = TestChild::start(&mut command, folder);
        let listening = async |_: &str| (socket.exists() && microphone.exists()).then_some(());
        pulseaudio.wait_until("listening", Duration::from_secs(30), listening).await;
        let blocks = signal.chunks_exact(BLOCK_SAMPLES).map(to_s16).collect::<Vec<_>>();
        assert!(!blocks.is_empty(), "{} samples are no signal", signal.len());
        thread::spawn(move || speak(&microphone, &blocks));
        Self { _pulseaudio: pulseaudio, socket }
    }

    /// What the environment variable `PULSE_SERVER` of who is to use it says.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}", self.socket.display())
    }
}

/// Until nobody listens any more. PulseAudio takes from a pipe whatever is there: the time is kept here.
fn speak(microphone: &Path, blocks: &[Vec<u8>]) {
    let Ok(mut pipe) = OpenOptions::new().write(true).open(microphone) else { return };
    let mut due = Instant::now();
    for block in blocks.iter().cycle() {
        if pipe.write_all(block).is_err() {
            return;
        }
        due += BLOCK;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn to_s16(block: &[f32]) -> Vec<u8> {
    block.iter().flat_map(|sample| ((sample * 32_768.0) as i16).to_le_bytes()).collect()
}
