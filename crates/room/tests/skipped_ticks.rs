//! What listeners are sent after the caller was held up.
#![allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use audiopus::coder::Encoder;
use audiopus::{Application, Channels, SampleRate};
use foldback_chain::{ChainSpec, MixSpec, NoProbe};
use foldback_room::{
    Admission, Economies, EncodedFrame, LatencyProfile, OpusSettings, ParticipantId, Room,
    RoomSpec, Sequential, TICK,
};
use foldback_stage::StageFormat;

const TALKER: ParticipantId = ParticipantId(1);
const LISTENER: ParticipantId = ParticipantId(2);

/// A room with somebody who talks, and somebody whose packets get lost on the way.
struct Bench {
    room: Room,
    encoder: Encoder,
    now: Instant,
    sent: u64,
}

impl Bench {
    fn new() -> Self {
        let mix = MixSpec { max_talkers: 8 };
        let chain = ChainSpec {
            name: "clean".into(),
            format: StageFormat::MONO,
            input: vec![],
            mix: Some(mix),
            output: vec![],
        };
        let spec = RoomSpec {
            chain: Arc::new(chain),
            opus: OpusSettings::default(),
            latency: LatencyProfile::Balanced,
            economies: Economies::default(),
        };
        let mut room = Room::new(spec.clone()).expect("a room");
        for id in [TALKER, LISTENER] {
            room.join(id, Admission::build(&spec).expect("an admission"));
        }
        (0..5).for_each(|_| room.report(LISTENER, 0.2));
        let encoder = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip);
        Self { room, encoder: encoder.expect("an encoder"), now: Instant::now(), sent: 0 }
    }

    /// Lets the talker send 20 ms, and two ticks pass; whether the listener's packet carries a
    /// copy of the one before it.
    fn packet(&mut self) -> bool {
        let pcm: [f32; 960] = std::array::from_fn(|i| 0.3 * (i as f32 * 0.05).sin());
        let mut bytes = [0; 1275];
        let length = self.encoder.encode_float(&pcm, &mut bytes).expect("encodes");
        self.room.push(
            TALKER,
            EncodedFrame {
                ssrc: 1,
                seq: self.sent,
                rtp_time: self.sent * 960,
                level_minus_dbov: None,
                payload: Arc::from(&bytes[..length]),
                arrival: self.now,
                captured: None,
                copy_distance: 0,
            },
        );
        self.sent += 1;
        for _ in 0..2 {
            self.now += TICK;
            self.room.tick(self.now, &mut NoProbe, &Sequential);
        }
        let packet = self.room.packets().find(|packet| packet.to == LISTENER);
        packet.expect("a packet for each listener").copy.is_some()
    }
}

#[test]
fn no_copy_takes_the_place_of_a_packet_that_was_skipped() {
    let mut bench = Bench::new();
    (0..50).for_each(|_| {
        bench.packet();
    });
    assert!(bench.packet(), "packets carry copies on this way");
    bench.room.skip(2);
    bench.now += Duration::from_millis(20);
    assert!(!bench.packet(), "what went out last was not 20 ms ago");
    assert!(bench.packet());
}
