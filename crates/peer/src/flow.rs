//! Which ways sound goes in a session, where that is not for the offer to say.

use std::borrow::Cow;

/// Which ways sound goes in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// As the offer says.
    #[default]
    AsOffered,
    /// From the client alone, as in WHIP (RFC 9725).
    FromClient,
    /// To the client alone, as in WHEP (draft-ietf-wish-whep).
    ToClient,
}

impl Flow {
    /// The offer as it would be of a client that wants these ways alone: what is `sendrecv` in it, said or
    /// not (RFC 8866, section 6.7), goes one way. The answer to that is one to the offer as well.
    pub(crate) fn narrow(self, offer: &str) -> Cow<'_, str> {
        let one_way = match self {
            Self::AsOffered => return Cow::Borrowed(offer),
            Self::FromClient => "a=sendonly\r\n",
            Self::ToClient => "a=recvonly\r\n",
        };
        let mut narrowed = String::with_capacity(offer.len() + 32);
        // Whether the lines so far say which ways the media of this section goes.
        let (mut is_said, mut in_media) = (false, false);
        for line in offer.lines() {
            if line.starts_with("m=") {
                if in_media && !is_said {
                    narrowed += one_way;
                }
                (is_said, in_media) = (false, true);
            }
            match line.trim_end() {
                "a=sendrecv" if in_media => narrowed += one_way,
                // Each line of media is told for itself.
                "a=sendrecv" => {}
                line => {
                    narrowed += line;
                    narrowed += "\r\n";
                }
            }
            is_said |= in_media && is_direction(line);
        }
        if in_media && !is_said {
            narrowed += one_way;
        }
        Cow::Owned(narrowed)
    }
}

fn is_direction(line: &str) -> bool {
    matches!(line.trim_end(), "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n";

    #[test]
    fn what_goes_both_ways_said_or_not_goes_one_way() {
        let narrowed = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n\
            m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=sendonly\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\n";
        assert_eq!(Flow::FromClient.narrow(OFFER), narrowed);
        assert_eq!(Flow::ToClient.narrow(OFFER), narrowed.replace("sendonly", "recvonly"));
        assert_eq!(Flow::AsOffered.narrow(OFFER), OFFER);
    }

    #[test]
    fn lines_without_a_carriage_return_are_read_too() {
        let offer = OFFER.replace("\r\n", "\n");
        assert_eq!(Flow::FromClient.narrow(&offer), Flow::FromClient.narrow(OFFER));
    }

    #[test]
    fn what_goes_the_other_way_stays_so() {
        let offer = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=recvonly\r\n";
        assert_eq!(Flow::FromClient.narrow(offer), offer);
    }
}
