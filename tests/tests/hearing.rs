//! Listeners who hear others louder, softer, elsewhere or not at all, while nobody else does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use foldback_config::Config;
use foldback_room::{
    Economies, HeardAs, LatencyProfile, MOST_OWN_MIXES, OpusSettings, ParticipantId, RoomSpec,
};
use foldback_testkit::measure::{clicks, peak_dbfs, rms_dbfs, tone_dbfs};
use foldback_testkit::signal::{speech_like, tone};
use foldback_testkit::studio::{PACKET, Studio};

foldback_testkit::guard_allocations!();

const LOW_HZ: f64 = 440.0;
const HIGH_HZ: f64 = 1000.0;
/// What is heard at first is left out: one second.
const SETTLED: usize = 50;
const MUTED: HeardAs = HeardAs { muted: true, ..HeardAs::PLAIN };

fn studio(channels: usize) -> Studio {
    studio_with(channels, OpusSettings::default())
}

fn studio_with(channels: usize, opus: OpusSettings) -> Studio {
    studio_of(channels, opus, "{ kind = \"mix\" }")
}

fn studio_of(channels: usize, opus: OpusSettings, stages: &str) -> Studio {
    let text = format!("[chain.test]\nchannels = {channels}\nstages = [{stages}]\n");
    let config = Config::parse(&text, "test.toml", &foldback_server::plugins::registry());
    Studio::new(RoomSpec {
        chain: Arc::clone(&config.expect("a valid chain").chains[0]),
        opus,
        latency: LatencyProfile::Balanced,
        economies: Economies::default(),
    })
}

fn gain(gain_db: f32) -> HeardAs {
    HeardAs { gain_db, ..HeardAs::PLAIN }
}

/// Lets those people say a tone each for so many packets; `before` is called before each packet.
fn tones(
    studio: &mut Studio,
    talkers: &[(ParticipantId, f64)],
    packets: usize,
    mut before: impl FnMut(usize, &mut Studio),
) {
    let seconds = (packets + 1) as f64 * 0.02;
    let tones = talkers.iter().map(|(id, hz)| (*id, tone(*hz, -26.0, seconds)));
    let tones: Vec<_> = tones.collect();
    for packet in 0..packets {
        before(packet, studio);
        let part = |sound: &[f32]| sound[packet * PACKET..][..PACKET].to_vec();
        let parts: Vec<_> = tones.iter().map(|(id, sound)| (*id, part(sound))).collect();
        let said: Vec<_> = parts.iter().map(|(id, part)| (*id, part.as_slice())).collect();
        studio.packet(&said);
    }
}

fn last_second(studio: &Studio, id: ParticipantId) -> &[f32] {
    let sound = &studio.heard(id).sound;
    &sound[sound.len() - 48_000..]
}

fn mix_of(studio: &Studio, id: ParticipantId) -> usize {
    studio.room().packets().find(|packet| packet.to == id).expect("a packet").mix
}

#[test]
fn a_gain_is_heard_by_who_asked_for_it_and_by_nobody_else() {
    for gain_db in [-60.0, -20.0, -6.0, 6.0, 12.0] {
        let mut studio = studio(1);
        let [low, high, listener, other] = [(); 4].map(|()| studio.join(false));
        studio.room_mut().set_heard_as(listener, low, gain(gain_db));
        tones(&mut studio, &[(low, LOW_HZ), (high, HIGH_HZ)], 3 * SETTLED, |_, _| {});
        let level = |id, hz| tone_dbfs(last_second(&studio, id), hz);
        let [changed, plain] = [listener, other].map(|id| level(id, LOW_HZ));
        println!("{gain_db} dB: {plain:.2} dBFS becomes {changed:.2}");
        assert!((changed - plain - f64::from(gain_db)).abs() < 1.0, "{changed}, {plain}");
        assert!((plain + 26.0).abs() < 1.0, "{plain} dBFS");
        let [with, without] = [listener, other].map(|id| level(id, HIGH_HZ));
        assert!((with - without).abs() < 1.0 && (without + 26.0).abs() < 1.0, "{with}, {without}");
        // Whoever is meant hears the other one as ever.
        assert!((level(low, HIGH_HZ) + 26.0).abs() < 1.0);
    }
}

