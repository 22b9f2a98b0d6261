//! Lines in the form of SDP (RFC 8866), with SDES (RFC 4568): what is asked for, and what is answered.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use foldback_config::Secret;

use super::line::LineReport;
use super::wanted::{CodecName, Direction, SuiteName, Wanted, WantedSrtp};

/// Ports that are no place to send to: none yet, or no media.
const NO_PORTS: [u16; 2] = [0, 9];

/// Reads an offer: its line of audio, and of that the first codec that is known.
///
/// # Errors
/// A sentence.
pub(crate) fn read(text: &str) -> Result<Wanted, String> {
    let mut sections = text.split("\nm=");
    let session = sections.next().unwrap_or_default();
    if !session.starts_with("v=0") {
        return Err("The body is no SDP: it does not begin with v=0.".to_owned());
    }
    let audio = sections.next().filter(|section| section.starts_with("audio "));
    let audio = audio.ok_or("The offer has no line of audio.")?;
    if sections.next().is_some() {
        return Err("The offer has several lines of media; one of audio is taken.".to_owned());
    }
    let mut words = audio.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let port = words.next().and_then(|port| port.split('/').next()?.parse::<u16>().ok());
    let port = port.ok_or("The line of audio names no port.")?;
    let protocol = words.next().unwrap_or_default();
    let is_secure = match protocol {
        "RTP/AVP" => false,
        "RTP/SAVP" => true,
        other => {
            return Err(format!("The audio goes by {other:?}; taken are RTP/AVP and RTP/SAVP."));
        }
    };
    // What the part of a line of media does not say, that of the whole session may.
    let parts = [audio, session];
    let place =
        parts.iter().find_map(|part| lines_of(part).find_map(|line| line.strip_prefix("c=")));
    // A name is none, but goes before an address above it.
    let address = place.and_then(|it| it.strip_prefix("IN IP4 ").or(it.strip_prefix("IN IP6 ")));
    let address = address.and_then(|it| it.split('/').next()?.parse::<IpAddr>().ok());
    let remote = address
        .filter(|address| !address.is_unspecified() && !NO_PORTS.contains(&port))
        .map(|address| SocketAddr::new(address, port));
    let types = words.filter_map(|it| it.parse::<u8>().ok());
    let known = types.filter_map(|payload_type| Coding::of(payload_type, audio)).next();
    let known = known.ok_or("The offer has no codec that is known: opus, L16, PCMU, PCMA.")?;
    let direction = parts.iter().find_map(|part| lines_of(part).find_map(direction));
    let direction = direction.unwrap_or(Some(Direction::SendRecv));
    let direction = direction.ok_or("The line of audio is `inactive`: no sound would go.")?;
    let srtp = is_secure.then(|| crypto(audio)).transpose()?;
    let ptime = parts.iter().find_map(|part| {
        lines_of(part).find_map(|line| line.strip_prefix("a=ptime:"))?.parse().ok()
    });
    Ok(Wanted {
        name: None,
        codec: known.codec,
        payload_type: Some(known.payload_type),
        clock_rate: known.clock_rate,
        channels: known.channels,
        direction,
        remote,
        latch: false,
        // Of Opus it is a wish.
        ptime: ptime.filter(|_| known.codec != CodecName::Opus),
        srtp,
    })
}

fn lines_of(part: &str) -> impl Iterator<Item = &str> {
    part.lines().map(str::trim_end)
}

/// Which way sound is to go, if a line says so; `Some(None)`: none.
fn direction(line: &str) -> Option<Option<Direction>> {
    match line {
        "a=sendrecv" => Some(Some(Direction::SendRecv)),
        "a=sendonly" => Some(Some(Direction::SendOnly)),
        "a=recvonly" => Some(Some(Direction::RecvOnly)),
        "a=inactive" => Some(None),
        _ => None,
    }
}

/// A payload type that is offered.
struct Coding {
    codec: CodecName,
    payload_type: u8,
    clock_rate: Option<u32>,
    channels: Option<u8>,
}

