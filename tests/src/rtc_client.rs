//! A WebRTC client without a browser, whose packets can be had.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::Server;

const PACKET_TIME: Duration = Duration::from_millis(20);

/// One participant. Nothing runs by itself: whoever has it calls [`Self::run`] again and again.
pub struct RtcClient {
    rtc: Rtc,
    mid: Mid,
    opus: Pt,
    socket: UdpSocket,
    address: SocketAddr,
    server: SocketAddr,
    timeout: Instant,
    /// Whether ICE and DTLS are up.
    pub connected: bool,
    next_packet: Instant,
    sent: u64,
    sent_rtp: Vec<Vec<u8>>,
    payloads: Vec<Vec<u8>>,
    _signalling: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl RtcClient {
    /// An offer of one audio line that nobody is behind.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn offer() -> String {
        foldback_peer::install_crypto(Instant::now());
        let mut rtc = rtc(Instant::now());
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        api.apply().expect("a media line was added").0.to_sdp_string()
    }

    /// Joins; with the number that the server gives it.
    ///
    /// # Panics
    /// If the server does not let it in.
    pub async fn join(server: &Server, room: &str, name: &str, token: Option<&str>) -> (Self, u64) {
        foldback_peer::install_crypto(Instant::now());
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a socket that does not block");
        let address = socket.local_addr().expect("bound");
        let now = Instant::now();
        let mut rtc = rtc(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("plain"));
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("a media line was added");
        let url = server.websocket_url();
        let (mut signalling, _) = tokio_tungstenite::connect_async(url).await.expect("a socket");
        let join = json!({ "type": "join", "room": room, "name": name, "token": token });
        let offer = json!({ "type": "offer", "sdp": offer.to_sdp_string() });
        for message in [join, offer] {
            signalling.send(Message::text(message.to_string())).await.expect("sent");
        }
        let mut id = 0;
        let answer = loop {
            let message = signalling.next().await.expect("an answer").expect("an answer");
            let text = message.to_text().unwrap_or("{}");
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            match value["type"].as_str() {
                Some("joined") => id = value["participant"].as_u64().expect("a number"),
                Some("answer") => break value["sdp"].as_str().expect("SDP").to_owned(),
                Some("error") => panic!("{value}"),
                _ => {}
            }
        };
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer");
        rtc.sdp_api().accept_answer(pending, answer).expect("the answer fits");
        let opus = rtc.codec_config().params().first().expect("Opus").pt();
        let voice = foldback_testkit::signal::speech_like(id, -26.0, 5.0);
        let client = Self {
            rtc,
            mid,
            opus,
            socket,
            address,
            server: server.media_address(),
            timeout: now,
            connected: false,
            next_packet: now,
            sent: 0,
            sent_rtp: Vec::new(),
            payloads: encoded(&voice),
            _signalling: signalling,
        };
        (client, id)
    }

    /// Talks for so long once it is connected. Blocks.
    ///
    /// # Panics
    /// If it does not get connected within 10 s.
    pub fn talk_for(&mut self, time: Duration) {
        let start = Instant::now();
        let mut end = start + Duration::from_secs(10);
        let mut talks = false;
        while Instant::now() < end {
            self.run(Instant::now());
            if self.connected && !talks {
                (talks, end) = (true, Instant::now() + time);
            }
            std::thread::sleep(Duration::from_micros(300));
        }
        assert!(talks, "it was not connected");
    }

    /// Every RTP packet that it sent, as it went over the network.
    #[must_use]
    pub fn sent_rtp(&self) -> &[Vec<u8>] {
        &self.sent_rtp
    }

    /// Sends a datagram to the server from its own address.
    ///
    /// # Panics
    /// If the system does not take it.
    pub fn send_raw(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).expect("sent");
    }

    /// Its packets leave so much later.
    pub fn delay(&mut self, time: Duration) {
        self.next_packet += time;
    }

    /// Reads and sends what is due.
    ///
    /// # Panics
    /// If its session ends.
    pub fn run(&mut self, now: Instant) {
        let mut buffer = [0; 2000];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let bytes = &buffer[..length];
                    if let Ok(r) = Receive::new(Protocol::Udp, from, self.address, bytes) {
                        self.rtc.handle_input(Input::Receive(now, r)).expect("good");
                        self.drain();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        while self.next_packet <= now {
            self.next_packet += PACKET_TIME;
            if self.connected {
                self.send(now);
            }
        }
        if self.timeout <= now {
            self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
            self.drain();
        }
    }

    fn send(&mut self, now: Instant) {
        let payload = self.payloads[self.sent as usize % self.payloads.len()].clone();
        let rtp_time = (self.sent * 960) as u32;
        let write = RtpWrite::new(self.opus, (self.sent + 1).into(), rtp_time, now, payload);
        self.sent += 1;
        let mut api = self.rtc.direct_api();
        api.stream_tx_by_mid(self.mid, None).expect("a sending stream").write_rtp(write);
        self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().expect("the session lives") {
                Output::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
                Output::Transmit(t) => {
                    // RTP has its version in the two highest bits, and RTCP types from 192 to 223 (RFC 5761, section 4).
                    let is_rtp = matches!(*t.contents, [128..192, second, ..] if !(192..224).contains(&second));
                    if is_rtp {
                        self.sent_rtp.push(t.contents.to_vec());
                    }
                    // As with any network, it may not get through.
                    let _ = self.socket.send_to(&t.contents, t.destination);
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(_) => {}
            }
        }
    }
}

fn rtc(now: Instant) -> Rtc {
    Rtc::builder().set_rtp_mode(true).clear_codecs().enable_opus(true, false).build(now)
}

fn encoded(voice: &[f32]) -> Vec<Vec<u8>> {
    use audiopus::coder::Encoder;
    use audiopus::{Application, Channels, SampleRate};
    let encoder =
        Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip).expect("an encoder");
    let encode = |pcm: &[f32]| {
        let mut bytes = [0; 1275];
        let length = encoder.encode_float(pcm, &mut bytes).expect("encodes");
        bytes[..length].to_vec()
    };
    voice.chunks_exact(960).map(encode).collect()
}
