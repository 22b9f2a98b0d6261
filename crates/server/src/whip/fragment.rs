//! Fragments of SDP that carry ICE alone (`application/trickle-ice-sdpfrag`, RFC 8840).

use std::fmt::Write as _;

/// So many candidates may be in one fragment: a client has one for each of its addresses and servers.
const MOST_CANDIDATES: usize = 64;

/// What a client's fragment says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    /// By which the client is known in ICE.
    pub(crate) credentials: Option<Credentials<'a>>,
    /// In the form that SDP has them in, after `a=`.
    pub(crate) candidates: Vec<&'a str>,
}

/// Name and password of one side in ICE.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credentials<'a> {
    pub(crate) ufrag: &'a str,
    pub(crate) password: &'a str,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

impl<'a> Fragment<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence, where it is none.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let mut fragment = Self::default();
        let (mut ufrag, mut password) = (None, None);
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
                agree(&mut ufrag, value, number, "a=ice-ufrag")?;
            } else if let Some(value) = line.strip_prefix("a=ice-pwd:") {
                agree(&mut password, value, number, "a=ice-pwd")?;
            } else if line.starts_with("a=candidate:") {
                if fragment.candidates.len() == MOST_CANDIDATES {
                    return Err(format!("There are more than {MOST_CANDIDATES} candidates."));
                }
                fragment.candidates.push(&line["a=".len()..]);
            } else if !(line.is_empty() || line.starts_with("a=") || line.starts_with("m=")) {
                let sentence =
                    format!("Line {number} is neither of an attribute (`a=`) nor of media (`m=`).");
                return Err(sentence);
            }
        }
        fragment.credentials = match (ufrag, password) {
            (None, None) => None,
            (Some(ufrag), Some(password)) => {
                check(ufrag, 4, "a=ice-ufrag")?;
                check(password, 22, "a=ice-pwd")?;
                Some(Credentials { ufrag, password })
            }
            _ => {
                return Err(
                    "Of `a=ice-ufrag` and `a=ice-pwd` there are both, or neither.".to_owned()
                );
            }
        };
        if fragment == Self::default() && !text.contains("a=end-of-candidates") {
            let sentence = "It has neither `a=candidate`, `a=end-of-candidates` nor `a=ice-ufrag` and `a=ice-pwd`.";
            return Err(sentence.to_owned());
        }
        Ok(fragment)
    }

    /// The credentials of an offer, where it has one pair of them.
    pub(crate) fn credentials_of(offer: &str) -> Option<Credentials<'_>> {
        let find =
            |start| offer.lines().find_map(|line| Some(line.strip_prefix(start)?.trim_end()));
        Some(Credentials { ufrag: find("a=ice-ufrag:")?, password: find("a=ice-pwd:")? })
    }
}

/// All lines of media are of one bundle, and of one pair of credentials.
fn agree<'a>(
    known: &mut Option<&'a str>,
    value: &'a str,
    number: usize,
    name: &str,
) -> Result<(), String> {
    match known.replace(value) {
        Some(other) if other != value => {
            Err(format!("Line {number} has another `{name}` than a line before."))
        }
        _ => Ok(()),
    }
}

/// As in RFC 8839, section 5.4.
fn check(value: &str, least: usize, name: &str) -> Result<(), String> {
    let is_ice_char = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
    if (least..=256).contains(&value.len()) && value.bytes().all(is_ice_char) {
        return Ok(());
    }
    Err(format!("`{name}` has {least} to 256 characters out of letters, digits, `+` and `/`."))
}

/// The offer with other credentials and without candidates, as of a client that has ICE start anew.
pub(crate) fn renewed(offer: &str, credentials: Credentials<'_>) -> String {
    let mut renewed = String::with_capacity(offer.len());
    for line in offer.lines().map(str::trim_end) {
        if line.starts_with("a=ice-ufrag:") {
            renewed += "a=ice-ufrag:";
            renewed += credentials.ufrag;
        } else if line.starts_with("a=ice-pwd:") {
            renewed += "a=ice-pwd:";
            renewed += credentials.password;
        } else if line.starts_with("a=candidate:") || line == "a=end-of-candidates" {
            continue;
        } else {
            renewed += line;
        }
        renewed += "\r\n";
    }
    renewed
}

