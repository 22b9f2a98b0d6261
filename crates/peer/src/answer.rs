//! What str0m does not say in an answer.

use crate::offer::{PeerOptions, opus_number};

/// Finishes an answer: asks for packets of a length and for stereo, as `options` say, and says of
/// extensions that only this side sends that it only sends them. Nothing on this side reads the
/// answer again.
pub(crate) fn finish(answer: &str, options: &PeerOptions) -> String {
    let opus = opus_number(answer).map(|number| format!("a=fmtp:{number} "));
    let mut finished = String::with_capacity(answer.len() + 64);
    let mut in_audio = false;
    for line in answer.lines() {
        if line.starts_with("m=") {
            in_audio = line.starts_with("m=audio");
        }
        match line.strip_prefix("a=extmap:").and_then(|map| map.split_once(' ')) {
            // A mixer names contributors; a browser has none to name (RFC 6465, section 3).
            Some((id, uri)) if uri == crate::extensions::CSRC_LEVELS_URI => {
                let id = id.split('/').next().unwrap_or(id);
                finished += &format!("a=extmap:{id}/sendonly {uri}");
            }
            _ => finished += line,
        }
        let is_opus = opus.as_ref().is_some_and(|opus| line.starts_with(opus));
        if let Some(bps) = options.stereo_bps.filter(|_| is_opus) {
            finished += &format!(";stereo=1;sprop-stereo=1;maxaveragebitrate={bps}");
        }
        finished += "\r\n";
        if let Some(ms) = options.packet_ms.filter(|_| in_audio && line.starts_with("a=mid:")) {
            finished += &format!("a=ptime:{ms}\r\n");
        }
    }
    finished
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\nm=application 9 X\r\na=mid:0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
        a=mid:1\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10\r\na=extmap:3 urn:ietf:params:rtp-hdrext:csrc-audio-level\r\na=sendrecv\r\n";

    fn as_usual() -> PeerOptions {
        PeerOptions::at(Vec::new())
    }

    #[test]
    fn the_length_of_packets_is_asked_for_in_the_audio_line_alone() {
        let finished = finish(ANSWER, &PeerOptions { packet_ms: Some(10), ..as_usual() });
        assert!(finished.contains("a=mid:1\r\na=ptime:10\r\n"), "{finished}");
        assert_eq!(finished.matches("a=ptime").count(), 1);
        assert!(!finish(ANSWER, &as_usual()).contains("a=ptime"));
    }

    #[test]
    fn stereo_is_spoken_of_where_it_is_sent_and_nowhere_else() {
        let finished = finish(ANSWER, &PeerOptions { stereo_bps: Some(192_000), ..as_usual() });
        let line = "a=fmtp:111 minptime=10;stereo=1;sprop-stereo=1;maxaveragebitrate=192000\r\n";
        assert!(finished.contains(line), "{finished}");
        assert!(!finish(ANSWER, &as_usual()).contains("stereo"));
    }

    #[test]
    fn levels_of_contributors_go_one_way() {
        let finished = finish(ANSWER, &as_usual());
        let line = "a=extmap:3/sendonly urn:ietf:params:rtp-hdrext:csrc-audio-level\r\n";
        assert!(finished.contains(line), "{finished}");
    }
}