#[test]
fn a_gain_that_changes_while_somebody_talks_makes_no_click() {
    let mut studio = studio(1);
    let [talker, second, listener, plain] = [(); 4].map(|()| studio.join(false));
    let settings = [gain(-12.0), gain(12.0), MUTED, HeardAs::PLAIN, gain(-60.0), gain(6.0)];
    let mut turns = settings.iter().cycle();
    tones(&mut studio, &[(talker, LOW_HZ), (second, HIGH_HZ)], 12 * SETTLED, |packet, studio| {
        if packet >= SETTLED && packet % 23 == 0 {
            let heard = *turns.next().expect("endless");
            studio.room_mut().set_heard_as(listener, talker, heard);
        }
    });
    let [changing, plain] = [listener, plain].map(|id| &studio.heard(id).sound[SETTLED * PACKET..]);
    let levels: Vec<_> = changing.chunks_exact(4800).map(|x| tone_dbfs(x, LOW_HZ)).collect();
    let (least, most) = levels.iter().fold((0f64, -200f64), |(a, b), x| (a.min(*x), b.max(*x)));
    println!("from {least:.1} to {most:.1} dBFS, clicks at {:?}", clicks(changing));
    assert!(least < -70.0 && (most + 14.0).abs() < 1.0, "from {least} to {most} dBFS");
    assert_eq!(clicks(changing), clicks(plain));
}

#[test]
fn who_is_muted_for_a_listener_is_not_heard_when_coming_or_leaving_nor_named() {
    let mut studio = studio(1);
    let [talker, listener, other] = [(); 3].map(|()| studio.join(false));
    studio.room_mut().set_heard_as(listener, talker, MUTED);
    tones(&mut studio, &[(talker, LOW_HZ)], 2 * SETTLED, |_, _| {});
    let named = |id| {
        let packet = studio.room().packets().find(|packet| packet.to == id);
        packet.expect("a packet").contributors.len()
    };
    assert_eq!((named(listener), named(other)), (0, 1));
    // For who hears nothing, nothing is encoded.
    assert_eq!(studio.room().encoders_at_work(), 1);
    studio.room_mut().leave(talker);
    (0..SETTLED).for_each(|_| studio.packet(&[]));
    let [silenced, plain] = [listener, other].map(|id| &studio.heard(id).sound);
    println!("{:.1} dBFS at most, for others {:.1}", peak_dbfs(silenced), peak_dbfs(plain));
    assert!(peak_dbfs(silenced) < -70.0 && peak_dbfs(plain) > -30.0);
}

#[test]
fn those_who_change_nothing_share_a_mix_and_who_does_takes_one_only_while_it_matters() {
    let mut studio = studio(1);
    let [low, high] = [(); 2].map(|()| studio.join(false));
    let [listener, other, third] = [(); 3].map(|()| studio.join(false));
    studio.room_mut().set_heard_as(listener, low, gain(-12.0));
    tones(&mut studio, &[(high, HIGH_HZ)], SETTLED, |_, _| {});
    assert_eq!(mix_of(&studio, listener), mix_of(&studio, other), "nobody is changed who talks");
    assert_eq!(studio.room().encoders_at_work(), 1);

    tones(&mut studio, &[(low, LOW_HZ)], SETTLED, |_, _| {});
    assert_ne!(mix_of(&studio, listener), mix_of(&studio, other));
    assert_eq!(mix_of(&studio, other), mix_of(&studio, third));

    (0..4 * SETTLED).for_each(|_| studio.packet(&[]));
    tones(&mut studio, &[(high, HIGH_HZ)], SETTLED, |_, _| {});
    assert_eq!(mix_of(&studio, listener), mix_of(&studio, other), "it went back in the silence");
    assert_eq!(studio.room().encoders_at_work(), 1);

    studio.room_mut().set_heard_as(listener, low, HeardAs::PLAIN);
    (0..3).for_each(|_| studio.packet(&[]));
    tones(&mut studio, &[(low, LOW_HZ)], SETTLED, |_, _| {});
    assert_eq!(mix_of(&studio, listener), mix_of(&studio, other), "nothing is changed any more");
}

