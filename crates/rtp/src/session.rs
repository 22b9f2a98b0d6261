//! One session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use foldback_peer::{NetworkReport, ReceivedFrame};
use rtp_types::{RtpPacket, RtpPacketBuilder};

use crate::reports::{News, Report, Sent};
use crate::sequence::{Incoming, middle, short_time};
use crate::source::{Latch, Reach, Source};
use crate::srtp::{Secrets, Srtp, SrtpError};

/// The time that frames and rooms go by.
const ROOM_CLOCK_HZ: u32 = 48_000;
/// On average between two reports, of which each is up to a half of it sooner or later (RFC 3550, section 6.2).
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// After a stream has ended another one may begin, as when a call is transferred.
const AFTER_GOODBYE: Duration = Duration::from_secs(2);
/// From 1900, where NTP begins, to 1970.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;
/// RTCP has these numbers where RTP has its mark and payload type (RFC 5761, section 4).
const REPORTS: std::ops::RangeInclusive<u8> = 192..=223;
/// Reports fit a packet that networks carry whole; what is longer is none, and would take long to read.
const MOST_REPORT_BYTES: usize = 1500;

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number of the codec, 0 to 127; packets of others are left out.
    pub payload_type: u8,
    /// What RTP time counts in a second, a whole fraction of 48 000.
    pub clock_hz: u32,
    /// Whether sound of the other side is taken.
    pub takes: bool,
    /// Whether the other side must report even where it takes alone, so that nobody is sent to who does not want it.
    pub must_report: bool,
    /// Whose datagrams are taken, and where they go.
    pub source: Source,
    /// To which addresses they may go, where those are learnt.
    pub reach: Reach,
    /// With which keys; `None`: in the clear.
    pub secrets: Option<Secrets>,
    /// By which stream this side is known, and from which number its count begins.
    pub ssrc: u32,
    /// From which number the count of packets begins, and from which their time.
    pub begins: (u16, u32),
    /// A name that nobody else has (RFC 7022).
    pub cname: String,
    /// How long nothing may come, where something must.
    pub timeout: Duration,
    /// A moment, by both clocks.
    pub wall_clock: (Instant, SystemTime),
}

/// What became of a datagram.
#[derive(Clone)]
pub enum Received {
    /// A packet of the other side's voice.
    Frame(ReceivedFrame),
    /// It was taken, with what it says of the way to the other side.
    Report(NetworkReport),
    /// It was not.
    Dropped(Dropped),
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It came from elsewhere.
    Foreign,
    /// It is no RTP, or out of any count.
    Malformed,
    /// It is of another payload type: comfort noise, or keys of a telephone (RFC 4733).
    OtherPayload,
    /// It is not of who has the key, or came before.
    Unauthentic,
}

/// RTP with one other side.
#[derive(Debug)]
pub struct Session {
    options: Options,
    latch: Latch,
    srtp: Option<Srtp>,
    incoming: Incoming,
    last_received: Option<Instant>,
    created: Instant,
    goodbye: Option<Instant>,
    /// Of what goes: the number and time to come, and the room's time of the last packet.
    next_seq: u16,
    rtp_time: u32,
    room_time: Option<u32>,
    /// The room's time that is no whole unit of this clock.
    rest: u32,
    sent_at: Option<Instant>,
    packets: u32,
    bytes: u32,
    /// As of the last report.
    reported_packets: u32,
    next_report: Instant,
    /// The other side's last report of what it sends, and when it came.
    their_report: Option<(u32, Instant)>,
    /// For the times of reports.
    random: u32,
}

impl Session {
    /// One that has heard nothing yet. Allocates.
    ///
    /// # Errors
    /// When a key is none for its suite.
    pub fn new(mut options: Options, now: Instant) -> Result<Self, SrtpError> {
        let srtp = options.secrets.take().map(Srtp::new).transpose()?;
        let mut session = Self {
            latch: Latch::new(options.source, options.reach.clone()),
            srtp,
            incoming: Incoming::default(),
            last_received: None,
            created: now,
            goodbye: None,
            next_seq: options.begins.0,
            rtp_time: options.begins.1,
            room_time: None,
            rest: 0,
            sent_at: None,
            packets: 0,
            bytes: 0,
            reported_packets: 0,
            next_report: now,
            their_report: None,
            random: options.ssrc | 1,
            options,
        };
        session.plan_report(now);
        Ok(session)
    }