impl Coding {
    fn of(payload_type: u8, audio: &str) -> Option<Self> {
        let map = format!("a=rtpmap:{payload_type} ");
        let Some(map) = lines_of(audio).find_map(|line| line.strip_prefix(&*map)) else {
            let fixed = |codec: &CodecName| codec.fixed_type() == Some(payload_type);
            let codec = CodecName::ALL.into_iter().find(fixed)?;
            return Some(Self { codec, payload_type, clock_rate: None, channels: None });
        };
        let mut parts = map.split('/');
        let name = parts.next()?;
        let codec = CodecName::ALL.into_iter().find(|it| it.name().eq_ignore_ascii_case(name))?;
        let clock_rate = parts.next()?.parse().ok()?;
        let channels = parts.next().map_or(Some(1), |channels| channels.parse().ok())?;
        // Of Opus it is always 2; whether the caller prefers stereo is said otherwise (RFC 7587, section 7.1).
        let format = format!("a=fmtp:{payload_type} ");
        let format = lines_of(audio).find_map(|line| line.strip_prefix(&*format));
        let stereo = format.is_some_and(|it| it.split(';').any(|it| it.trim() == "stereo=1"));
        let channels = match codec {
            CodecName::Opus => 1 + u8::from(stereo),
            _ => channels,
        };
        Some(Self { codec, payload_type, clock_rate: Some(clock_rate), channels: Some(channels) })
    }
}

/// The first suite that is known.
fn crypto(audio: &str) -> Result<WantedSrtp, String> {
    let lines = lines_of(audio).filter_map(|line| line.strip_prefix("a=crypto:"));
    let mut known = lines.filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let name = words.next()?;
        let suite = SuiteName::ALL.into_iter().find(|suite| suite.suite().name() == name)?;
        // Lifetimes and numbers of keys come behind.
        let key = words.next()?.split('|').next()?.to_owned();
        Some(WantedSrtp { suite, key: Secret::from(key) })
    });
    known.next().ok_or_else(|| {
        let [a, b] = SuiteName::ALL.map(|suite| suite.suite().name());
        format!("The offer has no `a=crypto` of a suite that is known: {a}, {b}.")
    })
}

/// The answer to an offer: where the caller sends to.
pub(crate) fn answer(report: &LineReport) -> String {
    describe(report, report.local)
}

/// What the caller is sent, for a program that receives by such a description; where it is is said as far as it is known.
pub(crate) fn receiver(report: &LineReport) -> String {
    describe(report, report.remote.unwrap_or(report.local))
}

