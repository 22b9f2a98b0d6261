//! A line of RTP whose other side, and whoever else knows its port, sends what they like, in the clear or with keys. No panic;
//! nothing is sent to where nothing may go; with keys no frame is taken but what their holder sent, and none twice.

#![no_main]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use arbitrary::Arbitrary;
use foldback_fuzz::edits::ByteEdits;
use foldback_fuzz::origin;
use foldback_rtp::{Keys, Options, Reach, Received, Secrets, Session, Source, Suite};
use libfuzzer_sys::{Corpus, fuzz_target};

/// What networks carry.
const LONGEST: usize = 1500;
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Arbitrary, Debug)]
struct Case {
    rate: u8,
    suite: u8,
    /// It is told where the gateway is, and need not learn it.
    told: bool,
    takes: bool,
    must_report: bool,
    begins: (u16, u32),
    acts: Vec<Act>,
}

#[derive(Arbitrary, Debug)]
enum Act {
    /// Anything from anywhere.
    Datagram {
        from: u8,
        bytes: Vec<u8>,
    },
    /// RTP with a plausible head.
    Rtp {
        from: u8,
        flags: u8,
        payload_type: u8,
        seq: u16,
        rtp_time: u32,
        ssrc: u8,
        body: Vec<u8>,
    },
    /// RTCP with a plausible head, which says how long it is.
    Rtcp {
        from: u8,
        flags: u8,
        kind: u8,
        words: Option<u16>,
        ssrc: u8,
        body: Vec<u8>,
    },
    /// A packet of the gateway, as it is or changed.
    Gateway {
        from: u8,
        rtp_time: u32,
        edits: Option<ByteEdits>,
    },
    /// A report of the gateway, or its goodbye.
    GatewayReports {
        from: u8,
        goodbye: bool,
        edits: Option<ByteEdits>,
    },
    /// One that came before.
    Again {
        from: u8,
        number: u8,
    },
    Send {
        rtp_time: u32,
        bytes: u8,
    },
    Pass {
        ms: u16,
    },
}

fuzz_target!(|case: Case| -> Corpus {
    if case.acts.is_empty() {
        return Corpus::Reject;
    }
    let mut line = Line::new(&case);
    for act in case.acts.iter().take(400) {
        line.play(act);
    }
    let mut goodbye = Vec::new();
    let to = line.server.close(line.now, &mut goodbye);
    line.must_be_allowed(to);
    Corpus::Keep
});

struct Line {
    server: Session,
    gateway: Session,
    clock_hz: u32,
    keyed: bool,
    takes: bool,
    now: Instant,
    /// Datagrams that were given to the server.
    came: Vec<Vec<u8>>,
    /// Payloads that the gateway wrote, and those that were taken.
    written: HashSet<Vec<u8>>,
    taken: HashSet<Vec<u8>>,
    out: Vec<u8>,
}