    /// Takes a datagram. Allocates the payload of a frame, and with keys what is in the clear.
    pub fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Received {
        let [first, second] = [0, 1].map(|at| datagram.get(at).copied().unwrap_or_default());
        let (proves, is_report) = (self.srtp.is_some(), REPORTS.contains(&second));
        let may = match is_report {
            true => self.latch.may_report(source, proves),
            false => self.latch.may_send(source, proves),
        };
        if !may {
            return Received::Dropped(Dropped::Foreign);
        }
        // Of both the first two bits are the version.
        let lengths = if is_report { 8..=MOST_REPORT_BYTES } else { 12..=usize::MAX };
        if first >> 6 != 2 || !lengths.contains(&datagram.len()) {
            return Received::Dropped(Dropped::Malformed);
        }
        let Some(srtp) = &mut self.srtp else {
            return self.take(now, source, datagram, is_report);
        };
        let at = if is_report { 4 } else { 8 };
        let ssrc = u32::from_be_bytes([
            datagram[at],
            datagram[at + 1],
            datagram[at + 2],
            datagram[at + 3],
        ]);
        let Some(clear) = srtp.open(ssrc, datagram, is_report) else {
            return Received::Dropped(Dropped::Unauthentic);
        };
        self.take(now, source, clear.as_ref(), is_report)
    }

    fn take(
        &mut self,
        now: Instant,
        source: SocketAddr,
        datagram: &[u8],
        is_report: bool,
    ) -> Received {
        match is_report {
            true => self.take_report(now, source, datagram),
            false => self.take_packet(now, source, datagram),
        }
    }

    fn take_packet(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Received {
        let Ok(packet) = RtpPacket::parse(datagram) else {
            return Received::Dropped(Dropped::Malformed);
        };
        if packet.payload_type() != self.options.payload_type {
            // Of who sends keys alone it is known all the same that they are there.
            if self.latch.is_known(source) {
                self.last_received = Some(now);
            }
            return Received::Dropped(Dropped::OtherPayload);
        }
        if !self.options.takes {
            // Who only listens may say by it where they are.
            self.latch.learn(source);
            self.last_received = Some(now);
            return Received::Report(NetworkReport::default());
        }
        let place =
            self.incoming.place(packet.ssrc(), packet.sequence_number(), packet.timestamp());
        let Some(place) = place else { return Received::Dropped(Dropped::Malformed) };
        let since = now.saturating_duration_since(self.created).as_secs_f64();
        self.incoming.arrived(place.time, since, self.options.clock_hz.into());
        self.latch.learn(source);
        self.last_received = Some(now);
        self.goodbye = None;
        Received::Frame(ReceivedFrame {
            ssrc: place.stream,
            seq: place.seq,
            rtp_time: place.time * self.factor(),
            level_minus_dbov: None,
            payload: Arc::from(packet.payload()),
            arrival: now,
            captured: None,
            copy_distance: 0,
        })
    }

    fn take_report(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Received {
        let news = News::read(datagram, self.options.ssrc, self.incoming.ssrc());
        let Some(news) = news else { return Received::Dropped(Dropped::Malformed) };
        // Who only listens is known by its reports.
        if !self.options.takes && self.latch.destination().is_none() {
            self.latch.learn(source);
        }
        self.last_received = Some(now);
        if news.goodbye {
            self.goodbye = Some(now);
        }
        if let Some(ntp) = news.sent_ntp {
            self.their_report = Some((middle(ntp), now));
        }
        let round_trip = news.last.and_then(|(last, held)| {
            let trip = middle(self.ntp(now)).wrapping_sub(last).wrapping_sub(held);
            // What lies before it was sent is none.
            (trip < 1 << 31).then(|| Duration::from_secs_f64(f64::from(trip) / 65_536.0))
        });
        Received::Report(NetworkReport { round_trip, loss: news.loss })
    }

    /// Writes a packet with this payload, whose first sample has that time at 48 kHz, over `out`; says where it goes, which is
    /// nowhere while nobody has been heard of. Allocates nothing, but with keys what the library does.
    pub fn send(
        &mut self,
        now: Instant,
        room_time: u32,
        marker: bool,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        self.pass(room_time);
        let to = self.latch.destination()?;
        out.clear();
        RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(self.options.payload_type)
            .marker_bit(marker || self.packets == 0)
            .sequence_number(self.next_seq)
            .timestamp(self.rtp_time)
            .ssrc(self.options.ssrc)
            .payload(payload)
            .write_into_vec(out)
            .ok()?;
        if let Some(srtp) = &mut self.srtp
            && !srtp.protect(out, false)
        {
            return None;
        }
        self.next_seq = self.next_seq.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(payload.len() as u32);
        self.sent_at = Some(now);
        Some(to)
    }

    /// Lets time pass; writes a report over `out` once one is due, and says where it goes. Allocates a little for one.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if now < self.next_report {
            return None;
        }
        self.plan_report(now);
        self.report(now, false, out)
    }

