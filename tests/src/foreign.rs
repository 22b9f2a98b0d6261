//! WebRTC clients that are not ours: the programs of `tests/clients`, each around the software of others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::TestChild;

/// How long a client may take beside the time that it is to speak or to listen.
const PATIENCE: Duration = Duration::from_secs(40);

/// By whose software a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// The npm package whip-whep, on libwebrtc.
    WhipWhep,
    /// aiortc, in Python.
    Aiortc,
    /// GStreamer's `webrtcbin`, on libnice.
    Gstreamer,
    /// FFmpeg's WHIP muxer, which only speaks.
    Ffmpeg,
    /// FFmpeg by RTP.
    FfmpegRtp,
    /// GStreamer by RTP, which does both: [`Foreign::line`].
    GstreamerRtp,
}

/// A client that speaks a tone of -20 dBFS into a room, or listens.
#[derive(Debug)]
pub struct Foreign {
    child: TestChild,
    heard: PathBuf,
    seconds: f64,
}

impl Foreign {
    /// Speaks a tone for so long by a WHIP endpoint, with these variables in its environment.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn speak(
        software: Software,
        url: &str,
        hz: f64,
        seconds: f64,
        variables: &[(&str, &str)],
    ) -> Self {
        let role = (software != Software::Ffmpeg).then_some("speak");
        let arguments = [url, &hz.to_string(), &seconds.to_string()];
        Self::start(software, role.into_iter().chain(arguments), seconds, variables)
    }

    /// Listens for so long by a WHEP endpoint, likewise.
    ///
    /// # Panics
    /// As [`Self::speak`], and for FFmpeg.
    #[must_use]
    pub fn listen(software: Software, url: &str, seconds: f64, variables: &[(&str, &str)]) -> Self {
        assert_ne!(software, Software::Ffmpeg, "FFmpeg does not listen by WHEP");
        let arguments = ["listen", url, &seconds.to_string(), HEARD].map(str::to_owned);
        Self::start(software, arguments.iter().map(String::as_str), seconds, variables)
    }

    /// Says a tone for so long on a line of RTP, in a codec at a rate, and hears what is said to it meanwhile.
    ///
    /// # Panics
    /// As [`Self::speak`].
    #[must_use]
    pub fn line(
        url: &str,
        (codec, rate, channels): (&str, u32, u8),
        hz: f64,
        seconds: f64,
        variables: &[(&str, &str)],
    ) -> Self {
        let numbers = [rate.to_string(), channels.to_string(), hz.to_string(), seconds.to_string()];
        let [rate, channels, hz, long] = &numbers;
        let arguments = [url, codec, rate, channels, hz, long, HEARD];
        Self::start(Software::GstreamerRtp, arguments.into_iter(), seconds, variables)
    }

    fn start<'a>(
        software: Software,
        arguments: impl Iterator<Item = &'a str>,
        seconds: f64,
        variables: &[(&str, &str)],
    ) -> Self {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let python = clients.join(".venv/bin/python");
        let (program, script) = match software {
            Software::WhipWhep => (PathBuf::from("node"), "whip_whep.mjs"),
            Software::Aiortc => (python, "aiortc_client.py"),
            // The system's, which has its bindings.
            Software::Gstreamer => (PathBuf::from("/usr/bin/python3"), "gstreamer_client.py"),
            Software::Ffmpeg => (python, "ffmpeg_client.py"),
            Software::FfmpegRtp => (python, "ffmpeg_rtp.py"),
            Software::GstreamerRtp => (PathBuf::from("/usr/bin/python3"), "gstreamer_rtp.py"),
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let heard = folder.path().join(HEARD);
        let mut command = Command::new(program);
        command.arg(clients.join(script)).args(arguments).envs(variables.iter().copied());
        command.current_dir(folder.path());
        Self { child: TestChild::start(&mut command, folder), heard, seconds }
    }

    /// Waits until it has done what it was to do; returns what it heard, at 48 kHz (nothing, if it spoke), and what it said.
    ///
    /// # Panics
    /// If it fails, or takes too long.
    pub async fn done(mut self) -> (Vec<f32>, String) {
        let status = self.child.ended(PATIENCE + Duration::from_secs_f64(self.seconds)).await;
        let said = self.child.log();
        assert!(status.success() && said.ends_with("done\n"), "{status}; `make setup`?\n{said}");
        let heard = std::fs::read(&self.heard).unwrap_or_default();
        let samples = heard.chunks_exact(2).map(|it| f32::from(i16::from_le_bytes([it[0], it[1]])));
        (samples.map(|sample| sample / 32768.0).collect(), said)
    }

    /// Ends it without a goodbye of any kind.
    pub fn kill(mut self) {
        self.child.kill();
    }
}

/// The file with what was heard, in a folder of its own.
const HEARD: &str = "heard.pcm";
