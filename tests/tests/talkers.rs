//! Who is heard: chosen by level, and nobody hears the choosing.

use std::sync::Arc;

use foldback_chain::{ChainSpec, MixSpec};
use foldback_room::{Economies, LatencyProfile, OpusSettings, ParticipantId, RoomSpec};
use foldback_stage::StageFormat;
use foldback_testkit::measure::{clicks, rms_dbfs, tone_dbfs};
use foldback_testkit::signal::{pink_noise, speech_like, tone};
use foldback_testkit::studio::{PACKET, Studio};

foldback_testkit::guard_allocations!();

#[test]
fn a_single_quiet_voice_in_a_quiet_room_is_never_dropped() {
    let mut studio = studio(1);
    let [talker, noisy, listener] = [(); 3].map(|()| studio.join(false));
    let voice = speech_like(3, -52.0, 30.0);
    let noise = pink_noise(4, -78.0, 30.0);
    let mut dropped = Vec::new();
    for (packet, said) in voice.chunks_exact(PACKET).enumerate() {
        let noise = &noise[packet * PACKET..][..PACKET];
        studio.packet(&[(talker, said), (noisy, noise)]);
        // The packet that is heard now was said one or two packets ago.
        let audible = |at: usize| rms_dbfs(&voice[at * PACKET..][..PACKET]) > -60.0;
        if packet > 3 && audible(packet - 1) && audible(packet - 2) && !talks(&studio, talker) {
            dropped.push(packet);
        }
        assert!(!talks(&studio, noisy), "noise is no voice");
    }
    assert_eq!(dropped, [] as [usize; 0]);
    let heard = rms_dbfs(&studio.heard(listener).sound);
    assert!((heard - rms_dbfs(&voice)).abs() < 1.0, "heard at {heard:.1} dBFS");
}

#[test]
fn two_who_are_equally_loud_do_not_take_turns_with_each_syllable() {
    let mut studio = studio(1);
    let [one, other] = [(); 2].map(|()| studio.join(false));
    let (a, b) = (speech_like(5, -26.0, 30.0), speech_like(6, -26.0, 30.0));
    let mut turns = Vec::new();
    for (packet, (a, b)) in a.chunks_exact(PACKET).zip(b.chunks_exact(PACKET)).enumerate() {
        studio.packet(&[(one, a), (other, b)]);
        let heard = if talks(&studio, one) { Some(one) } else { Some(other) };
        if turns.last().is_none_or(|(_, last)| *last != heard) {
            turns.push((packet, heard));
        }
    }
    // A phrase lasts for a second and a half, and the pause after most is shorter than a turn's end.
    assert!(turns.len() <= 20, "{} turns in 30 s", turns.len());
    let shortest = turns.windows(2).skip(1).map(|w| w[1].0 - w[0].0).min();
    assert!(shortest.is_none_or(|packets| packets >= 15), "a turn of {shortest:?} packets");
}

#[test]
fn a_louder_third_takes_over_soon_and_without_a_click() {
    let mut studio = studio(2);
    let [one, two, third, listener] = [(); 4].map(|()| studio.join(false));
    let seconds = |hz: f64, dbfs: f64| tone(hz, dbfs, 6.0);
    let (low, middle, high) = (seconds(300.0, -26.0), seconds(500.0, -28.0), seconds(800.0, -16.0));
    let mut took_over = None;
    for packet in 0..300 {
        let part = |voice: &[f32]| voice[packet * PACKET..][..PACKET].to_vec();
        let (low, middle, high) = (part(&low), part(&middle), part(&high));
        let mut said: Vec<(ParticipantId, &[f32])> = vec![(one, &low), (two, &middle)];
        // It begins softly: the test is of the room, not of the beginning of a tone.
        let fading: Vec<f32> = (0..PACKET).map(|i| high[i] * i as f32 / PACKET as f32).collect();
        match packet {
            100 => said.push((third, &fading)),
            101.. => said.push((third, &high)),
            _ => {}
        }
        studio.packet(&said);
        if took_over.is_none() && talks(&studio, third) {
            took_over = Some(packet);
        }
    }
    let packets = took_over.expect("it is heard") - 100;
    assert!((3..=20).contains(&packets), "it took over after {packets} packets of 20 ms");
    let heard = &studio.heard(listener).sound;
    let end = &heard[heard.len() - 48_000..];
    let levels = [300.0, 500.0, 800.0].map(|hz| tone_dbfs(end, hz));
    assert!(levels[1] < -60.0, "the quieter of the two gave way: {levels:?}");
    assert!((levels[0] + 26.0).abs() < 1.5 && (levels[2] + 16.0).abs() < 1.5, "{levels:?}");
    assert_eq!(clicks(&heard[48_000..]), [] as [usize; 0]);
}

fn talks(studio: &Studio, id: ParticipantId) -> bool {
    studio.room().levels().any(|level| level.id == id && level.talking)
}

fn studio(max_talkers: usize) -> Studio {
    let mix = Some(MixSpec { max_talkers });
    let chain = ChainSpec {
        name: "clean".into(),
        format: StageFormat::MONO,
        input: vec![],
        mix,
        output: vec![],
    };
    Studio::new(RoomSpec {
        chain: Arc::new(chain),
        opus: OpusSettings::default(),
        latency: LatencyProfile::Balanced,
        economies: Economies::default(),
    })
}
