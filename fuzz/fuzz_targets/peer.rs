//! Whatever stands in an offer, a candidate or a datagram, from whomever: no panic gets out, errors
//! are sentences, and no session spins.
//!
//! An input whose first byte is even holds the offer's text up to the first zero byte; else it
//! tells how Chromium's offer is to be changed. What follows is done to the session.

#![no_main]

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use foldback_fuzz::browser::{
    Browser, Outlet, accept, browser_address, connect, server_address, tolerate_panics_in_accept,
};
use foldback_fuzz::edits::{ByteEdits, TextEdit, word_of};
use foldback_fuzz::origin;
use foldback_peer::{EchoStrings, MixedPacket, OutgoingFrame, Payloads, Peer, Route, stun_ufrag};
use libfuzzer_sys::fuzz_target;
use str0m::ice::{StunMessageBuilder, TransId};

const CHROMIUM: &str = include_str!("../seeds/chromium.sdp");

#[derive(Arbitrary, Debug)]
enum Act {
    /// Anything from anywhere.
    Datagram {
        from: u8,
        bytes: Vec<u8>,
    },
    /// One that a browser once sent to another session, changed.
    Recorded {
        from: u8,
        number: u8,
        edits: ByteEdits,
    },
    /// A STUN message with the right password, in any form.
    Stun {
        from: u8,
        names: Names,
        class: u8,
        method: u8,
        role: u8,
        prio: Option<u32>,
        edits: ByteEdits,
    },
    /// DTLS with a plausible head.
    Dtls {
        from: u8,
        kind: u8,
        version: u8,
        epoch: u8,
        handshake: u8,
        body: Vec<u8>,
    },
    /// RTP or RTCP with a plausible head.
    Rtp {
        from: u8,
        flags: u8,
        payload_type: u8,
        body: Vec<u8>,
    },
    Candidate {
        head: u8,
        edits: Vec<TextEdit>,
    },
    Text {
        candidate: String,
    },
    Pass {
        ms: u16,
        far: bool,
    },
    Send {
        rtp_time: u32,
        bytes: u8,
    },
    Close,
}

/// The user name in a STUN request.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Names {
    Right,
    Reversed,
    Other(u8),
    None,
}

fuzz_target!(
    init: {
        tolerate_panics_in_accept();
        recordings();
    },
    |data: &[u8]| {
        let Some((mode, data)) = data.split_first() else { return };
        let (offer, acts) = if mode & 1 == 0 {
            let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
            let (text, rest) = data.split_at(end);
            (String::from_utf8_lossy(text).into_owned(), rest.get(1..).unwrap_or_default())
        } else {
            let count = usize::from(mode >> 1) % 8;
            let mut edits = Unstructured::new(data);
            let changes: Vec<_> =
                (0..count).filter_map(|_| TextEdit::arbitrary(&mut edits).ok()).collect();
            (TextEdit::apply(&changes, CHROMIUM), edits.take_rest())
        };
        let echo = if mode & 0x80 == 0 { EchoStrings::No } else { EchoStrings::Yes };
        match accept(&offer, echo) {
            Ok((peer, answer)) => Session::new(peer, &answer).play(&mut Unstructured::new(acts)),
            Err(error) => assert!(!error.is_empty() && !error.contains('\n'), "{error:?}"),
        }
    }
);

/// The datagrams of a browser that connects.
fn recordings() -> &'static [Vec<u8>] {
    static RECORDED: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let (mut browser, offer) = Browser::new();
        let (mut peer, answer) = accept(&offer, EchoStrings::Yes).expect("a good offer");
        assert!(browser.take_answer(&answer), "a good answer");
        let (mut outlet, mut now, mut recorded) = (Outlet::default(), origin(), Vec::new());
        let mut record = |datagram: &[u8]| recorded.push(datagram.to_vec());
        assert!(connect(&mut browser, &mut peer, &mut outlet, &mut now, &mut record), "connects");
        recorded
    })
}

struct Session {
    peer: Peer,
    outlet: Outlet,
    now: Instant,
    ufrag: String,
    password: String,
}

impl Session {
    fn new(peer: Peer, answer: &str) -> Self {
        let line = |head: &str| {
            answer.lines().find_map(|line| line.strip_prefix(head)).unwrap_or_default().to_owned()
        };
        let (ufrag, password) = (line("a=ice-ufrag:"), line("a=ice-pwd:"));
        Self { peer, outlet: Outlet::default(), now: origin(), ufrag, password }
    }

