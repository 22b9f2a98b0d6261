//! What a packet to a listener allocates: what str0m does, and nothing on top of it; and what a
//! session holds.
#![allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use foldback_allocations::{CountingAllocator, held_bytes_of_this_thread, of_this_thread};
use foldback_peer::{
    Closed, Contributor, EchoStrings, MixedPacket, NetworkReport, OutgoingFrame, Payloads, Peer,
    PeerOptions, ReceivedFrame, Route, Sink, install_crypto,
};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues};
use str0m::{Candidate, Event, Input, Output, Rtc};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// RFC 6465.
const LEVELS_URI: &str = "urn:ietf:params:rtp-hdrext:csrc-audio-level";
const PACKET: Duration = Duration::from_millis(20);
/// Packets before counting begins: queues have their size then, and payloads were of each length.
const WARM_UP: u32 = 200;
/// Packets counted: a second, so that reports are among them.
const COUNTED: u32 = 50;
/// What str0m 0.25 with aws-lc-rs allocates for one packet: the encrypted datagram.
const BY_STR0M: u64 = 1;
/// And what for the levels of those who are heard: a map of one entry, and a copy of it.
const FOR_LEVELS: u64 = 2;
/// The most that a session holds, in KiB: most of it is str0m's.
const MOST_HELD_KIB: i64 = 62;

#[test]
fn a_packet_to_a_listener_allocates_what_str0m_does_and_no_more() {
    let mut session = Session::connect(false, false);
    assert_eq!(session.median_of_packet(false), BY_STR0M);
}

#[test]
fn neither_does_a_copy_of_the_packet_before_allocate() {
    let mut session = Session::connect(true, false);
    assert_eq!(session.median_of_packet(true), BY_STR0M);
}

#[test]
fn nor_do_levels_but_for_where_str0m_keeps_them() {
    let mut session = Session::connect(false, true);
    assert_eq!(session.median_of_packet(false), BY_STR0M + FOR_LEVELS);
}

#[test]
fn a_session_that_has_lasted_for_a_minute_holds_few_kib() {
    let mut session = Session::connect(true, true);
    for _ in 0..60 * 50 {
        session.pass();
        session.send(true);
    }
    let held = held_bytes_of_this_thread();
    drop(session.peer);
    let kib = (held - held_bytes_of_this_thread()) / 1024;
    println!("a session holds {kib} KiB");
    assert!(kib <= MOST_HELD_KIB, "{kib} KiB");
}

struct Session {
    now: Instant,
    peer: Peer,
    client: Rtc,
    connected: bool,
    frame: OutgoingFrame,
    payloads: Payloads,
    number: u32,
}

