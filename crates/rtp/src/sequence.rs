//! What sequence numbers and times of a stream mean, and what is reported of them (RFC 3550, appendix A).

use std::time::Instant;

/// Numbers further ahead, or behind, are none of the same count...
const MOST_AHEAD: u16 = 3_000;
const MOST_BEHIND: u16 = 500;
/// ...if the one after them comes too.
const COUNT_BEGINS: u64 = 1 << 16;
const TIME_BEGINS: u64 = 1 << 32;

/// A packet's place in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Another one for each stream, and for each time that one began anew.
    pub(crate) stream: u32,
    pub(crate) seq: u64,
    pub(crate) time: u64,
}

/// The stream that comes.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    stream: u32,
    now: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    first: u64,
    highest: u64,
    time: u64,
    /// The number that begins a new count, if it is the next one.
    begins_anew: Option<u16>,
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Of the last packet, in units of the clock, and how much that changes.
    transit: Option<f64>,
    jitter: f64,
}

/// What a receiver report says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Reception {
    pub(crate) ssrc: u32,
    /// Of 256, since the last report.
    pub(crate) fraction_lost: u8,
    pub(crate) lost: u32,
    pub(crate) highest: u32,
    pub(crate) jitter: u32,
}

impl Incoming {
    /// The SSRC of the stream that came last.
    pub(crate) fn ssrc(&self) -> Option<u32> {
        self.now.as_ref().map(|stream| stream.ssrc)
    }

    /// Where a packet belongs; `None` for one that is far from all that came, until the next one says that a new count has
    /// begun. Another SSRC is another stream at once.
    pub(crate) fn place(&mut self, ssrc: u32, seq: u16, time: u32) -> Option<Place> {
        let Some(stream) = self.now.as_mut().filter(|stream| stream.ssrc == ssrc) else {
            return Some(self.begin(ssrc, seq, time));
        };
        let ahead = seq.wrapping_sub(stream.highest as u16);
        let behind = (stream.highest as u16).wrapping_sub(seq);
        if ahead >= MOST_AHEAD && behind > MOST_BEHIND {
            if stream.begins_anew == Some(seq) {
                return Some(self.begin(ssrc, seq, time));
            }
            stream.begins_anew = Some(seq.wrapping_add(1));
            return None;
        }
        stream.begins_anew = None;
        let seq = match ahead < MOST_AHEAD {
            true => stream.highest + u64::from(ahead),
            false => stream.highest.saturating_sub(behind.into()),
        };
        let change = i64::from(time.wrapping_sub(stream.time as u32) as i32);
        let time = stream.time.saturating_add_signed(change);
        if seq > stream.highest {
            (stream.highest, stream.time) = (seq, time);
        }
        stream.received += 1;
        Some(Place { stream: self.stream, seq, time })
    }

    /// Takes note of when a packet came.
    pub(crate) fn arrived(&mut self, time: u64, since_start: f64, clock_hz: f64) {
        let Some(stream) = &mut self.now else { return };
        let transit = since_start * clock_hz - time as f64;
        if let Some(before) = stream.transit.replace(transit) {
            let change = (transit - before).abs();
            // A pause of the sender, or a jump of its clock, is no jitter.
            if change < clock_hz {
                stream.jitter += (change - stream.jitter) / 16.0;
            }
        }
    }

    /// What is to be reported of the stream since the last report.
    pub(crate) fn report(&mut self) -> Option<Reception> {
        let stream = self.now.as_mut()?;
        let expected = stream.highest + 1 - stream.first;
        let (now, came) =
            (expected - stream.expected_before, stream.received - stream.received_before);
        (stream.expected_before, stream.received_before) = (expected, stream.received);
        let lost_now = now.saturating_sub(came);
        Some(Reception {
            ssrc: stream.ssrc,
            fraction_lost: (lost_now * 256).checked_div(now).unwrap_or(0).min(255) as u8,
            lost: expected.saturating_sub(stream.received).min(0x7f_ffff) as u32,
            highest: (stream.highest - COUNT_BEGINS) as u32,
            jitter: stream.jitter as u32,
        })
    }

    fn begin(&mut self, ssrc: u32, seq: u16, time: u32) -> Place {
        self.stream = self.stream.wrapping_add(1);
        // So that packets from before the first have a place too.
        let (seq, time) = (COUNT_BEGINS + u64::from(seq), TIME_BEGINS + u64::from(time));
        self.now = Some(Stream {
            ssrc,
            first: seq,
            highest: seq,
            time,
            begins_anew: None,
            received: 1,
            expected_before: 0,
            received_before: 0,
            transit: None,
            jitter: 0.0,
        });
        Place { stream: self.stream, seq, time }
    }
}

/// The middle 32 bits of a time of NTP.
pub(crate) fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// In units of 1/65536 s.
pub(crate) fn short_time(from: Instant, to: Instant) -> u32 {
    (to.saturating_duration_since(from).as_secs_f64() * 65_536.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_go_on_where_they_wrap_and_come_in_any_order() {
        let mut incoming = Incoming::default();
        let first = incoming.place(7, 65_534, u32::MAX - 100).expect("the first");
        let mut place = |seq, time| {
            let place = incoming.place(7, seq, time).expect("near");
            let [seq, time] =
                [place.seq as i64 - first.seq as i64, place.time as i64 - first.time as i64];
            (place.stream, seq, time)
        };
        assert_eq!(place(65_535, 59), (1, 1, 160));
        assert_eq!(place(1, 379), (1, 3, 480));
        assert_eq!(place(0, 219), (1, 2, 320));
        assert_eq!(place(65_533, u32::MAX - 260), (1, -1, -160));
        let report = incoming.report().expect("a stream");
        assert_eq!((report.ssrc, report.lost, report.highest), (7, 0, 65_537));
    }

    #[test]
    fn another_stream_begins_at_once_and_another_count_with_its_second_packet() {
        let mut incoming = Incoming::default();
        assert_eq!(incoming.place(7, 100, 0).expect("the first").stream, 1);
        assert_eq!(incoming.place(8, 30_000, 9_000).expect("another").stream, 2);
        assert_eq!(incoming.place(8, 5_000, 0), None, "it may be junk");
        assert_eq!(incoming.place(8, 30_001, 9_160).expect("as before").stream, 2);
        assert_eq!(incoming.place(8, 5_001, 0), None, "one alone");
        let anew = incoming.place(8, 5_002, 160).expect("two in a row");
        assert_eq!((anew.stream, anew.seq), (3, COUNT_BEGINS + 5_002));
    }

    #[test]
    fn loss_and_jitter_are_reported_as_they_are() {
        let mut incoming = Incoming::default();
        for number in (0..100_u16).filter(|number| number % 4 != 1) {
            let time = u32::from(number) * 160;
            let place = incoming.place(7, number, time).expect("near");
            let late = if number % 2 == 0 { 0.0 } else { 0.005 };
            incoming.arrived(place.time, f64::from(number) * 0.02 + late, 8_000.0);
        }
        let report = incoming.report().expect("a stream");
        assert_eq!((report.lost, report.fraction_lost, report.highest), (25, 64, 99));
        assert!((20..=40).contains(&report.jitter), "{}", report.jitter);
        let again = incoming.report().expect("a stream");
        assert_eq!((again.lost, again.fraction_lost), (25, 0), "nothing came since");
    }
}