#[test]
fn somebody_is_heard_on_the_side_that_a_listener_chose_and_in_the_middle_by_others() {
    let mut studio = studio(2);
    let talker = studio.join(false);
    let [listener, other] = [(); 2].map(|()| studio.join_in_stereo());
    let mono = studio.join(false);
    let left = HeardAs { pan: -1.0, ..HeardAs::PLAIN };
    studio.room_mut().set_heard_as(listener, talker, left);
    studio.room_mut().set_heard_as(mono, talker, left);
    for packet in speech_like(1, -26.0, 4.0).chunks_exact(PACKET) {
        studio.packet(&[(talker, packet)]);
    }
    let sides = |id| {
        let sound = &studio.heard(id).sound[2 * SETTLED * PACKET..];
        let side = |side: usize| sound.iter().skip(side).step_by(2).copied().collect::<Vec<f32>>();
        [rms_dbfs(&side(0)), rms_dbfs(&side(1))]
    };
    let (panned, plain) = (sides(listener), sides(other));
    let in_mono = rms_dbfs(&studio.heard(mono).sound[SETTLED * PACKET..]);
    println!("{panned:.2?}, for others {plain:.2?}, in mono {in_mono:.2} dBFS");
    assert!(panned[0] - panned[1] > 20.0 && (panned[0] - plain[0] - 3.0).abs() < 1.0);
    assert!((plain[0] - plain[1]).abs() < 0.5);
    assert!((in_mono - plain[0]).abs() < 1.0, "who is sent mono loses nothing");
}

/// More than a room has mixes for.
const CROWD: usize = 120;

#[test]
fn in_a_crowd_everybody_who_may_hears_a_talker_as_loud_as_they_chose() {
    let opus = OpusSettings { complexity: 0, ..OpusSettings::default() };
    let mut studio = studio_with(1, opus);
    let crowd: Vec<_> = (0..CROWD).map(|_| studio.join(false)).collect();
    let (talker, listeners) = (crowd[0], &crowd[1..=MOST_OWN_MIXES]);
    // The others talk in turn, and keep the mixes that they then have while there are any.
    let (rest, turns) = (&crowd[1 + MOST_OWN_MIXES..], 4);
    let sound = tone(LOW_HZ, -26.0, (rest.len() * turns) as f64 * 0.02 - 0.01);
    let second = speech_like(3, -20.0, 2.0);
    for (number, packet) in sound.chunks_exact(PACKET).enumerate() {
        if number == SETTLED {
            for id in listeners {
                studio.room_mut().set_heard_as(*id, talker, gain(-12.0));
            }
        }
        let other = &second[number % 50 * PACKET..][..PACKET];
        studio.packet(&[(talker, packet), (rest[number / turns], other)]);
    }
    let own: BTreeSet<_> = listeners.iter().map(|id| mix_of(&studio, *id)).collect();
    assert_eq!(own.len(), MOST_OWN_MIXES, "each has one");
    assert!(rest.iter().all(|id| !own.contains(&mix_of(&studio, *id))), "which nobody shares");
    let level = |id: ParticipantId| tone_dbfs(last_second(&studio, id), LOW_HZ);
    for id in listeners {
        assert!((level(*id) - level(rest[0]) + 12.0).abs() < 1.5, "{} dBFS", level(*id));
    }
}

#[test]
fn a_voice_that_is_turned_is_heard_so_by_all_behind_a_stage_that_would_undo_it_and_clicks_nowhere()
{
    let limiter = "{ kind = \"limiter\", ceiling_dbfs = -30 }, { kind = \"mix\" }";
    let mut studio = studio_of(1, OpusSettings::default(), limiter);
    let [turned, plain, one, another] = [(); 4].map(|()| studio.join(false));
    let talkers = [(turned, LOW_HZ), (plain, HIGH_HZ)];
    tones(&mut studio, &talkers, 4 * SETTLED, |packet, studio| match packet {
        100 => studio.room_mut().set_gain(turned, -12.0),
        150 => studio.room_mut().set_gain(turned, 6.0),
        _ => {}
    });
    for id in [one, another] {
        let sound = &studio.heard(id).sound;
        let level = |second: usize, hz| {
            let from = (second * SETTLED + 5) * PACKET;
            tone_dbfs(&sound[from..from + 40 * PACKET], hz)
        };
        let [at_first, low, high] = [1, 2, 3].map(|second| level(second, LOW_HZ));
        println!("{id}: {at_first:.1}, {low:.1} and {high:.1} dBFS");
        assert!((low - at_first + 12.0).abs() < 0.5 && (high - at_first - 6.0).abs() < 0.5);
        for second in 1..4 {
            assert!((level(second, HIGH_HZ) - level(1, HIGH_HZ)).abs() < 0.5, "the other's");
        }
        let sound = &sound[SETTLED * PACKET..];
        assert!(clicks(sound).is_empty(), "{id}: {:?}", clicks(sound));
    }
}

