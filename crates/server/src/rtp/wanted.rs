//! What is asked of a line, and whether it can be had.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use foldback_config::{RtpConfig, Secret};
use foldback_peer::Flow;
use foldback_room::{Codec, PcmFormat, PcmSamples};
use foldback_rtp::{Keys, Suite};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::message::{ErrorCode, ErrorMessage};

/// Bytes of sound in a packet, so that with its head and a signature it fits into one of Ethernet.
const MOST_BYTES: usize = 1_400;
/// The lengths of packets of samples, in ms; Opus comes as the room has it.
const PACKETS_MS: [u32; 6] = [5, 10, 20, 30, 40, 60];
/// Numbers that could be taken for RTCP (RFC 5761, section 4).
const NO_PAYLOAD_TYPES: std::ops::RangeInclusive<u8> = 64..=95;
const FIRST_DYNAMIC: u8 = 96;

/// What is asked for.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LineWanted)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    pub(crate) codec: CodecName,
    pub(crate) payload_type: Option<u8>,
    pub(crate) clock_rate: Option<u32>,
    pub(crate) channels: Option<u8>,
    #[serde(default)]
    pub(crate) direction: Direction,
    #[schema(value_type = Option<String>, example = "192.0.2.7:4000")]
    pub(crate) remote: Option<SocketAddr>,
    #[serde(default)]
    pub(crate) latch: bool,
    pub(crate) ptime: Option<u32>,
    pub(crate) srtp: Option<WantedSrtp>,
}

/// With what the caller encrypts.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedSrtp {
    pub(crate) suite: SuiteName,
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    pub(crate) key: Secret,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    String::deserialize(from).map(Secret::from)
}

/// How packets hold sound, by the names of RFC 3551 and 7587.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum CodecName {
    #[serde(rename = "opus")]
    Opus,
    L16,
    #[serde(rename = "PCMU")]
    Pcmu,
    #[serde(rename = "PCMA")]
    Pcma,
}

impl CodecName {
    pub(crate) const ALL: [Self; 4] = [Self::Opus, Self::L16, Self::Pcmu, Self::Pcma];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::L16 => "L16",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The number that stands for it without saying so (RFC 3551, section 6).
    pub(crate) const fn fixed_type(self) -> Option<u8> {
        match self {
            Self::Pcmu => Some(0),
            Self::Pcma => Some(8),
            Self::Opus | Self::L16 => None,
        }
    }
}

/// As SDP names them (RFC 4568, RFC 7714).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum SuiteName {
    #[serde(rename = "AES_CM_128_HMAC_SHA1_80")]
    AesCm,
    #[serde(rename = "AEAD_AES_128_GCM")]
    AesGcm,
}

impl SuiteName {
    pub(crate) const ALL: [Self; 2] = [Self::AesCm, Self::AesGcm];

    pub(crate) const fn suite(self) -> Suite {
        match self {
            Self::AesCm => Suite::AesCm128HmacSha1_80,
            Self::AesGcm => Suite::AeadAes128Gcm,
        }
    }
}

/// Which ways sound goes, as the caller sees it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    #[default]
    SendRecv,
    SendOnly,
    RecvOnly,
}

impl Direction {
    pub(crate) const fn flow(self) -> Flow {
        match self {
            Self::SendRecv => Flow::AsOffered,
            Self::SendOnly => Flow::FromClient,
            Self::RecvOnly => Flow::ToClient,
        }
    }

    /// Whether the caller speaks.
    pub(crate) const fn speaks(self) -> bool {
        !matches!(self, Self::RecvOnly)
    }

    /// Whether the caller hears the room.
    pub(crate) const fn hears(self) -> bool {
        !matches!(self, Self::SendOnly)
    }
}

/// What can be had.
#[derive(Clone, Debug)]
pub(crate) struct Agreed {
    pub(crate) name: CodecName,
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
    pub(crate) clock_rate: u32,
    pub(crate) channels: u8,
    pub(crate) direction: Direction,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) ptime: u32,
    pub(crate) srtp: Option<(SuiteName, Keys)>,
}

