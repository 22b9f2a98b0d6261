//! Listeners share encoders, and none of them hears when it gets one of its own or gives it back.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldback_chain::{ChainSpec, MixSpec};
use foldback_room::{Economies, LatencyProfile, OpusSettings, ParticipantId, RoomSpec};
use foldback_stage::StageFormat;
use foldback_testkit::measure::{clicks, log_spectral_distance_db, rms_dbfs, stoi};
use foldback_testkit::signal::speech_like;
use foldback_testkit::studio::{PACKET, Studio};

foldback_testkit::guard_allocations!();

/// Three in a room: one gives a speech with pauses of a second, one listens, and one says something
/// while the other speaks, or never does.
struct Lecture {
    studio: Studio,
    switcher: ParticipantId,
    /// The packets from which on the two were sent different ones, and the same again.
    parted: Vec<usize>,
    joined: Vec<usize>,
}

/// A sentence and the pause after it, in packets.
const SENTENCE: usize = 200;
const PAUSE: usize = 60;
/// When the interjection begins and ends within it.
const INTERJECTION: std::ops::Range<usize> = 40..75;
const SENTENCES: usize = 5;

fn lecture(opus: OpusSettings, interjects: bool) -> Lecture {
    let mut studio = Studio::new(spec(opus));
    let [speaker, _, switcher] = [(); 3].map(|()| studio.join(false));
    let speech = speech_like(1, -26.0, (SENTENCES * SENTENCE) as f64 * 0.02);
    let other = speech_like(2, -26.0, 60.0);
    let mut speech = speech.chunks_exact(PACKET);
    let mut other = other.chunks_exact(PACKET);
    let (mut parted, mut joined) = (Vec::new(), Vec::new());
    for packet in 0..SENTENCES * (SENTENCE + PAUSE) {
        let place = packet % (SENTENCE + PAUSE);
        let mut said = Vec::new();
        if place < SENTENCE {
            said.push((speaker, speech.next().expect("long enough")));
        }
        if interjects && INTERJECTION.contains(&place) {
            said.push((switcher, other.next().expect("long enough")));
        }
        studio.packet(&said);
        let mixes: Vec<_> = studio.room().packets().map(|packet| packet.mix).collect();
        match (mixes[1] == mixes[2], parted.len() > joined.len()) {
            (false, false) => parted.push(packet),
            (true, true) => joined.push(packet),
            _ => {}
        }
    }
    Lecture { studio, switcher, parted, joined }
}

#[test]
fn a_listener_who_begins_to_talk_and_stops_hears_the_others_as_if_it_had_kept_silent() {
    for expected_loss_percent in [0, 5] {
        let opus = OpusSettings { expected_loss_percent, ..OpusSettings::default() };
        let (never, switching) = (lecture(opus, false), lecture(opus, true));
        assert_eq!(never.parted, [] as [usize; 0]);
        let seams = (switching.parted.len(), switching.joined.len());
        assert!(seams.0 == SENTENCES && seams.1 >= SENTENCES - 1, "{seams:?} seams");
        let heard = |lecture: &Lecture| lecture.studio.heard(lecture.switcher).sound.clone();
        let (clean, heard) = (heard(&never), heard(&switching));
        // Until it has joined again, nothing differs but what rounding does.
        let at = switching.parted[0] * PACKET..(switching.parted[0] + 5) * PACKET;
        let seam = difference_db(&clean[at.clone()], &heard[at]);
        let worst = worst_second_db(&clean, &heard);
        let (stoi, distance) = (stoi(&clean, &heard), log_spectral_distance_db(&clean, &heard));
        println!(
            "FEC for {expected_loss_percent} %: STOI {stoi:.4}, {distance:.2} dB, the seam {seam:.1} dB, \
             the worst second {worst:.1} dB"
        );
        // With FEC the voice goes through SILK, in which a rounding may choose other pulses.
        let rounding = if expected_loss_percent == 0 { -40.0 } else { -12.0 };
        assert!(seam < rounding, "the first 100 ms differ by {seam} dB");
        assert!(stoi > 0.999, "STOI {stoi}");
        assert!(clicks(&heard).len() <= clicks(&clean).len(), "clicks at {:?}", clicks(&heard));
        assert!(worst < -15.0, "what a switch makes different is at {worst} dB");
    }
}

/// What differs between two signals, against the first, in dB: of the worst second that is not
/// silent.
fn worst_second_db(one: &[f32], other: &[f32]) -> f64 {
    let seconds = one.chunks(48_000).zip(other.chunks(48_000));
    let spoken = seconds.filter(|(one, _)| rms_dbfs(one) > -40.0);
    spoken.map(|(one, other)| difference_db(one, other)).fold(-200.0, f64::max)
}

fn difference_db(one: &[f32], other: &[f32]) -> f64 {
    let difference: Vec<f32> = one.iter().zip(other).map(|(a, b)| a - b).collect();
    rms_dbfs(&difference) - rms_dbfs(one)
}

/// More than a room has mixes for.
const CROWD: usize = 130;
/// How long each of them talks, in packets: all have done so before the first gives its own mix back.
const TURN: usize = 5;

#[test]
fn in_a_crowd_where_everybody_talks_in_turn_nobody_hears_themselves() {
    let mut studio = Studio::new(spec(OpusSettings { complexity: 0, ..OpusSettings::default() }));
    let crowd: Vec<_> = (0..CROWD).map(|_| studio.join(false)).collect();
    let speech = speech_like(1, -20.0, (CROWD * TURN) as f64 * 0.02);
    let (mut most_mixes, mut heard_without) = (0, 0);
    for (talker, sound) in crowd.iter().zip(speech.chunks_exact(TURN * PACKET)) {
        for packet in sound.chunks_exact(PACKET) {
            studio.packet(&[(*talker, packet)]);
            let mixes: Vec<_> = studio.room().packets().map(|packet| packet.mix).collect();
            most_mixes = most_mixes.max(mixes.iter().collect::<BTreeSet<_>>().len());
            let own = studio.room().packets().find(|packet| packet.to == *talker);
            let own = own.expect("everybody gets packets").mix;
            let talks = studio.room().levels().any(|level| level.id == *talker && level.talking);
            if talks {
                assert_eq!(mixes.iter().filter(|mix| **mix == own).count(), 1, "{talker}");
                heard_without += 1;
            }
        }
    }
    assert!(heard_without > CROWD, "{heard_without} packets of those who talk");
    // One for each class of output, that of those who take no Opus among them, each talker, and each who hears otherwise.
    assert_eq!(most_mixes, 101, "all that there are were in use");
}

fn spec(opus: OpusSettings) -> RoomSpec {
    let mix = MixSpec { max_talkers: 8 };
    let chain = ChainSpec {
        name: "clean".into(),
        format: StageFormat::MONO,
        input: vec![],
        mix: Some(mix),
        output: vec![],
    };
    RoomSpec {
        chain: Arc::new(chain),
        opus,
        latency: LatencyProfile::Balanced,
        economies: Economies::default(),
    }
}
