//! A whole conference in simulated time: str0m clients, a seeded network, the real sessions and
//! the real room.
//!
//! Everything between a client's samples and another client's samples is what runs in the server,
//! but for the worker's socket and clock. An hour takes seconds, and the same seed gives the same
//! samples.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use audiopus::coder::{Decoder, Encoder};
use audiopus::packet::Packet;
use audiopus::{Application, Bitrate, Channels, MutSignals, SampleRate};
use foldback_chain::{ChainSpec, NoProbe};
use foldback_peer::{
    Closed, EchoStrings, NetworkReport, OutgoingFrame, Peer, PeerOptions, ReceivedFrame, Sink,
};
use foldback_room::{Admission, EncodedFrame, OpusSettings, ParticipantId, Room, RoomSpec, TICK};
use str0m::change::SdpPendingOffer;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::alloc::no_alloc;
use crate::clock::SimClock;
use crate::net::{LinkSpec, Network};

/// Samples in a client's packet: 20 ms.
const PACKET: usize = 960;

/// What a client says: its samples from position `at` (in samples since it began) into the slice;
/// false where it is silent and sends nothing (DTX).
pub type Voice = Box<dyn FnMut(u64, &mut [f32]) -> bool>;

/// A conference in one room.
pub struct SimConference {
    clock: SimClock,
    network: Network<SocketAddr, Vec<u8>>,
    link: LinkSpec,
    room: Room,
    peers: BTreeMap<ParticipantId, Peer>,
    clients: BTreeMap<ParticipantId, SimClient>,
    left: Vec<(ParticipantId, Closed)>,
    tapped: BTreeMap<ParticipantId, Vec<f32>>,
    joined: u64,
    ticks: u64,
}

impl SimConference {
    /// An empty room with that chain, on a network from that seed. Once a client is connected, its
    /// links in both directions are as `link` says; until then they only delay, since keys and
    /// signatures are not from the seed, and how many datagrams they fill would shift what befalls
    /// all later ones.
    ///
    /// # Panics
    /// If the room cannot be built.
    #[must_use]
    pub fn new(seed: u64, chain: Arc<ChainSpec>, opus: OpusSettings, link: LinkSpec) -> Self {
        let clock = SimClock::new();
        foldback_peer::install_crypto(clock.now());
        Self {
            network: Network::new(seed, LinkSpec::delayed(link.delay)),
            link,
            room: Room::new(RoomSpec { chain, opus }).expect("a room"),
            peers: BTreeMap::new(),
            clients: BTreeMap::new(),
            left: Vec::new(),
            tapped: BTreeMap::new(),
            joined: 0,
            ticks: 0,
            clock,
        }
    }

    /// A client joins; its voice begins once it is connected. `records` keeps what it hears.
    ///
    /// # Panics
    /// If the session cannot be built.
    pub fn join(&mut self, voice: Voice, records: bool) -> ParticipantId {
        self.joined += 1;
        let number = self.joined;
        let id = ParticipantId(number);
        let now = self.clock.now();
        let (mut client, offer) = SimClient::new(number, voice, records, now);
        let options = PeerOptions { candidates: vec![server_address()] };
        let (peer, answer) =
            Peer::accept(&offer, &options, EchoStrings::No, now).expect("the offer is usable");
        client.accept(&answer);
        self.room.join(id, Admission::build(self.room.spec()).expect("a participant"));
        self.peers.insert(id, peer);
        self.clients.insert(id, client);
        id
    }

    /// Lets a client encode as well as Opus can, where the test is about what the room adds.
    ///
    /// # Panics
    /// If there is none of that number.
    pub fn encode_well(&mut self, id: ParticipantId) {
        let encoder = &mut self.clients.get_mut(&id).expect("a client").encoder;
        encoder.set_bitrate(Bitrate::BitsPerSecond(256_000)).expect("valid");
        encoder.set_complexity(10).expect("valid");
    }

