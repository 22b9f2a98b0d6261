//! What a receiver counts.

/// Counters since the receiver was made, named as in W3C "Identifiers for WebRTC's Statistics
/// API". Packets are counted once each, samples are of 48 kHz.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReceiverStats {
    /// Packets taken.
    pub packets_received: u64,
    /// Packets that did not come before they were due.
    pub packets_lost: u64,
    /// Packets that came after they were due, or twice, and were thrown away.
    pub packets_discarded: u64,
    /// Packets that were no Opus, or too far from what was expected.
    pub packets_invalid: u64,
    /// Lost packets that were rebuilt from the next one's in-band FEC.
    pub fec_packets_used: u64,
    /// Lost packets that a later one carried a copy of (RFC 2198).
    pub red_packets_used: u64,
    /// Inter-arrival jitter in seconds (RFC 3550, section 6.4.1).
    pub jitter: f32,
    /// Samples given, silence of idle senders left out.
    pub total_samples_received: u64,
    /// Samples made up because their packet was not there.
    pub concealed_samples: u64,
    /// Those of them that were silence or background noise.
    pub silent_concealed_samples: u64,
    /// How often concealment began.
    pub concealment_events: u64,
    /// Samples put in to lengthen the delay.
    pub inserted_samples_for_deceleration: u64,
    /// Samples taken out to shorten the delay.
    pub removed_samples_for_acceleration: u64,
    /// Time that samples spent here, summed over [`Self::jitter_buffer_emitted_count`] samples,
    /// in seconds.
    pub jitter_buffer_delay: f64,
    /// The delay that was aimed for, summed likewise.
    pub jitter_buffer_target_delay: f64,
    /// How many samples those sums are over.
    pub jitter_buffer_emitted_count: u64,
}
