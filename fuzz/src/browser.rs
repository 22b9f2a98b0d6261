//! A browser on the other side of a [`Peer`], and the wire between them: all that a session can be
//! sent in earnest, so that what a hostile browser sends gets past integrity and encryption.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use foldback_peer::{
    Closed, EchoStrings, NetworkReport, Peer, PeerOptions, ReceivedFrame, Route, Sink,
    install_crypto,
};
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::origin;

/// Where the server is.
#[must_use]
pub fn server_address() -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 7), 8000).into()
}

/// Where the browser is.
#[must_use]
pub fn browser_address() -> SocketAddr {
    (Ipv4Addr::new(198, 51, 100, 9), 5000).into()
}

/// A session of the server's; the crypto provider is installed with the first.
///
/// # Errors
/// A sentence, if the offer is refused.
pub fn accept(offer: &str, echo: EchoStrings) -> Result<(Peer, String), String> {
    install_crypto(origin());
    let mut options = PeerOptions::at(vec![server_address()]);
    options.packet_ms = Some(10);
    options.wall_clock = Some((origin(), std::time::UNIX_EPOCH + Duration::from_secs(1 << 30)));
    IN_ACCEPT.set(true);
    let accepted = Peer::accept(offer, &options, echo, origin());
    IN_ACCEPT.set(false);
    accepted.map_err(|error| error.to_string())
}

/// A panic inside of str0m while it reads an offer is no finding as long as `Peer::accept` makes
/// an error of it: one that gets out ends the process after all. To be called before the first
/// input.
pub fn tolerate_panics_in_accept() {
    let ends_the_process = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IN_ACCEPT.get() {
            ends_the_process(info);
        }
    }));
}

thread_local! {
    static IN_ACCEPT: Cell<bool> = const { Cell::new(false) };
}

/// What a [`Peer`] gave out.
#[derive(Default)]
pub struct Outlet {
    /// Datagrams to the browser.
    pub datagrams: Vec<Vec<u8>>,
    /// Frames of the browser's microphone.
    pub frames: Vec<ReceivedFrame>,
    /// Whether media may flow.
    pub connected: bool,
    /// Whether and why it is over.
    pub closed: Option<Closed>,
}

impl Sink for Outlet {
    fn transmit(&mut self, route: Route, datagram: &[u8]) {
        assert_eq!(route.source, server_address(), "sent from nowhere");
        assert!(self.closed.is_none(), "sent after the end");
        self.datagrams.push(datagram.to_vec());
    }

    fn frame(&mut self, frame: ReceivedFrame) {
        assert!(self.closed.is_none(), "a frame after the end");
        self.frames.push(frame);
    }

    fn connected(&mut self) {
        self.connected = true;
    }

    fn closed(&mut self, why: Closed) {
        assert!(self.closed.is_none(), "ended twice");
        self.closed = Some(why);
    }

    fn report(&mut self, report: NetworkReport) {
        assert!(report.loss.is_none_or(|loss| (0.0..=1.0).contains(&loss)), "{report:?}");
    }
}

/// A browser that offers audio and a data channel.
pub struct Browser {
    rtc: Rtc,
    mid: Mid,
    channel: ChannelId,
    pending: Option<SdpPendingOffer>,
    opus: Option<Pt>,
    red: Option<Pt>,
    ssrc: Option<Ssrc>,
    timeout: Instant,
    alive: bool,
    /// Datagrams to the server.
    pub datagrams: Vec<Vec<u8>>,
}