    /// Writes a goodbye over `out`, and says where it goes.
    pub fn close(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<SocketAddr> {
        self.report(now, true, out)
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn timeout(&self) -> Instant {
        self.next_report
    }

    /// When the other side is gone, should nothing come until then: `None` if nothing need come, of who only listens, need
    /// not report and never has, but where it is not known yet.
    #[must_use]
    pub fn gone_at(&self) -> Option<Instant> {
        let must_come = self.options.takes
            || self.options.must_report
            || self.last_received.is_some()
            || self.latch.destination().is_none();
        let last = self.last_received.unwrap_or(self.created);
        let silent = must_come.then(|| last + self.options.timeout);
        let goodbye = self.goodbye.map(|at| at + AFTER_GOODBYE);
        silent.into_iter().chain(goodbye).min()
    }

    /// Whether the other side said that its stream has ended.
    #[must_use]
    pub fn said_goodbye(&self) -> bool {
        self.goodbye.is_some()
    }

    /// Where what is sent goes, once that is known.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        self.latch.destination()
    }

    /// Goes on to the room's time of a packet.
    fn pass(&mut self, room_time: u32) {
        let passed = room_time.wrapping_sub(self.room_time.unwrap_or(room_time));
        let passed = u64::from(passed) + u64::from(self.rest);
        self.rtp_time = self.rtp_time.wrapping_add((passed / self.factor()) as u32);
        self.rest = (passed % self.factor()) as u32;
        self.room_time = Some(room_time);
    }

    fn report(&mut self, now: Instant, goodbye: bool, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let to = self.latch.destination()?;
        let sends = self.packets != self.reported_packets;
        self.reported_packets = self.packets;
        let sent = self.sent_at.filter(|_| sends).map(|at| {
            let since = now.saturating_duration_since(at).as_secs_f64();
            let since = (since * f64::from(self.options.clock_hz)) as u32;
            Sent {
                ntp: self.ntp(now),
                rtp_time: self.rtp_time.wrapping_add(since),
                packets: self.packets,
                bytes: self.bytes,
            }
        });
        let last = self.their_report.map(|(ntp, at)| (ntp, short_time(at, now)));
        let report = Report {
            ssrc: self.options.ssrc,
            cname: &self.options.cname,
            sent,
            received: self.incoming.report(),
            last: last.unwrap_or_default(),
            goodbye,
        };
        report.write(out);
        let protected = self.srtp.as_mut().is_none_or(|srtp| srtp.protect(out, true));
        protected.then_some(to)
    }

    fn plan_report(&mut self, now: Instant) {
        // xorshift; that reports of several do not come at once is all that it is for.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let share = 0.5 + f64::from(self.random) / f64::from(u32::MAX);
        self.next_report = now + REPORT_EVERY.mul_f64(share);
    }

    fn ntp(&self, now: Instant) -> u64 {
        let (then, wall) = self.options.wall_clock;
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default()
            + now.saturating_duration_since(then);
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        (unix.as_secs() + NTP_TO_UNIX_S) << 32 | fraction
    }

    fn factor(&self) -> u64 {
        u64::from((ROOM_CLOCK_HZ / self.options.clock_hz.max(1)).max(1))
    }
}
