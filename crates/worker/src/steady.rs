//! What a whole worker allocates while everybody stays as they are: what str0m does for each
//! packet, and nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use foldback_allocations::of_this_thread;
use foldback_chain::{ChainSpec, MixSpec};
use foldback_metrics::Metrics;
use foldback_peer::{EchoStrings, Peer, PeerOptions, Transport, install_crypto};
use foldback_record::{Intake, ring};
use foldback_room::{
    Admission, Economies, LatencyProfile, OpusSettings, ParticipantId, Room, RoomSpec, TICK,
};
use foldback_stage::StageFormat;
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Receive, TcpType};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event as ClientEvent, Input, Output, Rtc};
use tokio::sync::mpsc::{self, Receiver};

use crate::control::{Command, Connection, Event, Join, RoomKey};
use crate::ears::Ear;
use crate::framing::{Deframer, MAX_FRAMED_BYTES, frame};
use crate::media::{LEVELS_EVERY_TICKS, STATS_EVERY_TICKS, Worker, WorkerConfig};
use crate::socket::{MediaSocket, Ready, ReceiveBuffers};
use crate::streams::MediaStream;

const PARTICIPANTS: u64 = 4;
const RECORDER: ParticipantId = ParticipantId(99);
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Opus that says "silence" in 20 ms.
const PAYLOAD: [u8; 3] = [0xf8, 0xff, 0xfe];
/// What str0m 0.25 with aws-lc-rs allocates for a packet out (the encrypted datagram), and for one
/// in (decrypted, and its payload).
const OUT: i64 = 1;
const IN: i64 = 2;

#[test]
fn a_worker_allocates_for_packets_what_str0m_does_and_nothing_else() {
    allocates_nothing_of_its_own(Transport::Udp);
}

#[test]
fn nor_does_it_for_those_who_come_by_tcp() {
    allocates_nothing_of_its_own(Transport::Tcp);
}

fn allocates_nothing_of_its_own(transport: Transport) {
    let mut bench = Bench::new(transport);
    bench.connect();
    assert_nothing_else(&mut bench, || {});
}

#[test]
fn nor_does_it_while_the_room_is_recorded() {
    let mut bench = Bench::new(Transport::Udp);
    bench.connect();
    let mut intake = bench.record();
    let (mut mixed, mut voices) = (0, 0);
    assert_nothing_else(&mut bench, || {
        mixed += std::iter::from_fn(|| intake.next_mix()).count();
        voices += std::iter::from_fn(|| intake.next_voice()).count();
    });
    let ticks = 12 * STATS_EVERY_TICKS as usize;
    assert!(mixed.abs_diff(ticks / 2) <= 1, "{mixed} packets of the mix");
    assert_eq!(voices, ticks * PARTICIPANTS as usize);
    assert_eq!(intake.missed().count(), 0);
    bench.command(Command::Unlisten(RoomKey(1), RECORDER));
    bench.tick();
    assert!(intake.is_over());
}

/// Runs for 12 s of ticks, `after` each of which something else may be done.
fn assert_nothing_else(bench: &mut Bench, mut after: impl FnMut()) {
    let (mut quiet, mut packets, mut levels, mut figures, mut received) =
        (vec![], vec![], vec![], vec![], vec![]);
    for number in 0..12 * STATS_EVERY_TICKS {
        let sent = bench.speak();
        let (of_receive, of_tick) = (bench.receive(), bench.tick());
        after();
        if number < 2 * STATS_EVERY_TICKS {
            continue;
        }
        received.push(of_receive - sent * IN);
        let closes_packet = bench.worker.ticks.is_multiple_of(2);
        let of_us = of_tick - i64::from(closes_packet) * PARTICIPANTS as i64 * OUT;
        match bench.worker.ticks {
            ticks if ticks.is_multiple_of(STATS_EVERY_TICKS) => figures.push(of_us),
            ticks if ticks.is_multiple_of(LEVELS_EVERY_TICKS) => levels.push(of_us),
            _ if closes_packet => packets.push(of_us),
            _ => quiet.push(of_us),
        }
    }
    assert_eq!(bench.worker.members.len() as u64, PARTICIPANTS);
    for (what, mut counts) in [
        ("without packets", quiet),
        ("with packets", packets),
        ("with levels", levels),
        ("with figures", figures),
        ("receiving", received),
    ] {
        counts.sort_unstable();
        // Now and then a session has more to do: reports, checks of consent.
        assert_eq!(counts[counts.len() / 2], 0, "{what}: {counts:?}");
    }
}

