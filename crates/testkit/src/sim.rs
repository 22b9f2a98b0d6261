//! A whole conference in simulated time: str0m clients, a seeded network, the real sessions and
//! the real room.
//!
//! Everything between a client's samples and another client's samples is what runs in the server,
//! but for the worker's socket and clock. An hour takes seconds, and the same seed gives the same
//! samples.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use audiopus::coder::{Decoder, Encoder};
use audiopus::packet::Packet;
use audiopus::{Application, Bitrate, Channels, MutSignals, SampleRate};
use foldback_chain::{ChainSpec, NoProbe};
use foldback_peer::{
    Closed, EchoStrings, NetworkReport, Peer, PeerOptions, ReceivedFrame, Route, Sink,
};
use foldback_room::{
    Admission, ChainChange, Economies, InputChange, LatencyProfile, OpusSettings, ParticipantId,
    Room, RoomSpec, Sequential, Shedding, TICK,
};
use foldback_stage::BLOCK_SAMPLES;
use foldback_worker::{Fanout, encoded};
use str0m::change::SdpPendingOffer;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{
    AbsCaptureTime, Extension, ExtensionValues, RedDecoder, RedEncoder, RedundantBlock, RtpPacket,
    RtpWrite,
};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::acoustics::Acoustics;
use crate::alloc::no_alloc;
use crate::clock::SimClock;
use crate::net::{LinkSpec, Network};

/// Samples in a client's packet: 20 ms.
const PACKET: usize = 960;
/// What wall clocks show when a simulation begins: any time but the epoch itself.
const SIM_EPOCH: Duration = Duration::from_secs(1_700_000_000);
const PACKET_TIME: Duration = Duration::from_millis(20);

/// What a client says: its samples from position `at` (in samples since it began) into the slice;
/// false where it is silent and sends nothing (DTX).
pub type Voice = Box<dyn FnMut(u64, &mut [f32]) -> bool>;

/// What a client is like, beside its voice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientSpec {
    /// How much its clock is fast against the server's.
    pub ppm: f64,
    /// Whether each packet carries a copy of the one before it (RFC 2198).
    pub red: bool,
    /// Whether what it hears is kept.
    pub records: bool,
    /// How far its wall clock is ahead of the server's, in ms, if it tells when things were
    /// captured (abs-capture-time).
    pub tells_capture_ms_ahead: Option<u32>,
    /// RTP sequence number before its first packet, and RTP time of its first sample.
    pub rtp_begins_at: (u16, u32),
}

