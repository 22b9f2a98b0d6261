//! The running session.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use str0m::media::SenderFeedback;
use str0m::net::Receive;
use str0m::rtp::{RedDecoder, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

use crate::consent::Consent;
use crate::extensions::{captured_in, header_extensions};
use crate::offer::{AudioLine, CandidateError, IceRestart, Marks, OfferError, PeerOptions, accept};
use crate::outgoing::OutgoingFrame;
use crate::payloads::Payloads;
use crate::red::Received;
use crate::route::Route;

/// Round trips below which lost packets are asked for again, and above which no longer. str0m looks
/// for holes every 33 ms: what is asked for comes a round trip and up to that later.
const ASK_BELOW: Duration = Duration::from_millis(60);
const STOP_ASKING_ABOVE: Duration = Duration::from_millis(90);

/// The label of data channels that are foldback's own; strings on others can be echoed.
const OWN_CHANNEL: &str = "foldback";

/// Where a [`Peer`] puts everything that follows from a change.
pub trait Sink {
    /// A datagram to send from one of the candidates.
    fn transmit(&mut self, route: Route, datagram: &[u8]);

    /// One Opus packet of the browser's microphone, as it came: unordered, maybe duplicated.
    fn frame(&mut self, frame: ReceivedFrame);

    /// ICE and DTLS are up; audio may be sent from now on.
    fn connected(&mut self);

    /// The session is over; nothing follows.
    fn closed(&mut self, why: Closed);

    /// What the other side reported; browsers do every few seconds.
    fn report(&mut self, report: NetworkReport);

    /// What the other side said on its data channel `foldback`; `None` for what is no text.
    fn message(&mut self, text: Option<String>) {
        drop(text);
    }
}

/// One Opus packet from the network.
#[derive(Clone)]
pub struct ReceivedFrame {
    /// The stream it came in (RFC 3550).
    pub ssrc: u32,
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
    /// When its first sample was captured, where that is negotiated.
    pub captured: Option<Captured>,
    /// 0 for the packet itself; n for the copy of one that did not come, which the n-th packet
    /// after it carried (RFC 2198).
    pub copy_distance: u8,
}

/// When something was captured, as in the header extension abs-capture-time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// On the wall clock of who captured it, since the Unix epoch.
    pub since_epoch: Duration,
    /// How far that clock is ahead of the sender's (of what is received: of this server's), in ns,
    /// if known.
    pub clock_offset_ns: Option<i64>,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The other side said goodbye (DTLS close_notify).
    ByPeer,
    /// The session failed: ICE lost the other side, or str0m refused to go on.
    Failed,
}

/// What receiver reports tell of the way to the browser; `None` is no news.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NetworkReport {
    /// Round trip from RTCP receiver reports (RFC 3550, section 6.4.1).
    pub round_trip: Option<Duration>,
    /// Fraction of our packets lost on the way, 0..=1.
    pub loss: Option<f32>,
}