    /// Lets `time` pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.clock.now() + time;
        while self.clock.now() < end {
            self.step();
        }
    }

    /// Lets one tick pass. `Room::tick` runs under the allocation guard.
    pub fn step(&mut self) {
        let tick_at = self.clock.now() + TICK;
        self.let_clients_speak(self.clock.now());
        while self.network.next_arrival().is_some_and(|at| at <= tick_at) {
            let Some(datagram) = self.network.receive(tick_at) else { break };
            self.clock.advance_to(datagram.at);
            self.deliver(datagram.at, datagram.from, datagram.to, &datagram.payload);
        }
        let now = self.clock.advance_to(tick_at);
        self.ticks += 1;
        no_alloc(|| self.room.tick(now, &mut NoProbe));
        self.send_packets(now);
        self.pass_timeouts(now);
        if self.ticks.is_multiple_of(2) {
            for (id, samples) in &mut self.tapped {
                if let Some(mix) = self.room.mix_heard_by(*id) {
                    samples.extend_from_slice(mix);
                }
            }
        }
    }

    /// Keeps from now on what is sent to a participant, as it was before the encoder.
    pub fn tap(&mut self, id: ParticipantId) {
        self.tapped.insert(id, Vec::new());
    }

    /// What was kept since [`Self::tap`].
    ///
    /// # Panics
    /// If that participant is not tapped.
    #[must_use]
    pub fn tapped(&self, id: ParticipantId) -> &[f32] {
        &self.tapped[&id]
    }

    /// Who was lost, and why, in order.
    #[must_use]
    pub fn lost(&self) -> &[(ParticipantId, Closed)] {
        &self.left
    }

    /// The room, to look into.
    #[must_use]
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// The network, to change it or ask what it did.
    pub fn network(&mut self) -> &mut Network<SocketAddr, Vec<u8>> {
        &mut self.network
    }

    /// A client.
    ///
    /// # Panics
    /// If there is none of that number.
    #[must_use]
    pub fn client(&self, id: ParticipantId) -> &SimClient {
        &self.clients[&id]
    }

    /// The room mutes or unmutes a participant.
    pub fn set_muted(&mut self, id: ParticipantId, muted: bool) {
        self.room.set_muted(id, muted);
    }

    /// A client is gone without a word: nothing of it arrives any more.
    pub fn vanish(&mut self, id: ParticipantId) {
        self.clients.remove(&id);
    }

    /// The room lets a participant go.
    pub fn leave(&mut self, id: ParticipantId) {
        self.peers.remove(&id);
        self.room.leave(id);
    }

    /// When the last datagram of a participant came in.
    ///
    /// # Panics
    /// If there is none of that number.
    #[must_use]
    pub fn last_received(&self, id: ParticipantId) -> Instant {
        self.peers[&id].last_received()
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    fn let_clients_speak(&mut self, now: Instant) {
        if !self.ticks.is_multiple_of(2) {
            return;
        }
        for client in self.clients.values_mut() {
            client.speak(now, &mut self.network);
        }
    }

    fn deliver(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if to == server_address() {
            let id = participant_at(from);
            if let Some(peer) = self.peers.get_mut(&id) {
                let mut sink = Outputs::new(now, id, &mut self.network, Some(&mut self.room));
                peer.receive(now, from, to, bytes, &mut sink);
                self.left.extend(sink.closed.map(|why| (id, why)));
            }
        } else if let Some(client) = self.clients.get_mut(&participant_at(to)) {
            let was_connected = client.connected;
            client.receive(now, from, bytes, &mut self.network);
            if client.connected && !was_connected {
                self.network.set_link(from, to, self.link.clone());
                self.network.set_link(to, from, self.link.clone());
            }
        }
    }

    fn send_packets(&mut self, now: Instant) {
        let mut payloads: BTreeMap<usize, Arc<[u8]>> = BTreeMap::new();
        for packet in self.room.packets() {
            let shared = payloads.entry(packet.mix).or_insert_with(|| Arc::from(packet.payload));
            let frame = OutgoingFrame {
                rtp_time: packet.rtp_time,
                payload: Arc::clone(shared),
                marker: packet.marker,
            };
            if let Some(peer) = self.peers.get_mut(&packet.to) {
                let mut sink = Outputs::new(now, packet.to, &mut self.network, None);
                peer.send(now, &frame, &mut sink);
                self.left.extend(sink.closed.map(|why| (packet.to, why)));
            }
        }
    }

    fn pass_timeouts(&mut self, now: Instant) {
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.timeout() <= now) {
            let mut sink = Outputs::new(now, *id, &mut self.network, Some(&mut self.room));
            peer.handle_timeout(now, &mut sink);
            self.left.extend(sink.closed.map(|why| (*id, why)));
        }
        for client in self.clients.values_mut().filter(|client| client.timeout <= now) {
            client.pass(now, &mut self.network);
        }
    }
}

/// A browser's side: a session, an encoder, a decoder.
pub struct SimClient {
    rtc: Rtc,
    pending: Option<SdpPendingOffer>,
    mid: Mid,
    opus: Option<Pt>,
    address: SocketAddr,
    voice: Voice,
    encoder: Encoder,
    decoder: Option<Decoder>,
    heard: Vec<f32>,
    packets_heard: u64,
    connected: bool,
    position: u64,
    next_seq: u64,
    timeout: Instant,
}

impl SimClient {
    /// What it heard since it connected, 48 kHz mono; packets are decoded as they come, without a
    /// jitter buffer. Empty unless it records.
    #[must_use]
    pub fn heard(&self) -> &[f32] {
        &self.heard
    }

    /// How many packets came.
    #[must_use]
    pub fn packets_heard(&self) -> u64 {
        self.packets_heard
    }