impl Line {
    fn new(case: &Case) -> Self {
        let now = origin();
        let clock_hz = [8_000, 16_000, 48_000][usize::from(case.rate) % 3];
        let suites = [None, Some(Suite::AesCm128HmacSha1_80), Some(Suite::AeadAes128Gcm)];
        let suite = suites[usize::from(case.suite) % suites.len()];
        let secrets = |incoming: u8, outgoing: u8| {
            let keys = |suite: Suite, fill| Keys(vec![fill; suite.key_bytes()]);
            suite.map(|suite| Secrets {
                suite,
                incoming: keys(suite, incoming),
                outgoing: keys(suite, outgoing),
            })
        };
        let session = |source, ssrc, secrets, takes| {
            let options = Options {
                payload_type: 0,
                clock_hz,
                takes,
                must_report: case.must_report,
                source,
                reach: Reach::new(|address| !address.is_loopback()),
                secrets,
                ssrc,
                begins: case.begins,
                cname: "name".to_owned(),
                timeout: TIMEOUT,
                wall_clock: (now, UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
            };
            Session::new(options, now).expect("keys of the right length")
        };
        let source = if case.told { Source::At(address(0)) } else { Source::First };
        Self {
            server: session(source, 7, secrets(1, 2), case.takes),
            gateway: session(Source::At(address(9)), 8, secrets(2, 1), true),
            clock_hz,
            keyed: suite.is_some(),
            takes: case.takes,
            now,
            came: Vec::new(),
            written: HashSet::new(),
            taken: HashSet::new(),
            out: Vec::new(),
        }
    }

    fn play(&mut self, act: &Act) {
        match act {
            Act::Datagram { from, bytes } => self.give(*from, bytes.clone()),
            Act::Rtp { from, flags, payload_type, seq, rtp_time, ssrc, body } => {
                let mut bytes = vec![0x80 | (flags & 0x3f), *payload_type];
                bytes.extend(seq.to_be_bytes());
                bytes.extend(rtp_time.to_be_bytes());
                bytes.extend(u32::from(*ssrc).to_be_bytes());
                bytes.extend(body);
                self.give(*from, bytes);
            }
            Act::Rtcp { from, flags, kind, words, ssrc, body } => {
                let mut bytes = vec![0x80 | (flags & 0x3f), 192 + kind % 32];
                let words = words.unwrap_or(1 + body.len() as u16 / 4);
                bytes.extend(words.to_be_bytes());
                bytes.extend(u32::from(*ssrc).to_be_bytes());
                bytes.extend(body);
                self.give(*from, bytes);
            }
            Act::Gateway { from, rtp_time, edits } => {
                // No two have the same.
                let payload = (self.written.len() as u64).to_be_bytes().repeat(4);
                let mut bytes = Vec::new();
                let to = self.gateway.send(self.now, *rtp_time, false, &payload, &mut bytes);
                if to.is_some() {
                    self.written.insert(payload);
                    self.give_changed(*from, bytes, edits.as_ref());
                }
            }
            Act::GatewayReports { from, goodbye, edits } => {
                let mut bytes = Vec::new();
                let to = match goodbye {
                    true => self.gateway.close(self.now, &mut bytes),
                    false => self.gateway.handle_timeout(self.now, &mut bytes),
                };
                if to.is_some() {
                    self.give_changed(*from, bytes, edits.as_ref());
                }
            }
            Act::Again { from, number } => {
                let at = usize::from(*number) % self.came.len().max(1);
                if let Some(bytes) = self.came.get(at).cloned() {
                    self.give(*from, bytes);
                }
            }
            Act::Send { rtp_time, bytes } => {
                let payload = vec![1; usize::from(*bytes)];
                let to = self.server.send(self.now, *rtp_time, false, &payload, &mut self.out);
                self.sent(to, true);
            }
            Act::Pass { ms } => {
                self.now += Duration::from_millis((*ms).into());
                let due = self.server.timeout() <= self.now;
                let to = self.server.handle_timeout(self.now, &mut self.out);
                assert!(due || to.is_none(), "a report before its time");
                assert!(self.server.timeout() > self.now, "a session that spins");
                self.sent(to, false);
            }
        }
    }

    fn give_changed(&mut self, from: u8, bytes: Vec<u8>, edits: Option<&ByteEdits>) {
        let bytes = match edits {
            Some(edits) => edits.apply(&bytes, LONGEST),
            None => bytes,
        };
        self.give(from, bytes);
    }

    fn give(&mut self, from: u8, mut bytes: Vec<u8>) {
        bytes.truncate(LONGEST);
        let source = address(from);
        match self.server.receive(self.now, source, &bytes) {
            Received::Frame(frame) => {
                assert!(self.takes, "a frame where none is taken");
                assert!(!source.ip().is_loopback(), "of where nothing may go");
                assert!(frame.payload.len() + 12 <= bytes.len(), "more than came");
                assert_eq!(frame.rtp_time % u64::from(48_000 / self.clock_hz), 0);
                if self.keyed {
                    let payload = frame.payload.to_vec();
                    assert!(self.written.contains(&payload), "forged");
                    assert!(self.taken.insert(payload), "replayed");
                }
            }
            Received::Report(report) => {
                assert!(report.loss.is_none_or(|loss| (0.0..=1.0).contains(&loss)));
            }
            Received::Dropped(_) => {}
        }
        assert!(self.server.gone_at().is_none_or(|at| at >= origin()));
        self.came.push(bytes);
    }

    /// What the server sends the gateway can read.
    fn sent(&mut self, to: Option<SocketAddr>, is_packet: bool) {
        self.must_be_allowed(to);
        if to.is_none() {
            return;
        }
        assert!(self.out.len() <= LONGEST);
        let received = self.gateway.receive(self.now, address(9), &self.out);
        match received {
            Received::Frame(_) => assert!(is_packet),
            Received::Report(_) => assert!(!is_packet),
            Received::Dropped(why) => panic!("the gateway drops it: {why:?}"),
        }
    }

    fn must_be_allowed(&self, to: Option<SocketAddr>) {
        assert!(to.is_none_or(|to| !to.ip().is_loopback()), "nothing may go to {to:?}");
        assert!(to.is_none() || to == self.server.destination());
    }
}

/// That of the gateway is 0, that of the server 9; every fourth is where nothing may go.
fn address(number: u8) -> SocketAddr {
    match number % 4 {
        3 => ([127, 0, 0, 1], 4000 + u16::from(number)).into(),
        host => ([192, 0, 2, 1 + host], 4000 + u16::from(number / 4)).into(),
    }
}
