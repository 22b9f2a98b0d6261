//! From the first join to the report.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::Url;
use str0m::config::DtlsCert;
use tokio::task::JoinSet;

use crate::client::{Client, Offering, Role};
use crate::ears::{self, Heard, HeardReport};
use crate::engine::{Counts, Engine, EngineReport};
use crate::plan::{LoadPlan, Signalling};
use crate::report::{ClientSide, Joining, MouthToEar, Packets, Report, ServerSide};
use crate::room::{Room, Talker};
use crate::server::Ticks;
use crate::signalling::{self, Membership};
use crate::statistics::{Summary, rounded};
use crate::system::{self, MachineTime};
use crate::voice::Voices;

/// A server that has not answered, or a session that is not up, by then failed.
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
    counts: Arc<Counts>,
    failures: BTreeMap<String, usize>,
}

impl<'a> Load<'a> {
    async fn new(plan: &'a LoadPlan, url: Url) -> Result<Self, String> {
        let address = own_address(&url).await?;
        let thread = |error| format!("no thread can be had: {error}");
        let counts = Arc::new(Counts::default());
        let engines =
            (0..plan.clients.threads.max(1)).map(|n| Engine::spawn(n, Arc::clone(&counts)));
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
            counts,
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
        let before = Usage::now(self.plan.server_pid, &self.url).await?;
        while let left = self.plan.seconds - began.elapsed().as_secs_f64()
            && left > 0.0
        {
            tell(self.moment(Phase::Measuring, began));
            tokio::time::sleep(Duration::from_secs_f64(left).min(TELL_EVERY)).await;
        }
        let after = Usage::now(self.plan.server_pid, &self.url).await?;
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
        self.counts.connected.load(Ordering::Relaxed)
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
        let engines =
            self.engines.into_iter().map(Engine::finish).collect::<Result<Vec<_>, _>>()?;
        let clients: Vec<&Client> = engines.iter().flat_map(|engine| &engine.clients).collect();
        let seconds = (after.at - before.at).as_secs_f64();
        let joining = joining(self.plan, &clients, self.failures);
        let (joined, rooms) = (joining.joined, self.plan.rooms);
        let talkers = clients.iter().filter(|client| is_up(client) && client.role.talks()).count();
        let packets = packets(&clients);
        let client = client_side(&engines, &clients, seconds);
        drop(engines);
        drop(self.ears.0);
        let heard = self.ears.1.join().map_err(|_| "the listening thread panicked".to_owned())?;
        let machine = after.machine.zip(before.machine);
        let machine = machine.map_or(0.0, |(after, before)| after.busy_since(&before));
        let client = ClientSide { machine_percent: percent(machine), ..client }.judge();
        Ok(Report {
            rooms,
            participants_per_room: self.plan.participants,
            talkers_per_room: self.plan.talkers,
            seconds: rounded(seconds),
            joining,
            packets,
            mouth_to_ear: mouth_to_ear(heard),
            server: server_side(before, after, joined, talkers),
            client,
        })
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
    let joined = signalling::join(joiner.signalling, &joiner.url, &role.room.name, &name, &offer);
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

/// What was used up until an instant.
struct Usage {
    at: Instant,
    machine: Option<MachineTime>,
    server_cpu: Option<Duration>,
    server_memory_bytes: Option<u64>,
    ticks: Option<Ticks>,
}

impl Usage {
    async fn now(server_pid: Option<u32>, url: &Url) -> Result<Self, String> {
        let ticks = Ticks::of(url).await;
        let server_cpu = server_pid.map(system::process_cpu_time).transpose()?;
        Ok(Self {
            at: Instant::now(),
            machine: MachineTime::now(),
            server_cpu,
            server_memory_bytes: server_pid.and_then(system::process_memory_bytes),
            ticks,
        })
    }
}

fn is_up(client: &&Client) -> bool {
    client.progress.connected.is_some()
}

fn joining(plan: &LoadPlan, clients: &[&Client], mut failures: BTreeMap<String, usize>) -> Joining {
    let up: Vec<_> = clients.iter().copied().filter(is_up).collect();
    if up.len() < clients.len() {
        let reason = format!("ICE and DTLS were not up after {} s", JOIN_TIMEOUT.as_secs());
        failures.insert(reason, clients.len() - up.len());
    }
    let after = |at: fn(&Client) -> Option<Instant>| {
        let waits = up.iter().filter_map(|client| Some(at(client)? - client.progress.began));
        Summary::of(waits)
    };
    Joining {
        wanted: plan.everybody(),
        joined: up.len(),
        failures,
        broken_off: up.iter().filter(|client| client.progress.ended).count(),
        connected: after(|client| client.progress.connected),
        first_media: after(|client| {
            client.progress.first_media.filter(|_| client.progress.found_talking)
        }),
    }
}

fn packets(clients: &[&Client]) -> Packets {
    let received: u64 = clients.iter().map(|client| client.reception.received).sum();
    let lost: u64 = clients.iter().map(|client| client.reception.lost()).sum();
    let longest = clients.iter().map(|client| client.reception.longest).max();
    Packets {
        sent: clients.iter().map(|client| client.sent).sum(),
        received,
        lost,
        lost_percent: percent(lost as f64 / (received + lost).max(1) as f64),
        gaps: clients.iter().map(|client| client.reception.gaps).sum(),
        clients_with_gaps: clients.iter().filter(|client| client.reception.gaps > 0).count(),
        longest_gap_ms: rounded(longest.unwrap_or_default().as_secs_f64() * 1e3),
    }
}

fn mouth_to_ear(heard: HeardReport) -> MouthToEar {
    MouthToEar {
        listeners: heard.listeners,
        markers_expected: heard.markers_expected,
        markers_found: heard.delays.len() as u64,
        delay: Summary::of(heard.delays),
        holes: heard.holes,
        undecodable: heard.undecodable,
    }
}

fn server_side(before: &Usage, after: &Usage, joined: usize, talkers: usize) -> ServerSide {
    let seconds = (after.at - before.at).as_secs_f64();
    let cpu_s = after.server_cpu.zip(before.server_cpu);
    let cpu_share = cpu_s.map(|(after, before)| (after - before).as_secs_f64() / seconds);
    let by = |count: usize| cpu_share.map(|share| rounded(share * 1e3 / count.max(1) as f64));
    let ticks = after.ticks.as_ref().zip(before.ticks.as_ref());
    let ticks = ticks.map(|(after, before)| after.since(before));
    let lateness = ticks.and_then(|ticks| ticks.p99_lateness);
    let mib = |bytes: u64| rounded(bytes as f64 / f64::from(1 << 20));
    ServerSide {
        cpu_percent: cpu_share.map(percent),
        cpu_ms_per_participant: by(joined),
        cpu_ms_per_talker: by(talkers).filter(|_| talkers > 0),
        memory_mib: after.server_memory_bytes.map(mib),
        tick_lateness_p99_ms: lateness.map(|lateness| rounded(lateness.as_secs_f64() * 1e3)),
        ticks: ticks.map(|ticks| ticks.ran),
        ticks_skipped: ticks.map(|ticks| ticks.skipped),
    }
}

fn client_side(engines: &[EngineReport], clients: &[&Client], seconds: f64) -> ClientSide {
    let share = |engine: &EngineReport| engine.cpu_time.as_secs_f64() / seconds;
    ClientSide {
        lateness: Summary::of(clients.iter().flat_map(|client| client.lateness.iter().copied())),
        busiest_thread_percent: percent(engines.iter().map(share).fold(0.0, f64::max)),
        cpu_percent: percent(engines.iter().map(share).sum()),
        dropped_datagrams: engines.iter().map(|engine| engine.dropped).sum(),
        unsent_datagrams: clients.iter().map(|client| client.unsent).sum(),
        ..ClientSide::default()
    }
}

fn percent(share: f64) -> f64 {
    rounded(share * 100.0)
}