impl NetworkReport {
    /// Takes what is new in `news`.
    pub fn update(&mut self, news: Self) {
        self.round_trip = news.round_trip.or(self.round_trip);
        self.loss = news.loss.or(self.loss);
    }
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
    /// The last one is answered on.
    own_channels: Vec<str0m::channel::ChannelId>,
    next_seq: u64,
    received: Received,
    round_trip: Option<Duration>,
    /// A moment, by both clocks.
    wall_clock: Option<(Instant, SystemTime)>,
    clock_ahead_ns: Option<i64>,
    /// Of which stream lost packets are asked for again, and whether.
    asks_again: (u32, bool),
    consent: Consent,
    /// What str0m answers to STUN is for nobody.
    answers_nobody: bool,
    connected: bool,
    closed: bool,
    timeout: Instant,
    last_received: Instant,
    local_ufrag: String,
    offer: Marks,
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
        // str0m panics on some offers that no browser makes (one number for two codecs).
        let accepted = catch_unwind(AssertUnwindSafe(|| accept(offer, options, now)));
        let (mut rtc, answer, audio, offer) =
            accepted.unwrap_or_else(|_| Err(OfferError::unusable()))?;
        let local_ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        let peer = Self {
            rtc,
            audio,
            echo_strings,
            own_channels: Vec::new(),
            next_seq: 1,
            received: Received::NONE,
            round_trip: None,
            wall_clock: options.wall_clock,
            clock_ahead_ns: None,
            asks_again: (0, false),
            consent: Consent::default(),
            answers_nobody: false,
            connected: false,
            closed: false,
            timeout: now,
            last_received: now,
            local_ufrag,
            offer,
        };
        Ok((peer, answer))
    }

    /// Has ICE start anew, by a further offer of the same browser; returns the answer, candidates
    /// inside. [`Self::local_ufrag`] is another one from then on. Audio goes on, both ways as before
    /// until the browser has found another one. `None` if the offer has the credentials that ICE runs
    /// with. Allocates.
    ///
    /// # Errors
    /// When the offer is not of the same session, or cannot be answered; the session goes on.
    ///
    /// # Panics
    /// Where str0m does on an offer that no browser makes; then the session is in no state that is
    /// known, and nobody else's is concerned.
    pub fn restart_ice(
        &mut self,
        restart: IceRestart,
        now: Instant,
        sink: &mut impl Sink,
    ) -> Result<Option<String>, OfferError> {
        let answer = restart.apply(&mut self.rtc, &mut self.offer);
        if matches!(answer, Ok(Some(_))) {
            self.consent.forget();
        }
        self.local_ufrag = self.rtc.direct_api().local_ice_credentials().ufrag;
        self.handle_timeout(now, sink);
        answer
    }

    /// Whether `candidate` can be read, in its SDP form (`candidate:...`). That is all that becomes of
    /// it: a browser's addresses are learnt from its own connectivity checks.
    ///
    /// # Errors
    /// A sentence, when it cannot. A name that ends in `.local` (mDNS) is no error.
    pub fn check_candidate(candidate: &str) -> Result<(), CandidateError> {
        if candidate.contains(".local ") {
            return Ok(());
        }
        let read = Candidate::from_sdp_string(candidate);
        read.map(drop).map_err(|error| CandidateError(error.to_string()))
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

    /// Whether sound of the other side is taken.
    #[must_use]
    pub fn takes_audio(&self) -> bool {
        self.audio.is_some_and(|line| line.direction.is_receiving())
    }

    /// Whether the other side is sent sound.
    #[must_use]
    pub fn sends_audio(&self) -> bool {
        self.audio.is_some_and(|line| line.direction.is_sending())
    }

    /// Whether the browser asked for packets to stop in silence (`usedtx=1` in its offer).
    #[must_use]
    pub fn wants_dtx(&self) -> bool {
        self.audio.is_some_and(|line| line.wants_dtx)
    }

    /// Whether the browser prefers to be sent stereo (`stereo=1` in its offer).
    #[must_use]
    pub fn wants_stereo(&self) -> bool {
        self.audio.is_some_and(|line| line.wants_stereo)
    }

    /// When a datagram of this session last came in (at first: when it was made).
    #[must_use]
    pub fn last_received(&self) -> Instant {
        self.last_received
    }

    /// When [`Self::handle_timeout`] wants to be called at the latest; never again once the session
    /// is over.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        (!self.closed).then_some(self.timeout)
    }

    /// Takes one datagram that came to one of the candidates.
    /// Anything that makes no sense is dropped. Returns whether the session took it as its own:
    /// a STUN message by its integrity, other traffic by where it came from.
    pub fn receive(
        &mut self,
        now: Instant,
        route: Route,
        datagram: &[u8],
        sink: &mut impl Sink,
    ) -> bool {
        if self.closed {
            return false;
        }
        let Route { transport, source, destination } = route;
        let Ok(receive) = Receive::new(transport.into(), source, destination, datagram) else {
            return false;
        };
        let input = Input::Receive(now, receive);
        if !self.rtc.accepts(&input) {
            return false;
        }
        self.last_received = now;
        self.consent.note(now, route, datagram);
        match self.rtc.handle_input(input) {
            Ok(()) => self.drain(now, sink),
            // A datagram that cannot be decrypted or parsed is the network's business.
            Err(str0m::RtcError::Net(_)) => self.drain(now, sink),
            Err(_) => self.fail(sink),
        }
        self.renew_consent(now, sink);
        true
    }

    /// Has str0m take the last check for another one, where media says as much. It answers; nobody
    /// waits for that.
    fn renew_consent(&mut self, now: Instant, sink: &mut impl Sink) {
        let Some(check) = self.consent.due(now).filter(|_| !self.closed) else { return };
        let Route { transport, source, destination } = check.route;
        let receive = Receive::new(transport.into(), source, destination, &check.datagram);
        let Ok(input) = receive.map(|receive| Input::Receive(now, receive)) else { return };
        if self.rtc.accepts(&input) && self.rtc.handle_input(input).is_ok() {
            self.answers_nobody = true;
            self.drain(now, sink);
            self.answers_nobody = false;
        }
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
        self.renew_consent(now, sink);
    }

    /// Sends one frame, if connected and the browser wants audio. If it takes copies, memory for
    /// them comes from `payloads`, once per frame.
    pub fn send(
        &mut self,
        now: Instant,
        frame: &mut OutgoingFrame,
        payloads: &mut Payloads,
        sink: &mut impl Sink,
    ) {
        let Some(audio) = self.audio.filter(|line| line.direction.is_sending()) else { return };
        if self.closed || !self.connected {
            return;
        }
        let seq = self.next_seq;
        let red = audio.red.and_then(|red| Some((red, frame.with_copy(*audio.opus, payloads)?)));
        let (pt, payload) = red.unwrap_or_else(|| (audio.opus, Arc::clone(&frame.payload)));
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(audio.mid, None) else { return };
        let write = RtpWrite::new(pt, seq.into(), frame.rtp_time, now, payload)
            .marker(frame.marker)
            .csrc(frame.sources())
            .ext_vals(header_extensions(frame, audio.names_levels));
        stream.write_rtp(write);
        self.next_seq += 1;
        self.handle_timeout(now, sink);
    }

    /// Sends a text on the data channel `foldback`. Whether it is on its way: not if the browser opened
    /// no such channel, or has not read what waits in it (128 KiB).
    pub fn write(&mut self, now: Instant, text: &str, sink: &mut impl Sink) -> bool {
        let channel = self.own_channels.last().filter(|_| !self.closed);
        let channel = channel.and_then(|id| self.rtc.channel(*id));
        let written =
            channel.is_some_and(|mut to| matches!(to.write(false, text.as_bytes()), Ok(true)));
        if written {
            self.handle_timeout(now, sink);
        }
        written
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
                // STUN (RFC 7983).
                Ok(Output::Transmit(t))
                    if self.answers_nobody && t.contents.first().is_some_and(|it| *it <= 3) => {}
                Ok(Output::Transmit(t)) => {
                    let (source, destination) = (t.source, t.destination);
                    let route = Route { transport: t.proto.into(), source, destination };
                    sink.transmit(route, &t.contents);
                }
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
                // There is a loss where a report came since the last time.
                if stats.loss.is_some() {
                    self.consent.give();
                }
                self.tell(NetworkReport { round_trip: stats.rtt, loss: stats.loss }, sink);
            }
            Event::SenderFeedback(feedback) => self.learn_clock(&feedback),
            Event::ChannelOpen(id, label) if label == OWN_CHANNEL => self.own_channels.push(id),
            Event::ChannelClose(id) => self.own_channels.retain(|own| *own != id),
            Event::ChannelData(data) if self.own_channels.contains(&data.id) => {
                sink.message(String::from_utf8(data.data).ok().filter(|_| !data.binary));
            }
            Event::ChannelData(data) if self.echo_strings == EchoStrings::Yes && !data.binary => {
                if let Some(mut channel) = self.rtc.channel(data.id) {
                    // A full send buffer drops the echo; the caller still hears the next.
                    let _ = channel.write(false, &data.data);
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, news: NetworkReport, sink: &mut impl Sink) {
        self.round_trip = news.round_trip.or(self.round_trip);
        if news != NetworkReport::default() {
            sink.report(news);
        }
    }

    /// How far the browser's wall clock is ahead of ours, from its sender report.
    fn learn_clock(&mut self, feedback: &SenderFeedback) {
        let Some((instant, wall)) = self.wall_clock else { return };
        let since = feedback.received_at.saturating_duration_since(instant);
        let way = self.round_trip.unwrap_or_default() / 2;
        self.clock_ahead_ns = ahead_ns(wall.checked_add(since), feedback.sender_info.ntp_time, way);
    }

    fn rtp(&mut self, now: Instant, packet: &RtpPacket, sink: &mut impl Sink) {
        self.consent.give();
        let Some(line) = self.audio.filter(|line| line.direction.is_receiving()) else { return };
        let ssrc = packet.header.ssrc;
        // A second line of audio is not listened to.
        let mid = self.rtc.direct_api().stream_rx(&ssrc).map(|stream| stream.mid());
        if mid.is_some_and(|mid| mid != line.mid) {
            return;
        }
        // Padding-only packets (bandwidth probes) carry no audio, but take a number each.
        if packet.payload.is_empty() {
            self.received.note(*ssrc, *packet.seq_no, None);
            return;
        }
        let level = packet.header.ext_vals.audio_level;
        let frame = ReceivedFrame {
            ssrc: *ssrc,
            seq: *packet.seq_no,
            rtp_time: packet.time.numer(),
            level_minus_dbov: level.map(|dbov| dbov.unsigned_abs().min(127)),
            payload: Arc::clone(&packet.payload),
            arrival: now,
            captured: captured_in(packet, self.clock_ahead_ns),
            copy_distance: 0,
        };
        self.received.note(frame.ssrc, frame.seq, Some(frame.rtp_time));
        let has_copies = line.red == Some(packet.header.payload_type);
        self.ask_again_if_there_is_time(line.nack && !has_copies, frame.ssrc);
        if packet.header.payload_type == line.opus {
            sink.frame(frame);
        } else if has_copies {
            self.unwrap_red(*line.opus, &frame, sink);
        }
    }

    /// Has str0m ask for lost packets again (RFC 4585) while the round trip is so short that the
    /// delay to wait for the answer, which playout learns, is worth it. Not where packets carry
    /// copies of those before them, which come sooner.
    fn ask_again_if_there_is_time(&mut self, of_help: bool, ssrc: u32) {
        let soon = self.round_trip.is_some_and(|rtt| {
            rtt <= if self.asks_again.1 { STOP_ASKING_ABOVE } else { ASK_BELOW }
        });
        let wanted = (ssrc, of_help && soon);
        if wanted == self.asks_again {
            return;
        }
        if let Some(stream) = self.rtc.direct_api().stream_rx(&ssrc.into()) {
            stream.suppress_nack(!wanted.1);
            self.asks_again = wanted;
        }
    }

    /// Hands out what a RED packet carries (RFC 2198): the packet itself, and copies of those
    /// before it that did not come.
    fn unwrap_red(&self, opus: u8, frame: &ReceivedFrame, sink: &mut impl Sink) {
        let Ok(blocks) = RedDecoder::decode(&frame.payload) else { return };
        // The packet itself stands last. Copies have no numbers: their times tell whether they are
        // needed, and the numbers that nothing came for are theirs.
        let mut seq = frame.seq;
        for (before, block) in (0..=u8::MAX).zip(blocks.iter().rev()) {
            let offset = u64::from(block.timestamp_offset);
            let Some(rtp_time) = frame.rtp_time.checked_sub(offset) else { return };
            if before > 0 {
                if offset == 0 || self.received.has_time(rtp_time) {
                    continue;
                }
                match self.received.missing_before(seq) {
                    Some(missing) => seq = missing,
                    None => return,
                }
            }
            if block.pt == opus && !block.payload.is_empty() {
                sink.frame(ReceivedFrame {
                    seq,
                    rtp_time,
                    payload: Arc::from(block.payload),
                    copy_distance: before,
                    // A level is that of the packet it came with, as is a time.
                    level_minus_dbov: frame.level_minus_dbov.filter(|_| before == 0),
                    captured: frame.captured.filter(|_| before == 0),
                    ..frame.clone()
                });
            }
        }
    }

    fn fail(&mut self, sink: &mut impl Sink) {
        if !self.closed {
            self.closed = true;
            sink.closed(Closed::Failed);
        }
    }
}

