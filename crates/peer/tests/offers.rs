//! What becomes of offers, good and bad, and how a session is found by its STUN requests.

use std::net::SocketAddr;
use std::time::Instant;

use foldback_peer::{
    Closed, EchoStrings, Flow, IceRestart, NetworkReport, OfferError, Peer, PeerOptions,
    ReceivedFrame, Route, Sink, install_crypto, stun_ufrag,
};
use str0m::Rtc;
use str0m::media::{Direction, MediaKind};

#[test]
fn an_audio_offer_is_answered_as_ice_lite_with_the_candidates_inside() {
    let offer = offer(|api| {
        api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
    });
    let (peer, answer) = accept(&offer).expect("the offer is good");
    assert!(peer.has_audio());
    for line in ["a=ice-lite", "a=setup:passive", "192.0.2.7 8000 typ host"] {
        assert!(answer.contains(line), "no `{line}` in\n{answer}");
    }
    assert!(answer.contains("useinbandfec=1"), "{answer}");
}

#[test]
fn copies_and_repetition_are_agreed_on_where_the_offer_has_them() {
    let with = |red: bool| {
        let mut rtc = Rtc::builder().clear_codecs().enable_opus(true, red).build(now());
        let mut api = rtc.sdp_api();
        api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        api.apply().expect("something was added").0.to_sdp_string()
    };
    let answer = |offer: &str| accept(offer).expect("the offer is good").1;
    assert!(answer(&with(true)).contains(" red/48000/2"), "{}", answer(&with(true)));
    let plain = answer(&with(false));
    assert!(!plain.contains(" red/"), "{plain}");
    assert!(!plain.contains(" nack") && !plain.contains("transport"), "{plain}");
    let asked = with(false).replace("a=rtcp-fb:111 transport-cc", "a=rtcp-fb:111 nack");
    assert!(asked.contains("a=rtcp-fb:111 nack"), "{asked}");
    assert!(answer(&asked).contains("a=rtcp-fb:111 nack\r\n"), "{}", answer(&asked));
}

#[test]
fn silence_may_be_left_out_where_the_offer_asks_for_it() {
    let plain = offer(|api| {
        api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
    });
    let with = |parameter: &str| {
        let asked = plain.replace("useinbandfec=1", &format!("useinbandfec=1;{parameter}"));
        assert_ne!(asked, plain);
        accept(&asked).expect("the offer is good")
    };
    assert!(!accept(&plain).expect("the offer is good").0.wants_dtx());
    assert!(!with("usedtx=0").0.wants_dtx());
    let (peer, answer) = with("usedtx=1");
    assert!(peer.wants_dtx());
    assert!(!answer.contains("usedtx=1"), "what the browser sends is its own choice: {answer}");
}

#[test]
fn an_offer_that_contradicts_itself_is_refused() {
    let offer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=fingerprint:sha-256 \
        00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n\
        a=setup:actpass\r\na=rtcp-mux\r\na=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n\
        a=rtpmap:111 rtx/48000\r\na=fmtp:111 apt=111\r\n";
    // Refused or answered without audio; what str0m may not do is take its thread down.
    if let Ok((peer, _)) = accept(offer) {
        assert!(!peer.has_audio());
    }
}

#[test]
fn an_offer_without_audio_is_answered_too() {
    let data = offer(|api| {
        api.add_channel("chat".to_owned());
    });
    assert!(!accept(&data).expect("the offer is good").0.has_audio());
    let video = offer(|api| {
        api.add_media(MediaKind::Video, Direction::SendRecv, None, None, None);
    });
    assert!(!accept(&video).expect("the offer is good").0.has_audio());
}

#[test]
fn what_is_no_offer_is_refused_in_one_sentence_without_addresses_in_memory() {
    for bad in ["", "v=0", "hello", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"] {
        let error = accept(bad).expect_err(bad).to_string();
        assert!(error.starts_with("the SDP offer cannot be used: "), "{error}");
        assert!(!error.contains('\n') && !error.contains("0x"), "{error}");
    }
}

#[test]
fn a_further_offer_has_ice_start_anew_and_changes_nothing_else() {
    let offer = offer(|api| {
        api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
    });
    let (mut peer, first) = accept(&offer).expect("the offer is good");
    let mut restart = |offer: &str| {
        let restart = IceRestart::read(offer, options()).expect("an offer");
        peer.restart_ice(restart, now(), &mut Nothing)
            .map(|answer| (answer, peer.local_ufrag().to_owned()))
    };
    let line = |text: &str, beginning: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(beginning));
        line.unwrap_or_else(|| panic!("no {beginning} in {text}")).to_owned()
    };
    let (nothing, ufrag) = restart(&offer).expect("the same offer again");
    assert_eq!((nothing, format!("a=ice-ufrag:{ufrag}")), (None, line(&first, "a=ice-ufrag:")));

    let anew = offer.replace(&line(&offer, "a=ice-ufrag:"), "a=ice-ufrag:anew");
    let (answer, ufrag) = restart(&anew).expect("ICE may start anew");
    let answer = answer.expect("it does");
    assert_eq!(line(&answer, "a=ice-ufrag:"), format!("a=ice-ufrag:{ufrag}"));
    assert_ne!(line(&answer, "a=ice-ufrag:"), line(&first, "a=ice-ufrag:"));
    assert!(answer.contains("192.0.2.7 8000 typ host"), "{answer}");
    let kept = ["a=fingerprint:", "a=setup:", "a=ice-lite", "a=fmtp:", "m=audio"];
    assert_eq!(kept.map(|it| line(&answer, it)), kept.map(|it| line(&first, it)));

    let certificate = line(&anew, "a=fingerprint:");
    let (beginning, end) = certificate.split_at(certificate.len() - 2);
    let another = format!("{beginning}{}", if end == "00" { "01" } else { "00" });
    let error = restart(&anew.replace(&certificate, &another)).expect_err("not the same");
    let error = error.to_string();
    assert!(error.contains("certificate"), "{error}");
    assert!(restart(&anew).expect("the session goes on").0.is_none());
}

