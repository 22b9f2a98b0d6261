//! Writes what a listener hears who says something every 2 s, and what one hears who never does,
//! for `scripts/scores.sh switches`.
//!
//! `cargo run --release -p foldback-tests --bin switch-score -- SHARED_AUDIO OUT`

use std::path::PathBuf;
use std::sync::Arc;

use foldback_chain::{ChainSpec, MixSpec};
use foldback_room::{Economies, LatencyProfile, OpusSettings, RoomSpec};
use foldback_stage::StageFormat;
use foldback_testkit::signal::{read_audio, write_wav};
use foldback_testkit::studio::{PACKET, Studio};

const CLIPS: [&str; 7] = ["f1", "f2", "f3", "fm1", "m1", "m2", "m3"];
/// Two seconds in packets.
const TURN: usize = 100;
/// Before what is scored: the voice twice, so that the settling of a room is not in it.
const PREROLL: usize = 2;

fn main() {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(shared), Some(out)) = (args.next(), args.next()) else {
        eprintln!("usage: switch-score SHARED_AUDIO OUT");
        std::process::exit(2);
    };
    for clip in CLIPS {
        let voice = read_audio(&shared.join("clean").join(format!("{clip}.flac")));
        let voice = &voice[..voice.len() / PACKET * PACKET];
        for (name, turns) in [("never", None), ("often", Some(100)), ("seldom", Some(300))] {
            for (fec, expected_loss_percent) in [("fec5", 5), ("fec0", 0)] {
                let opus = OpusSettings { expected_loss_percent, ..OpusSettings::default() };
                let folder = out.join(format!("{name}-{fec}"));
                std::fs::create_dir_all(&folder).expect("a folder to write to");
                write_wav(&folder.join(format!("{clip}.wav")), &heard(voice, opus, turns));
            }
        }
    }
}

/// What a listener hears of `voice`, who says something else for 2 s, is silent for so many packets,
/// and begins again; or never says anything. Who talks often keeps its own mix, who talks seldom
/// gives it back each time.
fn heard(voice: &[f32], opus: OpusSettings, pause: Option<usize>) -> Vec<f32> {
    let mix = Some(MixSpec { max_talkers: 8 });
    let chain = ChainSpec {
        name: "clean".into(),
        format: StageFormat::MONO,
        input: vec![],
        mix,
        output: vec![],
    };
    let mut studio = Studio::new(RoomSpec {
        chain: Arc::new(chain),
        opus,
        latency: LatencyProfile::Balanced,
        economies: Economies::default(),
    });
    let [speaker, _, listener] = [(); 3].map(|()| studio.join(false));
    let own: Vec<f32> = voice.iter().rev().copied().collect();
    let repeated = || voice.chunks_exact(PACKET).cycle().take(voice.len() / PACKET * (1 + PREROLL));
    for (i, said) in repeated().enumerate() {
        let own = &own[i * PACKET % own.len()..][..PACKET];
        match pause.is_some_and(|pause| i % (TURN + pause) < TURN) {
            true => studio.packet(&[(speaker, said), (listener, own)]),
            false => studio.packet(&[(speaker, said)]),
        }
    }
    let sound = &studio.heard(listener).sound;
    sound[PREROLL * voice.len()..].to_vec()
}
