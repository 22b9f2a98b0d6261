//! From an SDP offer to a session and its answer.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use str0m::change::SdpOffer;
use str0m::format::Codec;
use str0m::ice::StunMessage;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::TcpType;
use str0m::{Candidate, Rtc};

use crate::answer;
use crate::extensions::{self, CSRC_LEVELS_URI};
use crate::flow::Flow;

/// What a session is made with.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Addresses at which the media socket is reached; each becomes an ICE host candidate.
    pub candidates: Vec<SocketAddr>,
    /// Addresses at which connections are taken; each becomes a passive candidate (RFC 6544), which
    /// browsers use where no datagram comes through.
    pub tcp_candidates: Vec<SocketAddr>,
    /// How long the browser's packets shall be, in ms; `None` leaves it to the browser (20).
    pub packet_ms: Option<u32>,
    /// Sends and asks for stereo, of so many bits per second; `None`: mono.
    pub stereo_bps: Option<u32>,
    /// One moment by the monotonic and by the wall clock, to tell when something was captured.
    pub wall_clock: Option<(Instant, SystemTime)>,
    /// Which ways sound goes.
    pub flow: Flow,
}

impl PeerOptions {
    /// Reached at these addresses, everything else as browsers do it by themselves.
    #[must_use]
    pub fn at(candidates: Vec<SocketAddr>) -> Self {
        Self {
            candidates,
            tcp_candidates: Vec::new(),
            packet_ms: None,
            stereo_bps: None,
            wall_clock: None,
            flow: Flow::AsOffered,
        }
    }
}

/// The first audio line that both sides can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AudioLine {
    pub(crate) mid: Mid,
    pub(crate) opus: Pt,
    /// Opus with copies of earlier packets, if both sides know it.
    pub(crate) red: Option<Pt>,
    pub(crate) direction: Direction,
    /// The browser sends lost packets again when asked (RFC 4585, generic NACK).
    pub(crate) nack: bool,
    /// The levels of contributors were negotiated (RFC 6465).
    pub(crate) names_levels: bool,
    /// The browser prefers packets to stop in silence (`usedtx`, RFC 7587, section 6.1).
    pub(crate) wants_dtx: bool,
    /// The browser prefers stereo (`stereo`, as above).
    pub(crate) wants_stereo: bool,
}

/// Accepts `offer` as an ICE-lite answerer.
pub(crate) fn accept(
    offer: &str,
    options: &PeerOptions,
    now: Instant,
) -> Result<(Rtc, String, Option<AudioLine>, Marks), OfferError> {
    let offer = read(offer, options)?;
    let text = offer.to_sdp_string();
    let nack = opus_has_nack(&text);
    let wants_dtx = opus_asks_for(&text, "usedtx=1");
    let wants_stereo = opus_asks_for(&text, "stereo=1");
    let mut config = extensions::register(Rtc::builder())
        .set_ice_lite(true)
        .set_rtp_mode(true)
        .clear_codecs()
        // With RED, where the offer has it: copies of earlier packets in later ones (RFC 2198).
        .enable_opus(true, true)
        // Reports every second at most, for round trip and loss.
        .set_rtcp_report_interval_audio(Duration::from_secs(1))
        .set_stats_interval(Some(Duration::from_secs(1)));
    for params in config.codec_config().iter_mut() {
        // str0m answers with our flag, whatever the offer says.
        params.set_fb_nack(nack);
        // Chromium would look for bandwidth that a voice never needs, with up to a hundred packets
        // of padding a second.
        params.set_fb_transport_cc(false);
    }
    let mut rtc = config.build(now);
    let by_udp = options.candidates.iter().map(|address| Candidate::host(*address, "udp"));
    let by_tcp = options
        .tcp_candidates
        .iter()
        .map(|address| Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive).build());
    for candidate in by_udp.chain(by_tcp) {
        rtc.add_local_candidate(candidate.map_err(|e| OfferError::new(&e.to_string()))?);
    }
    let mids = audio_mids(&text);
    let answer = rtc.sdp_api().accept_offer(offer).map_err(|e| OfferError::new(&e.to_string()))?;
    let audio = mids.into_iter().find_map(|mid| audio_line(&mut rtc, mid));
    let answer = answer::finish(&answer.to_sdp_string(), options);
    let audio = audio.map(|line| AudioLine { nack, wants_dtx, wants_stereo, ..line });
    Ok((rtc, answer, audio, Marks::of(&text)))
}

/// Reads an offer, without its candidates: this side learns from the checks of the other where that is
/// (RFC 8445, section 7.3.1.3). Some candidates are names of mDNS, and str0m gives up once none of
/// those it knows fits one of ours, though the next may.
fn read(offer: &str, options: &PeerOptions) -> Result<SdpOffer, OfferError> {
    let offer = options.flow.narrow(offer);
    let needed = offer.lines().filter(|line| !line.starts_with("a=candidate:"));
    let needed: String = needed.flat_map(|line| [line, "\r\n"]).collect();
    SdpOffer::from_sdp_string(&needed).map_err(|error| OfferError::new(&error.to_string()))
}

/// A further offer of the browser of a running session, which has ICE start anew while the rest
/// goes on (RFC 8839, section 4.4.1.1.1): after a change of its network.
#[derive(Debug)]
pub struct IceRestart {
    offer: SdpOffer,
    options: PeerOptions,
    marks: Marks,
}