/// A conference in one room.
pub struct SimConference {
    clock: SimClock,
    network: Network<SocketAddr, Vec<u8>>,
    link: LinkSpec,
    room: Room,
    peers: BTreeMap<ParticipantId, Peer>,
    fanout: Fanout,
    clients: BTreeMap<ParticipantId, SimClient>,
    left: Vec<(ParticipantId, Closed)>,
    losses: Vec<(ParticipantId, f32)>,
    tapped: BTreeMap<ParticipantId, Vec<f32>>,
    joined: u64,
    ticks: u64,
    begun: Instant,
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
        Self::with_latency(seed, chain, opus, link, LatencyProfile::default())
    }

    /// As [`Self::new`], with another profile of `[latency]`.
    ///
    /// # Panics
    /// If the room cannot be built.
    #[must_use]
    pub fn with_latency(
        seed: u64,
        chain: Arc<ChainSpec>,
        opus: OpusSettings,
        link: LinkSpec,
        latency: LatencyProfile,
    ) -> Self {
        let clock = SimClock::new();
        foldback_peer::install_crypto(clock.now());
        let spec = RoomSpec { chain, opus, latency, economies: Economies::default() };
        Self {
            network: Network::new(seed, LinkSpec::delayed(link.delay)),
            link,
            room: Room::new(spec).expect("a room"),
            peers: BTreeMap::new(),
            fanout: Fanout::default(),
            clients: BTreeMap::new(),
            left: Vec::new(),
            losses: Vec::new(),
            tapped: BTreeMap::new(),
            joined: 0,
            ticks: 0,
            begun: clock.now(),
            clock,
        }
    }

    /// A client joins; its voice begins once it is connected. `records` keeps what it hears.
    ///
    /// # Panics
    /// If the session cannot be built.
    pub fn join(&mut self, voice: Voice, records: bool) -> ParticipantId {
        self.join_as(ClientSpec { records, ..ClientSpec::default() }, voice)
    }

    /// As [`Self::join`], for a client that is not like most.
    ///
    /// # Panics
    /// If the session cannot be built.
    pub fn join_as(&mut self, spec: ClientSpec, voice: Voice) -> ParticipantId {
        self.joined += 1;
        let number = self.joined;
        let id = ParticipantId(number);
        let now = self.clock.now();
        let (mut client, offer) = SimClient::new(number, spec, voice, now);
        let options = PeerOptions::at(vec![server_address()]);
        let (peer, answer) =
            Peer::accept(&offer, &options, EchoStrings::No, now).expect("the offer is usable");
        client.accept(&answer);
        self.room.join(id, Admission::build(self.room.spec()).expect("a participant"));
        self.room.set_dtx(id, peer.wants_dtx());
        self.room.set_stereo(id, peer.wants_stereo());
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

    /// Lets a client hear the room from a loudspeaker, whose sound its microphone captures too.
    ///
    /// # Panics
    /// If there is none of that number.
    pub fn set_acoustics(&mut self, id: ParticipantId, acoustics: Acoustics) {
        self.clients.get_mut(&id).expect("a client").acoustics = Some(acoustics);
    }

    /// What [`Self::set_acoustics`] gave a client.
    ///
    /// # Panics
    /// If there is none of that number, or it hears by headphones.
    pub fn acoustics(&mut self, id: ParticipantId) -> &mut Acoustics {
        let client = self.clients.get_mut(&id).expect("a client");
        client.acoustics.as_mut().expect("a loudspeaker")
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
        // Packets leave and arrive in the order of their times, whoever's clock they are by.
        loop {
            let speaker = self.clients.iter().filter_map(|(id, c)| Some((c.next_packet?, *id)));
            let speaker = speaker.min().filter(|(at, _)| *at < tick_at);
            let arrives = self.network.next_arrival().filter(|at| *at <= tick_at);
            match (speaker, arrives) {
                (Some((at, id)), arrives) if arrives.is_none_or(|arrives| at <= arrives) => {
                    self.clock.advance_to(at);
                    let client = self.clients.get_mut(&id).expect("it was just found");
                    client.speak(at, &mut self.network);
                }
                (_, Some(_)) => {
                    let Some(datagram) = self.network.receive(tick_at) else { break };
                    self.clock.advance_to(datagram.at);
                    self.deliver(datagram.at, datagram.from, datagram.to, &datagram.payload);
                }
                (_, None) => break,
            }
        }
        let now = self.clock.advance_to(tick_at);
        self.ticks += 1;
        no_alloc(|| self.room.tick(now, &mut NoProbe, &Sequential));
        self.send_packets(now);
        self.pass_timeouts(now);
        for (id, lost) in self.losses.drain(..) {
            self.room.report(id, lost);
        }
        if self.ticks.is_multiple_of(2) {
            for (id, samples) in &mut self.tapped {
                if let Some(mix) = self.room.mix_heard_by(*id) {
                    samples.extend_from_slice(mix);
                }
            }
        }
    }

    /// Another chain for the room. What earlier changes took out is freed.
    ///
    /// # Panics
    /// If a stage refuses, or the room does.
    pub fn change_chain(&mut self, to: &Arc<ChainSpec>) {
        let from = Arc::clone(&self.room.spec().chain);
        let of = |id: &ParticipantId| InputChange { id: *id, from: from.clone(), to: to.clone() };
        let inputs: Vec<_> = self.peers.keys().map(of).collect();
        self.change(to, &inputs);
    }

    /// Goes from the stages before `mix` of `from` to those of `to` for one participant; the others
    /// have the room's.
    ///
    /// # Panics
    /// As [`Self::change_chain`].
    pub fn change_input(&mut self, id: ParticipantId, from: &Arc<ChainSpec>, to: &Arc<ChainSpec>) {
        let room = Arc::clone(&self.room.spec().chain);
        let of = |other: &ParticipantId| {
            let (from, to) = if *other == id { (from, to) } else { (&room, &room) };
            InputChange { id: *other, from: Arc::clone(from), to: Arc::clone(to) }
        };
        let inputs: Vec<_> = self.peers.keys().map(of).collect();
        self.change(&room, &inputs);
    }

    fn change(&mut self, to: &Arc<ChainSpec>, inputs: &[InputChange]) {
        while self.room.take_over().is_some() {}
        let from = Arc::clone(&self.room.spec().chain);
        let change = ChainChange::build(&from, to, inputs).expect("it builds");
        let left = no_alloc(|| self.room.change_chain(change));
        drop(left.expect("the room takes it"));
    }

    /// Keeps from now on what is sent to a participant, as it was before the encoder.
    pub fn tap(&mut self, id: ParticipantId) {
        self.tapped.insert(id, Vec::new());
    }

    /// Ends what [`Self::tap`] began, and gives what was kept.
    ///
    /// # Panics
    /// If that participant is not tapped.
    pub fn untap(&mut self, id: ParticipantId) -> Vec<f32> {
        self.tapped.remove(&id).expect("it is tapped")
    }

    /// What was kept since [`Self::tap`].
    ///
    /// # Panics
    /// If that participant is not tapped.
    #[must_use]
    pub fn tapped(&self, id: ParticipantId) -> &[f32] {
        &self.tapped[&id]
    }

    /// Sets the way from the server to a client, and the way back.
    pub fn set_links(&mut self, id: ParticipantId, down: LinkSpec, up: LinkSpec) {
        let client = client_address(id.0);
        self.network.set_link(server_address(), client, down);
        self.network.set_link(client, server_address(), up);
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

    /// The room does without so much, as for a worker with too much to do.
    pub fn shed(&mut self, shedding: Shedding) {
        self.room.shed(shedding);
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

    fn deliver(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if to == server_address() {
            let id = participant_at(from);
            if let Some(peer) = self.peers.get_mut(&id) {
                let mut sink = Outputs::new(now, id, &mut self.network, Some(&mut self.room));
                peer.receive(now, Route::udp(from, to), bytes, &mut sink);
                self.left.extend(sink.closed.map(|why| (id, why)));
                self.losses.append(&mut sink.losses);
            }
        } else if let Some(client) = self.clients.get_mut(&participant_at(to)) {
            let was_connected = client.connected;
            client.receive(now, from, bytes, &mut self.network);
            if client.connected && !was_connected {
                // On the grid of all others, so that ways alone make the difference.
                let since = now.saturating_duration_since(self.begun);
                let packets = since.as_nanos().div_ceil(PACKET_TIME.as_nanos());
                let next = PACKET_TIME * u32::try_from(packets).expect("below 2.7 years");
                client.begin(self.begun + next);
                self.network.set_link(from, to, self.link.clone());
                self.network.set_link(to, from, self.link.clone());
            }
        }
    }

    fn send_packets(&mut self, now: Instant) {
        self.fanout.begin();
        let samples = self.room.spec().latency.blocks_per_packet() * BLOCK_SAMPLES;
        for packet in self.room.packets() {
            if let Some(peer) = self.peers.get_mut(&packet.to) {
                let (frame, payloads) = self.fanout.frame(&packet, samples);
                let mut sink = Outputs::new(now, packet.to, &mut self.network, None);
                peer.send(now, frame, payloads, &mut sink);
                self.left.extend(sink.closed.map(|why| (packet.to, why)));
                self.losses.append(&mut sink.losses);
            }
        }
    }

    fn pass_timeouts(&mut self, now: Instant) {
        let due = |peer: &Peer| peer.timeout().is_some_and(|at| at <= now);
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| due(peer)) {
            let mut sink = Outputs::new(now, *id, &mut self.network, Some(&mut self.room));
            peer.handle_timeout(now, &mut sink);
            self.left.extend(sink.closed.map(|why| (*id, why)));
            self.losses.append(&mut sink.losses);
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
    acoustics: Option<Acoustics>,
    heard: Vec<f32>,
    packets_heard: u64,
    copies_heard: u64,
    sources: Vec<u32>,
    captured: Option<Duration>,
    made_at: Instant,
    connected: bool,
    position: u64,
    /// When its voice began, and when its next packet is due.
    spoke_first: Instant,
    next_packet: Option<Instant>,
    spec: ClientSpec,
    red: Option<Pt>,
    last_payload: Option<Vec<u8>>,
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

    /// How many of them carried a copy of the one before (RFC 2198).
    #[must_use]
    pub fn copies_heard(&self) -> u64 {
        self.copies_heard
    }

    /// Who was heard in the packet that came last, the loudest first: CSRCs (RFC 3550).
    #[must_use]
    pub fn sources(&self) -> &[u32] {
        &self.sources
    }

    /// When the loudest in the packet that came last was captured, by that one's clock, as time
    /// since the simulation began.
    #[must_use]
    pub fn captured(&self) -> Option<Duration> {
        self.captured
    }

    /// Whether ICE and DTLS are up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    fn new(number: u64, spec: ClientSpec, voice: Voice, now: Instant) -> (Self, String) {
        let address = client_address(number);
        let builder = Rtc::builder().set_rtp_mode(true).clear_codecs();
        let mut rtc = builder
            .enable_opus(true, spec.red)
            .set_extension(5, Extension::AbsoluteCaptureTime)
            .build(now);
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
            decoder: spec.records.then(decoder),
            acoustics: None,
            heard: Vec::new(),
            packets_heard: 0,
            copies_heard: 0,
            sources: Vec::new(),
            captured: None,
            made_at: now,
            connected: false,
            position: 0,
            spoke_first: now,
            next_packet: None,
            spec,
            red: None,
            last_payload: None,
            next_seq: u64::from(spec.rtp_begins_at.0) + 1,
            timeout: now,
        };
        (client, offer.to_sdp_string())
    }

    fn accept(&mut self, answer: &str) {
        let answer = str0m::change::SdpAnswer::from_sdp_string(answer).expect("an answer");
        let pending = self.pending.take().expect("one answer for one offer");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("the answer fits");
        let codecs = self.rtc.codec_config();
        let opus = codecs.params().first().expect("Opus was negotiated");
        (self.opus, self.red) = (Some(opus.pt()), opus.red());
    }

    /// When on the server's clock the sample at `position` of its voice was captured.
    #[must_use]
    pub fn captured_at(&self, position: f64) -> Instant {
        self.spoke_first + Duration::from_secs_f64(position / 48e3 / (1.0 + self.spec.ppm * 1e-6))
    }

    fn begin(&mut self, at: Instant) {
        self.spoke_first = at;
        self.next_packet = Some(at + PACKET_TIME);
    }

    /// Sends the packet whose last sample was captured now.
    fn speak(&mut self, now: Instant, network: &mut Network<SocketAddr, Vec<u8>>) {
        let mut pcm = [0.0; PACKET];
        let mut audible = (self.voice)(self.position, &mut pcm);
        if let Some(acoustics) = &mut self.acoustics {
            acoustics.capture(&mut pcm);
            audible = true;
        }
        let rtp_time = self.spec.rtp_begins_at.1.wrapping_add(self.position as u32);
        self.position += PACKET as u64;
        self.next_packet = Some(self.captured_at((self.position + PACKET as u64) as f64));
        if !audible {
            self.last_payload = None;
            return;
        }
        let mut bytes = [0; 1275];
        let length = self.encoder.encode_float(&pcm, &mut bytes).expect("encodes");
        let opus = self.opus.expect("negotiated");
        let (pt, payload) = match self.red {
            Some(red) => (red, self.with_copy(opus, &bytes[..length])),
            None => (opus, bytes[..length].to_vec()),
        };
        let mut extensions = ExtensionValues::default();
        if let Some(ms) = self.spec.tells_capture_ms_ahead {
            // By its own clock, which began when the simulation did.
            let first = (now - PACKET_TIME).saturating_duration_since(self.made_at);
            let ahead = Duration::from_millis(u64::from(ms));
            extensions.abs_capture_time = Some(AbsCaptureTime {
                capture_time: SystemTime::UNIX_EPOCH + SIM_EPOCH + first + ahead,
                clock_offset: None,
            });
        }
        let write =
            RtpWrite::new(pt, self.next_seq.into(), rtp_time, now, payload).ext_vals(extensions);
        self.next_seq += 1;
        let mut api = self.rtc.direct_api();
        api.stream_tx_by_mid(self.mid, None).expect("a sending stream").write_rtp(write);
        self.pass(now, network);
    }

    fn with_copy(&mut self, opus: Pt, payload: &[u8]) -> Vec<u8> {
        let before = self.last_payload.replace(payload.to_vec());
        let copies = before.map(|payload| RedundantBlock {
            pt: *opus,
            timestamp_offset: PACKET as u32,
            payload,
        });
        RedEncoder::encode(*opus, payload, copies.as_slice())
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
                Output::Event(Event::RtpPacket(packet)) => self.hear(now, &packet),
                Output::Event(_) => {}
            }
        }
    }

    fn hear(&mut self, now: Instant, packet: &RtpPacket) {
        self.packets_heard += 1;
        let sources = &packet.header.csrc[..packet.header.csrc_count];
        self.sources = sources.to_vec();
        let captured = packet.header.ext_vals.abs_capture_time;
        if let Some(time) = captured {
            let since = time.capture_time.duration_since(SystemTime::UNIX_EPOCH);
            self.captured = since.ok().and_then(|since| since.checked_sub(SIM_EPOCH));
        }
        let with_copy = self.red == Some(packet.header.payload_type);
        self.copies_heard += u64::from(with_copy);
        let blocks = with_copy.then(|| RedDecoder::decode(&packet.payload).expect("RED"));
        let payload = match blocks.as_ref().and_then(|blocks| blocks.last()) {
            Some(block) => block.payload,
            None => &packet.payload[..],
        };
        if let Some(acoustics) = &mut self.acoustics {
            acoustics.arrived(now, *packet.seq_no, payload);
        }
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
    losses: Vec<(ParticipantId, f32)>,
}

impl<'a> Outputs<'a> {
    fn new(
        now: Instant,
        id: ParticipantId,
        network: &'a mut Network<SocketAddr, Vec<u8>>,
        room: Option<&'a mut Room>,
    ) -> Self {
        Self { now, id, network, room, closed: None, losses: Vec::new() }
    }
}

impl Sink for Outputs<'_> {
    fn transmit(&mut self, route: Route, datagram: &[u8]) {
        self.network.send(self.now, route.source, route.destination, datagram.to_vec());
    }

    fn frame(&mut self, frame: ReceivedFrame) {
        if let Some(room) = &mut self.room {
            room.push(self.id, encoded(frame));
        }
    }

    fn connected(&mut self) {}

    fn closed(&mut self, why: Closed) {
        self.closed = Some(why);
    }

    fn report(&mut self, report: NetworkReport) {
        if let Some(lost) = report.loss {
            self.losses.push((self.id, lost));
        }
    }
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
