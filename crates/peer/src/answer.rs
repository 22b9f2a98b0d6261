//! What str0m does not say in an answer.

/// Finishes an answer: asks for packets of `packet_ms`, and says of extensions that only this side
/// sends that it only sends them. Nothing on this side reads the answer again.
pub(crate) fn finish(answer: &str, packet_ms: Option<u32>) -> String {
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
        finished += "\r\n";
        if let Some(ms) = packet_ms.filter(|_| in_audio && line.starts_with("a=mid:")) {
            finished += &format!("a=ptime:{ms}\r\n");
        }
    }
    finished
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\nm=application 9 X\r\na=mid:0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
        a=mid:1\r\na=extmap:3 urn:ietf:params:rtp-hdrext:csrc-audio-level\r\na=sendrecv\r\n";

    #[test]
    fn the_length_of_packets_is_asked_for_in_the_audio_line_alone() {
        let finished = finish(ANSWER, Some(10));
        assert!(finished.contains("a=mid:1\r\na=ptime:10\r\n"), "{finished}");
        assert_eq!(finished.matches("a=ptime").count(), 1);
        assert!(!finish(ANSWER, None).contains("ptime"));
    }

    #[test]
    fn levels_of_contributors_go_one_way() {
        let finished = finish(ANSWER, None);
        let line = "a=extmap:3/sendonly urn:ietf:params:rtp-hdrext:csrc-audio-level\r\n";
        assert!(finished.contains(line), "{finished}");
    }
}