impl IceRestart {
    /// Reads the offer; `options` as for the session's first one. Allocates.
    ///
    /// # Errors
    /// When the text is no SDP offer.
    pub fn read(offer: &str, options: PeerOptions) -> Result<Self, OfferError> {
        let offer = read(offer, &options)?;
        let marks = Marks::of(&offer.to_sdp_string());
        Ok(Self { offer, options, marks })
    }

    /// Has `rtc`, whose last offer had those `marks`, take it; returns the answer. `None` if it has
    /// the credentials that ICE runs with already.
    pub(crate) fn apply(
        self,
        rtc: &mut Rtc,
        marks: &mut Marks,
    ) -> Result<Option<String>, OfferError> {
        if self.marks.session != marks.session {
            return Err(OfferError(
                "only ICE can be restarted; it has other media lines or another certificate than \
                 the first one"
                    .to_owned(),
            ));
        }
        if self.marks.ice == marks.ice {
            return Ok(None);
        }
        let answer = rtc.sdp_api().accept_offer(self.offer);
        let answer = answer.map_err(|e| OfferError::new(&e.to_string()))?;
        *marks = self.marks;
        Ok(Some(answer::finish(&answer.to_sdp_string(), &self.options)))
    }
}

/// By which two offers are told to be of the same session, and of the same start of ICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    session: u64,
    ice: u64,
}

impl Marks {
    fn of(text: &str) -> Self {
        let hash_of = |beginnings: [&str; 2]| {
            let mut hasher = DefaultHasher::new();
            for line in text.lines().map(str::trim_end) {
                if beginnings.iter().any(|beginning| line.starts_with(beginning)) {
                    line.hash(&mut hasher);
                }
            }
            hasher.finish()
        };
        Self {
            session: hash_of(["a=mid:", "a=fingerprint:"]),
            ice: hash_of(["a=ice-ufrag:", "a=ice-pwd:"]),
        }
    }
}

/// The mids of the offer in order. They are read from its text since str0m tells of new media
/// only by events, which come later.
fn audio_mids(text: &str) -> Vec<Mid> {
    let mids = text.lines().filter_map(|line| line.strip_prefix("a=mid:"));
    mids.map(|mid| Mid::from(mid.trim())).collect()
}

/// Whether the offer has generic NACK for Opus (`a=rtcp-fb:111 nack`), which browsers add for audio
/// only if their page asks for it.
fn opus_has_nack(text: &str) -> bool {
    opus_number(text).is_some_and(|pt| {
        let wanted = format!("a=rtcp-fb:{pt} nack");
        text.lines().any(|line| line.trim_end() == wanted)
    })
}

/// Whether the offer has that parameter for Opus: in SDP a receiver says how it wants to be sent to.
fn opus_asks_for(text: &str, parameter: &str) -> bool {
    opus_number(text).is_some_and(|pt| {
        let prefix = format!("a=fmtp:{pt} ");
        let parameters = text.lines().find_map(|line| line.strip_prefix(&prefix));
        parameters.is_some_and(|list| list.split(';').any(|one| one.trim() == parameter))
    })
}

/// The payload type of Opus in an offer or answer.
pub(crate) fn opus_number(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        let (pt, codec) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        codec.to_ascii_lowercase().starts_with("opus/").then_some(pt)
    })
}

fn audio_line(rtc: &mut Rtc, mid: Mid) -> Option<AudioLine> {
    let media = rtc.media(mid)?;
    if media.kind() != MediaKind::Audio || media.disabled() {
        return None;
    }
    let direction = media.direction();
    if direction == Direction::Inactive {
        return None;
    }
    let offered = media.remote_pts().to_vec();
    let params = rtc.codec_config().params();
    let opus =
        params.iter().find(|p| p.spec().codec == Codec::Opus && offered.contains(&p.pt()))?;
    let (opus, red) = (opus.pt(), opus.red());
    let extensions = rtc.media(mid)?.remote_extmap();
    let names_levels = extensions.iter().any(|(_, e)| e.as_uri() == CSRC_LEVELS_URI);
    let (nack, wants_dtx, wants_stereo) = (false, false, false);
    Some(AudioLine { mid, opus, red, direction, nack, names_levels, wants_dtx, wants_stereo })
}

/// Why an offer could not be answered: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferError(String);

impl OfferError {
    pub(crate) fn unusable() -> Self {
        Self("its media lines contradict each other".to_owned())
    }

    /// One sentence out of what str0m says, which may be several lines and name addresses in
    /// memory.
    fn new(reason: &str) -> Self {
        let lines = reason.lines().map(|line| line.split(" at PointerOffset").next());
        let lines: Vec<_> = lines.flatten().map(str::trim).filter(|l| !l.is_empty()).collect();
        Self(lines.join("; "))
    }
}

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the SDP offer cannot be used: {}", self.0)
    }
}

impl std::error::Error for OfferError {}

/// Why a trickled candidate was not taken: a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateError(pub(crate) String);

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ICE candidate cannot be used: {}", self.0)
    }
}

impl std::error::Error for CandidateError {}

/// Gives `find` the local user name in a STUN request (`local:remote`, RFC 8445 section 7.2.2):
/// which session a datagram is for, wherever it comes from. `None` if it is no such request.
pub fn stun_ufrag<R>(datagram: &[u8], find: impl FnOnce(&str) -> R) -> Option<R> {
    // The two highest bits of STUN are zero (RFC 7983), which tells it from all other traffic.
    if *datagram.first()? > 3 {
        return None;
    }
    let message = StunMessage::parse(datagram).ok()?;
    message.split_username().map(|(local, _)| find(local))
}