    fn play(mut self, acts: &mut Unstructured) {
        for _ in 0..200 {
            if acts.is_empty() {
                break;
            }
            let Ok(act) = Act::arbitrary(acts) else { break };
            self.act(&act);
            self.outlet.datagrams.clear();
            self.outlet.frames.clear();
        }
        self.must_not_spin();
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Datagram { from, bytes } => self.receive(*from, bytes),
            Act::Recorded { from, number, edits } => {
                let recorded = recordings();
                let datagram = &recorded[usize::from(*number) % recorded.len()];
                self.receive(*from, &edits.apply(datagram, 2000));
            }
            Act::Stun { from, names, class, method, role, prio, edits } => {
                let datagram = self.stun(*names, *class, *method, *role, *prio);
                self.receive(*from, &edits.apply(&datagram, 2000));
            }
            Act::Dtls { from, kind, version, epoch, handshake, body } => {
                let kind = 19 + kind % 9;
                let version = 252 + version % 4;
                let length = (body.len() as u16 + 12).to_be_bytes();
                let inner = (body.len() as u32).to_be_bytes();
                let mut datagram = vec![kind, 254, version, 0, epoch % 3, 0, 0, 0, 0, 0, 0];
                datagram.extend(length);
                datagram.extend([handshake % 24, inner[1], inner[2], inner[3], 0, 0, 0, 0, 0]);
                datagram.extend(&inner[1..]);
                datagram.extend(body);
                self.receive(*from, &datagram);
            }
            Act::Rtp { from, flags, payload_type, body } => {
                let head = [0x80 | flags & 0x3f, *payload_type];
                self.receive(*from, &[&head, &body[..]].concat());
            }
            Act::Candidate { head, edits } => {
                self.add_candidate(&TextEdit::apply(edits, word_of(*head)));
            }
            Act::Text { candidate } => self.add_candidate(candidate),
            Act::Pass { ms, far } => {
                let unit = if *far { Duration::from_secs(1) } else { Duration::from_millis(1) };
                self.now += unit * u32::from(ms % 4000);
                self.peer.handle_timeout(self.now, &mut self.outlet);
            }
            Act::Send { rtp_time, bytes } => {
                let packet = MixedPacket {
                    rtp_time: *rtp_time,
                    payload: &vec![*bytes; usize::from(*bytes)],
                    marker: false,
                    copy: None,
                    captured: None,
                };
                let (mut frame, mut payloads) = (OutgoingFrame::default(), Payloads::default());
                frame.set(packet, std::iter::empty(), &mut payloads);
                self.peer.send(self.now, &mut frame, &mut payloads, &mut self.outlet);
            }
            Act::Close => self.peer.close(self.now, &mut self.outlet),
        }
    }

    fn receive(&mut self, from: u8, datagram: &[u8]) {
        let _ = stun_ufrag(datagram, str::len);
        let (source, to) = match from % 8 {
            0..4 => (browser_address(), server_address()),
            4 => (SocketAddr::from(([198, 51, 100, 9], 5001)), server_address()),
            5 => (SocketAddr::from(([0; 4], 0)), server_address()),
            6 => (SocketAddr::from(([0; 16], 1)), server_address()),
            _ => (browser_address(), SocketAddr::from(([203, 0, 113, 1], 1))),
        };
        self.peer.receive(self.now, Route::udp(source, to), datagram, &mut self.outlet);
    }

    fn add_candidate(&mut self, candidate: &str) {
        let checked = Peer::check_candidate(candidate);
        if let Err(error) = checked {
            let error = error.to_string();
            assert!(error.starts_with("the ICE candidate cannot be used: "), "{error}");
        }
    }

    fn stun(&self, names: Names, class: u8, method: u8, role: u8, prio: Option<u32>) -> Vec<u8> {
        let name = match names {
            Names::Right => Some(format!("{}:zSMY", self.ufrag)),
            Names::Reversed => Some(format!("zSMY:{}", self.ufrag)),
            Names::Other(word) => Some(word_of(word).to_owned()),
            Names::None => None,
        };
        let method = match method % 8 {
            0..5 => StunMessageBuilder::new().binding(),
            5 => StunMessageBuilder::new().allocate(),
            6 => StunMessageBuilder::new().refresh(),
            _ => StunMessageBuilder::new().data(),
        };
        let mut message = match class % 8 {
            0..5 => method.request(),
            5 => method.success(),
            6 => method.failure(),
            _ => method.indication(),
        };
        if let Some(name) = &name {
            message = message.username(name);
        }
        if let Some(prio) = prio {
            message = message.prio(prio);
        }
        if role & 1 == 1 {
            message = message.use_candidate();
        }
        message = match role >> 1 & 3 {
            0 => message,
            1 => message.ice_controlled(u64::from(role)),
            2 => message.xor_mapped_address(browser_address()).error_code(487, "Role Conflict"),
            _ => message.ice_controlling(u64::from(role)),
        };
        let mut bytes = [0; 600];
        let crypto = str0m::crypto::from_feature_flags();
        let length = message.build(TransId::new()).to_bytes(
            Some(self.password.as_bytes()),
            &mut bytes,
            |key, payloads| crypto.sha1_hmac_provider.sha1_hmac(key, payloads),
        );
        length.map_or_else(|_| Vec::new(), |length| bytes[..length].to_vec())
    }

    /// A session that is called whenever it wants to be lets time go on.
    fn must_not_spin(&mut self) {
        let from = self.now;
        for _ in 0..200 {
            let Some(timeout) = self.peer.timeout() else { return };
            self.now = self.now.max(timeout);
            self.peer.handle_timeout(self.now, &mut self.outlet);
        }
        let passed = self.now - from;
        assert!(passed > Duration::from_millis(20), "200 timeouts in {passed:?}");
    }
}