#[test]
fn who_measures_hears_themselves_and_nobody_else_does_muted_or_not() {
    for muted in [false, true] {
        let mut studio = studio(1);
        let [measuring, talker, listener] = [(); 3].map(|()| studio.join(false));
        studio.room_mut().set_muted(measuring, muted);
        let talkers = [(measuring, LOW_HZ), (talker, HIGH_HZ)];
        tones(&mut studio, &talkers, 4 * SETTLED, |packet, studio| {
            if packet == 2 * SETTLED {
                studio.room_mut().loop_back(measuring, Duration::from_millis(990));
            }
        });
        let level = |id, second: usize, hz| {
            // The fades of its beginning and end are left out.
            let from = (second * SETTLED + 5) * PACKET;
            tone_dbfs(&studio.heard(id).sound[from..from + 40 * PACKET], hz)
        };
        let seconds = |id, hz| [1, 2, 3].map(|second| level(id, second, hz));
        let [own, others] = [measuring, listener].map(|id| seconds(id, LOW_HZ));
        println!("muted {muted}: to themselves {own:.1?}, to others {others:.1?} dBFS");
        assert!(own[0] < -70.0 && (own[1] + 26.0).abs() < 1.0 && own[2] < -70.0, "{own:?}");
        let heard = if muted { -70.0 } else { -27.0 };
        assert_eq!(others.map(|level| level > heard), [!muted, false, !muted], "{others:?}");
        assert!(others[1] < -70.0, "{others:?}");
        for level in seconds(measuring, HIGH_HZ) {
            assert!((level + 26.0).abs() < 1.0, "the others are heard on: {level} dBFS");
        }
        for id in [measuring, listener] {
            let sound = &studio.heard(id).sound[SETTLED * PACKET..];
            assert!(clicks(sound).is_empty(), "{id}: {:?}", clicks(sound));
        }
    }
}

#[test]
fn who_is_sent_nothing_needs_no_mix_of_their_own() {
    let mut studio = studio(1);
    let [deaf, listener, other] = [(); 3].map(|()| studio.join(false));
    studio.room_mut().set_deaf(deaf, true);
    tones(&mut studio, &[(deaf, LOW_HZ)], 2 * SETTLED, |_, _| {});
    assert_eq!(studio.room().encoders_at_work(), 1, "one for all who listen");
    assert_eq!(studio.heard(deaf).packets.iter().flatten().count(), 0);
    for id in [listener, other] {
        let level = tone_dbfs(&studio.heard(id).sound[SETTLED * PACKET..], LOW_HZ);
        assert!((level + 26.0).abs() < 1.0, "{id} hears it at {level} dBFS");
    }
}

#[test]
fn what_somebody_was_not_sent_is_no_echo_in_what_they_say() {
    let speech = speech_like(7, -26.0, 8.0);
    let level_of = |deaf: bool| {
        let stages = "{ kind = \"echo-cancel\" }, { kind = \"mix\" }";
        let mut studio = studio_of(1, OpusSettings::default(), stages);
        let [talker, parrot, _] = [(); 3].map(|()| studio.join(false));
        studio.room_mut().set_deaf(parrot, deaf);
        // The parrot says what the talker said 100 ms before, as a loudspeaker in its microphone would.
        let silence = [0.0; PACKET];
        let packets: Vec<_> = speech.chunks_exact(PACKET).collect();
        for (number, said) in packets.iter().enumerate() {
            let echoed = number.checked_sub(5).map_or(&silence[..], |before| packets[before]);
            studio.packet(&[(talker, said), (parrot, echoed)]);
        }
        // Whoever talks hears the parrot alone.
        let heard = &studio.heard(talker).sound;
        rms_dbfs(&heard[heard.len() / 2..])
    };
    let [echo, own] = [false, true].map(level_of);
    println!("as an echo {echo:.1} dBFS, as what they say {own:.1}");
    assert!(own > -30.0, "what is no echo is taken away: {own} dBFS");
    assert!(echo < own - 15.0, "the echo is not: {echo} dBFS beside {own}");
}
