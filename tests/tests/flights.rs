//! What a room was given, given to it again.

use std::sync::Arc;
use std::time::Duration;

use foldback_chain::ChainSpec;
use foldback_config::Config;
use foldback_room::{
    ChainChange, Economies, Flight, HeardAs, InputChange, LatencyProfile, OpusSettings,
    ParticipantId, RoomSpec, Shedding,
};
use foldback_testkit::measure::rms_dbfs;
use foldback_testkit::signal::speech_like;
use foldback_testkit::studio::{PACKET, Studio};

const CHAINS: &str = "[chain.talk]\nstages = [{ kind = \"high-pass\" }, { kind = \"noise-suppress\" }, { kind = \"auto-gain\" }, \
    { kind = \"mix\", max_talkers = 2 }, { kind = \"limiter\" }]\n\
    [chain.other]\nstages = [{ kind = \"gate\" }, { kind = \"mix\" }, { kind = \"compressor\" }]\n\
    [[room]]\nname = \"*\"\nchain = \"talk\"\n";

fn config() -> Config {
    Config::parse(CHAINS, "test.toml", &foldback_server::plugins::registry()).expect("valid")
}

fn chain(name: &str) -> Arc<ChainSpec> {
    Arc::clone(config().chain(name).expect("a chain"))
}

fn spec() -> RoomSpec {
    RoomSpec {
        chain: chain("talk"),
        opus: OpusSettings::default(),
        latency: LatencyProfile::Balanced,
        economies: Economies::default(),
    }
}

/// What is sent to whom in a replay, in order.
fn packets(flight: &Flight) -> (Vec<(ParticipantId, Vec<u8>)>, u64) {
    let mut all = Vec::new();
    let sent = flight.replay(&spec(), |room| {
        all.extend(room.packets().map(|packet| (packet.to, packet.payload.to_vec())));
    });
    (all, sent.expect("the chains can be built"))
}

/// Three talk in turn and at once for so long, while all that can be changed is changed.
fn conference(studio: &mut Studio, seconds: f64) {
    let [ann, bob, cleo] = [(); 3].map(|()| studio.join(true));
    let listener = studio.join(false);
    let voices: Vec<_> = [1, 2, 3].map(|seed| speech_like(seed, -22.0, seconds)).into();
    let count = voices[0].len() / PACKET;
    for packet in 0..count {
        let part = |voice: usize| &voices[voice][packet * PACKET..][..PACKET];
        let mut said = vec![(ann, part(0))];
        if packet % 200 > 80 {
            said.push((bob, part(1)));
        }
        if packet % 300 < 150 {
            said.push((cleo, part(2)));
        }
        match packet {
            40 => studio.room_mut().set_muted(bob, true),
            90 => studio.room_mut().set_muted(bob, false),
            100 => studio.room_mut().set_gain(cleo, -9.0),
            110 => {
                let heard = HeardAs { gain_db: 6.0, ..HeardAs::PLAIN };
                studio.room_mut().set_heard_as(listener, ann, heard);
            }
            120 => studio.room_mut().loop_back(bob, Duration::from_millis(500)),
            150 => (0..4).for_each(|_| studio.room_mut().report(listener, 0.2)),
            180 => change(studio, &[ann, bob, cleo, listener], "other"),
            220 => studio.room_mut().shed(Shedding::NONE.more().more().more()),
            240 => studio.room_mut().skip(3),
            260 => drop(studio.room_mut().leave(cleo)),
            _ => {}
        }
        let gone = if packet >= 260 { Some(cleo) } else { None };
        said.retain(|(id, _)| Some(*id) != gone);
        studio.packet(&said);
    }
}

fn change(studio: &mut Studio, people: &[ParticipantId], to: &str) {
    let (from, to) = (Arc::clone(&studio.room().spec().chain), chain(to));
    let input =
        |id: &ParticipantId| InputChange { id: *id, from: Arc::clone(&from), to: Arc::clone(&to) };
    let inputs: Vec<_> = people.iter().map(input).collect();
    let change = ChainChange::build(&from, &to, &inputs).expect("it can be built");
    assert!(studio.room_mut().change_chain(change).is_ok(), "the room takes it");
}

