//! The file of a flight: lines of JSON, the first of which says what the room was, each further one what it was given.

use std::fmt;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use foldback_chain::{ChainSpec, Registry, StageSpec};
use foldback_config::Config;
use foldback_room::{
    Application, Beginning, CaptureTime, ChainChanged, Codec, Economies, EncodedFrame, Flight,
    HeardAs, Input, LatencyProfile, OpusSettings, ParticipantId, PcmFormat, PcmSamples, Person,
    RoomSpec, Shedding,
};
use foldback_stage::ParamValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Of the form of the file.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    foldback_flight: u32,
    /// Which version of foldback wrote it: another one may say it otherwise.
    pub(super) version: String,
    pub(super) room: String,
    /// RFC 3339.
    pub(super) saved_at: String,
    pub(super) why: String,
    opus: Opus,
    latency: Latency,
    /// Those that are named by their place in this list, as the sections of a configuration.
    chains: Vec<Map<String, Value>>,
    chain: usize,
    /// How often the room had ticked before.
    pub(super) ticks: u64,
    shedding: u8,
    people: Vec<Present>,
    /// [`Flight::sent`], in hexadecimal.
    sent: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Present {
    id: u64,
    chain: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pcm: Option<Pcm>,
    settings: Vec<Line>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Opus {
    bitrate_bps: i32,
    complexity: u8,
    expected_loss_percent: u8,
    music: bool,
    dtx: bool,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Latency {
    Low,
    Balanced,
    Robust,
}

/// Each further line. Times are in ns since the first tick.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Join(u64, usize, Option<Pcm>),
    Leave(u64),
    Packet(Packet),
    Mute(u64, bool),
    Gain(u64, f32),
    Hear { listener: u64, other: u64, gain_db: f32, pan: f32, muted: bool },
    LoopBack(u64, u64),
    Deaf(u64, bool),
    Dtx(u64, bool),
    Stereo(u64, bool),
    Report(u64, f32),
    Chain { chain: usize, inputs: Vec<(u64, usize)> },
    Settle,
    Shed(u8),
    Play,
    Ticks { at: i64, count: u64 },
    Skip(u64),
}

/// Where packets are not of Opus.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pcm {
    samples: Samples,
    rate_hz: u32,
    channels: usize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Samples {
    Pcmu,
    Pcma,
    L16,
}

impl Pcm {
    fn of(codec: Codec) -> Option<Self> {
        let Codec::Pcm(PcmFormat { samples, rate_hz, channels }) = codec else { return None };
        let samples = match samples {
            PcmSamples::Mu => Samples::Pcmu,
            PcmSamples::A => Samples::Pcma,
            PcmSamples::Linear16 => Samples::L16,
        };
        Some(Self { samples, rate_hz, channels })
    }

    fn codec(pcm: Option<Self>) -> Codec {
        let Some(Self { samples, rate_hz, channels }) = pcm else { return Codec::Opus };
        let samples = match samples {
            Samples::Pcmu => PcmSamples::Mu,
            Samples::Pcma => PcmSamples::A,
            Samples::L16 => PcmSamples::Linear16,
        };
        Codec::Pcm(PcmFormat { samples, rate_hz, channels })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Packet {
    from: u64,
    at: i64,
    ssrc: u32,
    seq: u64,
    rtp_time: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level_minus_dbov: Option<u8>,
    /// Since 1970 in ns, and how far that clock is ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    captured: Option<(u64, Option<i64>)>,
    #[serde(default, skip_serializing_if = "is_zero")]
    copy_distance: u8,
    payload: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(value: &u8) -> bool {
    *value == 0
}

/// A flight as it was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) header: Header,
    pub(super) spec: RoomSpec,
    pub(super) flight: Flight,
    /// Of the room that it was kept of.
    pub(super) sent: Option<u64>,
}

/// Chains, each of them once.
#[derive(Default)]
struct Chains(Vec<Arc<ChainSpec>>);

impl Chains {
    fn place(&mut self, chain: &Arc<ChainSpec>) -> usize {
        let known = self.0.iter().position(|it| Arc::ptr_eq(it, chain) || it == chain);
        known.unwrap_or_else(|| {
            self.0.push(Arc::clone(chain));
            self.0.len() - 1
        })
    }
}

/// Writes what was kept of `room`, a room of that kind.
///
/// # Errors
/// What the writer says.
pub(super) fn write(
    to: &mut impl Write,
    flight: &Flight,
    spec: &RoomSpec,
    (room, saved_at, why): (&str, &str, &str),
) -> std::io::Result<()> {
    let mut chains = Chains::default();
    let epoch = flight.inputs().find_map(|input| match input {
        Input::Ticks(first, _) => Some(*first),
        _ => None,
    });
    let mut lines = Lines { chains: &mut chains, epoch };
    let Beginning { chain, ticks, shedding, people } = flight.beginning();
    let chain = lines.chains.place(chain);
    let mut present = Vec::new();
    for Person { id, chain, codec, settings } in people {
        let chain = lines.chains.place(chain);
        let settings = settings.iter().map(|setting| lines.of(setting)).collect();
        present.push(Present { id: id.0, chain, pcm: Pcm::of(*codec), settings });
    }
    // Before the header, which names all chains.
    let inputs: Vec<_> = flight.inputs().map(|input| lines.of(input)).collect();
    let header = Header {
        foldback_flight: VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        room: room.to_owned(),
        saved_at: saved_at.to_owned(),
        why: why.to_owned(),
        opus: Opus {
            bitrate_bps: spec.opus.bitrate_bps,
            complexity: spec.opus.complexity,
            expected_loss_percent: spec.opus.expected_loss_percent,
            music: spec.opus.application == Application::Audio,
            dtx: spec.opus.dtx,
        },
        latency: match spec.latency {
            LatencyProfile::Low => Latency::Low,
            LatencyProfile::Balanced => Latency::Balanced,
            LatencyProfile::Robust => Latency::Robust,
        },
        chains: chains.0.iter().map(|chain| section(chain)).collect(),
        chain,
        ticks: *ticks,
        shedding: shedding.level(),
        people: present,
        sent: format!("{:016x}", flight.sent()),
    };
    serde_json::to_writer(&mut *to, &header)?;
    for line in inputs {
        to.write_all(b"\n")?;
        serde_json::to_writer(&mut *to, &line)?;
    }
    to.write_all(b"\n")
}

struct Lines<'a> {
    chains: &'a mut Chains,
    epoch: Option<Instant>,
}

impl Lines<'_> {
    fn at(&self, time: Instant) -> i64 {
        let epoch = self.epoch.unwrap_or(time);
        let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        match time.checked_duration_since(epoch) {
            Some(after) => ns(after),
            None => -ns(epoch.duration_since(time)),
        }
    }

    fn of(&mut self, input: &Input) -> Line {
        match input {
            Input::Join(id, chain, codec) => {
                Line::Join(id.0, self.chains.place(chain), Pcm::of(*codec))
            }
            Input::Leave(id) => Line::Leave(id.0),
            Input::Push(id, frame) => Line::Packet(Packet {
                from: id.0,
                at: self.at(frame.arrival),
                ssrc: frame.ssrc,
                seq: frame.seq,
                rtp_time: frame.rtp_time,
                level_minus_dbov: frame.level_minus_dbov,
                captured: frame.captured.map(|time| {
                    let since = u64::try_from(time.since_epoch.as_nanos()).unwrap_or(u64::MAX);
                    (since, time.clock_offset_ns)
                }),
                copy_distance: frame.copy_distance,
                payload: BASE64_STANDARD.encode(&frame.payload),
            }),
            Input::Mute(id, muted) => Line::Mute(id.0, *muted),
            Input::Gain(id, gain_db) => Line::Gain(id.0, *gain_db),
            Input::Hear(listener, other, HeardAs { gain_db, pan, muted }) => Line::Hear {
                listener: listener.0,
                other: other.0,
                gain_db: *gain_db,
                pan: *pan,
                muted: *muted,
            },
            Input::LoopBack(id, duration) => {
                Line::LoopBack(id.0, u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
            }
            Input::Deaf(id, deaf) => Line::Deaf(id.0, *deaf),
            Input::Dtx(id, dtx) => Line::Dtx(id.0, *dtx),
            Input::Stereo(id, stereo) => Line::Stereo(id.0, *stereo),
            Input::Report(id, lost) => Line::Report(id.0, *lost),
            Input::Chain(changed) => Line::Chain {
                chain: self.chains.place(&changed.chain),
                inputs: changed
                    .inputs
                    .iter()
                    .map(|(id, chain)| (id.0, self.chains.place(chain)))
                    .collect(),
            },
            Input::Settle => Line::Settle,
            Input::Shed(shedding) => Line::Shed(shedding.level()),
            Input::Play => Line::Play,
            Input::Ticks(first, count) => Line::Ticks { at: self.at(*first), count: *count },
            Input::Skip(ticks) => Line::Skip(*ticks),
        }
    }
}

/// A chain as its section of a configuration has it, with all that it is; its name is in `name`.
fn section(chain: &ChainSpec) -> Map<String, Value> {
    let stage = |stage: &StageSpec| {
        let mut keys = Map::new();
        keys.insert("kind".to_owned(), stage.kind.name.into());
        keys.insert("name".to_owned(), stage.name.as_str().into());
        keys.insert("enabled".to_owned(), stage.enabled.into());
        if stage.optional {
            keys.insert("optional".to_owned(), true.into());
        }
        for (name, value) in stage.params.iter() {
            keys.insert(name.to_owned(), json_of(value));
        }
        Value::Object(keys)
    };
    let mix = chain.mix.map(|mix| json!({ "kind": "mix", "max_talkers": mix.max_talkers }));
    let stages = chain.input.iter().map(stage).chain(mix).chain(chain.output.iter().map(stage));
    let mut keys = Map::new();
    keys.insert("name".to_owned(), chain.name.as_str().into());
    keys.insert("channels".to_owned(), chain.format.channels.into());
    keys.insert("stages".to_owned(), stages.collect());
    keys
}

fn json_of(value: &ParamValue) -> Value {
    match value {
        // As its shortest decimals, of which the same comes again.
        ParamValue::Float(value) => {
            value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
        }
        ParamValue::Int(value) => (*value).into(),
        ParamValue::Bool(value) => (*value).into(),
        ParamValue::Choice(value) => (*value).into(),
        ParamValue::Text(value) => value.to_string().into(),
    }
}

/// Why a file cannot be run again: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FlightError(pub(super) String);

impl fmt::Display for FlightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a file, with the kinds of stage of `registry`.
///
/// # Errors
/// Where it is no flight, or of another form, or has a chain that cannot be built here.
pub(super) fn read(from: impl BufRead, registry: &Registry) -> Result<Read, FlightError> {
    let mut lines = from.lines().enumerate().map(|(number, line)| {
        line.map(|line| (number + 1, line))
            .map_err(|error| FlightError(format!("it cannot be read: {error}")))
    });
    let (_, first) = lines.next().ok_or_else(|| FlightError("it is empty".to_owned()))??;
    let header: Header = serde_json::from_str(&first).map_err(|error| {
        FlightError(format!("line 1 is not that of a flight recorder: {error}"))
    })?;
    if header.foldback_flight != VERSION {
        let found = header.foldback_flight;
        return Err(FlightError(format!(
            "it is of form {found}, and this foldback reads form {VERSION}"
        )));
    }
    let chains = chains(&header.chains, registry)?;
    let reading = Reading { chains: &chains, epoch: epoch() };
    let people = header.people.iter().map(|present| {
        let settings = present.settings.iter().map(|line| reading.input(line, 1));
        Ok(Person {
            id: ParticipantId(present.id),
            chain: reading.chain(present.chain, 1)?,
            codec: Pcm::codec(present.pcm),
            settings: settings.collect::<Result<_, _>>()?,
        })
    });
    let beginning = Beginning {
        chain: reading.chain(header.chain, 1)?,
        ticks: header.ticks,
        shedding: shedding(header.shedding),
        people: people.collect::<Result<_, FlightError>>()?,
    };
    let mut inputs = Vec::new();
    for line in lines {
        let (number, line) = line?;
        let line: Line = serde_json::from_str(&line)
            .map_err(|error| FlightError(format!("line {number} is none: {error}")))?;
        inputs.push(reading.input(&line, number)?);
    }
    let spec = RoomSpec {
        chain: Arc::clone(&beginning.chain),
        opus: OpusSettings {
            bitrate_bps: header.opus.bitrate_bps,
            complexity: header.opus.complexity,
            expected_loss_percent: header.opus.expected_loss_percent,
            application: if header.opus.music { Application::Audio } else { Application::Voice },
            dtx: header.opus.dtx,
        },
        latency: match header.latency {
            Latency::Low => LatencyProfile::Low,
            Latency::Balanced => LatencyProfile::Balanced,
            Latency::Robust => LatencyProfile::Robust,
        },
        economies: Economies::default(),
    };
    let sent = u64::from_str_radix(&header.sent, 16).ok();
    Ok(Read { header, spec, flight: Flight::from_parts(beginning, inputs), sent })
}

/// Any time: nothing depends on which, and a while before it there must be times too.
fn epoch() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn shedding(level: u8) -> Shedding {
    (0..level).fold(Shedding::NONE, |shedding, _| shedding.more())
}

/// The chains, by way of a configuration that has them under other names: two may have the same.
fn chains(
    sections: &[Map<String, Value>],
    registry: &Registry,
) -> Result<Vec<Arc<ChainSpec>>, FlightError> {
    let bad = |sentence: String| FlightError(format!("its chains cannot be built: {sentence}"));
    let (mut file, mut names) = (Map::new(), Vec::new());
    for (place, section) in sections.iter().enumerate() {
        let mut section = section.clone();
        let name = section.remove("name");
        names.push(name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default());
        file.insert(format!("c{place}"), Value::Object(section));
    }
    let rule = json!({ "name": "*", "chain": "c0" });
    let text = toml::to_string(&json!({ "chain": file, "room": [rule] }));
    let text = text.map_err(|error| bad(error.to_string()))?;
    let config = Config::parse(&text, "the chains of the flight", registry);
    let config = config.map_err(|errors| bad(errors.to_string()))?;
    let named = names.into_iter().enumerate().map(|(place, name)| {
        let chain = config.chain(&format!("c{place}"));
        let chain = chain.ok_or_else(|| bad(format!("number {place} is missing")))?;
        Ok(Arc::new(ChainSpec { name, ..ChainSpec::clone(chain) }))
    });
    named.collect()
}

struct Reading<'a> {
    chains: &'a [Arc<ChainSpec>],
    epoch: Instant,
}

impl Reading<'_> {
    fn chain(&self, place: usize, line: usize) -> Result<Arc<ChainSpec>, FlightError> {
        let chain = self.chains.get(place).map(Arc::clone);
        chain.ok_or_else(|| {
            FlightError(format!("line {line} names chain {place}, of which there is none"))
        })
    }

    fn time(&self, at: i64) -> Instant {
        let ns = Duration::from_nanos(at.unsigned_abs());
        let moved = if at < 0 { self.epoch.checked_sub(ns) } else { self.epoch.checked_add(ns) };
        moved.unwrap_or(self.epoch)
    }

    fn input(&self, line: &Line, number: usize) -> Result<Input, FlightError> {
        let id = |id: &u64| ParticipantId(*id);
        Ok(match line {
            Line::Join(who, chain, pcm) => {
                Input::Join(id(who), self.chain(*chain, number)?, Pcm::codec(*pcm))
            }
            Line::Leave(who) => Input::Leave(id(who)),
            Line::Packet(packet) => {
                let payload = BASE64_STANDARD.decode(&packet.payload);
                let payload = payload.map_err(|error| {
                    FlightError(format!("line {number} has a payload that is no Base64: {error}"))
                })?;
                let frame = EncodedFrame {
                    ssrc: packet.ssrc,
                    seq: packet.seq,
                    rtp_time: packet.rtp_time,
                    level_minus_dbov: packet.level_minus_dbov,
                    payload: payload.into(),
                    arrival: self.time(packet.at),
                    captured: packet.captured.map(|(since, clock_offset_ns)| CaptureTime {
                        since_epoch: Duration::from_nanos(since),
                        clock_offset_ns,
                    }),
                    copy_distance: packet.copy_distance,
                };
                Input::Push(id(&packet.from), frame)
            }
            Line::Mute(who, muted) => Input::Mute(id(who), *muted),
            Line::Gain(who, gain_db) => Input::Gain(id(who), *gain_db),
            Line::Hear { listener, other, gain_db, pan, muted } => {
                let heard = HeardAs { gain_db: *gain_db, pan: *pan, muted: *muted };
                Input::Hear(id(listener), id(other), heard)
            }
            Line::LoopBack(who, ns) => Input::LoopBack(id(who), Duration::from_nanos(*ns)),
            Line::Deaf(who, deaf) => Input::Deaf(id(who), *deaf),
            Line::Dtx(who, dtx) => Input::Dtx(id(who), *dtx),
            Line::Stereo(who, stereo) => Input::Stereo(id(who), *stereo),
            Line::Report(who, lost) => Input::Report(id(who), *lost),
            Line::Chain { chain, inputs } => {
                let own =
                    inputs.iter().map(|(who, chain)| Ok((id(who), self.chain(*chain, number)?)));
                let inputs = own.collect::<Result<_, FlightError>>()?;
                Input::Chain(Arc::new(ChainChanged { chain: self.chain(*chain, number)?, inputs }))
            }
            Line::Settle => Input::Settle,
            Line::Shed(level) => Input::Shed(shedding(*level)),
            Line::Play => Input::Play,
            Line::Ticks { at, count } => Input::Ticks(self.time(*at), *count),
            Line::Skip(ticks) => Input::Skip(*ticks),
        })
    }
}
