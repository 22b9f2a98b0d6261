//! The running session.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

use crate::offer::{AudioLine, CandidateError, OfferError, PeerOptions, accept};

/// The label of data channels that are foldback's own; strings on others can be echoed.
const OWN_CHANNEL: &str = "foldback";

/// Where a [`Peer`] puts everything that follows from a change.
pub trait Sink {
    /// A datagram to send from `source` (one of the candidates) to `destination`.
    fn transmit(&mut self, source: SocketAddr, destination: SocketAddr, datagram: &[u8]);

    /// One Opus packet of the browser's microphone, as it came: unordered, maybe duplicated.
    fn frame(&mut self, frame: ReceivedFrame);

    /// ICE and DTLS are up; audio may be sent from now on.
    fn connected(&mut self);

    /// The session is over; nothing follows.
    fn closed(&mut self, why: Closed);

    /// What the other side reported, about once a second.
    fn report(&mut self, report: NetworkReport);
}

/// One Opus packet from the network.
#[derive(Clone)]
pub struct ReceivedFrame {
    /// RTP sequence number, extended beyond 16 bit (RFC 3711, section 3.3.1).
    pub seq: u64,
    /// RTP time at 48 kHz, extended beyond 32 bit.
    pub rtp_time: u64,
    /// The sender's own claim of its level in -dBov, 0 (loudest) to 127 (RFC 6464), if sent.
    pub level_minus_dbov: Option<u8>,
    /// The Opus packet.
    pub payload: Arc<[u8]>,
    /// When it was received.
    pub arrival: Instant,
}

/// One Opus packet to send.
#[derive(Clone, Debug)]
pub struct OutgoingFrame {
    /// RTP time at 48 kHz of its first sample.
    pub rtp_time: u32,
    /// The Opus packet; shared by all listeners that hear the same mix.
    pub payload: Arc<[u8]>,
    /// The first packet after a silence (RTP marker bit, RFC 7587 section 4.2).
    pub marker: bool,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The other side said goodbye (DTLS close_notify).
    ByPeer,
    /// The session failed: ICE lost the other side, or str0m refused to go on.
    Failed,
}

/// What receiver reports tell of the way to the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetworkReport {
    /// Round trip from RTCP receiver reports (RFC 3550, section 6.4.1).
    pub round_trip: Option<Duration>,
    /// Fraction of our packets lost on the way, 0..=1.
    pub loss: Option<f32>,
}

/// Whether strings on data channels that the other side opened are sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EchoStrings {
    /// Yes: the echo test.
    Yes,
    /// No.
    No,
}

/// One browser's session.
pub struct Peer {
    rtc: Rtc,
    audio: Option<AudioLine>,
    echo_strings: EchoStrings,
    own_channels: Vec<str0m::channel::ChannelId>,
    next_seq: u64,
    connected: bool,
    closed: bool,
    timeout: Instant,
    last_received: Instant,
    local_ufrag: String,
}

impl Peer {
    /// Accepts an SDP offer; returns the session and the SDP answer, candidates inside.
    ///
    /// An offer without a usable audio line is answered too: it connects and carries no audio.
    /// Control side: takes about a millisecond and allocates.
    ///
    /// # Errors
    /// When the text is no SDP offer, or one that cannot be answered.
    pub fn accept(
        offer: &str,
        options: &PeerOptions,
        echo_strings: EchoStrings,
        now: Instant,
    ) -> Result<(Self, String), OfferError> {
        let (mut rtc, answer, audio) = accept(offer, options, now)?;
        let local_ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        let peer = Self {
            rtc,
            audio,
            echo_strings,
            own_channels: Vec::new(),
            next_seq: 1,
            connected: false,
            closed: false,
            timeout: now,
            last_received: now,
            local_ufrag,
        };
        Ok((peer, answer))
    }

    /// Whether `candidate` can be read, in its SDP form (`candidate:...`).
    ///
    /// # Errors
    /// A sentence, when it cannot. A name that ends in `.local` (mDNS) is no error: the
    /// browser's address is learnt from its own connectivity checks.
    pub fn check_candidate(candidate: &str) -> Result<(), CandidateError> {
        parse_candidate(candidate).map(drop)
    }

    /// The ICE user name of this side: what STUN requests to it carry before the colon.
    #[must_use]
    pub fn local_ufrag(&self) -> &str {
        &self.local_ufrag
    }

    /// Whether ICE and DTLS are up.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether the offer had an audio line that both sides can use.
    #[must_use]
    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// When a datagram of this session last came in (at first: when it was made).
    #[must_use]
    pub fn last_received(&self) -> Instant {
        self.last_received
    }

    /// When [`Self::handle_timeout`] wants to be called at the latest.
    #[must_use]
    pub fn timeout(&self) -> Instant {
        self.timeout
    }

    /// Takes a trickled candidate in its SDP form (`candidate:...`).
    ///
    /// # Errors
    /// As [`Self::check_candidate`].
    pub fn add_remote_candidate(
        &mut self,
        candidate: &str,
        now: Instant,
        sink: &mut impl Sink,
    ) -> Result<(), CandidateError> {
        let Some(candidate) = parse_candidate(candidate)? else { return Ok(()) };
        self.rtc.add_remote_candidate(candidate);
        self.handle_timeout(now, sink);
        Ok(())
    }