#[test]
fn sound_goes_one_way_where_it_shall_whatever_the_offer_could_do() {
    let offered = |direction| {
        offer(|api| {
            api.add_media(MediaKind::Audio, direction, None, None, None);
        })
    };
    let answered = |flow, direction| {
        let options = PeerOptions { flow, ..options() };
        let accepted = Peer::accept(&offered(direction), &options, EchoStrings::No, now());
        let (peer, answer) = accepted.expect("the offer is good");
        (peer.takes_audio(), peer.sends_audio(), answer)
    };
    for direction in [Direction::SendRecv, Direction::SendOnly] {
        let (takes, sends, answer) = answered(Flow::FromClient, direction);
        assert!(takes && !sends && answer.contains("a=recvonly\r\n"), "{answer}");
    }
    for direction in [Direction::SendRecv, Direction::RecvOnly] {
        let (takes, sends, answer) = answered(Flow::ToClient, direction);
        assert!(!takes && sends && answer.contains("a=sendonly\r\n"), "{answer}");
    }
    let (takes, _, answer) = answered(Flow::FromClient, Direction::RecvOnly);
    assert!(!takes, "what the offer cannot do is not done: {answer}");
    let (takes, sends, _) = answered(Flow::AsOffered, Direction::SendRecv);
    assert!(takes && sends);
}

#[test]
fn candidates_are_checked_and_names_of_mdns_let_pass() {
    assert!(Peer::check_candidate("candidate:1 1 udp 1 192.0.2.9 5000 typ host").is_ok());
    let mdns = "candidate:1 1 udp 1 0f1c.local 5000 typ host";
    assert!(Peer::check_candidate(mdns).is_ok());
    assert!(Peer::check_candidate("candidate:nonsense").is_err());
}

#[test]
fn an_offer_with_candidates_that_nobody_needs_here_is_answered_as_one_without() {
    let plain = offer(|api| {
        api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
    });
    // As browsers write them: a name of mDNS in the place of an address, and connections.
    let candidates = [
        "a=candidate:1 1 udp 2113937151 0f1c8e3a-5b7d-4c2e-9f6a-1234567890ab.local 50000 typ host generation 0",
        "a=candidate:2 1 tcp 1518283007 0f1c8e3a-5b7d-4c2e-9f6a-1234567890ab.local 9 typ host tcptype active",
        "a=candidate:3 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active generation 0",
        "a=candidate:4 1 udp 2122262783 2001:db8::9 50001 typ host generation 0",
        "a=end-of-candidates",
    ];
    let with = plain.replace("a=ice-ufrag", &format!("{}\r\na=ice-ufrag", candidates.join("\r\n")));
    assert_ne!(with, plain);
    let count = |answer: &str| answer.lines().count();
    let (_, answer) = accept(&with).expect("the offer is good");
    assert_eq!(count(&answer), count(&accept(&plain).expect("the offer is good").1));
}

#[test]
fn connections_are_offered_as_the_second_choice_where_they_are_taken() {
    let offer = offer(|api| {
        api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
    });
    let mut options = options();
    options.candidates.push("[2001:db8::7]:8000".parse().expect("an address"));
    options.tcp_candidates = options.candidates.clone();
    let (_, answer) = Peer::accept(&offer, &options, EchoStrings::No, now()).expect("good");
    let candidates: Vec<Vec<&str>> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .map(|line| line.split(' ').collect())
        .collect();
    let priority = |candidate: &[&str]| candidate[3].parse::<u32>().expect("a number");
    let of = |protocol: &str| {
        candidates.iter().filter(|it| it[2] == protocol).cloned().collect::<Vec<_>>()
    };
    let (by_udp, by_tcp) = (of("udp"), of("tcp"));
    assert_eq!((by_udp.len(), by_tcp.len()), (2, 2), "{answer}");
    for candidate in &by_tcp {
        let passive = candidate.windows(2).any(|two| two == ["tcptype", "passive"]);
        assert!(passive, "{candidate:?}");
        assert!(by_udp.iter().all(|it| priority(it) > priority(candidate)), "{answer}");
    }
}

#[test]
fn what_is_no_stun_request_names_no_session() {
    for datagram in [&[][..], &[0], &[22, 254, 253, 0], &[128, 111, 0, 1], &[0; 20], &[1; 200]] {
        assert_eq!(stun_ufrag(datagram, str::to_owned), None);
    }
}

struct Nothing;

impl Sink for Nothing {
    fn transmit(&mut self, _: Route, _: &[u8]) {}
    fn frame(&mut self, _: ReceivedFrame) {}
    fn connected(&mut self) {}
    fn closed(&mut self, why: Closed) {
        panic!("closed: {why:?}");
    }
    fn report(&mut self, _: NetworkReport) {}
}

fn accept(offer: &str) -> Result<(Peer, String), OfferError> {
    let now = now();
    install_crypto(now);
    Peer::accept(offer, &options(), EchoStrings::No, now)
}

fn options() -> PeerOptions {
    PeerOptions::at(vec![SocketAddr::from(([192, 0, 2, 7], 8000))])
}

fn offer(add: impl FnOnce(&mut str0m::change::SdpApi<'_>)) -> String {
    let now = now();
    install_crypto(now);
    let mut rtc = Rtc::builder().build(now);
    let mut api = rtc.sdp_api();
    add(&mut api);
    api.apply().expect("something was added").0.to_sdp_string()
}

#[allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]
fn now() -> Instant {
    Instant::now()
}
