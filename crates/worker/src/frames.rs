//! What a session and a room hand each other: neither knows the other's types.

use foldback_peer::{Captured, Contributor, MixedPacket, OutgoingFrame, Payloads, ReceivedFrame};
use foldback_room::{CaptureTime, EncodedFrame, MixPacket};

/// A packet from a session, for a room.
#[must_use]
pub fn encoded(frame: ReceivedFrame) -> EncodedFrame {
    EncodedFrame {
        ssrc: frame.ssrc,
        seq: frame.seq,
        rtp_time: frame.rtp_time,
        level_minus_dbov: frame.level_minus_dbov,
        payload: frame.payload,
        arrival: frame.arrival,
        captured: frame.captured.map(|captured| CaptureTime {
            since_epoch: captured.since_epoch,
            clock_offset_ns: captured.clock_offset_ns,
        }),
        copy_distance: frame.copy_distance,
    }
}

/// The packets of one room and tick in the form in which sessions share them, in memory that is
/// used again.
#[derive(Debug, Default)]
pub struct Fanout {
    payloads: Payloads,
    /// By mix, and of which round each is.
    frames: Vec<(u64, OutgoingFrame)>,
    round: u64,
}

impl Fanout {
    /// Begins with the packets of another room, or another tick.
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// What all listeners of `packet`'s mix are sent, and memory for what only some are; a packet
    /// of theirs holds `samples`. Allocates where there were never so many mixes, or never so
    /// many payloads of one length.
    pub fn frame(
        &mut self,
        packet: &MixPacket<'_>,
        samples: usize,
    ) -> (&mut OutgoingFrame, &mut Payloads) {
        if self.frames.len() <= packet.mix {
            self.frames.resize_with(packet.mix + 1, Default::default);
        }
        let (round, frame) = &mut self.frames[packet.mix];
        if *round != self.round {
            *round = self.round;
            let contributors = packet.contributors.iter().map(|contributor| Contributor {
                // Numbers of participants are what signalling knows them by.
                source: contributor.id.0 as u32,
                level_minus_dbov: contributor.level_minus_dbov,
            });
            let mixed = MixedPacket {
                rtp_time: packet.rtp_time,
                payload: packet.payload,
                marker: packet.marker,
                copy: packet.copy.map(|copy| (copy, samples as u32)),
                captured: packet.captured.map(|captured| Captured {
                    since_epoch: captured.since_epoch,
                    clock_offset_ns: captured.clock_offset_ns,
                }),
            };
            frame.set(mixed, contributors, &mut self.payloads);
        }
        (frame, &mut self.payloads)
    }
}

#[cfg(test)]
mod tests {
    use foldback_allocations::of_this_thread;

    use foldback_room::MixSound;

    use super::*;

    /// Mixes of 50 listeners each, whose packets are of about the length of speech.
    fn send(fanout: &mut Fanout, tick: usize) -> u64 {
        let before = of_this_thread();
        fanout.begin();
        let bytes = [tick as u8; 200];
        for to in 0..200 {
            let mix = to / 50;
            let packet = MixPacket {
                to: foldback_room::ParticipantId(to as u64),
                mix,
                payload: &bytes[..60 + (tick * 7 + mix * 31) % 140],
                sound: MixSound { mean: &[], sides: None },
                rtp_time: tick as u32 * 960,
                marker: false,
                copy: Some(&bytes[..60 + (tick * 7 + mix * 31 + 133) % 140]),
                contributors: &[],
                captured: None,
            };
            fanout.frame(&packet, 960);
        }
        of_this_thread() - before
    }

    #[test]
    fn a_fan_out_allocates_nothing_once_the_memory_is_there() {
        let mut fanout = Fanout::default();
        assert!((0..500).map(|tick| send(&mut fanout, tick)).sum::<u64>() > 0);
        assert_eq!((500..1000).map(|tick| send(&mut fanout, tick)).sum::<u64>(), 0);
    }
}
