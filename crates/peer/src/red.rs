//! Copies of earlier packets in later ones (RED, RFC 2198).

use std::sync::Arc;

use str0m::rtp::{RedEncoder, RedundantBlock};

/// A RED payload (RFC 2198): the packet before, then the packet. Where that makes it too long for
/// one datagram, the packet alone, as RED allows.
pub(crate) fn with_copy(opus: u8, payload: &[u8], copy: &[u8], earlier: u32) -> Arc<[u8]> {
    const LONGEST: usize = 1100;
    let fits = payload.len() + copy.len() <= LONGEST;
    let copy = fits.then(|| RedundantBlock {
        pt: opus,
        timestamp_offset: earlier,
        payload: copy.to_vec(),
    });
    Arc::from(RedEncoder::encode(opus, payload, copy.as_slice()))
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
    use super::*;

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
