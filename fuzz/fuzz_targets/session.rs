//! A browser that was let in and then sends what it likes, encrypted as it should be: RTP of any
//! kind, RED (RFC 2198) with any blocks, data channels, over a wire that loses, doubles, swaps and
//! spoils. No panic; copies fill only holes; and the receiver behind it stays sound.

#![no_main]

use std::time::{Duration, Instant, UNIX_EPOCH};

use arbitrary::Arbitrary;
use foldback_fuzz::browser::{
    Browser, Outlet, accept, browser_address, connect, server_address, tolerate_panics_in_accept,
};
use foldback_fuzz::edits::{ByteEdits, TextEdit};
use foldback_fuzz::listener::Listener;
use foldback_fuzz::opus::{self, Payload};
use foldback_fuzz::origin;
use foldback_peer::{
    Captured, Contributor, EchoStrings, MixedPacket, OutgoingFrame, Payloads, Peer, ReceivedFrame,
    Route,
};
use foldback_room::{CaptureTime, EncodedFrame, LatencyProfile};
use libfuzzer_sys::{Corpus, fuzz_target};
use str0m::rtp::{AbsCaptureTime, ExtensionValues, RtpWrite};

/// Packets of which it is known whether they came.
const REMEMBERED: u64 = 64;
/// What a browser puts into one datagram.
const LONGEST_PAYLOAD: usize = 1150;

#[derive(Arbitrary, Debug)]
struct Case {
    offer: Vec<TextEdit>,
    acts: Vec<Act>,
}

#[derive(Arbitrary, Debug)]
enum Act {
    Rtp {
        head: Head,
        payload: Payload,
    },
    Red {
        head: Head,
        blocks: Vec<Block>,
        primary_type: Option<u8>,
        primary: Payload,
        edits: ByteEdits,
    },
    /// Goes on with another stream.
    Stream {
        ssrc: u8,
    },
    Say {
        binary: bool,
        words: Vec<u8>,
        times: u8,
    },
    /// Something that is not encrypted.
    Plain {
        bytes: Vec<u8>,
    },
    Wire(Trouble),
    Pass {
        ms: u8,
    },
    Wait {
        ms: u16,
    },
    Mix {
        rtp_time: u32,
        payload: Payload,
        copy: Option<(u8, u32)>,
        heard: u8,
        captured: Option<(u32, i64)>,
    },
    Leave,
}

#[derive(Arbitrary, Debug)]
struct Head {
    seq: i8,
    far_seq: Option<u16>,
    rtp_time: i16,
    far_rtp_time: Option<u32>,
    level: Option<u8>,
    captured: Option<(u32, Option<i64>)>,
    sources: u8,
    marker: bool,
}

#[derive(Arbitrary, Debug)]
struct Block {
    /// Not Opus.
    other_type: Option<u8>,
    packets_earlier: u8,
    samples_earlier: Option<u16>,
    payload: Payload,
}

/// What happens to the datagrams that wait on the way to the server.
#[derive(Arbitrary, Clone, Debug)]
enum Trouble {
    /// They wait for so many acts.
    Hold(u8),
    Lose(u8),
    Double(u8),
    Swap(u8),
    Spoil(u8, ByteEdits),
}

fuzz_target!(init: {
    tolerate_panics_in_accept();
    let _ = opus::voice();
}, |case: Case| -> Corpus {
    let (mut browser, offer) = Browser::new();
    let offer = TextEdit::apply(&case.offer[..case.offer.len().min(4)], &offer);
    // What offers do to `accept` is the business of the target `peer`.
    let Ok((mut peer, answer)) = accept(&offer, EchoStrings::Yes) else { return Corpus::Reject };
    if !browser.take_answer(&answer) {
        return Corpus::Reject;
    }
    let (mut outlet, mut now) = (Outlet::default(), origin());
    if !connect(&mut browser, &mut peer, &mut outlet, &mut now, |_| {}) {
        return Corpus::Reject;
    }
    let listener = Listener::new(LatencyProfile::Balanced, Duration::from_millis(7));
    let mut call = Call {
        browser,
        peer,
        frame: OutgoingFrame::default(),
        payloads: Payloads::default(),
        outlet,
        now,
        listener,
        came: Vec::new(),
        seq: 1,
        rtp_time: 0,
        count: 0,
        held: 0,
    };
    for act in case.acts.iter().take(300) {
        call.act(act);
    }
    Corpus::Keep
});

