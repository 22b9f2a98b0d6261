//! From the first join to the report.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::Url;
use str0m::config::DtlsCert;
use tokio::task::JoinSet;

use crate::client::{Client, Offering, Role};
use crate::ears::{self, Heard, HeardReport};
use crate::engine::{Engine, EngineReport};
use crate::gather::{Usage, gather};
use crate::plan::{LoadPlan, Signalling};
use crate::report::Report;
use crate::room::{Room, Talker};
use crate::signalling::{self, Membership, Place};
use crate::system;
use crate::voice::Voices;

/// A server that has not answered by then does not. Sessions that are not up by then after the last
/// join are waited for no longer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(15);
/// Jitter buffers and levels settle before it is measured.
const SETTLING: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_millis(250);

/// How far a load has come.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// What is done.
    pub phase: Phase,
    /// Clients whose session is up.
    pub connected: usize,
    /// Clients that could not join.
    pub failed: usize,
    /// All of them.
    pub wanted: usize,
    /// Since the phase began, in s.
    pub elapsed_s: f64,
}

/// What a load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Clients join.
    Joining,
    /// It is measured.
    Measuring,
}

/// Does what is planned; `tell` is told four times a second how far it is.
///
/// # Errors
/// A sentence: the plan cannot be done, the server cannot be reached, or nobody could join.
pub fn run(plan: &LoadPlan, tell: &mut dyn FnMut(Moment)) -> Result<Report, String> {
    let url = plan.check()?;
    // A wrong number is told before anybody joins.
    plan.server_pid.map(system::process_cpu_time).transpose()?;
    system::raise_file_limit();
    foldback_peer::install_crypto(Instant::now());
    event_loop()?.block_on(async { Load::new(plan, url).await?.run(tell).await })
}

fn event_loop() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("no event loop can be had: {error}"))
}

struct Load<'a> {
    plan: &'a LoadPlan,
    url: Url,
    /// Where the clients' sockets are opened.
    address: IpAddr,
    certificate: DtlsCert,
    rooms: Vec<Arc<Room>>,
    engines: Vec<Engine>,
    ears: (Sender<Heard>, JoinHandle<HeardReport>),
    /// Sessions that are up.
    connected: Arc<AtomicUsize>,
    failures: BTreeMap<String, usize>,
}

impl<'a> Load<'a> {
    async fn new(plan: &'a LoadPlan, url: Url) -> Result<Self, String> {
        let address = own_address(&url).await?;
        let thread = |error| format!("no thread can be had: {error}");
        let connected = Arc::new(AtomicUsize::new(0));
        let engines =
            (0..plan.clients.threads.max(1)).map(|n| Engine::spawn(n, Arc::clone(&connected)));
        let engines = engines.collect::<Result<_, _>>().map_err(thread)?;
        let provider = str0m::crypto::from_feature_flags().dtls_provider;
        let certificate = provider.generate_certificate().ok_or("no certificate can be made")?;
        let ears = ears::spawn().map_err(thread)?;
        let failures = BTreeMap::new();
        Ok(Self {
            plan,
            url,
            address,
            certificate,
            rooms: Vec::new(),
            engines,
            ears,
            connected,
            failures,
        })
    }

    async fn run(mut self, tell: &mut dyn FnMut(Moment)) -> Result<Report, String> {
        let memberships = self.join_all(tell).await?;
        if memberships.is_empty() {
            let reason = self.failures.keys().next().map_or("nobody was to", String::as_str);
            return Err(format!("nobody could join: {reason}"));
        }
        tokio::time::sleep(SETTLING).await;
        self.engines.iter().for_each(Engine::measure);
        let began = Instant::now();
        // The ears end last.
        let _ = self.ears.0.send(Heard::Measure(began));
        let before = Usage::now(self.plan.server_pid, &self.url).await;
        while let left = self.plan.seconds - began.elapsed().as_secs_f64()
            && left > 0.0
        {
            tell(self.moment(Phase::Measuring, began));
            tokio::time::sleep(Duration::from_secs_f64(left).min(TELL_EVERY)).await;
        }
        let after = Usage::now(self.plan.server_pid, &self.url).await;
        let report = self.finish(&before, &after);
        drop(memberships);
        report
    }

    /// Returns what keeps those in who joined.
    async fn join_all(&mut self, tell: &mut dyn FnMut(Moment)) -> Result<Vec<Membership>, String> {
        let mut voices = Voices::new(&self.plan.clients)?;
        for number in 0..self.plan.rooms {
            self.rooms.push(Arc::new(self.room(number, &mut voices)?));
        }
        let began = Instant::now();
        let mut joining = JoinSet::new();
        for place in 0..self.plan.everybody() {
            let role = self.role(place, &voices);
            let at = began + Duration::from_secs_f64(place as f64 / self.plan.joins_per_s);
            joining.spawn(join(self.joiner(), role, at));
        }
        let mut memberships = Vec::new();
        let mut ticker = tokio::time::interval(TELL_EVERY);
        while !joining.is_empty() {
            tokio::select! {
                _ = ticker.tick() => tell(self.moment(Phase::Joining, began)),
                Some(joined) = joining.join_next() => {
                    match joined.unwrap_or_else(|error| Err(error.to_string())) {
                        Ok((client, membership)) => {
                            self.hand_over(client);
                            memberships.push(membership);
                        }
                        Err(reason) => *self.failures.entry(reason).or_default() += 1,
                    }
                }
            }
        }
        let last = Instant::now();
        while self.connected() < memberships.len() && last.elapsed() < JOIN_TIMEOUT {
            ticker.tick().await;
            tell(self.moment(Phase::Joining, began));
        }
        Ok(memberships)
    }

