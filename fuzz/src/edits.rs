//! Text and bytes gone wrong, in ways that a fuzzer can steer.

use arbitrary::Arbitrary;

/// What SDP and candidates are made of, beside what the seeds have.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "1",
    "63",
    "111",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "",
    " ",
    "*",
    "/",
    ";",
    "=",
    ":",
    "\u{fffd}",
    "a=",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "m=audio 0 UDP/TLS/RTP/SAVPF 0",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:111 rtx/48000",
    "a=rtpmap:111 red/48000/2",
    "a=rtpmap:63 red/48000/2",
    "a=rtpmap:0 PCMU/8000",
    "a=fmtp:111 apt=111",
    "a=fmtp:63 111/111",
    "a=fmtp:63 111/63/63",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtcp-fb:111 nack",
    "a=rtcp-fb:* nack",
    "a=mid:0",
    "a=mid:1",
    "a=mid:",
    "a=group:BUNDLE 0 1",
    "a=group:BUNDLE",
    "a=sendrecv",
    "a=sendonly",
    "a=recvonly",
    "a=inactive",
    "a=setup:active",
    "a=setup:passive",
    "a=setup:actpass",
    "a=setup:holdconn",
    "a=ice-ufrag:",
    "a=ice-pwd:",
    "a=ice-lite",
    "a=fingerprint:sha-256 00",
    "a=fingerprint:sha-1 00:01",
    "a=sctp-port:0",
    "a=sctp-port:65536",
    "a=max-message-size:0",
    "a=ssrc:1 cname:x",
    "a=ssrc:1 msid:a b",
    "a=ssrc-group:FID 1 2",
    "a=ssrc-group:FID 1 1",
    "a=rid:a send",
    "a=rid:~a recv",
    "a=simulcast:send a;b recv c",
    "a=simulcast:send ~a,b",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    "a=extmap:15/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level",
    "a=extmap:0 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:255 urn:x",
    "a=rtcp-mux",
    "a=end-of-candidates",
    "a=candidate:1 1 udp 2122260223 192.0.2.9 50000 typ host generation 0",
    "candidate:1 1 udp 1 192.0.2.9 5000 typ host",
    "candidate:1 1 tcp 1 ::1 9 typ host tcptype active",
    "candidate:1 1 udp 1 192.0.2.9 5000 typ srflx raddr 0.0.0.0 rport 0",
    "candidate:",
    "raddr",
    "x.local",
    "::",
    "[::]",
    "0.0.0.0",
    "255.255.255.255",
    "typ relay",
];

/// One change of a text.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum TextEdit {
    /// Takes a line out.
    DropLine(u8),
    /// Puts a copy of a line in elsewhere.
    CopyLine { from: u8, to: u8 },
    /// Puts a known word in as a line.
    AddLine { word: u8, at: u8 },
    /// Replaces one word of a line by a known word.
    ReplaceWord { line: u8, at: u8, word: u8 },
    /// Replaces a character.
    ReplaceChar { line: u8, at: u8, by: u8 },
    /// Ends a line early.
    CutLine { line: u8, at: u8 },
    /// Repeats a line many times.
    RepeatLine { line: u8, times: u8 },
}

impl TextEdit {
    /// `text` with all `edits` made, one after the other; lines end with CR and LF.
    #[must_use]
    pub fn apply(edits: &[Self], text: &str) -> String {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for edit in edits {
            edit.change(&mut lines);
        }
        lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect()
    }

    fn change(self, lines: &mut Vec<String>) {
        let index = |at: u8, of: usize| usize::from(at) % of.max(1);
        let count = lines.len();
        if count == 0 || count > 2000 {
            return;
        }
        match self {
            Self::DropLine(at) => drop(lines.remove(index(at, count))),
            Self::CopyLine { from, to } => {
                let line = lines[index(from, count)].clone();
                lines.insert(index(to, count + 1), line);
            }
            Self::AddLine { word, at } => {
                lines.insert(index(at, count + 1), word_of(word).to_owned());
            }
            Self::ReplaceWord { line, at, word } => {
                let line = &mut lines[index(line, count)];
                let is_end = |c: char| " :/;=,".contains(c);
                let ends: Vec<usize> = line.match_indices(is_end).map(|(i, _)| i).collect();
                let start = match index(at, ends.len() + 1) {
                    0 => 0,
                    n => ends[n - 1] + 1,
                };
                let end = ends.into_iter().find(|end| *end >= start).unwrap_or(line.len());
                line.replace_range(start..end, word_of(word));
            }
            Self::ReplaceChar { line, at, by } => {
                let line = &mut lines[index(line, count)];
                let at = index(at, line.chars().count());
                *line = line
                    .chars()
                    .enumerate()
                    .map(|(i, c)| if i == at { char::from(by) } else { c })
                    .collect();
            }
            Self::CutLine { line, at } => {
                let line = &mut lines[index(line, count)];
                *line = line.chars().take(index(at, line.chars().count() + 1)).collect();
            }
            Self::RepeatLine { line, times } => {
                let at = index(line, count);
                let line = lines[at].clone();
                lines.splice(at..at, std::iter::repeat_n(line, usize::from(times)));
            }
        }
    }
}

/// A known word.
#[must_use]
pub fn word_of(number: u8) -> &'static str {
    WORDS[usize::from(number) % WORDS.len()]
}

/// Changes of bytes.
#[derive(Arbitrary, Clone, Debug, Default)]
pub struct ByteEdits {
    overwrite: Vec<(u16, u8)>,
    cut_to: Option<u16>,
    append: Option<(u8, u8)>,
}

impl ByteEdits {
    /// `bytes` with the changes made; no longer than `longest`.
    #[must_use]
    pub fn apply(&self, bytes: &[u8], longest: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if let Some(length) = self.cut_to {
            bytes.truncate(usize::from(length));
        }
        if let Some((byte, times)) = self.append {
            bytes.extend(std::iter::repeat_n(byte, usize::from(times)));
        }
        bytes.truncate(longest);
        if !bytes.is_empty() {
            let length = bytes.len();
            for (at, byte) in &self.overwrite {
                bytes[usize::from(*at) % length] = *byte;
            }
        }
        bytes
    }
}
