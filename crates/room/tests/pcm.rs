//! Who comes by G.711 or linear samples is heard, through loss and in any order, and hears.
#![allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_chain::{ChainSpec, MixSpec, NoProbe};
use foldback_room::{
    Admission, Codec, Economies, EncodedFrame, LatencyProfile, MixSound, OpusSettings,
    ParticipantId, PcmEncoder, PcmFormat, PcmSamples, Room, RoomSpec, Sequential, TICK,
};
use foldback_stage::StageFormat;

const SPEAKER: ParticipantId = ParticipantId(1);
const LISTENER: ParticipantId = ParticipantId(2);
const BROWSER: ParticipantId = ParticipantId(3);
const HZ: f32 = 210.0;

fn spec(format: StageFormat) -> RoomSpec {
    let chain = ChainSpec {
        name: "talk".to_owned(),
        format,
        input: Vec::new(),
        mix: Some(MixSpec { max_talkers: 4 }),
        output: Vec::new(),
    };
    RoomSpec {
        chain: Arc::new(chain),
        opus: OpusSettings::default(),
        latency: LatencyProfile::Balanced,
        economies: Economies::default(),
    }
}

/// What the listener hears of a tone that is said for so many packets of 20 ms; `way` says how late each comes, or that it
/// does not.
fn heard(
    pcm: PcmFormat,
    room: StageFormat,
    packets: u32,
    way: impl Fn(u32) -> Option<Duration>,
) -> (Vec<f32>, Room) {
    let (spec, codec) = (spec(room), Codec::Pcm(pcm));
    let mut room = Room::new(spec.clone()).expect("a room");
    for (id, codec) in [(SPEAKER, codec), (LISTENER, codec), (BROWSER, Codec::Opus)] {
        room.join(id, Admission::build_for(&spec, codec).expect("an admission"));
    }
    let begin = Instant::now();
    let mut encoder = PcmEncoder::new(pcm);
    let mut on_the_way = Vec::new();
    for number in 0..packets {
        let step = std::f32::consts::TAU * HZ / 48_000.0;
        let tone: Vec<f32> =
            (0..960).map(|i| 0.3 * ((number * 960 + i) as f32 * step).sin()).collect();
        let mut payload = Vec::new();
        encoder.encode(MixSound { mean: &tone, sides: None }, &mut payload);
        if let Some(late) = way(number) {
            on_the_way.push(EncodedFrame {
                ssrc: 7,
                seq: 1_000 + u64::from(number),
                rtp_time: 96_000 + u64::from(number) * 960,
                level_minus_dbov: None,
                payload: payload.into(),
                arrival: begin + Duration::from_millis(20) * number + late,
                captured: None,
                copy_distance: 0,
            });
        }
    }
    on_the_way.sort_by_key(|frame| frame.arrival);
    on_the_way.reverse();
    let mut heard = Vec::new();
    for tick in 1..=packets * 2 {
        let now = begin + TICK * tick;
        while let Some(frame) = on_the_way.pop_if(|frame| frame.arrival <= now) {
            room.push(SPEAKER, frame);
        }
        room.tick(now, &mut NoProbe, &Sequential);
        for packet in room.packets() {
            let is_plain = packet.payload.is_empty();
            assert_eq!(is_plain, packet.to != BROWSER, "Opus is for those who take it");
            if packet.to == LISTENER {
                heard.extend_from_slice(packet.sound.mean);
            }
        }
    }
    (heard, room)
}

fn rms(sound: &[f32]) -> f32 {
    (sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32).sqrt()
}

fn largest_step(sound: &[f32]) -> f32 {
    sound.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn each_format_is_heard_in_mono_and_in_stereo_without_a_click() {
    for room in [StageFormat::MONO, StageFormat::STEREO] {
        for samples in [PcmSamples::Mu, PcmSamples::A, PcmSamples::Linear16] {
            for (rate_hz, channels) in [(8_000, 1), (16_000, 2), (48_000, 1)] {
                let pcm = PcmFormat { samples, rate_hz, channels };
                let (heard, room) = heard(pcm, room, 100, |_| Some(Duration::ZERO));
                let settled = &heard[48_000..];
                assert!((rms(settled) - 0.2121).abs() < 0.005, "{pcm:?}: {}", rms(settled));
                // Of the tone itself no two neighbours differ by more than 0.0083.
                assert!(largest_step(&heard) < 0.02, "{pcm:?}: {}", largest_step(&heard));
                let stats = room.receiver(SPEAKER).expect("it is there").stats();
                assert_eq!((stats.packets_received, stats.packets_lost), (100, 0), "{pcm:?}");
                assert_eq!(room.encoders_at_work(), 1, "for the browser alone");
            }
        }
    }
}

#[test]
fn through_loss_and_in_any_order_the_voice_goes_on() {
    let pcm = PcmFormat { samples: PcmSamples::Mu, rate_hz: 8_000, channels: 1 };
    for seed in 1..=5_u32 {
        let random = |number: u32| {
            let mixed = (number + 1).wrapping_mul(0x9E37_79B9) ^ seed.wrapping_mul(0x85EB_CA6B);
            (mixed ^ mixed >> 15).wrapping_mul(0x2C1B_3C6D) >> 16
        };
        let way = |number| {
            let is_lost = random(number) % 20 == 0;
            let late = u64::from(random(number + 7_777) % 60);
            (!is_lost).then(|| Duration::from_millis(late))
        };
        let (heard, room) = heard(pcm, StageFormat::MONO, 500, way);
        let stats = room.receiver(SPEAKER).expect("it is there").stats();
        assert!((10..=45).contains(&stats.packets_lost), "{}", stats.packets_lost);
        // Past the first two seconds, in which the delay is learnt.
        let settled = &heard[96_000..];
        assert!((rms(settled) - 0.2121).abs() < 0.02, "seed {seed}: {}", rms(settled));
        assert!(largest_step(settled) < 0.08, "seed {seed}: {}", largest_step(settled));
        for (number, part) in settled.chunks_exact(480).enumerate() {
            assert!(rms(part) > 0.08, "seed {seed}: a hole after {number} parts of 10 ms");
        }
    }
}