    fn room(&self, number: usize, voices: &mut Voices<'_>) -> Result<Room, String> {
        let talkers = (0..self.plan.talkers).map(|talker| {
            let of_all = number * self.plan.talkers + talker;
            voices.talker(of_all, talker == 0).map(Talker::new)
        });
        let talkers = talkers.collect::<Result<_, _>>()?;
        Ok(Room { name: format!("{}-{}", self.plan.room_prefix, number + 1), talkers })
    }

    /// The rooms fill evenly, and who talks joins first.
    fn role(&self, place: usize, voices: &Voices<'_>) -> Role {
        let (participant, room) = (place / self.plan.rooms, place % self.plan.rooms);
        let room = Arc::clone(&self.rooms[room]);
        let voice = room.talkers.get(participant).map(|talker| Arc::clone(talker.voice()));
        let voice = voice.unwrap_or_else(|| voices.silence());
        let ears = self.plan.is_decoded(place).then(|| self.ears.0.clone());
        Role { number: place, participant, room, voice, ears }
    }

    fn joiner(&self) -> Joiner {
        Joiner {
            signalling: self.plan.signalling,
            pin: self.plan.pin.clone(),
            token: self.plan.token.clone(),
            url: self.url.clone(),
            address: self.address,
            certificate: self.certificate.clone(),
        }
    }

    fn hand_over(&self, client: Client) {
        let Role { number, participant, room, ears, .. } = &client.role;
        if let Some(ears) = ears {
            let (client, participant, room) = (*number, *participant, Arc::clone(room));
            let _ = ears.send(Heard::Listener { client, participant, room });
        }
        self.engines[number % self.engines.len()].add(client);
    }

    fn connected(&self) -> usize {
        self.connected.load(Ordering::Relaxed)
    }

    fn moment(&self, phase: Phase, began: Instant) -> Moment {
        Moment {
            phase,
            connected: self.connected(),
            failed: self.failures.values().sum(),
            wanted: self.plan.everybody(),
            elapsed_s: began.elapsed().as_secs_f64(),
        }
    }

    fn finish(self, before: &Usage, after: &Usage) -> Result<Report, String> {
        let engines = self.engines.into_iter().map(Engine::finish);
        let engines = engines.collect::<Result<Vec<EngineReport>, _>>()?;
        drop(self.ears.0);
        let heard = self.ears.1.join().map_err(|_| "the listening thread panicked".to_owned())?;
        Ok(gather(self.plan, self.failures, &engines, heard, (before, after)))
    }
}

/// Whether a server is there and takes participants. Blocks until it has answered.
#[must_use]
pub fn is_ready(url: &str) -> bool {
    let answer =
        event_loop().map(|runtime| runtime.block_on(reqwest::get(format!("{url}/readyz"))));
    matches!(answer, Ok(Ok(answer)) if answer.status().is_success())
}

/// What is needed to join.
struct Joiner {
    signalling: Signalling,
    pin: Option<String>,
    token: Option<String>,
    url: Url,
    address: IpAddr,
    certificate: DtlsCert,
}

async fn join(joiner: Joiner, role: Role, at: Instant) -> Result<(Client, Membership), String> {
    tokio::time::sleep_until(at.into()).await;
    let began = Instant::now();
    let found_talking = role.room.talks_to(role.participant);
    let (offering, offer) = Offering::new(joiner.address, joiner.certificate, began)?;
    let name =
        format!("{} {}", if role.talks() { "talker" } else { "listener" }, role.participant + 1);
    let (pin, token) = (joiner.pin.as_deref(), joiner.token.as_deref());
    let place = Place { room: &role.room.name, pin, token, name: &name };
    let joined = signalling::join(joiner.signalling, &joiner.url, place, &offer);
    let joined = tokio::time::timeout(JOIN_TIMEOUT, joined).await;
    let joined = joined.map_err(|_| format!("{} does not answer", joiner.url))??;
    let client = offering.accept(&joined.answer, role, began, found_talking)?;
    Ok((client, joined.membership))
}

/// The address of this machine from which the server is reached.
async fn own_address(url: &Url) -> Result<IpAddr, String> {
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let cannot = |error: &dyn std::fmt::Display| format!("{url} cannot be reached: {error}");
    let connected = tokio::net::TcpStream::connect((host, port.unwrap_or(80))).await;
    let connected = connected.map_err(|error| cannot(&error))?;
    let server = connected.peer_addr().map_err(|error| cannot(&error))?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).map_err(|error| cannot(&error))?;
    // Sends nothing: the operating system looks for the way.
    socket.connect(server).map_err(|error| cannot(&error))?;
    Ok(socket.local_addr().map_err(|error| cannot(&error))?.ip())
}
