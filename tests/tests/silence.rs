//! Silence costs next to nothing, and ends without losing anything of the first syllable.

use std::sync::Arc;

use foldback_chain::{ChainSpec, MixSpec};
use foldback_room::{Economies, LatencyProfile, OpusSettings, ParticipantId, RoomSpec};
use foldback_stage::StageFormat;
use foldback_testkit::measure::rms_dbfs;
use foldback_testkit::signal::{pink_noise, silence, speech_like, white_noise};
use foldback_testkit::studio::{PACKET, Studio};

foldback_testkit::guard_allocations!();

/// A second in packets.
const SECOND: usize = 50;

#[test]
fn the_first_syllable_is_whole_however_the_talker_was_silent() {
    // A vowel that begins at full strength: the hardest, and the same each time.
    let syllable = vowel();
    let mut nothing = [0.0; PACKET];
    nothing.fill(1e-5);
    for expected_loss_percent in [0, 5] {
        for (silent, claims) in [("sends nothing", false), ("says that it is silent", true)] {
            let mut studio = studio(expected_loss_percent);
            let [talker, listener] = [(); 2].map(|()| studio.join(false));
            for repetition in 0..4 {
                for _ in 0..3 * SECOND {
                    let said: &[(ParticipantId, &[f32])] =
                        if claims { &[(talker, &nothing)] } else { &[] };
                    studio.packet_claiming(said, Some(127));
                }
                let from = studio.heard(listener).sound.len();
                for packet in syllable.chunks_exact(PACKET) {
                    studio.packet_claiming(&[(talker, packet)], Some(20));
                }
                for _ in 0..10 {
                    studio.packet_claiming(&[(talker, &nothing)], Some(127));
                }
                let heard = &studio.heard(listener).sound[from..];
                let begun = heard.iter().position(|s| s.abs() > 0.02).expect("it is heard");
                let onset = begun.saturating_sub(24);
                for (part, tolerance_db) in [(480, 2.5), (960, 1.5), (4_800, 1.0)] {
                    let lost = rms_dbfs(&syllable[..part]) - rms_dbfs(&heard[onset..onset + part]);
                    assert!(
                        lost < tolerance_db,
                        "who {silent} (FEC for {expected_loss_percent} %), time {repetition}: \
                         {lost:.1} dB missing in the first {} ms",
                        part / 48
                    );
                }
            }
        }
    }
}

#[test]
fn nobody_is_decoded_or_encoded_while_all_are_silent() {
    let mut studio = studio(5);
    let [talker, listener] = [(); 2].map(|()| studio.join(false));
    for packet in speech_like(1, -26.0, 3.0).chunks_exact(PACKET) {
        studio.packet_claiming(&[(talker, packet)], Some(20));
    }
    for _ in 0..2 * SECOND {
        studio.packet_claiming(&[(talker, &[0.0; PACKET])], Some(127));
    }
    assert_eq!(studio.room().encoders_at_work(), 0);
    let samples = |studio: &Studio| {
        studio.room().receiver(talker).expect("it is here").stats().total_samples_received
    };
    let before = samples(&studio);
    for _ in 0..SECOND {
        studio.packet_claiming(&[(talker, &[0.0; PACKET])], Some(127));
    }
    assert_eq!(samples(&studio), before, "what is played was decoded");
    assert_eq!(studio.heard(listener).packets.iter().flatten().count(), 6 * SECOND);
}

#[test]
fn who_asked_for_it_gets_next_to_no_packets_in_silence_and_others_get_all_of_them() {
    let mut studio = studio(5);
    let [talker, pauses, goes_on] = [false, true, false].map(|dtx| studio.join(dtx));
    for packet in speech_like(1, -26.0, 3.0).chunks_exact(PACKET) {
        studio.packet(&[(talker, packet)]);
    }
    for _ in 0..12 * SECOND {
        studio.packet(&[]);
    }
    let sent = |id| {
        let packets = &studio.heard(id).packets;
        packets[packets.len() - 10 * SECOND..].iter().flatten().count()
    };
    // One that holds silence and one byte that says so, every 400 ms.
    assert_eq!((sent(pauses), sent(goes_on)), (50, 10 * SECOND));
    let heard = &studio.heard(pauses).sound;
    assert!(rms_dbfs(&heard[heard.len() - 480_000..]) < -80.0);
}

