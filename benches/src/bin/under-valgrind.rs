//! What `tests/instructions.rs` counts the instructions of: `under-valgrind tick` or `chain`.

use std::hint::black_box;

use foldback_benches::{EMPTY, Meeting};
use foldback_chain::{Chain, NoProbe, StageSpec};
use foldback_room::{Economies, OpusSettings};
use foldback_stage::{AudioBuffer, BlockContext, StageFormat};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("tick") => tick(),
        Some("chain") => chain(),
        _ => panic!("usage: under-valgrind tick|chain"),
    }
}

/// 50 in a room, three of them talking, for 20 packets.
fn tick() {
    // What libopus does is not counted, only waited for.
    let opus = OpusSettings { complexity: 0, ..OpusSettings::default() };
    let mut meeting = Meeting::new(&Meeting::clean_chain(), 50, 3, opus, Economies::default());
    for _ in 0..40 {
        meeting.receive();
        meeting.close_packets();
    }
    for _ in 0..20 {
        meeting.receive();
        counted_tick(&mut meeting);
    }
}

#[inline(never)]
fn counted_tick(meeting: &mut Meeting) {
    meeting.close_packets();
}

/// Ten stages that do nothing, for 20 blocks.
fn chain() {
    let spec = |n| StageSpec { name: format!("{n}"), ..StageSpec::of(&EMPTY) };
    let specs: Vec<_> = (0..10).map(spec).collect();
    let mut chain = Chain::build(&specs, StageFormat::MONO).expect("builds");
    let mut audio = AudioBuffer::mono();
    audio.plane_mut(0).fill(0.1);
    for _ in 0..20 {
        counted_chain(&mut chain, &mut audio);
    }
}

#[inline(never)]
fn counted_chain(chain: &mut Chain, audio: &mut AudioBuffer) {
    chain.process(black_box(audio), &mut BlockContext::default(), &mut NoProbe);
}
