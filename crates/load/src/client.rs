//! One participant: a str0m session on a socket of its own.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::config::DtlsCert;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};

use crate::ears::Heard;
use crate::reception::Reception;
use crate::room::Room;
use crate::voice::{PACKET_SAMPLES, PACKET_TIME, Voice};

/// Who a client is.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    /// Its number among all clients.
    pub(crate) number: usize,
    /// Its number in its room: the talkers come first.
    pub(crate) participant: usize,
    /// Its room.
    pub(crate) room: Arc<Room>,
    /// What it sends.
    pub(crate) voice: Arc<Voice>,
    /// Where what it gets is listened to, if it is.
    pub(crate) ears: Option<Sender<Heard>>,
}

impl Role {
    /// Whether it is one of those who talk.
    pub(crate) fn talks(&self) -> bool {
        self.participant < self.room.talkers.len()
    }
}

/// A session whose offer is made.
pub(crate) struct Offering {
    rtc: Rtc,
    mid: Mid,
    pending: SdpPendingOffer,
    socket: UdpSocket,
    address: SocketAddr,
}

impl Offering {
    /// Opens a socket on `address` and makes an offer as browsers make it for a microphone.
    pub(crate) fn new(
        address: IpAddr,
        certificate: DtlsCert,
        now: Instant,
    ) -> Result<(Self, String), String> {
        let socket = UdpSocket::bind((address, 0).into())
            .map_err(|error| format!("no UDP port of {address} can be had: {error}"))?;
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        let builder = Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, false);
        // One certificate for all: browsers keep theirs too.
        let builder = builder.set_dtls_cert(certificate).clear_extension_map();
        let builder = builder.set_extension(1, Extension::AudioLevel);
        let mut rtc = builder.set_extension(4, Extension::RtpMid).build(now);
        let candidate = Candidate::host(address, "udp").map_err(|error| error.to_string())?;
        rtc.add_local_candidate(candidate);
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().ok_or("str0m makes no offer")?;
        let offering = Self { rtc, mid, pending, socket, address };
        Ok((offering, offer.to_sdp_string()))
    }

    /// Takes the answer.
    pub(crate) fn accept(
        mut self,
        answer: &str,
        role: Role,
        began: Instant,
        found_talking: bool,
    ) -> Result<Client, String> {
        let unusable =
            |error: &dyn std::fmt::Display| format!("the answer cannot be used: {error}");
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|error| unusable(&error))?;
        let accepted = self.rtc.sdp_api().accept_answer(self.pending, answer);
        accepted.map_err(|error| unusable(&error))?;
        let opus = self.rtc.codec_config().params().first().map(|params| params.pt());
        let opus = opus.ok_or_else(|| unusable(&"there is no Opus in it"))?;
        Ok(Client {
            rtc: self.rtc,
            mid: self.mid,
            opus,
            socket: self.socket,
            address: self.address,
            role,
            timeout: began,
            next_packet: None,
            place: 0,
            seq: 1,
            after_silence: true,
            progress: ClientProgress {
                began,
                found_talking,
                connected: None,
                first_media: None,
                ended: false,
            },
            sent: 0,
            unsent: 0,
            reception: Reception::default(),
            lateness: Vec::new(),
        })
    }
}

/// How far a client came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientProgress {
    /// When its signalling began.
    pub(crate) began: Instant,
    /// Whether somebody whom it hears talked already.
    pub(crate) found_talking: bool,
    /// When ICE and DTLS were up.
    pub(crate) connected: Option<Instant>,
    /// When the first packet came.
    pub(crate) first_media: Option<Instant>,
    /// Whether the session failed, or the server ended it.
    pub(crate) ended: bool,
}

/// A participant.
pub(crate) struct Client {
    rtc: Rtc,
    mid: Mid,
    opus: Pt,
    pub(crate) socket: UdpSocket,
    address: SocketAddr,
    pub(crate) role: Role,
    timeout: Instant,
    /// When the packet at `place` of the voice is to be sent; `None` before it is connected.
    next_packet: Option<Instant>,
    place: u64,
    seq: u64,
    after_silence: bool,
    pub(crate) progress: ClientProgress,
    /// RTP packets.
    pub(crate) sent: u64,
    /// Datagrams that the operating system did not take.
    pub(crate) unsent: u64,
    pub(crate) reception: Reception,
    /// How late each packet was sent.
    pub(crate) lateness: Vec<Duration>,
}

