//! What str0m does not say in an answer.

use crate::offer::{PeerOptions, opus_number};

/// Finishes an answer: asks for packets of a length and for stereo, as `options` say, and says of
/// extensions that only this side sends that it only sends them. Nothing on this side reads the
/// answer again.
pub(crate) fn finish(answer: &str, options: &PeerOptions) -> String {
    let opus = opus_number(answer).map(|number| format!("a=fmtp:{number} "));
    let mut finished = String::with_capacity(answer.len() + 64);
    let mut in_audio = false;
    for line in with_candidates_in_use(answer) {
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

/// The lines of the answer. str0m puts candidates into the first section of media: where that is rejected (port 0), as
/// of video, nobody reads them there, so they go into the first one that is not.
fn with_candidates_in_use(answer: &str) -> Vec<&str> {
    let (mut lines, mut candidates) = (Vec::new(), Vec::new());
    let (mut in_use, mut rejected) = (false, false);
    for line in answer.lines() {
        if line.starts_with("m=") {
            if in_use {
                lines.append(&mut candidates);
            }
            rejected = line.split(' ').nth(1) == Some("0");
            in_use = !rejected;
        }
        let is_candidate = line.starts_with("a=candidate:") || line == "a=end-of-candidates";
        if rejected && is_candidate { &mut candidates } else { &mut lines }.push(line);
    }
    lines.append(&mut candidates);
    lines
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

    #[test]
    fn candidates_stand_in_a_section_that_is_in_use() {
        let candidate = "a=candidate:1 1 udp 1 192.0.2.7 8000 typ host\r\n";
        let (video, audio) = ("m=video 0 X 0\r\na=mid:0\r\n", "m=audio 9 X 111\r\na=mid:1\r\n");
        let answer = format!("v=0\r\n{video}{candidate}{audio}m=video 0 X 0\r\n");
        let expected = format!("v=0\r\n{video}{audio}{candidate}m=video 0 X 0\r\n");
        assert_eq!(finish(&answer, &as_usual()), expected);
        let answer = format!("v=0\r\n{audio}{candidate}{video}");
        assert_eq!(finish(&answer, &as_usual()), answer);
    }
}