struct Call {
    browser: Browser,
    peer: Peer,
    frame: OutgoingFrame,
    payloads: Payloads,
    outlet: Outlet,
    now: Instant,
    listener: Listener,
    /// The last packets that came themselves.
    came: Vec<(u32, u64)>,
    seq: u64,
    rtp_time: u32,
    count: usize,
    /// Acts until datagrams go on.
    held: u8,
}

impl Call {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Rtp { head, payload } => {
                let payload = payload.bytes(self.count);
                self.send(head, false, &payload);
            }
            Act::Red { head, blocks, primary_type, primary, edits } => {
                let Some((opus, _)) = self.browser.payload_types() else { return };
                let payload = self.red(*opus, blocks, *primary_type, primary);
                self.send(head, true, &edits.apply(&payload, LONGEST_PAYLOAD));
            }
            Act::Stream { ssrc } => self.browser.change_stream(self.now, 1 + u32::from(ssrc % 3)),
            Act::Say { binary, words, times } => {
                let words = words.repeat(1 + usize::from(*times));
                self.browser.say(self.now, *binary, &words[..words.len().min(20_000)]);
            }
            Act::Plain { bytes } => self.browser.datagrams.push(bytes.clone()),
            Act::Wire(trouble) => return self.trouble(trouble),
            Act::Pass { ms } => return self.pass(Duration::from_millis((*ms).into())),
            Act::Wait { ms } => return self.pass(Duration::from_millis((ms % 8000).into())),
            Act::Mix { rtp_time, payload, copy, heard, captured } => {
                let payload = payload.bytes(self.count);
                let contributor = |n: u8| Contributor { source: n.into(), level_minus_dbov: n };
                let copy = copy.map(|(byte, earlier)| (vec![byte; usize::from(byte) * 4], earlier));
                let packet = MixedPacket {
                    rtp_time: *rtp_time,
                    payload: &payload,
                    marker: false,
                    copy: copy.as_ref().map(|(copy, earlier)| (&copy[..], *earlier)),
                    captured: captured.map(|(s, ns)| Captured {
                        since_epoch: Duration::from_secs((s % (1 << 31)).into()),
                        clock_offset_ns: Some(ns),
                    }),
                };
                self.frame.set(packet, (0..heard % 32).map(contributor), &mut self.payloads);
                self.peer.send(self.now, &mut self.frame, &mut self.payloads, &mut self.outlet);
            }
            Act::Leave => self.peer.close(self.now, &mut self.outlet),
        }
        self.exchange();
    }

    fn send(&mut self, head: &Head, red: bool, payload: &[u8]) {
        let Some((opus, red_type)) = self.browser.payload_types() else { return };
        self.count += 1;
        self.seq = match head.far_seq {
            // So that both sides agree on how often it wrapped, at most half a turn.
            Some(by) => self.seq + u64::from(by % 0x8000),
            None => self.seq.saturating_add_signed(1 + i64::from(head.seq)),
        };
        let by = head.far_rtp_time.unwrap_or(960_u32.wrapping_add_signed(head.rtp_time.into()));
        self.rtp_time = self.rtp_time.wrapping_add(by);
        let extensions = ExtensionValues {
            audio_level: head.level.map(|level| -((level & 0x7f) as i8)),
            voice_activity: head.level.map(|level| level > 127),
            abs_capture_time: head.captured.map(|(s, clock_offset)| AbsCaptureTime {
                capture_time: UNIX_EPOCH + Duration::from_secs((s % (1 << 31)).into()),
                clock_offset,
            }),
            ..ExtensionValues::default()
        };
        let sources: Vec<u32> = (0..u32::from(head.sources % 16)).collect();
        let payload_type = if red { red_type } else { opus };
        let payload = &payload[..payload.len().min(LONGEST_PAYLOAD)];
        let write = RtpWrite::new(payload_type, self.seq.into(), self.rtp_time, self.now, payload)
            .marker(head.marker)
            .csrc(&sources)
            .ext_vals(extensions);
        self.browser.send(self.now, write);
    }

    /// RFC 2198, section 3, with what fits into its fields.
    fn red(
        &self,
        opus: u8,
        blocks: &[Block],
        primary_type: Option<u8>,
        primary: &Payload,
    ) -> Vec<u8> {
        let (mut heads, mut bodies) = (Vec::new(), Vec::new());
        for block in blocks.iter().take(40) {
            let body = block.payload.bytes(self.count.saturating_sub(1));
            let body = &body[..body.len().min(300)];
            let earlier =
                block.samples_earlier.unwrap_or(u16::from(block.packets_earlier).wrapping_mul(960));
            let (time, length) = (u32::from(earlier & 0x3fff), body.len() as u32);
            let packed = (time << 10 | length).to_be_bytes();
            heads.extend([
                0x80 | block.other_type.unwrap_or(opus),
                packed[1],
                packed[2],
                packed[3],
            ]);
            bodies.extend_from_slice(body);
        }
        heads.push(primary_type.unwrap_or(opus) & 0x7f);
        heads.extend(bodies);
        heads.extend_from_slice(&primary.bytes(self.count));
        heads
    }

    fn trouble(&mut self, trouble: &Trouble) {
        let waiting = &mut self.browser.datagrams;
        let count = waiting.len();
        let index = |at: u8| usize::from(at) % count.max(1);
        match trouble {
            Trouble::Hold(acts) => self.held = acts % 32,
            _ if count == 0 => {}
            Trouble::Lose(at) => drop(waiting.remove(index(*at))),
            Trouble::Double(at) => waiting.push(waiting[index(*at)].clone()),
            Trouble::Swap(at) => waiting.swap(0, index(*at)),
            Trouble::Spoil(at, edits) => {
                let datagram = &mut waiting[index(*at)];
                *datagram = edits.apply(datagram, 2000);
            }
        }
    }

    fn pass(&mut self, by: Duration) {
        let end = self.now + by;
        for _ in 0..500 {
            let timeouts = [self.browser.timeout(), self.peer.timeout()].into_iter().flatten();
            self.now = timeouts.chain([end]).min().unwrap_or(end).max(self.now);
            self.browser.pass(self.now);
            self.peer.handle_timeout(self.now, &mut self.outlet);
            self.exchange();
            if self.now >= end {
                break;
            }
        }
        self.now = end;
        self.listener.pass_to(self.now);
    }

    fn exchange(&mut self) {
        if self.held > 0 {
            self.held -= 1;
            return;
        }
        for _ in 0..4 {
            for datagram in std::mem::take(&mut self.browser.datagrams) {
                let route = Route::udp(browser_address(), server_address());
                self.peer.receive(self.now, route, &datagram, &mut self.outlet);
            }
            for datagram in std::mem::take(&mut self.outlet.datagrams) {
                self.browser.receive(self.now, &datagram);
            }
        }
        self.listener.pass_to(self.now);
        for frame in std::mem::take(&mut self.outlet.frames) {
            self.hear(frame);
        }
    }

    fn hear(&mut self, frame: ReceivedFrame) {
        let ReceivedFrame { ssrc, seq, rtp_time, level_minus_dbov, payload, arrival, .. } = frame;
        assert!(!payload.is_empty(), "an empty frame");
        assert!(level_minus_dbov.is_none_or(|level| level <= 127), "{level_minus_dbov:?}");
        assert_eq!(arrival, self.now, "it came now");
        if self.came.last().is_some_and(|(last, _)| *last != ssrc) {
            self.came.clear();
        }
        if frame.copy_distance > 0 {
            let newest = self.came.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
            let lately = newest < seq + REMEMBERED;
            let came = lately && self.came.contains(&(ssrc, seq));
            assert!(!came, "a copy of packet {seq}, which came");
            assert!(level_minus_dbov.is_none() && frame.captured.is_none(), "a copy has no level");
        } else {
            self.came.push((ssrc, seq));
            let old = self.came.len().saturating_sub(REMEMBERED as usize);
            self.came.drain(..old);
        }
        let captured = frame.captured.map(|captured| CaptureTime {
            since_epoch: captured.since_epoch,
            clock_offset_ns: captured.clock_offset_ns,
        });
        let copy_distance = frame.copy_distance;
        self.listener.push(EncodedFrame {
            ssrc,
            seq,
            rtp_time,
            level_minus_dbov,
            payload,
            arrival,
            captured,
            copy_distance,
        });
    }
}