impl Session {
    /// A session whose client takes copies or not, and levels of contributors or not.
    fn connect(red: bool, levels: bool) -> Self {
        let now = Instant::now();
        install_crypto(now);
        let mut config = Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, red);
        if levels {
            config = config.set_extension(9, Extension::with_serializer(LEVELS_URI, Levels));
        }
        let mut client = config.build(now);
        client.add_local_candidate(Candidate::host(client_address(), "udp").expect("valid"));
        let mut api = client.sdp_api();
        api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("something was added");
        let options = PeerOptions::at(vec![server_address()]);
        let (peer, answer) =
            Peer::accept(&offer.to_sdp_string(), &options, EchoStrings::No, now).expect("good");
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer");
        client.sdp_api().accept_answer(pending, answer).expect("it fits");
        let mut session = Self {
            now,
            peer,
            client,
            connected: false,
            frame: OutgoingFrame::default(),
            payloads: Payloads::default(),
            number: 0,
        };
        for _ in 0..500 {
            session.pass();
        }
        assert!(session.connected && session.peer.is_connected());
        session
    }

    /// Lets 20 ms pass on both sides.
    fn pass(&mut self) {
        self.now += PACKET;
        self.client.handle_input(Input::Timeout(self.now)).expect("time passes");
        let mut to_client = Datagrams::default();
        self.peer.handle_timeout(self.now, &mut to_client);
        loop {
            let to_server = self.drain();
            if to_server.is_empty() && to_client.0.is_empty() {
                return;
            }
            for datagram in to_client.0.drain(..) {
                let receive =
                    Receive::new(Protocol::Udp, server_address(), client_address(), &datagram)
                        .expect("a datagram of WebRTC");
                let input = Input::Receive(self.now, receive);
                self.client.handle_input(input).expect("the datagram is good");
            }
            for datagram in to_server {
                let route = Route::udp(client_address(), server_address());
                self.peer.receive(self.now, route, &datagram, &mut to_client);
            }
        }
    }

    /// What the client sends.
    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        loop {
            match self.client.poll_output().expect("the session lives") {
                Output::Timeout(_) => return datagrams,
                Output::Transmit(t) => datagrams.push(t.contents.to_vec()),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(_) => {}
            }
        }
    }

    /// Allocations for most packets, that it is made included.
    fn median_of_packet(&mut self, copies: bool) -> u64 {
        let mut counts: Vec<_> = (0..WARM_UP + COUNTED)
            .map(|_| {
                self.pass();
                self.send(copies)
            })
            .skip(WARM_UP as usize)
            .collect();
        counts.sort_unstable();
        counts[counts.len() / 2]
    }

    fn send(&mut self, copies: bool) -> u64 {
        self.number += 1;
        let bytes = [self.number as u8; 120];
        let length = |number: u32| 80 + (number as usize * 7) % 20;
        let packet = MixedPacket {
            rtp_time: self.number * 960,
            payload: &bytes[..length(self.number)],
            marker: false,
            copy: copies.then_some((&bytes[..length(self.number - 1)], 960)),
            captured: None,
        };
        let heard =
            [20, 30, 40].map(|level_minus_dbov| Contributor { source: 7, level_minus_dbov });
        let mut sent = Counted::default();
        let before = of_this_thread();
        self.frame.set(packet, heard.into_iter(), &mut self.payloads);
        self.peer.send(self.now, &mut self.frame, &mut self.payloads, &mut sent);
        let allocations = of_this_thread() - before;
        assert!(sent.0 > 0, "it was sent");
        allocations
    }
}

/// What a client offers to read, and does not.
#[derive(Debug)]
struct Levels;

impl ExtensionSerializer for Levels {
    fn write_to(&self, _buffer: &mut [u8], _values: &ExtensionValues) -> usize {
        0
    }
    fn parse_value(&self, _buffer: &[u8], _values: &mut ExtensionValues) -> bool {
        true
    }
    fn is_video(&self) -> bool {
        false
    }
    fn is_audio(&self) -> bool {
        true
    }
}

/// Keeps what is sent.
#[derive(Default)]
struct Datagrams(Vec<Vec<u8>>);

/// Counts it.
#[derive(Default)]
struct Counted(usize);

impl Sink for Datagrams {
    fn transmit(&mut self, _route: Route, datagram: &[u8]) {
        self.0.push(datagram.to_vec());
    }
    fn frame(&mut self, _frame: ReceivedFrame) {}
    fn connected(&mut self) {}
    fn closed(&mut self, why: Closed) {
        panic!("{why:?}");
    }
    fn report(&mut self, _report: NetworkReport) {}
}

impl Sink for Counted {
    fn transmit(&mut self, _route: Route, _datagram: &[u8]) {
        self.0 += 1;
    }
    fn frame(&mut self, _frame: ReceivedFrame) {}
    fn connected(&mut self) {}
    fn closed(&mut self, why: Closed) {
        panic!("{why:?}");
    }
    fn report(&mut self, _report: NetworkReport) {}
}

fn server_address() -> SocketAddr {
    ([192, 0, 2, 7], 8000).into()
}

fn client_address() -> SocketAddr {
    ([192, 0, 2, 9], 5000).into()
}