impl Wanted {
    /// Checks it against what the configuration allows, in a room whose packets are of `packet_ms`.
    ///
    /// # Errors
    /// `bad-value`; `forbidden`, for an address that the configuration does not allow.
    pub(crate) fn agree(&self, config: &RtpConfig, packet_ms: u32) -> Result<Agreed, ErrorMessage> {
        let (codec, clock_rate, channels) = self.codec()?;
        let payload_type = self.payload_type(clock_rate, channels)?;
        let ptime = self.ptime(codec, packet_ms)?;
        match self.remote {
            Some(remote) if remote.port() == 0 => {
                return Err(bad(format!("`remote` is {remote}, which has no port.")));
            }
            Some(remote) if !config.allows(remote.ip()) => {
                let sentence = format!(
                    "`remote` is {}, to which this server sends nothing; whoever runs it can let it by `networks` in [rtp].",
                    remote.ip()
                );
                return Err(ErrorMessage::new(ErrorCode::Forbidden, sentence));
            }
            None if !self.latch => {
                let sentence = "Say by `remote` where you are, or by `latch`: true that it is whoever sends first.";
                return Err(bad(sentence));
            }
            _ => {}
        }
        let srtp = self.srtp.as_ref().map(|srtp| Ok((srtp.suite, srtp.keys()?)));
        Ok(Agreed {
            name: self.codec,
            codec,
            payload_type,
            clock_rate,
            channels,
            direction: self.direction,
            remote: self.remote,
            ptime,
            srtp: srtp.transpose()?,
        })
    }

    fn codec(&self) -> Result<(Codec, u32, u8), ErrorMessage> {
        let channels = self.channels.unwrap_or(1);
        if !matches!(channels, 1 | 2) {
            return Err(bad(format!("`channels` is {channels}, must be 1 or 2.")));
        }
        let samples = match self.codec {
            CodecName::Opus => {
                let rate = self.clock_rate.unwrap_or(48_000);
                if rate != 48_000 {
                    let sentence =
                        format!("`clock_rate` is {rate}; of Opus it is 48000 (RFC 7587).");
                    return Err(bad(sentence));
                }
                return Ok((Codec::Opus, rate, channels));
            }
            CodecName::L16 => PcmSamples::Linear16,
            CodecName::Pcmu => PcmSamples::Mu,
            CodecName::Pcma => PcmSamples::A,
        };
        let usual = if self.codec == CodecName::L16 { 48_000 } else { 8_000 };
        let rate_hz = self.clock_rate.unwrap_or(usual);
        if !PcmFormat::RATES_HZ.contains(&rate_hz) {
            let [a, b, c, d] = PcmFormat::RATES_HZ;
            return Err(bad(format!("`clock_rate` is {rate_hz}, must be {a}, {b}, {c} or {d}.")));
        }
        let format = PcmFormat { samples, rate_hz, channels: channels.into() };
        Ok((Codec::Pcm(format), rate_hz, channels))
    }

    fn payload_type(&self, rate: u32, channels: u8) -> Result<u8, ErrorMessage> {
        let usual = self.codec.fixed_type().filter(|_| (rate, channels) == (8_000, 1));
        let given = self.payload_type.or(usual).unwrap_or(FIRST_DYNAMIC);
        if given > 127 || NO_PAYLOAD_TYPES.contains(&given) {
            let sentence =
                format!("`payload_type` is {given}, must be 0 to 63 or 96 to 127 (RFC 5761).");
            return Err(bad(sentence));
        }
        Ok(given)
    }

    fn ptime(&self, codec: Codec, packet_ms: u32) -> Result<u32, ErrorMessage> {
        let Codec::Pcm(format) = codec else {
            return match self.ptime {
                Some(ptime) if ptime != packet_ms => Err(bad(format!(
                    "`ptime` is {ptime}; packets of Opus have {packet_ms} ms on this server."
                ))),
                _ => Ok(packet_ms),
            };
        };
        let fits = |ptime: &u32| format.bytes_of(*ptime as usize * 48) <= MOST_BYTES;
        let Some(ptime) = self.ptime else {
            return Ok([20, 10].into_iter().find(fits).unwrap_or(5));
        };
        if PACKETS_MS.contains(&ptime) && fits(&ptime) {
            return Ok(ptime);
        }
        let fitting = PACKETS_MS.iter().filter(|ptime| fits(ptime)).map(u32::to_string);
        let fitting = fitting.collect::<Vec<_>>().join(", ");
        Err(bad(format!("`ptime` is {ptime}; of this sound a packet may have {fitting} ms.")))
    }
}

