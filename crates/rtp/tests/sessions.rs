//! Two sessions with each other, and whoever comes between.
#![allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use foldback_allocations::{CountingAllocator, of_this_thread};
use foldback_peer::ReceivedFrame;
use foldback_rtp::{Dropped, Keys, Options, Reach, Received, Secrets, Session, Source, Suite};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const PACKET: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(10);

fn at(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

fn secrets(suite: Suite, ours: u8, theirs: u8) -> Secrets {
    let keys = |fill: u8| Keys(vec![fill; suite.key_bytes()]);
    Secrets { suite, incoming: keys(theirs), outgoing: keys(ours) }
}

fn session(source: Source, secrets: Option<Secrets>, ssrc: u32, now: Instant) -> Session {
    let options = Options {
        payload_type: 0,
        clock_hz: 8_000,
        takes: true,
        must_report: false,
        source,
        reach: Reach::new(|_| true),
        secrets,
        ssrc,
        begins: (30_000, u32::MAX - 500),
        cname: "name".to_owned(),
        timeout: TIMEOUT,
        wall_clock: (now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)),
    };
    Session::new(options, now).expect("keys of the right length")
}

/// The server, and a gateway at port 1.
fn pair(suite: Option<Suite>, now: Instant) -> (Session, Session) {
    let server = suite.map(|suite| secrets(suite, 1, 2));
    let gateway = suite.map(|suite| secrets(suite, 2, 1));
    (session(Source::First, server, 7, now), session(Source::At(at(9)), gateway, 8, now))
}

fn packet(from: &mut Session, number: u32, now: Instant) -> Vec<u8> {
    let mut datagram = Vec::new();
    let payload = [number as u8; 160];
    from.send(now, number.wrapping_mul(960), false, &payload, &mut datagram)
        .expect("it is known where");
    datagram
}

fn frame(received: Received) -> ReceivedFrame {
    match received {
        Received::Frame(frame) => frame,
        Received::Report(_) => panic!("a report"),
        Received::Dropped(why) => panic!("{why:?}"),
    }
}

fn dropped(received: Received) -> Option<Dropped> {
    match received {
        Received::Dropped(why) => Some(why),
        _ => None,
    }
}

#[test]
fn what_one_sends_the_other_takes_whatever_it_is_encrypted_with() {
    for suite in [None, Some(Suite::AesCm128HmacSha1_80), Some(Suite::AeadAes128Gcm)] {
        let mut now = Instant::now();
        let (mut server, mut gateway) = pair(suite, now);
        let mut out = Vec::new();
        assert_eq!(server.send(now, 0, false, &[0; 160], &mut out), None, "nobody is known yet");
        let mut first = None;
        // Over the end of both counts.
        for number in 0..40_000 {
            let datagram = packet(&mut gateway, number, now);
            let came = frame(server.receive(now, at(1), &datagram));
            let (seq, time) = *first.get_or_insert((came.seq, came.rtp_time));
            assert_eq!(
                (came.seq - seq, came.rtp_time - time),
                (number.into(), u64::from(number) * 960)
            );
            assert_eq!((*came.payload)[..], [number as u8; 160], "{suite:?}");
            assert_eq!(suite.is_some(), datagram[12..] != [number as u8; 160]);
            now += PACKET;
        }
        let back = packet(&mut server, 1, now);
        assert_eq!(server.destination(), Some(at(1)));
        assert_eq!((*frame(gateway.receive(now, at(9), &back)).payload)[..], [1; 160]);
    }
}

