//! Opening a line: its port, its session, and the participant that it is.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use foldback_config::{LatencyMode, RtpConfig, Secret};
use foldback_room::{Admission, ParticipantId};
use foldback_rtp::{Keys, Options, Reach, Secrets, Session, Source};
use foldback_worker::{Line, LineSocket};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::no_such_line;
use super::wanted::{Agreed, CodecName, Direction, SuiteName, Wanted};
use crate::addresses;
use crate::auth::{Key, random};
use crate::conference::Conference;
use crate::connect::{Built, could_not_be_built};
use crate::message::{ErrorCode, ErrorMessage};
use crate::roster::not_joined;

/// Bytes of a canonical name (RFC 7022, section 4.2: 96 bits).
const CNAME_BYTES: usize = 12;

/// All lines that there are; a conference keeps them under its lock.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    by_key: HashMap<Key, Arc<LineReport>>,
    /// From which port of the range on a free one is looked for: one that was given back is not taken again at once, since
    /// packets for the line before may still come.
    next: u16,
}

impl Lines {
    pub(crate) fn remove(&mut self, key: &Key) {
        self.by_key.remove(key);
    }
}

/// What was agreed on, as the caller is told.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LineReport {
    pub(crate) participant: u64,
    /// Where the caller sends to.
    #[schema(value_type = String)]
    pub(crate) local: SocketAddr,
    /// Where it is sent to; null: to where it sends from.
    #[schema(value_type = Option<String>)]
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) direction: Direction,
    pub(crate) codec: CodecName,
    pub(crate) payload_type: u8,
    pub(crate) clock_rate: u32,
    pub(crate) channels: u8,
    pub(crate) ptime: u32,
    /// By which the server's stream is known.
    pub(crate) ssrc: u32,
    pub(crate) cname: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) srtp: Option<SrtpReport>,
    pub(crate) timeout_seconds: u32,
}

/// With what the server encrypts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SrtpReport {
    pub(crate) suite: SuiteName,
    #[schema(value_type = String)]
    pub(crate) key: Exposed,
}

/// A secret that its owner is told.
#[derive(Clone)]
pub(crate) struct Exposed(pub(crate) Secret);

impl Serialize for Exposed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.expose())
    }
}

impl fmt::Debug for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exposed(..)")
    }
}

impl Conference {
    /// Checks what is asked of a line.
    ///
    /// # Errors
    /// `rtp-off`, if the configuration has no ports for them; `bad-value`; `forbidden`.
    pub(crate) fn agree_on_line(&self, wanted: &Wanted) -> Result<Agreed, ErrorMessage> {
        let running = self.running();
        if running.config.rtp.first_port == 0 {
            let sentence = "This server has no lines of RTP: its configuration names no `first_port` in [rtp].";
            return Err(ErrorMessage::new(ErrorCode::RtpOff, sentence));
        }
        let packet_ms = if running.config.latency == LatencyMode::Low { 10 } else { 20 };
        wanted.agree(&running.config.rtp, packet_ms)
    }