/// How far `theirs`, which was true `way` ago, is ahead of `ours`, if that can be said.
fn ahead_ns(ours: Option<SystemTime>, theirs: SystemTime, way: Duration) -> Option<i64> {
    match theirs.checked_add(way)?.duration_since(ours?) {
        Ok(ahead) => i64::try_from(ahead.as_nanos()).ok(),
        Err(behind) => i64::try_from(behind.duration().as_nanos()).ok().map(|ns| -ns),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_clock_is_ahead_or_behind_and_reports_that_cannot_be_tell_nothing() {
        let ours = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        let ms = Duration::from_millis;
        assert_eq!(ahead_ns(Some(ours), ours + ms(250), ms(40)), Some(290_000_000));
        assert_eq!(ahead_ns(Some(ours), ours - ms(250), ms(50)), Some(-200_000_000));
        // The ends of what NTP can say (RFC 5905): 1900 and 2036.
        let first = SystemTime::UNIX_EPOCH - Duration::from_secs(2_208_988_800);
        let last = first + Duration::from_secs(u32::MAX.into());
        assert_eq!(ahead_ns(Some(ours), first, Duration::ZERO), Some(-4_208_988_800_000_000_000));
        assert_eq!(ahead_ns(Some(ours), last, Duration::ZERO), Some(85_978_495_000_000_000));
        let year = Duration::from_secs(31_557_600);
        assert_eq!(ahead_ns(Some(ours), ours + 300 * year, Duration::ZERO), None, "too far");
        assert_eq!(ahead_ns(Some(ours), ours, Duration::MAX), None, "no such way");
        assert_eq!(ahead_ns(None, ours, Duration::ZERO), None, "no such time");
    }
}