fn describe(report: &LineReport, at: SocketAddr) -> String {
    let family = |ip: IpAddr| if ip.is_ipv6() { "IP6" } else { "IP4" };
    let (local, payload_type) = (report.local.ip(), report.payload_type);
    let protocol = if report.srtp.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let channels = match (report.codec, report.channels) {
        (CodecName::Opus, _) | (_, 2) => "/2",
        _ => "",
    };
    let direction = match report.direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "recvonly",
        Direction::RecvOnly => "sendonly",
    };
    let mut sdp = String::with_capacity(512);
    // Writing to a string does not fail.
    let _ = write!(
        sdp,
        "v=0\r\no=- {} 1 IN {} {local}\r\ns=foldback\r\nc=IN {} {}\r\nt=0 0\r\n\
         m=audio {} {protocol} {payload_type}\r\na=rtpmap:{payload_type} {}/{}{channels}\r\n",
        report.ssrc,
        family(local),
        family(at.ip()),
        at.ip(),
        at.port(),
        report.codec.name(),
        report.clock_rate,
    );
    if report.codec == CodecName::Opus && report.channels == 2 {
        let _ = write!(sdp, "a=fmtp:{payload_type} stereo=1;sprop-stereo=1\r\n");
    }
    if let Some(srtp) = &report.srtp {
        let (name, key) = (srtp.suite.suite().name(), srtp.key.0.expose());
        let _ = write!(sdp, "a=crypto:1 {name} inline:{key}\r\n");
    }
    let _ = write!(
        sdp,
        "a=ptime:{}\r\na={direction}\r\na=rtcp-mux\r\na=ssrc:{} cname:{}\r\n",
        report.ptime, report.ssrc, report.cname
    );
    sdp
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 18 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:30\r\na=sendrecv\r\n";

    #[test]
    fn the_first_codec_that_is_known_is_taken() {
        let wanted = read(OFFER).expect("an offer");
        let found = (wanted.codec, wanted.payload_type, wanted.ptime, wanted.direction);
        assert_eq!(found, (CodecName::Pcma, Some(8), Some(30), Direction::SendRecv));
        assert_eq!(wanted.remote, Some(([192, 0, 2, 7], 4000).into()));

        let opus = OFFER.replace("18 8", "111 8").replace(
            "a=ptime:30",
            "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1; stereo=1\r\na=recvonly\r\na=ptime:60",
        );
        let wanted = read(&opus.replace("a=sendrecv\r\n", "")).expect("an offer");
        let found = (wanted.codec, wanted.channels, wanted.ptime, wanted.direction);
        assert_eq!(found, (CodecName::Opus, Some(2), None, Direction::RecvOnly));

        let hidden = OFFER.replace("c=IN IP4 192.0.2.7", "c=IN IP4 0.0.0.0");
        assert_eq!(read(&hidden).expect("an offer").remote, None);
    }

    #[test]
    fn what_stands_with_the_audio_goes_before_what_stands_above_it() {
        let above = OFFER.replace("t=0 0", "t=0 0\r\na=sendonly");
        let wanted = read(&above.replace("a=sendrecv\r\n", "")).expect("an offer");
        assert_eq!(wanted.direction, Direction::SendOnly);
        let both = above.replace("a=ptime", "c=IN IP6 2001:db8::7\r\na=ptime");
        let wanted = read(&both).expect("an offer");
        assert_eq!(wanted.direction, Direction::SendRecv);
        assert_eq!(wanted.remote, Some("[2001:db8::7]:4000".parse().expect("an address")));
        let named = read(&above.replace("a=ptime", "c=IN IP4 media.example\r\na=ptime"));
        assert_eq!(named.expect("an offer").remote, None, "a name leads nowhere");
        let held = read(&above.replace("a=sendrecv", "a=inactive")).expect_err("nothing goes");
        assert!(held.contains("inactive"), "{held}");
    }

    #[test]
    fn keys_are_read_as_sdes_has_them() {
        let secure = OFFER.replace("RTP/AVP", "RTP/SAVP");
        let missing = read(&secure).expect_err("no key");
        assert!(missing.contains("AEAD_AES_128_GCM"), "{missing}");
        let keyed = secure.replace(
            "a=ptime",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:AAAA\r\n\
             a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:QUJD|2^20|1:4\r\na=ptime",
        );
        let srtp = read(&keyed).expect("an offer").srtp.expect("with a key");
        assert_eq!((srtp.suite, srtp.key.expose()), (SuiteName::AesCm, "inline:QUJD"));
        assert!(!format!("{:?}", read(&keyed)).contains("QUJD"), "it shows a key");
    }

    #[test]
    fn what_is_no_offer_is_told() {
        for (text, words) in [
            ("hello", "v=0"),
            ("v=0\r\ns=-\r\n", "no line of audio"),
            (&*OFFER.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF"), "UDP/TLS"),
            (&*OFFER.replace("18 8 0 101", "18 101"), "PCMU"),
            (&*OFFER.replace("4000", "x"), "port"),
            (&*format!("{OFFER}m=video 4002 RTP/AVP 96\r\n"), "several"),
        ] {
            let sentence = read(text).expect_err(text);
            assert!(sentence.contains(words), "{text}: {sentence}");
        }
    }
}
