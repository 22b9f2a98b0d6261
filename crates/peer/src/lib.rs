//! One browser's WebRTC session, sans-IO: SDP in, SDP out; datagrams in, Opus frames out; frames
//! in, datagrams out.
//!
//! A [`Peer`] wraps one [`str0m::Rtc`] in RTP mode (so that reordering and concealment stay ours)
//! behind two rules of str0m that are easy to break and are kept here once:
//!
//! * every mutation is followed by a full drain of its outputs, and
//! * a written packet leaves only after the next timeout, so each write feeds one at once.
//!
//! That is why each method that changes anything takes a [`Sink`] and returns only when all that
//! followed from the change went into it. A `Peer` opens no socket, reads no clock (every method
//! is told the time) and knows nothing of rooms or mixing.

mod answer;
mod consent;
mod extensions;
mod flow;
mod offer;
mod outgoing;
mod payloads;
mod peer;
mod red;
mod route;

pub use flow::Flow;
pub use offer::{CandidateError, IceRestart, OfferError, PeerOptions, stun_ufrag};
pub use outgoing::{Contributor, MixedPacket, OutgoingFrame};
pub use payloads::Payloads;
pub use peer::{Captured, Closed, EchoStrings, NetworkReport, Peer, ReceivedFrame, Sink};
pub use route::{Route, Transport};

/// Installs the process-wide crypto provider and makes one session to warm it up: the first of a
/// process costs 30 to 90 ms, later ones about 1 ms. Call once at start; further calls do nothing.
pub fn install_crypto(now: std::time::Instant) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        str0m::crypto::from_feature_flags().install_process_default();
        drop(str0m::Rtc::new(now));
    });
}