impl Client {
    /// When [`Self::run`] wants to be called.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadline = self.next_packet.map_or(self.timeout, |next| next.min(self.timeout));
        (!self.progress.ended).then_some(deadline)
    }

    /// The port of its socket.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Forgets what was counted.
    pub(crate) fn restart(&mut self) {
        (self.sent, self.unsent) = (0, 0);
        self.reception.restart();
        self.lateness.clear();
    }

    /// Takes all datagrams that have come.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) {
        loop {
            match self.socket.recv_from(buffer) {
                Ok((length, from)) => {
                    let now = Instant::now();
                    let bytes = &buffer[..length];
                    let Ok(datagram) = Receive::new(Protocol::Udp, from, self.address, bytes)
                    else {
                        continue;
                    };
                    let input = Input::Receive(now, datagram);
                    if self.rtc.accepts(&input) {
                        self.handle(now, input);
                    }
                }
                // A port that is closed over there is told by ICE in its time.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }

    /// Sends what is due and lets time pass.
    pub(crate) fn run(&mut self, now: Instant) {
        while let Some(due) = self.next_packet.filter(|due| *due <= now) {
            self.send(now, due);
        }
        if self.timeout <= now {
            self.handle(now, Input::Timeout(now));
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, now: Instant) {
        self.reception.finish(now);
        let ended = self.progress.ended;
        if !ended && self.rtc.close().is_ok() {
            self.drain(now);
        }
        // Ended by us, that is as it should be.
        self.progress.ended = ended;
    }

    fn send(&mut self, now: Instant, due: Instant) {
        let place = self.place;
        self.place = self.role.voice.next_to_send(place + 1);
        let ahead = u32::try_from(self.place - place).unwrap_or(u32::MAX);
        self.next_packet = Some(due + PACKET_TIME * ahead);
        self.lateness.push(now.saturating_duration_since(due));
        let Some(packet) = self.role.voice.packet(place) else { return };
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(self.mid, None) else { return };
        let level = packet.level_minus_dbov;
        let extensions = ExtensionValues {
            audio_level: Some(-(level as i8)),
            voice_activity: Some(level < 60),
            ..ExtensionValues::default()
        };
        let rtp_time = (place * PACKET_SAMPLES as u64) as u32;
        let payload = Arc::clone(&packet.payload);
        let write = RtpWrite::new(self.opus, self.seq.into(), rtp_time, now, payload);
        stream.write_rtp(write.marker(self.after_silence).ext_vals(extensions));
        self.seq += 1;
        self.sent += 1;
        self.after_silence = ahead > 1;
        self.handle(now, Input::Timeout(now));
    }

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match self.rtc.handle_input(input) {
            // What cannot be read is the network's business, as it is to browsers.
            Ok(()) | Err(str0m::RtcError::Net(_)) => self.drain(now),
            Err(_) => self.end(),
        }
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    if !self.rtc.is_alive() {
                        self.end();
                    }
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    let sent = self.socket.send_to(&transmit.contents, transmit.destination);
                    self.unsent += u64::from(sent.is_err());
                }
                Ok(Output::Event(event)) => self.event(now, event),
                Err(_) => return self.end(),
            }
        }
    }

    fn event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Connected => self.begin(now),
            Event::RtpPacket(packet) => self.take(now, &packet),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => {
                self.end();
            }
            _ => {}
        }
    }

    /// Begins to send: the first packet holds what was said in the 20 ms before it.
    fn begin(&mut self, now: Instant) {
        self.progress.connected = Some(now);
        if let Some(talker) = self.role.room.talkers.get(self.role.participant) {
            talker.begin(now);
        }
        self.next_packet = Some(now + PACKET_TIME);
    }

    fn take(&mut self, now: Instant, packet: &RtpPacket) {
        self.progress.first_media.get_or_insert(now);
        let rtp_time = packet.time.numer();
        self.reception.take(*packet.seq_no, rtp_time, now);
        if let Some(ears) = &self.role.ears {
            let payload = Arc::clone(&packet.payload);
            let client = self.role.number;
            // They listen as long as there is a client.
            let _ = ears.send(Heard::Packet { client, rtp_time, arrival: now, payload });
        }
    }

    fn end(&mut self) {
        self.progress.ended = true;
        self.next_packet = None;
    }
}
