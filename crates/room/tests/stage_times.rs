//! Whose stages the times are of that a room tells.
#![allow(clippy::disallowed_methods, reason = "an arbitrary origin of simulated time")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use audiopus::coder::Encoder;
use audiopus::{Application, Channels, SampleRate};
use foldback_chain::{ChainSpec, MixSpec, StageSpec};
use foldback_room::{
    Admission, Economies, EncodedFrame, LatencyProfile, NoClock, OpusSettings, ParticipantId, Room,
    RoomProbe, RoomSpec, Sequential, StageTime, TICK,
};
use foldback_stage::{AudioBlock, BlockContext, Stage, StageFormat, StageKind};

struct Nothing;

impl Stage for Nothing {
    fn process(&mut self, _block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {}
}

static NOTHING: StageKind =
    StageKind { name: "nothing", about: "", params: &[], build: &|_, _| Ok(Box::new(Nothing)) };

/// Which stages of which side were timed.
#[derive(Default)]
struct Told {
    stages: BTreeSet<(Option<ParticipantId>, usize)>,
}

impl RoomProbe for Told {
    type Clock = NoClock;

    fn clock(&self) -> NoClock {
        NoClock
    }

    fn stages_took(&mut self, side: Option<ParticipantId>, took: &[StageTime]) {
        self.stages.extend(took.iter().map(|time| (side, time.stage)));
    }
}

fn spec(inputs: usize) -> RoomSpec {
    let stages = |count| vec![StageSpec::of(&NOTHING); count];
    let (mix, output) = (Some(MixSpec { max_talkers: 8 }), stages(1));
    let chain = ChainSpec {
        name: "talk".into(),
        format: StageFormat::MONO,
        input: stages(inputs),
        mix,
        output,
    };
    let (opus, latency) = (OpusSettings::default(), LatencyProfile::Balanced);
    RoomSpec { chain: Arc::new(chain), opus, latency, economies: Economies::default() }
}

#[test]
fn each_stage_is_told_of_whose_chain_it_is() {
    let mut room = Room::new(spec(1)).expect("a room");
    let (ann, bob) = (ParticipantId(1), ParticipantId(2));
    // Ann has stages of her own before `mix`.
    for (id, inputs) in [(ann, 3), (bob, 1)] {
        room.join(id, Admission::build(&spec(inputs)).expect("an admission"));
    }
    let (mut told, mut now, tone) = (Told::default(), Instant::now(), encoded_tone());
    for seq in 0..50 {
        for id in [ann, bob] {
            room.push(
                id,
                EncodedFrame {
                    ssrc: 1,
                    seq,
                    rtp_time: seq * 960,
                    level_minus_dbov: None,
                    payload: Arc::clone(&tone),
                    arrival: now,
                    captured: None,
                    copy_distance: 0,
                },
            );
        }
        for _ in 0..2 {
            now += TICK;
            room.tick(now, &mut told, &Sequential);
        }
    }
    let sides = [(None, 0), (Some(ann), 0), (Some(ann), 1), (Some(ann), 2), (Some(bob), 0)];
    assert_eq!(told.stages, BTreeSet::from(sides));
}

/// 20 ms.
fn encoded_tone() -> Arc<[u8]> {
    let pcm: [f32; 960] = std::array::from_fn(|i| 0.3 * (i as f32 * 0.05).sin());
    let encoder = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip);
    let mut bytes = [0; 1275];
    let length = encoder.expect("an encoder").encode_float(&pcm, &mut bytes).expect("encodes");
    Arc::from(&bytes[..length])
}
