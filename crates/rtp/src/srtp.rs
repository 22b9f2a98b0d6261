//! Encryption with keys that were told otherwise (SDES, RFC 4568).

use std::fmt;

use rtc_crypto::providers::AwsLcRsCrypto;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

/// How packets are encrypted and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES in counter mode with 128 bits, signed by HMAC-SHA1 of 80 bits (RFC 3711): what all know.
    AesCm128HmacSha1_80,
    /// AES-GCM with 128 bits (RFC 7714).
    AeadAes128Gcm,
}

impl Suite {
    /// As SDP names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
        }
    }

    /// Bytes of a key and its salt behind one another.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 => KEY_BYTES + 14,
            Self::AeadAes128Gcm => KEY_BYTES + 12,
        }
    }

    /// Whether a report says of itself that it is encrypted. Only of one by GCM is that signed whatever it says.
    fn is_encrypted(self, report: &[u8]) -> bool {
        let flag = match self {
            // Before the signature, with the number of the report behind it.
            Self::AesCm128HmacSha1_80 => report.len().checked_sub(14),
            Self::AeadAes128Gcm => report.len().checked_sub(4),
        };
        flag.and_then(|place| report.get(place)).is_some_and(|byte| byte & 0x80 != 0)
    }

    const fn profile(self) -> ProtectionProfile {
        match self {
            Self::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Self::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        }
    }

    fn context(self, keys: &Keys) -> Result<Context, SrtpError> {
        if keys.0.len() != self.key_bytes() {
            return Err(SrtpError { suite: self, found: keys.0.len() });
        }
        let (key, salt) = keys.0.split_at(KEY_BYTES);
        let replay = Some(srtp_replay_protection(REPLAY_WINDOW));
        let replay_of_reports = Some(srtcp_replay_protection(REPLAY_WINDOW));
        Context::new(key, salt, self.profile(), replay, replay_of_reports, &AwsLcRsCrypto)
            .map_err(|_| SrtpError { suite: self, found: keys.0.len() })
    }
}

const KEY_BYTES: usize = 16;
/// Packets that come later than so many others are taken for a replay: 2.5 s of 20 ms.
const REPLAY_WINDOW: usize = 128;
/// Streams that come with one key, of which gateways have one at a time.
const MOST_STREAMS: usize = 8;
/// The library keeps some memory for each stream that is claimed, before it knows that the claim is true.
const FORGET_CLAIMS: u32 = 64;

/// A key and its salt, one behind the other. No `Debug` shows them.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(pub Vec<u8>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// What both ways are encrypted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// How.
    pub suite: Suite,
    /// What comes.
    pub incoming: Keys,
    /// What goes. No other session may have the same, nor this one it for both ways: who sees both could read them.
    pub outgoing: Keys,
}

/// A key is none for its suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrtpError {
    suite: Suite,
    found: usize,
}

impl fmt::Display for SrtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes) = (self.suite.name(), self.suite.key_bytes());
        write!(f, "a key of {name} with its salt has {bytes} bytes, not {}", self.found)
    }
}

impl std::error::Error for SrtpError {}

/// Both ways of a session.
pub(crate) struct Srtp {
    outgoing: Context,
    suite: Suite,
    keys: Keys,
    /// Each stream has a count and a window of its own; those that have proven to be any.
    streams: Vec<(u32, Context)>,
    /// For a stream that has not.
    trial: Option<Context>,
    failed: u32,
}

impl Srtp {
    /// Allocates.
    pub(crate) fn new(secrets: Secrets) -> Result<Self, SrtpError> {
        let Secrets { suite, incoming, outgoing } = secrets;
        Ok(Self {
            outgoing: suite.context(&outgoing)?,
            trial: Some(suite.context(&incoming)?),
            suite,
            keys: incoming,
            streams: Vec::with_capacity(MOST_STREAMS),
            failed: 0,
        })
    }

    /// Encrypts a packet, or a report. The library allocates up to four times.
    pub(crate) fn protect(&mut self, datagram: &mut Vec<u8>, is_report: bool) -> bool {
        let protected = match is_report {
            true => self.outgoing.encrypt_rtcp(datagram),
            false => self.outgoing.encrypt_rtp(datagram),
        };
        let Ok(protected) = protected else { return false };
        datagram.clear();
        datagram.extend_from_slice(&protected);
        true
    }

    /// What a packet of that stream, or a report, says in the clear; `None` if it is not of who has the key, or came before.
    /// Allocates once, and for a stream's first.
    pub(crate) fn open(
        &mut self,
        ssrc: u32,
        datagram: &[u8],
        is_report: bool,
    ) -> Option<impl AsRef<[u8]> + use<>> {
        // The library takes a report in the clear (RFC 3711, section 3.4) without looking at its signature.
        if is_report && !self.suite.is_encrypted(datagram) {
            return None;
        }
        let open = |context: &mut Context| match is_report {
            true => context.decrypt_rtcp(datagram).ok(),
            false => context.decrypt_rtp(datagram).ok(),
        };
        if let Some(place) = self.streams.iter().position(|(known, _)| *known == ssrc) {
            let opened = open(&mut self.streams[place].1);
            if opened.is_some() {
                // The last one was used last.
                self.streams[place..].rotate_left(1);
            }
            return opened;
        }
        if self.failed >= FORGET_CLAIMS || self.trial.is_none() {
            self.trial = self.suite.context(&self.keys).ok();
            self.failed = 0;
        }
        let opened = open(self.trial.as_mut()?);
        match &opened {
            Some(_) => {
                if self.streams.len() == MOST_STREAMS {
                    self.streams.remove(0);
                }
                self.streams.extend(self.trial.take().map(|context| (ssrc, context)));
            }
            None => self.failed += 1,
        }
        opened
    }
}

impl fmt::Debug for Srtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Srtp").field("suite", &self.suite).finish_non_exhaustive()
    }
}