/// What an answer says of ICE, as a fragment.
pub(crate) fn of_answer(answer: &str) -> String {
    let mut fragment = String::from("a=ice-lite\r\n");
    if let Some(Credentials { ufrag, password }) = Fragment::credentials_of(answer) {
        let _ = write!(fragment, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
    }
    // All lines of media are of one bundle; one of them has the candidates.
    let mut all = answer.split("\r\nm=").skip(1);
    let media = all.find(|media| media.contains("\r\na=candidate:")).unwrap_or_default();
    let told = |line: &&str| {
        let starts = ["a=mid:", "a=candidate:", "a=end-of-candidates"];
        starts.iter().any(|start| line.starts_with(start))
    };
    let kind = media.lines().next().unwrap_or_default();
    let lines = [format!("m={kind}")].into_iter();
    for line in lines.chain(media.lines().filter(told).map(str::to_owned)) {
        fragment += &line;
        fragment += "\r\n";
    }
    fragment
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "P2uYro0UCOQ4zxjKXaWCBui1";

    #[test]
    fn a_fragment_has_candidates_credentials_or_both() {
        let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\n\
            a=mid:0\r\na=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n";
        let fragment = Fragment::parse(text).expect("a fragment");
        assert_eq!(fragment.credentials, Some(Credentials { ufrag: "EsAw", password: PASSWORD }));
        assert_eq!(fragment.candidates, ["candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host"]);
        let end = Fragment::parse("m=audio 9 RTP/AVP 0\na=mid:0\na=end-of-candidates\n");
        assert_eq!(end, Ok(Fragment::default()));
    }

    #[test]
    fn what_is_no_fragment_is_refused_with_what_it_lacks() {
        let many = "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n".repeat(65);
        for (bad, said) in [
            ("", "neither"),
            ("hello", "Line 1 "),
            ("a=mid:0\r\nv=0\r\n", "Line 2 "),
            ("a=ice-ufrag:EsAw\r\n", "both, or neither"),
            ("a=ice-ufrag:EsA\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "4 to 256"),
            ("a=ice-ufrag:EsAw\r\na=ice-pwd:short", "22 to 256"),
            ("a=ice-ufrag:EsAw\r\na=ice-ufrag:Other\r\n", "Line 2 has another"),
            (&many, "more than 64"),
        ] {
            let error = Fragment::parse(bad).expect_err(bad);
            assert!(error.contains(said), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_renewed_offer_differs_in_ice_alone() {
        let offer = "v=0\r\nm=audio 9 X 111\r\na=ice-ufrag:old1\r\na=ice-pwd:old\r\na=mid:0\r\n\
            a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\na=end-of-candidates\r\n";
        let renewed = renewed(offer, Credentials { ufrag: "new1", password: PASSWORD });
        let expected = format!(
            "v=0\r\nm=audio 9 X 111\r\na=ice-ufrag:new1\r\na=ice-pwd:{PASSWORD}\r\na=mid:0\r\n"
        );
        assert_eq!(renewed, expected);
    }

    #[test]
    fn of_an_answer_a_fragment_keeps_ice_and_where_it_belongs() {
        let answer = "v=0\r\na=ice-lite\r\na=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
            c=IN IP4 0.0.0.0\r\na=mid:a\r\na=candidate:1 1 udp 1 192.0.2.7 8000 typ host\r\na=end-of-candidates\r\n\
            m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n";
        assert_eq!(
            of_answer(answer),
            "a=ice-lite\r\na=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n\
             a=candidate:1 1 udp 1 192.0.2.7 8000 typ host\r\na=end-of-candidates\r\n"
        );
    }
}
