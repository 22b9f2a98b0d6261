//! Rooms in stereo: who is heard where, by those who hear stereo and by those who do not.

use std::sync::Arc;

use foldback_config::Config;
use foldback_room::{Economies, LatencyProfile, OpusSettings, ParticipantId, RoomSpec};
use foldback_testkit::measure::{clicks, rms_dbfs, tone_dbfs};
use foldback_testkit::signal::{speech_like, tone};
use foldback_testkit::studio::{PACKET, Studio};

/// What is heard at first is left out: one second.
const SETTLED: usize = 50;

fn studio(stages: &str) -> Studio {
    studio_of(2, stages)
}

fn studio_of(channels: usize, stages: &str) -> Studio {
    let text = format!("[chain.test]\nchannels = {channels}\nstages = [{stages}]\n");
    let config = Config::parse(&text, "test.toml", &foldback_server::plugins::registry());
    Studio::new(RoomSpec {
        chain: Arc::clone(&config.expect("a valid chain").chains[0]),
        opus: OpusSettings::default(),
        latency: LatencyProfile::Balanced,
        economies: Economies::default(),
    })
}

/// Left and right in turn.
fn interleave(left: &[f32], right: &[f32]) -> Vec<f32> {
    left.iter().zip(right).flat_map(|(left, right)| [*left, *right]).collect()
}

/// Left and right of what was heard in stereo, once it has settled.
fn sides(studio: &Studio, id: ParticipantId) -> [Vec<f32>; 2] {
    let sound = &studio.heard(id).sound[2 * SETTLED * PACKET..];
    [0, 1].map(|side| sound.iter().skip(side).step_by(2).copied().collect())
}

fn mono(studio: &Studio, id: ParticipantId) -> &[f32] {
    &studio.heard(id).sound[SETTLED * PACKET..]
}

/// The levels of a voice through these stages: left and right, and to who hears mono, in dBFS.
fn levels_of_a_voice(stages: &str) -> (f64, f64, f64) {
    let mut studio = studio(stages);
    let (talker, plain, stereo) = (studio.join(false), studio.join(false), studio.join_in_stereo());
    for packet in speech_like(1, -26.0, 6.0).chunks_exact(PACKET) {
        studio.packet(&[(talker, packet)]);
    }
    let [left, right] = sides(&studio, stereo).map(|side| rms_dbfs(&side));
    (left, right, rms_dbfs(mono(&studio, plain)))
}