/// A worker that this thread runs, and browsers that it runs too.
struct Bench {
    worker: Worker,
    commands: SyncSender<Command>,
    events: Receiver<Event>,
    buffers: ReceiveBuffers,
    clients: Vec<Client>,
    deadline: Instant,
    spec: RoomSpec,
}

impl Bench {
    fn new(transport: Transport) -> Self {
        install_crypto(Instant::now());
        let socket = MediaSocket::bind(0, &[LOCALHOST], &[LOCALHOST]).expect("a free port");
        let candidates = socket.candidates().to_vec();
        let (commands, queue) = sync_channel(64);
        let (sender, events) = mpsc::channel(64);
        let metrics = Metrics::default().for_worker();
        let on_start = || {};
        let config = WorkerConfig {
            index: 0,
            max_load: 0.0,
            threads: 1,
            realtime_priority: 0,
            socket,
            metrics,
            events: sender,
            on_start,
        };
        let mix = Some(MixSpec { max_talkers: 8 });
        let chain = ChainSpec {
            name: "clean".into(),
            format: StageFormat::MONO,
            input: vec![],
            mix,
            output: vec![],
        };
        let spec = RoomSpec {
            chain: Arc::new(chain),
            opus: OpusSettings::default(),
            latency: LatencyProfile::Balanced,
            economies: Economies::default(),
        };
        let mut bench = Self {
            worker: Worker::new(config, queue),
            commands,
            events,
            buffers: ReceiveBuffers::default(),
            clients: Vec::new(),
            deadline: Instant::now(),
            spec,
        };
        let spec = bench.spec.clone();
        let room = Room::new(spec.clone()).expect("a room");
        bench.command(Command::OpenRoom(RoomKey(1), Box::new(room)));
        for id in 1..=PARTICIPANTS {
            let (client, peer, stream) = Client::new(candidates[0], transport);
            bench.clients.push(client);
            bench.command(Command::Join(Box::new(Join {
                room: RoomKey(1),
                id: ParticipantId(id),
                connection: peer.into(),
                admission: Admission::build(&spec).expect("an admission"),
                muted: false,
                gain_db: 0.0,
                heard: Vec::new(),
            })));
            stream.into_iter().for_each(|stream| bench.command(Command::Stream(stream)));
        }
        bench
    }

    /// Has the room recorded, mix and voices.
    fn record(&mut self) -> Intake {
        let (feed, intake) = ring(true, true, None);
        let admission = Some(Admission::build(&self.spec).expect("an admission"));
        let ear = Ear { room: RoomKey(1), id: RECORDER, admission, feed };
        self.command(Command::Listen(Box::new(ear)));
        intake
    }

    fn command(&mut self, command: Command) {
        self.commands.try_send(command).expect("there is room");
        self.worker.take_commands();
    }

    fn connect(&mut self) {
        let begun = Instant::now();
        while !self.clients.iter().all(|client| client.connected)
            || !self.worker.members.values().all(|member| match &member.connection {
                Connection::Browser(peer) => peer.is_connected(),
                Connection::Line(_) => true,
            })
        {
            assert!(begun.elapsed() < Duration::from_secs(20), "they connect");
            self.clients.iter_mut().for_each(Client::pass);
            self.receive();
            self.tick();
        }
    }

    /// Lets each client send a packet and read what it was sent; says how many packets there were.
    fn speak(&mut self) -> i64 {
        self.clients.iter_mut().for_each(Client::speak);
        self.clients.len() as i64
    }

    /// Allocations of reading what came.
    fn receive(&mut self) -> i64 {
        let before = of_this_thread();
        let deadline = Instant::now() + TICK;
        self.worker.receive(&mut self.buffers, Ready::EVERYWHERE, deadline);
        (of_this_thread() - before) as i64
    }

    /// Allocations of a tick. What it tells is read at once.
    fn tick(&mut self) -> i64 {
        self.deadline += TICK;
        let before = of_this_thread();
        self.worker.tick(self.deadline);
        self.worker.outbox.flush(self.worker.metrics.count());
        let allocations = (of_this_thread() - before) as i64;
        while let Ok(event) = self.events.try_recv() {
            assert!(!matches!(event, Event::Left { .. }), "{event:?}");
        }
        allocations
    }
}