#[test]
fn steady_noise_goes_on_at_its_level_while_packets_stop() {
    for (expected_loss_percent, floor_dbfs) in [(0, -50.0), (5, -50.0), (5, -60.0)] {
        let mut studio = studio(expected_loss_percent);
        let [talker, pauses, goes_on] = [false, true, false].map(|dtx| studio.join(dtx));
        let noise = white_noise(9, floor_dbfs, 16.0);
        let voice = speech_like(1, -26.0, 4.0);
        let voice = [voice.clone(), silence(8.0), voice].concat();
        let mut from = 0;
        for (i, packet) in noise.chunks_exact(PACKET).enumerate() {
            let voice = &voice[i * PACKET..][..PACKET];
            let sum: Vec<f32> = packet.iter().zip(voice).map(|(a, b)| a + b).collect();
            studio.packet(&[(talker, &sum)]);
            if i == 6 * SECOND {
                from = studio.heard(pauses).sound.len();
            }
        }
        let packets = &studio.heard(pauses).packets;
        let sent = packets[6 * SECOND..12 * SECOND].iter().flatten().count();
        assert!(sent <= 6 * 5, "{sent} packets in 6 s of noise");
        let to = from + 6 * 48_000 - 4_800;
        let tenths = |id| {
            let heard: &[f32] = &studio.heard(id).sound[from..to];
            heard.chunks_exact(4_800).map(rms_dbfs).collect::<Vec<_>>()
        };
        let (stops, reference) = (tenths(pauses), tenths(goes_on));
        for (i, (stops, reference)) in stops.iter().zip(&reference).enumerate() {
            let off = stops - reference;
            assert!(off.abs() < 3.0, "{off:.1} dB off {:.1} s into the pause", i as f64 / 10.0);
        }
        let steps = stops.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f64::max);
        assert!(steps < 3.0, "a step of {steps:.1} dB");
        // What the first word after it loses is what libopus loses: 2 dB in its first 20 ms.
        let after = &studio.heard(goes_on).sound[12 * 48_000..];
        let onset = after.chunks(480).position(|part| rms_dbfs(part) > -38.0).expect("a word");
        let from = 12 * 48_000 + onset * 480;
        let word = |id, ms: usize| rms_dbfs(&studio.heard(id).sound[from..][..ms * 48]);
        for (ms, tolerance_db) in [(20, 4.0), (100, 1.5), (300, 0.5)] {
            let lost = word(goes_on, ms) - word(pauses, ms);
            assert!(lost < tolerance_db, "{lost:.1} dB missing in the first {ms} ms");
        }
        let begins = studio.heard(pauses).markers.iter().any(|at| (600..606).contains(at));
        assert!(begins, "the first packet of a talkspurt is marked");
    }
}

/// 0.3 s of a sustained vowel, which begins within a millisecond.
fn vowel() -> Vec<f32> {
    let sample = |i: usize| {
        let t = i as f32 / 48_000.0;
        let harmonics = (1..12).map(|k| (std::f32::consts::TAU * 150.0 * k as f32 * t).sin());
        let sum: f32 = harmonics.zip(1..).map(|(s, k)| s / k as f32).sum();
        0.12 * sum * (i as f32 / 48.0).min(1.0)
    };
    let noise = pink_noise(1, -70.0, 0.3);
    (0..15 * PACKET).map(|i| sample(i) + noise[i]).collect()
}

fn studio(expected_loss_percent: u8) -> Studio {
    let mix = Some(MixSpec { max_talkers: 8 });
    let chain = ChainSpec {
        name: "clean".into(),
        format: StageFormat::MONO,
        input: vec![],
        mix,
        output: vec![],
    };
    Studio::new(RoomSpec {
        chain: Arc::new(chain),
        opus: OpusSettings { expected_loss_percent, ..OpusSettings::default() },
        latency: LatencyProfile::Balanced,
        economies: Economies::default(),
    })
}