    /// Whether ICE and DTLS are up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    fn new(number: u64, voice: Voice, records: bool, now: Instant) -> (Self, String) {
        let address = client_address(number);
        let mut rtc =
            Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, false).build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a plain address"));
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("a media line was added");
        let mut encoder = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip)
            .expect("an encoder");
        // Cheap, so that long conferences run fast; see `SimConference::encode_well`.
        encoder.set_bitrate(Bitrate::BitsPerSecond(40_000)).expect("valid");
        encoder.set_complexity(0).expect("valid");
        let decoder = || Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder");
        let client = Self {
            rtc,
            pending: Some(pending),
            mid,
            opus: None,
            address,
            voice,
            encoder,
            decoder: records.then(decoder),
            heard: Vec::new(),
            packets_heard: 0,
            connected: false,
            position: 0,
            next_seq: 1,
            timeout: now,
        };
        (client, offer.to_sdp_string())
    }

    fn accept(&mut self, answer: &str) {
        let answer = str0m::change::SdpAnswer::from_sdp_string(answer).expect("an answer");
        let pending = self.pending.take().expect("one answer for one offer");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("the answer fits");
        self.opus = self.rtc.codec_config().params().first().map(|params| params.pt());
    }

    fn speak(&mut self, now: Instant, network: &mut Network<SocketAddr, Vec<u8>>) {
        if !self.connected {
            return;
        }
        let mut pcm = [0.0; PACKET];
        let audible = (self.voice)(self.position, &mut pcm);
        let rtp_time = u32::try_from(self.position % (1 << 32)).expect("below 2^32");
        self.position += PACKET as u64;
        if !audible {
            return;
        }
        let mut bytes = [0; 1275];
        let length = self.encoder.encode_float(&pcm, &mut bytes).expect("encodes");
        let write = RtpWrite::new(
            self.opus.expect("negotiated"),
            self.next_seq.into(),
            rtp_time,
            now,
            &bytes[..length],
        );
        self.next_seq += 1;
        let mut api = self.rtc.direct_api();
        api.stream_tx_by_mid(self.mid, None).expect("a sending stream").write_rtp(write);
        self.pass(now, network);
    }

    fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
        network: &mut Network<SocketAddr, Vec<u8>>,
    ) {
        if let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, bytes) {
            // A network may corrupt nothing here; what str0m refuses is a finding.
            self.rtc.handle_input(Input::Receive(now, receive)).expect("the datagram is good");
            self.drain(now, network);
        }
    }

    fn pass(&mut self, now: Instant, network: &mut Network<SocketAddr, Vec<u8>>) {
        self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        self.drain(now, network);
    }

    fn drain(&mut self, now: Instant, network: &mut Network<SocketAddr, Vec<u8>>) {
        loop {
            match self.rtc.poll_output().expect("the session lives") {
                Output::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
                Output::Transmit(t) => {
                    network.send(now, t.source, t.destination, t.contents.to_vec());
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(packet)) => self.hear(&packet.payload),
                Output::Event(_) => {}
            }
        }
    }

    fn hear(&mut self, payload: &[u8]) {
        self.packets_heard += 1;
        let Some(decoder) = &mut self.decoder else { return };
        let mut pcm = [0.0; 5760];
        let packet = Packet::try_from(payload).expect("not empty");
        let signals = MutSignals::try_from(&mut pcm[..]).expect("not empty");
        let count = decoder.decode_float(Some(packet), signals, false).expect("Opus");
        self.heard.extend_from_slice(&pcm[..count]);
    }
}

struct Outputs<'a> {
    now: Instant,
    id: ParticipantId,
    network: &'a mut Network<SocketAddr, Vec<u8>>,
    room: Option<&'a mut Room>,
    closed: Option<Closed>,
}

impl<'a> Outputs<'a> {
    fn new(
        now: Instant,
        id: ParticipantId,
        network: &'a mut Network<SocketAddr, Vec<u8>>,
        room: Option<&'a mut Room>,
    ) -> Self {
        Self { now, id, network, room, closed: None }
    }
}

impl Sink for Outputs<'_> {
    fn transmit(&mut self, source: SocketAddr, destination: SocketAddr, datagram: &[u8]) {
        self.network.send(self.now, source, destination, datagram.to_vec());
    }

    fn frame(&mut self, frame: ReceivedFrame) {
        let ReceivedFrame { seq, rtp_time, level_minus_dbov, payload, arrival } = frame;
        if let Some(room) = &mut self.room {
            let frame = EncodedFrame { seq, rtp_time, level_minus_dbov, payload, arrival };
            room.push(self.id, frame);
        }
    }

    fn connected(&mut self) {}

    fn closed(&mut self, why: Closed) {
        self.closed = Some(why);
    }

    fn report(&mut self, _report: NetworkReport) {}
}

fn server_address() -> SocketAddr {
    (Ipv4Addr::new(10, 1, 0, 1), 8000).into()
}

fn client_address(number: u64) -> SocketAddr {
    let [.., high, low] = number.to_be_bytes();
    (Ipv4Addr::new(10, 0, high, low), 5000).into()
}

fn participant_at(address: SocketAddr) -> ParticipantId {
    match address {
        SocketAddr::V4(v4) => {
            let [_, _, high, low] = v4.ip().octets();
            ParticipantId(u64::from(high) << 8 | u64::from(low))
        }
        SocketAddr::V6(_) => unreachable!("clients have IPv4 addresses here"),
    }
}