impl WantedSrtp {
    fn keys(&self) -> Result<Keys, ErrorMessage> {
        let text = self.key.expose();
        let text = text.strip_prefix("inline:").unwrap_or(text);
        let suite = self.suite.suite();
        let keys = BASE64_STANDARD.decode(text).ok().filter(|it| it.len() == suite.key_bytes());
        keys.map(Keys).ok_or_else(|| {
            let (name, bytes) = (suite.name(), suite.key_bytes());
            bad(format!("`key` of {name} must be {bytes} bytes in base64: the key, and its salt."))
        })
    }
}

fn bad(sentence: impl Into<String>) -> ErrorMessage {
    ErrorMessage::new(ErrorCode::BadValue, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<Agreed, ErrorMessage> {
        let wanted: Wanted = serde_json::from_str(text).expect("JSON");
        wanted.agree(&RtpConfig::default(), 20)
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        for (codec, payload_type, clock_rate, ptime) in [
            ("PCMU", 0, 8_000, 20),
            ("PCMA", 8, 8_000, 20),
            ("opus", 96, 48_000, 20),
            ("L16", 96, 48_000, 10),
        ] {
            let agreed = ask(&format!("{{\"codec\":\"{codec}\",\"latch\":true}}")).expect(codec);
            let found = (agreed.payload_type, agreed.clock_rate, agreed.ptime, agreed.channels);
            assert_eq!(found, (payload_type, clock_rate, ptime, 1), "{codec}");
            assert_eq!(agreed.direction, Direction::SendRecv);
        }
        let stereo = ask(r#"{"codec":"L16","channels":2,"latch":true}"#).expect("it fits");
        assert_eq!((stereo.ptime, stereo.payload_type), (5, 96));
    }

    #[test]
    fn what_cannot_be_had_is_told_with_what_can() {
        for (rest, code, words) in [
            (r#""codec":"PCMU""#, ErrorCode::BadValue, "`latch`: true"),
            (r#""codec":"PCMU","remote":"127.0.0.1:0""#, ErrorCode::BadValue, "no port"),
            (r#""codec":"PCMU","remote":"203.0.113.7:4000""#, ErrorCode::Forbidden, "`networks`"),
            (r#""codec":"PCMU","remote":"224.0.0.7:4000""#, ErrorCode::Forbidden, "`networks`"),
            (
                r#""codec":"L16","clock_rate":44100,"latch":true"#,
                ErrorCode::BadValue,
                "8000, 16000, 24000 or 48000",
            ),
            (r#""codec":"opus","clock_rate":8000,"latch":true"#, ErrorCode::BadValue, "48000"),
            (r#""codec":"opus","ptime":40,"latch":true"#, ErrorCode::BadValue, "20 ms"),
            (r#""codec":"PCMU","channels":3,"latch":true"#, ErrorCode::BadValue, "1 or 2"),
            (r#""codec":"PCMU","payload_type":72,"latch":true"#, ErrorCode::BadValue, "0 to 63"),
            (r#""codec":"L16","ptime":20,"latch":true"#, ErrorCode::BadValue, "5, 10 ms"),
            (
                r#""codec":"PCMU","latch":true,"srtp":{"suite":"AEAD_AES_128_GCM","key":"c2hvcnQ="}"#,
                ErrorCode::BadValue,
                "28 bytes",
            ),
        ] {
            let error = ask(&format!("{{{rest}}}")).expect_err(rest);
            assert!(error.code == code && error.message.contains(words), "{rest}: {error:?}");
            assert!(!error.message.contains("c2hvcnQ="), "it shows a key");
        }
    }
}
