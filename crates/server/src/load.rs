//! `foldback load`: its options, and what it shows while it runs.

use std::io::IsTerminal;
use std::path::PathBuf;

use foldback_load::{ClientPlan, LoadPlan, Moment, Phase, Signalling};
use foldback_stage::SAMPLE_RATE_HZ;
use indicatif::{ProgressBar, ProgressStyle};

use crate::bench::voice::voice;
use crate::process::AudioFile;

#[derive(Debug, clap::Args)]
pub(crate) struct LoadOptions {
    /// Where the server is.
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080")]
    url: String,
    /// Rooms.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    rooms: u32,
    /// Participants of each room, those who talk among them.
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    participants: u32,
    /// Participants of each room who talk.
    #[arg(long, value_name = "N", default_value_t = 1)]
    talkers: u32,
    /// Joins per second, over all rooms.
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    ramp: u32,
    /// How long to measure, after everybody joined.
    #[arg(long, value_name = "N", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    #[command(flatten)]
    clients: ClientOptions,
    /// The server's process, if it runs on this machine, to tell what it spends.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// How clients join.
    #[arg(long, value_enum, default_value_t = Joining::Ws)]
    signalling: Joining,
    /// What the names of the rooms begin with.
    #[arg(long, value_name = "NAME", default_value = "load")]
    room: String,
    /// The PIN of the rooms, where they have one. All users of a machine see the options of its programs: it may
    /// stand in FOLDBACK_LOAD_PIN too.
    #[arg(long, value_name = "PIN")]
    pin: Option<String>,
    /// A join token, for rooms that ask for one; or in FOLDBACK_LOAD_TOKEN.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Holds what `--pin` does, which comes first.
pub(crate) const PIN_VARIABLE: &str = "FOLDBACK_LOAD_PIN";
/// Likewise for `--token`.
pub(crate) const TOKEN_VARIABLE: &str = "FOLDBACK_LOAD_TOKEN";

/// How each of the clients is.
#[derive(Debug, clap::Args)]
pub(crate) struct ClientOptions {
    /// What talkers say, WAV or FLAC files, each talker the next one; the first 30 s of each, again
    /// and again. Without it voices are made up.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    speech: Vec<PathBuf>,
    /// Talkers send as with Opus DTX: in pauses a packet every 400 ms.
    #[arg(long)]
    dtx: bool,
    /// Listeners send a packet of silence every 20 ms, as browsers without DTX; else every 400 ms.
    #[arg(long)]
    listeners_send: bool,
    /// The share of clients that decode what they get, in percent; the others count packets.
    #[arg(long, value_name = "N", default_value_t = 5.0, value_parser = percent)]
    decode_percent: f64,
    /// Threads of the clients.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Joining {
    /// Over the WebSocket, as the page does, with all that the server tells by it.
    Ws,
    /// By one request each.
    Offer,
    /// Not to foldback, but to the AudioBridge of Janus: `--url` is that of its HTTP API,
    /// http://HOST:8088/janus, not of a loopback address.
    Janus,
}

fn percent(text: &str) -> Result<f64, String> {
    let allowed = || "must be a number from 0 to 100".to_owned();
    let percent: f64 = text.parse().map_err(|_| allowed())?;
    (0.0..=100.0).contains(&percent).then_some(percent).ok_or_else(allowed)
}

/// Runs the command.
///
/// # Errors
/// A sentence for the operator.
#[allow(clippy::print_stdout, reason = "this is the command line")]
pub(crate) fn run(options: &LoadOptions) -> Result<(), String> {
    let plan = LoadPlan {
        url: options.url.clone(),
        signalling: match options.signalling {
            Joining::Ws => Signalling::WebSocket,
            Joining::Offer => Signalling::Offer,
            Joining::Janus => Signalling::Janus,
        },
        pin: options.pin.clone().or_else(|| std::env::var(PIN_VARIABLE).ok()),
        token: options.token.clone().or_else(|| std::env::var(TOKEN_VARIABLE).ok()),
        room_prefix: options.room.clone(),
        rooms: options.rooms as usize,
        participants: options.participants as usize,
        talkers: options.talkers as usize,
        joins_per_s: f64::from(options.ramp),
        seconds: f64::from(options.seconds),
        clients: options.clients.plan()?,
        server_pid: options.server_pid,
    };
    let mut progress = Progress::new(plan.seconds);
    let report = foldback_load::run(&plan, &mut |moment| progress.show(&moment));
    progress.finish();
    let report = report?;
    match options.json {
        true => println!("{}", serde_json::to_string_pretty(&report).map_err(|e| e.to_string())?),
        false => print!("{report}"),
    }
    Ok(())
}

impl ClientOptions {
    /// Reads the files.
    pub(crate) fn plan(&self) -> Result<ClientPlan, String> {
        Ok(ClientPlan {
            voices: self.voices()?,
            dtx: self.dtx,
            listeners_send_silence: self.listeners_send,
            decode_percent: self.decode_percent,
            threads: self.threads as usize,
        })
    }

    /// Mono at 48 kHz.
    fn voices(&self) -> Result<Vec<Vec<f32>>, String> {
        const MADE_UP_S: usize = 12;
        const PITCHES_HZ: [f32; 4] = [120.0, 210.0, 155.0, 180.0];
        if self.speech.is_empty() {
            let samples = MADE_UP_S * SAMPLE_RATE_HZ as usize;
            return Ok(PITCHES_HZ.map(|pitch_hz| voice(pitch_hz, samples)).to_vec());
        }
        self.speech.iter().map(|file| AudioFile::read(file)?.into_mono_48k()).collect()
    }
}

/// A bar on the terminal; where there is none, a line now and then.
pub(crate) struct Progress {
    bar: ProgressBar,
    seconds: f64,
    told: Option<(Phase, f64)>,
}

impl Progress {
    const LINE_EVERY_S: f64 = 5.0;

    pub(crate) fn new(seconds: f64) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %");
        Self { bar: style.map_or(bar.clone(), |style| bar.with_style(style)), seconds, told: None }
    }

    #[allow(clippy::print_stderr, reason = "this is the command line")]
    pub(crate) fn show(&mut self, moment: &Moment) {
        let Moment { phase, connected, failed, wanted, elapsed_s } = *moment;
        let mut text = format!("joined {connected} of {wanted}");
        if failed > 0 {
            text += &format!(", {failed} could not");
        }
        if phase == Phase::Measuring {
            text += &format!("; measuring, {elapsed_s:.0} of {} s", self.seconds);
        }
        if std::io::stderr().is_terminal() {
            let (position, length) = match phase {
                Phase::Joining => (connected as u64, wanted as u64),
                Phase::Measuring => ((elapsed_s * 1e3) as u64, (self.seconds * 1e3) as u64),
            };
            self.bar.set_length(length);
            self.bar.set_position(position);
            self.bar.set_message(text);
            return;
        }
        let is_due = self
            .told
            .is_none_or(|(before, at_s)| before != phase || elapsed_s - at_s >= Self::LINE_EVERY_S);
        if is_due {
            eprintln!("{text}");
            self.told = Some((phase, elapsed_s));
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