#[test]
fn replays_forgeries_and_strangers_are_dropped_and_memory_does_not_grow_by_them() {
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm] {
        let now = Instant::now();
        let (mut server, mut gateway) = pair(Some(suite), now);
        let unauthentic = Some(Dropped::Unauthentic);
        let datagram = packet(&mut gateway, 0, now);
        for position in [1, 5, 9, 20, datagram.len() - 1] {
            let mut forged = datagram.clone();
            forged[position] ^= 1;
            assert!(dropped(server.receive(now, at(1), &forged)).is_some(), "byte {position}");
        }
        // Reports in the clear, which need no key: of many streams, and goodbyes.
        for (number, kind) in
            [(1_u32, 201), (2, 201), (3, 203), (4, 201)].into_iter().cycle().take(40)
        {
            let mut forged = vec![0x80 | u8::from(kind == 203), kind, 0, 1];
            forged.extend(number.to_be_bytes());
            forged.extend([0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
            assert!(dropped(server.receive(now, at(1), &forged)).is_some(), "{suite:?} {kind}");
        }
        assert!(!server.said_goodbye());
        frame(server.receive(now, at(1), &datagram));
        assert_eq!(dropped(server.receive(now, at(1), &datagram)), unauthentic, "a replay");
        assert_eq!(dropped(server.receive(now, at(2), &datagram)), unauthentic);
        // Streams that are claimed: so many that each would be remembered if any was.
        let mut forged = datagram.clone();
        for claimed in 0..50_000_u32 {
            forged[8..12].copy_from_slice(&(claimed << 4).to_be_bytes());
            assert_eq!(dropped(server.receive(now, at(1), &forged)), unauthentic);
        }
        let next = packet(&mut gateway, 1, now);
        frame(server.receive(now, at(3), &next));
        assert_eq!(server.destination(), Some(at(3)), "it has proven who it is");
    }
}

#[test]
fn in_the_clear_the_first_is_the_only_one() {
    let now = Instant::now();
    let (mut server, mut gateway) = pair(None, now);
    let datagrams = [0, 1, 2].map(|number| packet(&mut gateway, number, now));
    assert_eq!(dropped(server.receive(now, at(1), &[0; 40])), Some(Dropped::Malformed));
    assert_eq!(dropped(server.receive(now, at(1), &[])), Some(Dropped::Malformed));
    let mut other = datagrams[0].clone();
    other[1] = 101;
    assert_eq!(dropped(server.receive(now, at(2), &other)), Some(Dropped::OtherPayload));
    frame(server.receive(now, at(1), &datagrams[0]));
    assert_eq!(dropped(server.receive(now, at(2), &datagrams[1])), Some(Dropped::Foreign));
    frame(server.receive(now, at(1), &datagrams[2]));
}

#[test]
fn reports_tell_loss_and_round_trip_and_a_goodbye_ends_it_after_a_while() {
    for suite in [None, Some(Suite::AesCm128HmacSha1_80), Some(Suite::AeadAes128Gcm)] {
        let way = Duration::from_millis(30);
        let mut now = Instant::now();
        let (mut server, mut gateway) = pair(suite, now);
        let (mut loss, mut round_trip) = (None, None);
        let mut out = Vec::new();
        for number in 0..1_500 {
            now += PACKET;
            let datagram = packet(&mut gateway, number, now);
            frame(server.receive(now, at(1), &datagram));
            let back = packet(&mut server, number, now);
            if number % 4 != 0 {
                frame(gateway.receive(now, at(9), &back));
            }
            if server.handle_timeout(now, &mut out) == Some(at(1)) {
                assert!(dropped(gateway.receive(now + way, at(9), &out)).is_none(), "{suite:?}");
            }
            if gateway.handle_timeout(now, &mut out).is_some() {
                match server.receive(now + way, at(1), &out) {
                    Received::Report(news) => {
                        loss = news.loss.or(loss);
                        round_trip = news.round_trip.or(round_trip);
                    }
                    _ => panic!("no report"),
                }
            }
        }
        assert!(loss.is_some_and(|loss| (loss - 0.25).abs() < 0.02), "{loss:?}");
        let round_trip = round_trip.expect("it is known").as_secs_f64();
        assert!((round_trip - 0.06).abs() < 0.021, "{round_trip}");
        assert!(server.gone_at().is_some_and(|at| at > now + TIMEOUT - PACKET));
        gateway.close(now, &mut out).expect("it is known where");
        assert!(dropped(server.receive(now, at(1), &out)).is_none());
        assert!(server.said_goodbye() && server.gone_at() < Some(now + Duration::from_secs(3)));
        let another = packet(&mut gateway, 1_500, now);
        frame(server.receive(now, at(1), &another));
        assert!(!server.said_goodbye(), "it goes on");
    }
}

#[test]
fn a_packet_allocates_its_payload_and_with_keys_what_the_library_does() {
    for (suite, in_and_out) in [
        (None, [1, 0]),
        (Some(Suite::AesCm128HmacSha1_80), [2, 4]),
        (Some(Suite::AeadAes128Gcm), [2, 4]),
    ] {
        let now = Instant::now();
        let (mut server, mut gateway) = pair(suite, now);
        let datagram = packet(&mut gateway, 0, now);
        frame(server.receive(now, at(1), &datagram));
        let mut out = Vec::with_capacity(400);
        for number in 1..100 {
            let datagram = packet(&mut gateway, number, now);
            let before = of_this_thread();
            let received = server.receive(now, at(1), &datagram);
            let taken = of_this_thread() - before;
            frame(received);
            let before = of_this_thread();
            server.send(now, number * 960, false, &[0; 160], &mut out).expect("it is known where");
            let sent = of_this_thread() - before;
            assert!(taken <= in_and_out[0] && sent <= in_and_out[1], "{suite:?}: {taken} {sent}");
        }
    }
}