    /// Takes one datagram that came to `destination` (one of the candidates) from `source`.
    /// Anything that makes no sense is dropped. Returns whether the session took it as its own:
    /// a STUN message by its integrity, other traffic by where it came from.
    pub fn receive(
        &mut self,
        now: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        datagram: &[u8],
        sink: &mut impl Sink,
    ) -> bool {
        if self.closed {
            return false;
        }
        let Ok(receive) = Receive::new(Protocol::Udp, source, destination, datagram) else {
            return false;
        };
        let input = Input::Receive(now, receive);
        if !self.rtc.accepts(&input) {
            return false;
        }
        self.last_received = now;
        match self.rtc.handle_input(input) {
            Ok(()) => self.drain(now, sink),
            // A datagram that cannot be decrypted or parsed is the network's business.
            Err(str0m::RtcError::Net(_)) => self.drain(now, sink),
            Err(_) => self.fail(sink),
        }
        true
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant, sink: &mut impl Sink) {
        if self.closed {
            return;
        }
        match self.rtc.handle_input(Input::Timeout(now)) {
            Ok(()) => self.drain(now, sink),
            Err(_) => self.fail(sink),
        }
    }

    /// Sends one frame, if connected and the browser wants audio.
    pub fn send(&mut self, now: Instant, frame: &OutgoingFrame, sink: &mut impl Sink) {
        let Some(audio) = self.audio.filter(|line| line.direction.is_sending()) else { return };
        if self.closed || !self.connected {
            return;
        }
        let seq = self.next_seq;
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(audio.mid, None) else { return };
        let payload = Arc::clone(&frame.payload);
        let write = RtpWrite::new(audio.opus, seq.into(), frame.rtp_time, now, payload);
        stream.write_rtp(write.marker(frame.marker));
        self.next_seq += 1;
        self.handle_timeout(now, sink);
    }

    /// Says goodbye (DTLS close_notify) and ends the session.
    pub fn close(&mut self, now: Instant, sink: &mut impl Sink) {
        if self.closed {
            return;
        }
        if self.rtc.close().is_ok() {
            self.drain(now, sink);
        }
        self.closed = true;
    }

    fn drain(&mut self, now: Instant, sink: &mut impl Sink) {
        while !self.closed {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    if !self.rtc.is_alive() {
                        self.fail(sink);
                    }
                    return;
                }
                Ok(Output::Transmit(t)) => sink.transmit(t.source, t.destination, &t.contents),
                Ok(Output::Event(event)) => self.event(now, event, sink),
                Err(_) => return self.fail(sink),
            }
        }
    }

    fn event(&mut self, now: Instant, event: Event, sink: &mut impl Sink) {
        match event {
            Event::Connected => {
                self.connected = true;
                sink.connected();
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.fail(sink),
            Event::Closed => {
                self.closed = true;
                sink.closed(Closed::ByPeer);
            }
            Event::RtpPacket(packet) => self.rtp(now, &packet, sink),
            Event::MediaEgressStats(stats) => {
                sink.report(NetworkReport { round_trip: stats.rtt, loss: stats.loss });
            }
            Event::ChannelOpen(id, label) if label == OWN_CHANNEL => self.own_channels.push(id),
            Event::ChannelData(data)
                if self.echo_strings == EchoStrings::Yes
                    && !data.binary
                    && !self.own_channels.contains(&data.id) =>
            {
                if let Some(mut channel) = self.rtc.channel(data.id) {
                    // A full send buffer drops the echo; the caller still hears the next.
                    let _ = channel.write(false, &data.data);
                }
            }
            _ => {}
        }
    }

    fn rtp(&self, now: Instant, packet: &RtpPacket, sink: &mut impl Sink) {
        let expected = self.audio.is_some_and(|line| line.opus == packet.header.payload_type);
        // Padding-only packets (bandwidth probes) carry no audio.
        if !expected || packet.payload.is_empty() {
            return;
        }
        let level = packet.header.ext_vals.audio_level;
        sink.frame(ReceivedFrame {
            seq: *packet.seq_no,
            rtp_time: packet.time.numer(),
            level_minus_dbov: level.map(|dbov| dbov.unsigned_abs().min(127)),
            payload: Arc::clone(&packet.payload),
            arrival: now,
        });
    }

    fn fail(&mut self, sink: &mut impl Sink) {
        if !self.closed {
            self.closed = true;
            sink.closed(Closed::Failed);
        }
    }
}

fn parse_candidate(candidate: &str) -> Result<Option<Candidate>, CandidateError> {
    if candidate.contains(".local ") {
        return Ok(None);
    }
    let parsed = Candidate::from_sdp_string(candidate);
    parsed.map(Some).map_err(|error| CandidateError(error.to_string()))
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("audio", &self.audio)
            .field("connected", &self.connected)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
