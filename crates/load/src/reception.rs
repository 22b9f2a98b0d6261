//! What came of a stream of packets.

use std::time::{Duration, Instant};

/// Longer times without a packet are gaps: what jitter buffers bridge ends about there.
pub(crate) const GAP: Duration = Duration::from_millis(60);
/// Packets of an intended silence come as far apart as their RTP times say, give or take that.
const SILENCE_TOLERANCE: Duration = Duration::from_millis(20);
/// Intended silences are shorter (Opus DTX sends every 400 ms).
const STALL: Duration = Duration::from_secs(1);

/// Counts the packets of one stream by their sequence numbers, and the gaps by their arrivals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reception {
    first_seq: Option<u64>,
    highest_seq: u64,
    last: Option<Last>,
    /// Packets that came.
    pub(crate) received: u64,
    /// Times of more than [`GAP`] without a packet that were no silence.
    pub(crate) gaps: u64,
    /// The longest time without a packet that was no silence.
    pub(crate) longest: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    seq: u64,
    rtp_time: u64,
    arrival: Instant,
}

impl Reception {
    /// Forgets what was counted; time goes on from the last packet.
    pub(crate) fn restart(&mut self) {
        *self = Self { last: self.last, ..Self::default() };
    }

    /// Takes a packet: its extended sequence number and RTP time (at 48 kHz).
    pub(crate) fn take(&mut self, seq: u64, rtp_time: u64, arrival: Instant) {
        if let Some(last) = self.last {
            self.count_gap(last, seq, rtp_time, arrival);
        }
        // After a restart, what was overtaken by the first one counts to the time before.
        let first_seq = *self.first_seq.get_or_insert(seq);
        if seq >= first_seq {
            self.received += 1;
        }
        self.highest_seq = self.highest_seq.max(seq);
        if self.last.is_none_or(|last| last.seq < seq) {
            self.last = Some(Last { seq, rtp_time, arrival });
        }
    }

    /// Counts the time since the last packet, if it is longer than any silence.
    pub(crate) fn finish(&mut self, now: Instant) {
        if let Some(last) = self.last {
            let since = now.saturating_duration_since(last.arrival);
            if since > STALL {
                self.gaps += 1;
                self.longest = self.longest.max(since);
            }
        }
    }

    /// Packets whose numbers are missing between the first and the last that came.
    pub(crate) fn lost(&self) -> u64 {
        let sent = self.first_seq.map_or(0, |first| self.highest_seq + 1 - first);
        sent.saturating_sub(self.received)
    }

    fn count_gap(&mut self, last: Last, seq: u64, rtp_time: u64, arrival: Instant) {
        let since = arrival.saturating_duration_since(last.arrival);
        let spoken = rtp_time.saturating_sub(last.rtp_time);
        let spoken = Duration::from_secs_f64(spoken as f64 / 48e3);
        let is_silence = seq == last.seq + 1 && spoken + SILENCE_TOLERANCE >= since;
        if !is_silence || since <= GAP {
            self.longest = self.longest.max(since);
            self.gaps += u64::from(since > GAP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(reception: &mut Reception, start: Instant, packets: &[(u64, u64, u64)]) {
        for (seq, rtp_ms, at_ms) in packets {
            reception.take(*seq, rtp_ms * 48, start + Duration::from_millis(*at_ms));
        }
    }

    #[test]
    fn loss_is_what_is_missing_between_first_and_last_whatever_their_order() {
        let mut reception = Reception::default();
        let packets = [(10, 0, 0), (12, 40, 40), (11, 20, 41), (15, 100, 100)];
        receive(&mut reception, Instant::now(), &packets);
        assert_eq!((reception.received, reception.lost()), (4, 2));
        assert_eq!(Reception::default().lost(), 0);
    }

    #[test]
    fn a_restart_counts_anew_but_sees_the_gap_across_it() {
        let mut reception = Reception::default();
        let start = Instant::now();
        receive(&mut reception, start, &[(1, 0, 0), (5, 80, 80)]);
        reception.restart();
        receive(&mut reception, start, &[(6, 100, 200), (8, 140, 240), (9, 160, 260)]);
        assert_eq!((reception.received, reception.lost(), reception.gaps), (3, 1, 1));
    }

    #[test]
    fn late_and_lost_packets_make_gaps_and_intended_silence_makes_none() {
        let start = Instant::now();
        let gaps = |packets: &[(u64, u64, u64)]| {
            let mut reception = Reception::default();
            receive(&mut reception, start, packets);
            (reception.gaps, reception.longest.as_millis())
        };
        assert_eq!(gaps(&[(1, 0, 0), (2, 20, 20), (3, 40, 80)]), (0, 60));
        assert_eq!(gaps(&[(1, 0, 0), (2, 20, 81)]), (1, 81), "late");
        assert_eq!(gaps(&[(1, 0, 0), (5, 80, 80)]), (1, 80), "lost");
        assert_eq!(gaps(&[(1, 0, 0), (2, 400, 410)]), (0, 0), "silence");
        assert_eq!(gaps(&[(1, 0, 0), (2, 400, 480)]), (1, 480), "silence that ended late");
    }

    #[test]
    fn what_comes_no_more_is_a_gap_in_the_end() {
        let start = Instant::now();
        let mut reception = Reception::default();
        receive(&mut reception, start, &[(1, 0, 0)]);
        reception.clone().finish(start + Duration::from_millis(500));
        assert_eq!(reception.gaps, 0);
        reception.finish(start + Duration::from_millis(1_500));
        assert_eq!(reception.gaps, 1);
    }
}
