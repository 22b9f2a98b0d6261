//! What a session and a room hand each other: neither knows the other's types.

use std::sync::Arc;

use foldback_peer::{Captured, Contributor, OutgoingFrame, ReceivedFrame};
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

/// What all listeners of a mix are sent; a packet of theirs holds `samples`. Allocates.
#[must_use]
pub fn outgoing(packet: &MixPacket<'_>, samples: usize) -> OutgoingFrame {
    let contributors = packet.contributors.iter().map(|contributor| Contributor {
        // Numbers of participants are what signalling knows them by.
        source: contributor.id.0 as u32,
        level_minus_dbov: contributor.level_minus_dbov,
    });
    OutgoingFrame {
        rtp_time: packet.rtp_time,
        payload: Arc::from(packet.payload),
        marker: packet.marker,
        copy: packet.copy.map(|copy| (Arc::from(copy), samples as u32)),
        contributors: contributors.collect(),
        captured: packet.captured.map(|captured| Captured {
            since_epoch: captured.since_epoch,
            clock_offset_ns: captured.clock_offset_ns,
        }),
    }
}