#[test]
fn what_a_room_was_given_from_its_beginning_gives_the_packets_that_it_sent() {
    let mut studio = Studio::new(spec());
    studio.room_mut().keep_flight(Duration::from_secs(30));
    conference(&mut studio, 8.0);
    let flight = studio.room_mut().take_flight().expect("it was kept");
    assert!(flight.beginning().is_of_the_room());
    let (all, sent) = packets(&flight);
    assert_eq!(sent, flight.sent(), "not the packets that were sent");
    // Not by that number alone.
    let of = |id: ParticipantId| all.iter().filter(move |(to, _)| *to == id).map(|(_, it)| it);
    for id in (0..4).map(ParticipantId) {
        let heard = studio.heard(id).packets.iter().flatten();
        assert!(heard.eq(of(id)), "participant {id} got other packets");
    }
    assert_eq!(packets(&flight), (all, sent), "the second time");
}

#[test]
fn what_is_saved_twice_is_one_flight() {
    let mut whole = Studio::new(spec());
    whole.room_mut().keep_flight(Duration::from_secs(30));
    let talker = whole.join(false);
    let listener = whole.join(false);
    let said = speech_like(5, -22.0, 6.0);
    let mut first = None;
    for (number, packet) in said.chunks_exact(PACKET).enumerate() {
        whole.packet(&[(talker, packet)]);
        if number == 130 {
            first = whole.room_mut().take_flight();
        }
    }
    let second = whole.room_mut().take_flight().expect("it was kept on");
    assert!(!second.beginning().is_of_the_room());
    let both = second.behind(*first.expect("it was kept"));
    let (all, sent) = packets(&both);
    assert_eq!(sent, both.sent());
    let heard = whole.heard(listener).packets.iter().flatten();
    assert!(heard.eq(all.iter().filter(|(to, _)| *to == listener).map(|(_, it)| it)));
}

#[test]
fn of_a_room_that_is_older_the_last_is_kept_and_no_more_and_sounds_as_it_did() {
    let mut studio = Studio::new(spec());
    studio.room_mut().keep_flight(Duration::from_secs(6));
    let [talker, muted, listener] = [(); 3].map(|()| studio.join(false));
    studio.room_mut().set_muted(muted, true);
    studio.room_mut().set_gain(talker, -6.0);
    for packet in speech_like(7, -22.0, 15.0).chunks_exact(PACKET) {
        studio.packet(&[(talker, packet), (muted, packet)]);
    }
    let flight = studio.room_mut().take_flight().expect("it was kept");
    let beginning = flight.beginning();
    assert_eq!(beginning.people.len(), 3);
    assert!((850..=950).contains(&beginning.ticks), "{} ticks were before", beginning.ticks);
    let kept = flight.inputs().count();
    assert!((2 * 300..=3 * 310).contains(&kept), "{kept} inputs of 6 s");
    let all = packets(&flight).0;
    assert_eq!(all, packets(&flight).0, "the second time");
    let to_listener = all.into_iter().filter(|(to, _)| *to == listener).map(|(_, it)| it);
    let again = decode(&to_listener.collect::<Vec<_>>());
    let last = |sound: &[f32]| rms_dbfs(&sound[sound.len() - 2 * 48_000..]);
    let (before, again) = (last(&studio.heard(listener).sound), last(&again));
    println!("heard at {before:.1} dBFS, and again at {again:.1} dBFS");
    assert!((before - again).abs() < 3.0, "{before} dBFS, and again {again} dBFS");
}

fn decode(packets: &[Vec<u8>]) -> Vec<f32> {
    use audiopus::coder::Decoder;
    use audiopus::packet::Packet;
    use audiopus::{Channels, MutSignals, SampleRate};
    let mut decoder = Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder");
    let mut all = Vec::new();
    for payload in packets {
        let mut pcm = [0.0; PACKET];
        let packet = Packet::try_from(payload.as_slice()).expect("not empty");
        let signals = MutSignals::try_from(&mut pcm[..]).expect("not empty");
        decoder.decode_float(Some(packet), signals, false).expect("Opus");
        all.extend(pcm);
    }
    all
}
