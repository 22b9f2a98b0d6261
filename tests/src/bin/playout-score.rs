//! Writes what a participant's chain gets from lossy networks, for `score.py plc` of the shared
//! audio set, beside what the bare libopus makes of the same packets.
//!
//! `cargo run --release -p foldback-tests --bin playout-score -- SHARED_AUDIO OUT`

use std::path::PathBuf;

use audiopus::coder::{Decoder, Encoder};
use audiopus::packet::Packet;
use audiopus::{Application, Bitrate, Channels, MutSignals, SampleRate};
use foldback_room::LatencyProfile;
use foldback_testkit::net::{LinkSpec, Loss};
use foldback_testkit::playout::{Sending, play};
use foldback_testkit::signal::{read_audio, write_wav};

const PACKET: usize = 960;
/// Packets of the same loss before the clip, so that what is scored is not the learning.
const PREROLL: usize = 500;
const CLIPS: [&str; 7] = ["f1", "f2", "f3", "fm1", "m1", "m2", "m3"];
const TRACES: [&str; 6] =
    ["random05", "random10", "random20", "gilbert10_b3", "gilbert10_b6", "gilbert20_b3"];

fn main() {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(shared), Some(out)) = (args.next(), args.next()) else {
        eprintln!("usage: playout-score SHARED_AUDIO OUT");
        std::process::exit(2);
    };
    for trace in TRACES {
        let file = shared.join("loss").join(format!("{trace}.txt"));
        let text = std::fs::read_to_string(&file).expect("a loss trace");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lost: Vec<bool> = lines.flat_map(str::chars).map(|c| c == '1').collect();
        for clip in CLIPS {
            let voice = read_audio(&shared.join("clean").join(format!("{clip}.flac")));
            let key = format!("{clip}__{trace}.wav");
            let write = |system: &str, sound: &[f32]| {
                let folder = out.join(system);
                std::fs::create_dir_all(&folder).expect("a folder to write to");
                write_wav(&folder.join(&key), sound);
            };
            write("bare-conceal", &bare(&voice, &lost, 0, false));
            write("bare-fec", &bare(&voice, &lost, 10, true));
            for copies in [1, 2] {
                // What copies can mend at best: a hole is where those that carry them are lost too.
                let hole = |i: usize| (i..=i + copies).all(|i| lost[i % lost.len()]);
                let holes: Vec<bool> = (0..lost.len()).map(hole).collect();
                write(&format!("bare-red{copies}"), &bare(&voice, &holes, 0, false));
            }
            let mut report = format!("{key}: delay");
            for (system, fec_percent, copies) in [
                ("foldback-conceal", 0, 0),
                ("foldback-fec", 10, 0),
                ("foldback-red1", 0, 1),
                ("foldback-red2", 0, 2),
            ] {
                let (sound, delay_ms) = ours(&voice, &lost, fec_percent, copies);
                write(system, &sound);
                report += &format!(" {system} {delay_ms:.0} ms");
            }
            println!("{report}");
        }
    }
}

/// Which packets of a clip are lost: the first three never are.
fn is_lost(lost: &[bool], packet: usize) -> bool {
    packet >= 3 && lost[packet % lost.len()]
}

/// What libopus alone makes of it, with the next packet at hand (`fec`) or not.
fn bare(voice: &[f32], lost: &[bool], fec_percent: u8, fec: bool) -> Vec<f32> {
    let mut encoder =
        Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip).expect("an encoder");
    encoder.set_bitrate(Bitrate::BitsPerSecond(32_000)).expect("valid");
    encoder.set_complexity(10).expect("valid");
    encoder.set_inband_fec(fec_percent > 0).expect("valid");
    encoder.set_packet_loss_perc(fec_percent).expect("valid");
    let packets: Vec<Vec<u8>> = voice
        .chunks_exact(PACKET)
        .map(|pcm| {
            let mut bytes = [0; 1275];
            let length = encoder.encode_float(pcm, &mut bytes).expect("encodes");
            bytes[..length].to_vec()
        })
        .collect();
    let mut decoder = Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder");
    let mut sound = Vec::new();
    for (i, packet) in packets.iter().enumerate() {
        let next = packets.get(i + 1).filter(|_| fec && !is_lost(lost, i + 1));
        let (packet, rebuild) = match (is_lost(lost, i), next) {
            (false, _) => (Some(packet), false),
            (true, Some(next)) => (Some(next), true),
            (true, None) => (None, false),
        };
        let packet = packet.map(|bytes| Packet::try_from(bytes.as_slice()).expect("Opus"));
        let mut pcm = [0.0; PACKET];
        let signals = MutSignals::try_from(&mut pcm[..]).expect("not empty");
        decoder.decode_float(packet, signals, rebuild).expect("decodes");
        sound.extend_from_slice(&pcm);
    }
    sound
}

/// What a receiver makes of it, and the mean delay that it added.
fn ours(voice: &[f32], lost: &[bool], fec_percent: u8, copies: usize) -> (Vec<f32>, f64) {
    let preroll = PREROLL * PACKET;
    let mut sent: Vec<f32> = voice.iter().copied().cycle().take(preroll).collect();
    sent.extend_from_slice(voice);
    let packets = sent.len() / PACKET;
    sent.resize(sent.len() + 48_000, 0.0);
    let trace: String = (0..sent.len() / PACKET)
        .map(|i| match i.checked_sub(PREROLL) {
            None => lost[i % lost.len()],
            Some(packet) => i < packets && is_lost(lost, packet),
        })
        .map(|lost| if lost { '1' } else { '0' })
        .collect();
    let link = LinkSpec { loss: Loss::trace(&trace), ..LinkSpec::default() };
    let sending = Sending { complexity: 10, fec_percent, copies, link, ..Sending::default() };
    let profile = LatencyProfile::Balanced;
    let played = play(&sent, &sending, profile);
    let (from, to) = (preroll as f64 / 48e3, packets as f64 * 0.02);
    (played.sound[preroll..].to_vec(), played.mean_delay_ms(profile, from, to))
}
