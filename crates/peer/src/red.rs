//! Copies of earlier packets in later ones (RED, RFC 2198).

use std::sync::Arc;

use crate::payloads::Payloads;

/// The longest RED payload that surely fits into one datagram.
const LONGEST: usize = 1100;
/// The header of a copy, and that of the packet itself.
const COPY_HEADER: usize = 4;
const HEADER: usize = 1;
/// What the fields of a copy's header can say.
const MAX_EARLIER: u32 = (1 << 14) - 1;
const MAX_COPY: usize = (1 << 10) - 1;

/// A RED payload (RFC 2198, section 3): the packet before, then the packet. Where that makes it too
/// long for one datagram, the packet alone, as RED allows. str0m's encoder allocates four times for
/// it.
pub(crate) fn with_copy(
    opus: u8,
    payload: &[u8],
    copy: &[u8],
    earlier: u32,
    payloads: &mut Payloads,
) -> Arc<[u8]> {
    let fits = payload.len() + copy.len() <= LONGEST && copy.len() <= MAX_COPY;
    if !fits || earlier > MAX_EARLIER {
        return payloads.make(HEADER + payload.len(), |red| {
            red[0] = opus;
            red[HEADER..].copy_from_slice(payload);
        });
    }
    payloads.make(COPY_HEADER + copy.len() + HEADER + payload.len(), |red| {
        let (header, rest) = red.split_at_mut(COPY_HEADER);
        // One bit that more follows, 7 of type, 14 of time, 10 of length.
        let fields = 1 << 31 | u32::from(opus) << 24 | earlier << 10 | copy.len() as u32;
        header.copy_from_slice(&fields.to_be_bytes());
        rest[0] = opus;
        let (before, itself) = rest[HEADER..].split_at_mut(copy.len());
        before.copy_from_slice(copy);
        itself.copy_from_slice(payload);
    })
}

/// Which of the last [`REMEMBERED`] packets of a stream came, padding included.
#[derive(Debug)]
pub(crate) struct Received {
    ssrc: u32,
    /// By number; the RTP time of those that carried audio.
    packets: [Option<(u64, Option<u64>)>; REMEMBERED],
}

const REMEMBERED: usize = 64;

impl Received {
    pub(crate) const NONE: Self = Self { ssrc: 0, packets: [None; REMEMBERED] };

    pub(crate) fn note(&mut self, ssrc: u32, seq: u64, rtp_time: Option<u64>) {
        if ssrc != self.ssrc {
            *self = Self { ssrc, ..Self::NONE };
        }
        self.packets[(seq % REMEMBERED as u64) as usize] = Some((seq, rtp_time));
    }

    pub(crate) fn has_time(&self, rtp_time: u64) -> bool {
        self.packets.iter().flatten().any(|(_, time)| *time == Some(rtp_time))
    }

    /// The highest number below `seq` of which nothing came.
    pub(crate) fn missing_before(&self, seq: u64) -> Option<u64> {
        let came = |seq: u64| {
            let noted = self.packets[(seq % REMEMBERED as u64) as usize];
            noted.is_some_and(|(noted, _)| noted == seq)
        };
        (seq.saturating_sub(REMEMBERED as u64)..seq).rev().find(|seq| !came(*seq))
    }
}

#[cfg(test)]
mod tests {
    use str0m::rtp::RedDecoder;

    use super::*;

    #[test]
    fn a_packet_and_its_copy_are_read_as_they_were_written() {
        let mut payloads = Payloads::default();
        for (copy, earlier) in [(&[7; 40][..], 960), (&[], 480), (&[3; 1000], MAX_EARLIER)] {
            let red = with_copy(111, &[1, 2, 3], copy, earlier, &mut payloads);
            let blocks = RedDecoder::decode(&red).expect("RED");
            let read: Vec<_> =
                blocks.iter().map(|b| (b.pt, b.timestamp_offset, b.payload)).collect();
            let itself = (111, 0, &[1, 2, 3][..]);
            assert_eq!(read, [(111, earlier as _, copy), itself]);
        }
    }

    #[test]
    fn a_copy_that_does_not_fit_is_left_out() {
        let mut payloads = Payloads::default();
        for (copy, earlier) in [(&[7; 1098][..], 960), (&[7; 1024], 960), (&[7; 40], 1 << 14)] {
            let red = with_copy(111, &[1, 2, 3], copy, earlier, &mut payloads);
            let blocks = RedDecoder::decode(&red).expect("RED");
            assert_eq!(blocks.len(), 1);
            assert_eq!((blocks[0].pt, blocks[0].payload), (111, &[1, 2, 3][..]));
        }
    }

    #[test]
    fn the_number_of_a_copy_is_one_that_nothing_came_for() {
        let mut received = Received::NONE;
        for (seq, rtp_time) in [(8, Some(960)), (10, None), (11, None), (12, Some(2880))] {
            received.note(1, seq, rtp_time);
        }
        assert!(received.has_time(960) && !received.has_time(1920));
        assert_eq!(received.missing_before(12), Some(9));
        received.note(2, 500, Some(0));
        assert!(!received.has_time(960), "another stream");
    }
}