struct Client {
    rtc: Rtc,
    wire: Wire,
    transport: Transport,
    address: SocketAddr,
    server: SocketAddr,
    mid: Mid,
    opus: Pt,
    connected: bool,
    packets: u32,
}

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Deframer),
}

impl Wire {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        match self {
            Self::Udp(socket) => {
                socket.send_to(datagram, to).expect("there is room");
            }
            Self::Tcp(socket, _) => {
                let mut bytes = [0; MAX_FRAMED_BYTES];
                let length = frame(datagram, &mut bytes).expect("not too long");
                socket.write_all(&bytes[..length]).expect("there is room");
            }
        }
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        let read = match self {
            Self::Udp(socket) => socket.recv(into),
            Self::Tcp(socket, deframer) => loop {
                if let Some(datagram) = deframer.datagram().expect("not too long") {
                    let length = datagram.len();
                    into[..length].copy_from_slice(datagram);
                    deframer.pass();
                    break Ok(length);
                }
                match socket.read(deframer.space()) {
                    Ok(bytes) => deframer.add(bytes),
                    Err(error) => break Err(error),
                }
            },
        };
        match read {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            read => Some(read.expect("it is open")),
        }
    }
}

impl Client {
    /// One that is about to call `server`, its session there, and its connection where it has one.
    fn new(server: SocketAddr, transport: Transport) -> (Self, Peer, Option<Box<MediaStream>>) {
        let now = Instant::now();
        let (wire, server, address, stream) = match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind((LOCALHOST, 0)).expect("a free port");
                socket.set_nonblocking(true).expect("a socket");
                let address = socket.local_addr().expect("bound");
                (Wire::Udp(socket), server, address, None)
            }
            Transport::Tcp => {
                let listener = TcpListener::bind((LOCALHOST, 0)).expect("a free port");
                let server = listener.local_addr().expect("bound");
                let socket = TcpStream::connect(server).expect("it listens");
                socket.set_nonblocking(true).expect("a socket");
                socket.set_nodelay(true).expect("a socket");
                let (accepted, address) = listener.accept().expect("one came");
                let incoming = Deframer::default();
                let stream = MediaStream::new(accepted, address, server, incoming, ());
                let stream = Box::new(stream.expect("a socket"));
                (Wire::Tcp(socket, Deframer::default()), server, address, Some(stream))
            }
        };
        let mut rtc =
            Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, false).build(now);
        let mut options = PeerOptions::at(vec![]);
        let candidate = match transport {
            Transport::Udp => {
                options.candidates.push(server);
                Candidate::host(address, "udp")
            }
            Transport::Tcp => {
                options.tcp_candidates.push(server);
                Candidate::builder().tcp().host(address).tcptype(TcpType::Active).build()
            }
        };
        rtc.add_local_candidate(candidate.expect("valid"));
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("something was added");
        let offer = offer.to_sdp_string();
        let (peer, answer) = Peer::accept(&offer, &options, EchoStrings::No, now).expect("good");
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer");
        rtc.sdp_api().accept_answer(pending, answer).expect("it fits");
        let opus = rtc.codec_config().params().first().expect("Opus was negotiated").pt();
        let (connected, packets) = (false, 0);
        let client = Self { rtc, wire, transport, address, server, mid, opus, connected, packets };
        (client, peer, stream)
    }

    fn speak(&mut self) {
        self.packets += 1;
        let (seq, time) = (u64::from(self.packets), self.packets * 960);
        let write = RtpWrite::new(self.opus, seq.into(), time, Instant::now(), PAYLOAD.as_slice());
        let mut api = self.rtc.direct_api();
        api.stream_tx_by_mid(self.mid, None).expect("a sending stream").write_rtp(write);
        self.pass();
    }

    fn pass(&mut self) {
        let mut buffer = [0; 2000];
        self.rtc.handle_input(Input::Timeout(Instant::now())).expect("time passes");
        self.drain();
        while let Some(length) = self.wire.receive(&mut buffer) {
            let (from, to) = (self.server, self.address);
            let receive = Receive::new(self.transport.into(), from, to, &buffer[..length]);
            let input = Input::Receive(Instant::now(), receive.expect("WebRTC"));
            self.rtc.handle_input(input).expect("the datagram is good");
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().expect("the session lives") {
                Output::Timeout(_) => return,
                Output::Transmit(t) => self.wire.send(t.destination, &t.contents),
                Output::Event(ClientEvent::Connected) => self.connected = true,
                Output::Event(_) => {}
            }
        }
    }
}