impl Browser {
    /// A browser and its offer.
    #[must_use]
    pub fn new() -> (Self, String) {
        install_crypto(origin());
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, true)
            .set_extension(5, Extension::AbsoluteCaptureTime)
            .build(origin());
        rtc.add_local_candidate(Candidate::host(browser_address(), "udp").expect("an address"));
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let channel = api.add_channel("chat".to_owned());
        let (offer, pending) = api.apply().expect("a line was added");
        let browser = Self {
            rtc,
            mid,
            channel,
            pending: Some(pending),
            opus: None,
            red: None,
            ssrc: None,
            timeout: origin(),
            alive: true,
            datagrams: Vec::new(),
        };
        (browser, offer.to_sdp_string())
    }

    /// Takes the answer; false if it cannot be used.
    pub fn take_answer(&mut self, answer: &str) -> bool {
        let Ok(answer) = SdpAnswer::from_sdp_string(answer) else { return false };
        let Some(pending) = self.pending.take() else { return false };
        if self.rtc.sdp_api().accept_answer(pending, answer).is_err() {
            return false;
        }
        let Some(opus) = self.rtc.codec_config().params().first() else { return false };
        (self.opus, self.red) = (Some(opus.pt()), opus.red());
        true
    }

    /// The payload types of Opus and RED that were agreed upon.
    #[must_use]
    pub fn payload_types(&self) -> Option<(Pt, Pt)> {
        Some((self.opus?, self.red?))
    }

    /// Sends what `change` makes of a packet.
    pub fn send(&mut self, now: Instant, write: RtpWrite) {
        let mut api = self.rtc.direct_api();
        let stream = match self.ssrc {
            Some(ssrc) => api.stream_tx(&ssrc),
            None => api.stream_tx_by_mid(self.mid, None),
        };
        if let Some(stream) = stream {
            stream.write_rtp(write);
        }
        self.pass(now);
    }

    /// Goes on with another stream.
    pub fn change_stream(&mut self, now: Instant, ssrc: u32) {
        let ssrc = Ssrc::from(ssrc);
        let mut api = self.rtc.direct_api();
        if api.stream_tx(&ssrc).is_none() {
            api.declare_stream_tx(ssrc, None, self.mid, None);
        }
        self.ssrc = Some(ssrc);
        self.pass(now);
    }

    /// Writes to the data channel, once it is open.
    pub fn say(&mut self, now: Instant, binary: bool, words: &[u8]) {
        if let Some(mut channel) = self.rtc.channel(self.channel) {
            let _ = channel.write(binary, words);
        }
        self.pass(now);
    }

    /// Takes a datagram.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let receive = Receive::new(Protocol::Udp, server_address(), browser_address(), datagram);
        if let Ok(receive) = receive.map(|receive| Input::Receive(now, receive)) {
            self.alive &= self.rtc.handle_input(receive).is_ok();
            self.drain();
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, now: Instant) {
        if self.alive {
            self.alive &= self.rtc.handle_input(Input::Timeout(now)).is_ok();
            self.drain();
        }
    }

    /// When [`Self::pass`] wants to be called.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        self.alive.then_some(self.timeout)
    }

    fn drain(&mut self) {
        while self.alive {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                Ok(Output::Transmit(t)) => self.datagrams.push(t.contents.to_vec()),
                Ok(Output::Event(Event::Closed)) | Err(_) => self.alive = false,
                Ok(Output::Event(_)) => {}
            }
        }
    }
}

/// Brings a browser and a session together; true once media may flow. Time goes on from `now`.
pub fn connect(
    browser: &mut Browser,
    peer: &mut Peer,
    outlet: &mut Outlet,
    now: &mut Instant,
    mut on_the_wire: impl FnMut(&[u8]),
) -> bool {
    for _ in 0..60 {
        *now += Duration::from_millis(20);
        browser.pass(*now);
        peer.handle_timeout(*now, outlet);
        for _ in 0..8 {
            for datagram in std::mem::take(&mut browser.datagrams) {
                on_the_wire(&datagram);
                let route = Route::udp(browser_address(), server_address());
                peer.receive(*now, route, &datagram, outlet);
            }
            for datagram in std::mem::take(&mut outlet.datagrams) {
                browser.receive(*now, &datagram);
            }
        }
        if outlet.connected || outlet.closed.is_some() {
            break;
        }
    }
    outlet.connected && outlet.closed.is_none()
}
