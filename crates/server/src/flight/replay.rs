//! `foldback replay`: what a flight recorder saved, run again.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use audiopus::coder::Decoder;
use audiopus::packet::Packet;
use audiopus::{Channels, MutSignals, SampleRate};
use foldback_room::{Input, MixSound, ParticipantId, Room, TICK};
use foldback_stage::{BLOCK_SAMPLES, SAMPLE_RATE_HZ, StageFormat};

use super::file::{self, FlightError};
use crate::config_file;
use crate::process::{AudioFile, SampleType};

/// The longest Opus packet at 48 kHz.
const MOST_SAMPLES: usize = 5760;

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayOptions {
    /// The file that the flight recorder saved.
    file: PathBuf,
    /// A folder for what each one heard, a WAV file for each, which all begin with the flight; it is made if it is not there.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// A TOML file, to have the kinds of stage of the libraries in its `[plugins]` too.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A sentence: the file cannot be read or run again, or gave other packets than were sent.
#[allow(clippy::print_stdout, reason = "this is the command line")]
pub(crate) fn run(options: &ReplayOptions) -> Result<(), String> {
    let shown = options.file.display();
    let file =
        File::open(&options.file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let registry = config_file::kinds(options.config.as_deref())?;
    let of_file = |FlightError(sentence)| format!("{shown}: {sentence}");
    let read = file::read(BufReader::new(file), &registry).map_err(of_file)?;
    let stereo = read.spec.chain.format == StageFormat::STEREO;
    let mut listeners = Listeners { heard: BTreeMap::new(), stereo, ticks: 0, refused: None };
    let sent = read.flight.replay(&read.spec, |room| listeners.hear(room));
    let sent = sent.map_err(|error| format!("{shown}: a chain cannot be built: {error}"))?;
    if let Some(sentence) = listeners.refused {
        return Err(sentence);
    }

    let length = (TICK * u32::try_from(listeners.ticks).unwrap_or(u32::MAX)).as_secs_f64();
    println!(
        "room {}, {length:.1} s until {}, saved {}",
        read.header.room, read.header.saved_at, read.header.why
    );
    for (id, heard) in &listeners.heard {
        let packets = heard.packets;
        println!("participant {id}: {packets} packets, {:.1} dBFS", heard.level_dbfs());
    }
    if let Some(folder) = &options.out {
        let files = listeners.write(folder)?;
        println!("{files} files in {}", folder.display());
    }
    let has_played = read.flight.inputs().any(|input| matches!(input, Input::Play));
    let version = env!("CARGO_PKG_VERSION");
    if read.header.version != version {
        println!("it was saved by foldback {}, and this is {version}", read.header.version);
    }
    let is_whole = read.flight.beginning().is_of_the_room();
    match read.sent.filter(|_| is_whole) {
        _ if has_played => println!(
            "packets {sent:016x}; a file or a chime was played, which a flight does not keep: it is not heard here, so they are others than were sent"
        ),
        None => println!(
            "packets {sent:016x}; the room was older than what was kept: what is heard comes near to what was, the more the later"
        ),
        Some(before) if before == sent => {
            println!("packets {sent:016x}: those that were sent, bit for bit")
        }
        Some(before) => {
            return Err(format!("packets {sent:016x} are not those that were sent, {before:016x}"));
        }
    }
    Ok(())
}

/// Those who are sent something.
struct Listeners {
    heard: BTreeMap<ParticipantId, Heard>,
    stereo: bool,
    /// So many have passed.
    ticks: usize,
    refused: Option<String>,
}

struct Heard {
    decoder: Decoder,
    /// Left and right in turn in stereo, from the first tick on.
    sound: Vec<f32>,
    packets: u64,
}

impl Listeners {
    /// Takes what the last tick closed.
    fn hear(&mut self, room: &Room) {
        self.ticks += 1;
        let channels = if self.stereo { 2 } else { 1 };
        for packet in room.packets() {
            let heard = match self.heard.entry(packet.to) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let kind = if self.stereo { Channels::Stereo } else { Channels::Mono };
                    match Decoder::new(SampleRate::Hz48000, kind) {
                        Ok(decoder) => {
                            entry.insert(Heard { decoder, sound: Vec::new(), packets: 0 })
                        }
                        Err(error) => {
                            self.refused = Some(format!("there is no decoder: {error}"));
                            return;
                        }
                    }
                }
            };
            let end = self.ticks * BLOCK_SAMPLES * channels;
            // Whose packets are not of Opus gets samples.
            match packet.payload.is_empty() {
                true => heard.take_sound(&packet.sound, end),
                false => heard.take(packet.payload, end, channels),
            }
        }
    }

    fn write(self, folder: &Path) -> Result<usize, String> {
        let said = |error: std::io::Error| format!("cannot make {}: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(said)?;
        let files = self.heard.len();
        let channels = if self.stereo { 2 } else { 1 };
        for (id, heard) in self.heard {
            let plane =
                |channel| heard.sound.iter().skip(channel).step_by(channels).copied().collect();
            let sound = AudioFile {
                planes: (0..channels).map(plane).collect(),
                rate_hz: SAMPLE_RATE_HZ,
                samples: SampleType::Float,
            };
            sound.write(&folder.join(format!("participant-{id}.wav")))?;
        }
        Ok(files)
    }
}

impl Heard {
    /// Takes a packet whose sound ends at `end`; before it what was not sent, which is silence.
    fn take(&mut self, payload: &[u8], end: usize, channels: usize) {
        let mut pcm = [0.0; 2 * MOST_SAMPLES];
        let decoded = Packet::try_from(payload).ok().and_then(|packet| {
            let signals = MutSignals::try_from(&mut pcm[..MOST_SAMPLES * channels]).ok()?;
            self.decoder.decode_float(Some(packet), signals, false).ok()
        });
        let samples = decoded.unwrap_or_default() * channels;
        self.go_on_to(end.saturating_sub(samples));
        self.sound.extend_from_slice(&pcm[..samples]);
    }

    fn take_sound(&mut self, sound: &MixSound<'_>, end: usize) {
        match sound.sides {
            Some([left, right]) => {
                self.go_on_to(end.saturating_sub(2 * left.len()));
                self.sound.extend(left.iter().zip(right).flat_map(|(left, right)| [*left, *right]));
            }
            None => {
                self.go_on_to(end.saturating_sub(sound.mean.len()));
                self.sound.extend_from_slice(sound.mean);
            }
        }
    }

    /// Up to where a packet begins.
    fn go_on_to(&mut self, start: usize) {
        self.packets += 1;
        self.sound.resize(start.max(self.sound.len()), 0.0);
    }

    fn level_dbfs(&self) -> f32 {
        let power: f32 = self.sound.iter().map(|sample| sample * sample).sum();
        10.0 * (power / self.sound.len().max(1) as f32).max(1e-9).log10()
    }
}