#[test]
fn a_voice_that_is_panned_is_heard_on_its_side_and_by_who_hears_mono() {
    let (left, right, mono) =
        levels_of_a_voice(r#"{ kind = "pan", position = 0 }, { kind = "mix" }"#);
    println!("in the middle: {left:.2}, {right:.2}, in mono {mono:.2} dBFS");
    assert!((left - right).abs() < 0.5, "{left} and {right} dBFS");
    assert!((left - mono).abs() < 0.5, "{left} and {mono} dBFS");
    let panned = levels_of_a_voice(r#"{ kind = "pan", position = -1 }, { kind = "mix" }"#);
    println!("to the left: {:.2}, {:.2}, in mono {:.2} dBFS", panned.0, panned.1, panned.2);
    assert!(panned.0 - panned.1 > 20.0, "{panned:?}");
    // `pan` keeps the power: one side alone has 3 dB more, and half of it is in the mean.
    assert!((panned.0 - left - 3.0).abs() < 0.5, "{panned:?} for {left}");
    assert!((panned.2 - mono + 3.0).abs() < 0.5, "{panned:?} for {mono}");
}

#[test]
fn a_stereo_microphone_keeps_its_sides_and_is_whole_in_mono() {
    let mut studio = studio(r#"{ kind = "high-pass" }, { kind = "mix" }, { kind = "limiter" }"#);
    let (talker, plain) = (studio.join_in_stereo(), studio.join(false));
    let stereo = studio.join_in_stereo();
    let (low, high) = (tone(440.0, -20.0, 3.0), tone(1000.0, -20.0, 3.0));
    for packet in interleave(&low, &high).chunks_exact(2 * PACKET) {
        studio.packet(&[(talker, packet)]);
    }
    let [left, right] = sides(&studio, stereo);
    for (side, own, others) in [(&left, 440.0, 1000.0), (&right, 1000.0, 440.0)] {
        let (own, others) = (tone_dbfs(side, own), tone_dbfs(side, others));
        assert!((own + 20.0).abs() < 1.0 && own - others > 20.0, "{own} and {others} dBFS");
    }
    for hz in [440.0, 1000.0] {
        let level = tone_dbfs(mono(&studio, plain), hz);
        assert!((level + 26.0).abs() < 1.0, "{hz} Hz at {level} dBFS");
    }
}

#[test]
fn every_stage_of_a_conference_runs_in_stereo() {
    let mut studio = studio(
        r#"{ kind = "high-pass" }, { kind = "echo-cancel" }, { kind = "denoise" },
            { kind = "auto-gain" }, { kind = "mix" }, { kind = "limiter" }"#,
    );
    let (talker, stereo) = (studio.join_in_stereo(), studio.join_in_stereo());
    let (voice, silent) = (speech_like(6, -26.0, 6.0), vec![0.0; 6 * 48_000]);
    for packet in interleave(&silent, &voice).chunks_exact(2 * PACKET) {
        studio.packet(&[(talker, packet)]);
    }
    assert_eq!(studio.room().faults(), 0);
    let [left, right] = sides(&studio, stereo).map(|side| rms_dbfs(&side));
    assert!(right > -35.0 && right - left > 20.0, "{left} and {right} dBFS");
}

#[test]
fn those_who_hear_stereo_share_an_encoder_and_those_who_do_not_another() {
    let mut studio = studio(r#"{ kind = "mix" }"#);
    let talker = studio.join(false);
    let in_mono: Vec<_> = (0..3).map(|_| studio.join(false)).collect();
    let in_stereo: Vec<_> = (0..3).map(|_| studio.join_in_stereo()).collect();
    for packet in speech_like(3, -26.0, 2.0).chunks_exact(PACKET) {
        studio.packet(&[(talker, packet)]);
    }
    assert_eq!(studio.room().encoders_at_work(), 2);
    for alike in [&in_mono, &in_stereo] {
        for id in &alike[1..] {
            assert_eq!(studio.heard(*id).packets, studio.heard(alike[0]).packets);
        }
    }
    let last = |id| studio.heard(id).packets.last().and_then(Option::as_ref).expect("a packet");
    assert!(last(in_stereo[0]).len() > last(in_mono[0]).len());
    // The third lowest bit of the first byte (RFC 6716, section 3.1).
    assert_eq!([in_mono[0], in_stereo[0]].map(|id| last(id)[0] & 4), [0, 4]);
}

#[test]
fn in_a_mono_room_nobody_is_sent_stereo() {
    let mut studio = studio_of(1, r#"{ kind = "mix" }"#);
    let (talker, stereo, plain) =
        (studio.join_in_stereo(), studio.join_in_stereo(), studio.join(false));
    let voice = speech_like(4, -26.0, 1.0);
    for packet in interleave(&voice, &voice).chunks_exact(2 * PACKET) {
        studio.packet(&[(talker, packet)]);
    }
    assert_eq!(studio.heard(stereo).packets, studio.heard(plain).packets);
    assert_eq!(studio.room().encoders_at_work(), 1);
}

#[test]
fn sides_stay_where_they_are_through_gaps_and_changes_of_talkers() {
    let mut studio = studio(r#"{ kind = "mix" }"#);
    let (left, right) = (studio.join_in_stereo(), studio.join_in_stereo());
    let stereo = studio.join_in_stereo();
    let silent = vec![0.0; PACKET];
    // One in each second, and after six seconds all for a second.
    let is_missing = |packet: usize| packet % 50 == 49 || (300..350).contains(&packet);
    let [low, high] = [300.0, 1200.0].map(|hz| tone(hz, -20.0, 12.0));
    for (packet, (low, high)) in low.chunks_exact(PACKET).zip(high.chunks_exact(PACKET)).enumerate()
    {
        let (low, high) = (interleave(low, &silent), interleave(&silent, high));
        let mut said = vec![(left, low.as_slice())];
        if is_missing(packet) {
            said.clear();
        }
        // The other one speaks for half a second, every two seconds.
        if packet % 100 > 75 {
            said.push((right, high.as_slice()));
        }
        studio.packet(&said);
    }
    let [on_left, on_right] = sides(&studio, stereo);
    let at = |side: &[f32], hz| tone_dbfs(side, hz);
    assert!(at(&on_left, 300.0) - at(&on_right, 300.0) > 20.0);
    assert!(at(&on_right, 1200.0) - at(&on_left, 1200.0) > 20.0);
    let [left_hears, right_hears] = [left, right].map(|id| sides(&studio, id));
    assert!(at(&left_hears[1], 1200.0) > -45.0 && at(&left_hears[0], 300.0) < -70.0);
    assert!(at(&right_hears[0], 300.0) > -25.0 && at(&right_hears[1], 1200.0) < -70.0);
    // A tone that breaks off is heard to do so, in stereo as in mono.
    let mut studio = studio_of(1, r#"{ kind = "mix" }"#);
    let (talker, plain) = (studio.join(false), studio.join(false));
    for (packet, low) in low.chunks_exact(PACKET).enumerate() {
        let said = [(talker, low)];
        studio.packet(if is_missing(packet) { &[] } else { &said[..] });
    }
    assert!(clicks(&on_left).len() <= clicks(mono(&studio, plain)).len());
}

#[test]
fn nobody_is_heard_of_a_room_that_fell_silent_in_stereo() {
    let mut studio = studio(r#"{ kind = "mix" }"#);
    let (talker, stereo) = (studio.join_in_stereo(), studio.join_in_stereo());
    let voice = speech_like(5, -26.0, 2.0);
    for packet in interleave(&voice, &voice).chunks_exact(2 * PACKET) {
        studio.packet(&[(talker, packet)]);
    }
    (0..200).for_each(|_| studio.packet(&[]));
    assert_eq!(studio.room().encoders_at_work(), 0);
    let sound = &studio.heard(stereo).sound;
    assert!(rms_dbfs(&sound[sound.len() - 96_000..]) < -70.0);
}