    /// Opens a line for somebody who joined; returns the key to its address, and what the caller is told. Unless an operator
    /// opens it the other side must report.
    ///
    /// # Errors
    /// `bad-value`, if the server has no address of the family of `remote`; `server-full`, if no port is free;
    /// `not-joined`, if they are gone meanwhile; `internal`.
    pub(crate) async fn open_line(
        &self,
        id: ParticipantId,
        agreed: Agreed,
        by_operator: bool,
        now: Instant,
    ) -> Result<(Key, Arc<LineReport>), ErrorMessage> {
        let config = self.running().config.rtp.clone();
        let (worker, spec) = {
            let mut state = self.state();
            let (_, room) = state.room_of(id)?;
            let member = room.people.get_mut(&id).ok_or_else(not_joined)?;
            member.media = true;
            (room.worker, self.spec(Arc::clone(room.chains.chain_of(id))))
        };
        let (told, ports) = self.places_for_line(worker, &config, agreed.remote)?;
        // Where most are taken it takes a while to find one that is not.
        let bind = move || bind_first(told, ports);
        let socket = tokio::task::spawn_blocking(bind).await;
        let socket = socket.map_err(|error| could_not_be_built(id, &error))??;
        let secrets = agreed.srtp.clone().map(|(suite, incoming)| {
            let outgoing = Keys(random(suite.suite().key_bytes())?);
            let key = Exposed(Secret::from(BASE64_STANDARD.encode(&outgoing.0)));
            Ok((Secrets { suite: suite.suite(), incoming, outgoing }, SrtpReport { suite, key }))
        });
        let (secrets, srtp) = secrets.transpose()?.unzip();
        let begins: [u8; 10] = random(10)?.try_into().unwrap_or_default();
        let [a, b, c, d, e, f, g, h, i, j] = begins;
        let report = LineReport {
            participant: id.0,
            local: socket.told(),
            remote: agreed.remote,
            direction: agreed.direction,
            codec: agreed.name,
            payload_type: agreed.payload_type,
            clock_rate: agreed.clock_rate,
            channels: agreed.channels,
            ptime: agreed.ptime,
            ssrc: u32::from_be_bytes([a, b, c, d]),
            cname: BASE64_STANDARD.encode(random(CNAME_BYTES)?),
            srtp,
            timeout_seconds: config.timeout_seconds,
        };
        let options = Options {
            payload_type: agreed.payload_type,
            clock_hz: agreed.clock_rate,
            takes: agreed.direction.speaks(),
            must_report: !by_operator,
            source: agreed.remote.map_or(Source::First, Source::At),
            reach: Reach::new({
                let config = config.clone();
                move |address| config.allows(address)
            }),
            secrets,
            ssrc: report.ssrc,
            // Half of the count is left before it wraps: SRTP takes the first number for one of the first round
            // (RFC 3711, section 3.3.1).
            begins: (u16::from_be_bytes([e, f]) >> 1, u32::from_be_bytes([g, h, i, j])),
            cname: report.cname.clone(),
            timeout: Duration::from_secs(config.timeout_seconds.into()),
            wall_clock: (now, SystemTime::now()),
        };
        let build = move || {
            let session = Session::new(options, now).map_err(|it| it.to_string())?;
            let (hears, stereo) = (agreed.direction.hears(), agreed.channels == 2);
            let line = Line::new(session, socket, agreed.codec, hears, stereo, agreed.ptime);
            let admission =
                Admission::build_for(&spec, agreed.codec).map_err(|it| it.to_string())?;
            Ok(Box::new(Built { connection: line.into(), codec: agreed.codec, admission, spec }))
        };
        let built: Result<_, String> =
            tokio::task::spawn_blocking(build).await.unwrap_or_else(|error| Err(error.to_string()));
        let built = built.map_err(|error| could_not_be_built(id, &error))?;
        let key = Key::random()?;
        let report = Arc::new(report);
        {
            let mut state = self.state();
            let (_, room) = state.room_of(id)?;
            let member = room.people.get_mut(&id).ok_or_else(not_joined)?;
            member.session = Some(key.clone());
            state.lines.by_key.insert(key.clone(), Arc::clone(&report));
        }
        self.hand_over(id, built).await?;
        Ok((key, report))
    }

    /// The line of that key in a room.
    ///
    /// # Errors
    /// `not-found`, which tells nothing of what else there is.
    pub(crate) fn line(&self, room: &str, key: &str) -> Result<LineReport, ErrorMessage> {
        let state = self.state();
        let line = state.lines.by_key.get(&Key::from(key.to_owned()));
        let line = line.filter(|line| {
            state.rooms_of.get(&ParticipantId(line.participant)).is_some_and(|it| it == room)
        });
        line.map(|line| LineReport::clone(line)).ok_or_else(no_such_line)
    }

    /// At which address the other side can reach this one, and the ports there in the order in which they are to be tried.
    fn places_for_line(
        &self,
        worker: usize,
        config: &RtpConfig,
        remote: Option<SocketAddr>,
    ) -> Result<(IpAddr, impl Iterator<Item = u16> + use<>), ErrorMessage> {
        let told = self.workers[worker].candidates();
        let fits = |told: &&SocketAddr| remote.is_none_or(|it| it.is_ipv6() == told.is_ipv6());
        // What is on this machine is reached by its own loopback address alone, if that is told.
        let near = |told: &&SocketAddr| {
            fits(told) && remote.is_some_and(|it| it.ip().is_loopback() == told.ip().is_loopback())
        };
        let told = told.iter().find(near).or_else(|| told.iter().find(fits));
        let told = told.ok_or_else(|| {
            let sentence = "This server has no address of the family of `remote`.";
            ErrorMessage::new(ErrorCode::BadValue, sentence)
        })?;
        let (first_port, ports) = (config.first_port, config.ports);
        let from = {
            let mut state = self.state();
            let from = state.lines.next;
            state.lines.next = from.wrapping_add(1) % ports;
            from
        };
        Ok((told.ip(), (0..ports).map(move |n| first_port + (from + n) % ports)))
    }
}

/// The first of the ports that is free. Blocks.
fn bind_first(told: IpAddr, ports: impl Iterator<Item = u16>) -> Result<LineSocket, ErrorMessage> {
    let own = addresses::own();
    let mut bound = ports.map(|port| LineSocket::bind((told, port).into(), &own));
    bound.find_map(Result::ok).ok_or_else(|| {
        tracing::warn!("no port is free for another line of RTP");
        let sentence = "All ports for lines of RTP are taken; try again once one has ended.";
        ErrorMessage::new(ErrorCode::ServerFull, sentence)
    })
}
