//! The echo of a listener with a loudspeaker, all the way: network, jitter buffers, codec, room.

use std::sync::Arc;
use std::time::Duration;

use foldback_chain::ChainSpec;
use foldback_config::Config;
use foldback_room::OpusSettings;
use foldback_testkit::acoustics::{Acoustics, EchoPath};
use foldback_testkit::measure::{align, rms_dbfs, stoi};
use foldback_testkit::net::{Jitter, LinkSpec, Loss};
use foldback_testkit::signal::{mix, samples, silence, speech_like, white_noise};
use foldback_testkit::sim::{SimConference, Voice};

foldback_testkit::guard_allocations!();

const DESK: EchoPath = EchoPath { seed: 1, return_loss_db: 8.0, decay_s: 0.25, latency_s: 0.02 };
const SOFA: EchoPath = EchoPath { seed: 2, return_loss_db: 7.0, decay_s: 0.4, latency_s: 0.023 };

const ECHO_CANCEL: &str = "stages = [{ kind = \"echo-cancel\" }, { kind = \"mix\" }]";
const NOTHING: &str = "stages = [{ kind = \"mix\" }]";

/// Something changes after each, and is given this long.
const CHANGES: [&str; 6] =
    ["nothing", "another room", "jitter", "a longer way", "a shorter way", "no more jitter"];
const PHASE_S: f64 = 8.0;
const SETTLED_S: f64 = 5.0;

/// Hardly less than what the mixer lets through at any time (-65 dBFS): what it does hold back is 38 dB
/// below the echo.
const ROOM_NOISE_DBFS: f64 = -64.0;

#[test]
fn the_others_hear_an_echo_25_db_down_and_so_again_after_changes() {
    the_echo_goes(4);
}

#[test]
fn the_others_hear_an_echo_25_db_down_in_another_run() {
    the_echo_goes(5);
}

#[test]
fn the_others_hear_an_echo_25_db_down_in_a_third_run() {
    the_echo_goes(6);
}

fn the_echo_goes(seed: u64) {
    let (bare, cancelled) = both(seed, 10);
    for (number, change) in CHANGES.into_iter().enumerate() {
        let from = PHASE_S * number as f64;
        let part = samples(from + SETTLED_S)..samples(from + PHASE_S);
        let echo_dbfs = rms_dbfs(&bare.heard[part.clone()]);
        let reduction_db = echo_dbfs - rms_dbfs(&cancelled.heard[part]);
        let (least, most) = cancelled.playout_ms(from, from + PHASE_S);
        println!(
            "seed {seed}, {change}: an echo of {echo_dbfs:.1} dBFS is heard {reduction_db:.1} dB \
             down, played after {least:.0} to {most:.0} ms"
        );
        assert!(echo_dbfs > -35.0, "{change}: there is an echo of {echo_dbfs:.1} dBFS");
        assert!(reduction_db >= 25.0, "{change}: {reduction_db:.1} dB");
    }
}

/// The delay of playout is always on its way, so that at any time a jump may just have been.
#[test]
fn where_jitter_is_fierce_the_echo_is_25_db_down_most_of_the_time() {
    let (bare, cancelled) = both(5, 35);
    let storm_s = (2.0 * PHASE_S) as usize..(5.0 * PHASE_S) as usize;
    let reductions_db = storm_s.clone().map(|second| {
        let part = samples(second as f64)..samples(second as f64 + 1.0);
        rms_dbfs(&bare.heard[part.clone()]) - rms_dbfs(&cancelled.heard[part])
    });
    let down = reductions_db.filter(|reduction_db| *reduction_db >= 25.0).count();
    let (least, most) = cancelled.playout_ms(0.0, PHASE_S * CHANGES.len() as f64);
    println!("in {down} of {} seconds, played after {least:.0} to {most:.0} ms", storm_s.len());
    assert!(4 * down >= 3 * storm_s.len(), "in {down} of {} seconds", storm_s.len());
    assert!(least < 45.0 && most > 95.0, "played after {least:.0} to {most:.0} ms");
}

/// What is heard of a loudspeaker without a canceller, and with it.
fn both(seed: u64, jitter_ms: u64) -> (Run, Run) {
    let run = |stages| Run::of(seed, stages, &CHANGES, jitter_ms, true, silence(1.0));
    (run(NOTHING), run(ECHO_CANCEL))
}

/// The listener begins to speak when the canceller knows the room, 6 dB louder than the echo.
#[test]
fn a_listener_who_speaks_over_their_echo_is_understood() {
    let voice = [silence(8.0), speech_like(11, -20.0, 8.0)].concat();
    let changes = ["nothing"; 2];
    let alone = Run::of(4, NOTHING, &changes, 4, false, voice.clone());
    let bare = Run::of(4, NOTHING, &changes, 4, true, voice.clone());
    let cancelled = Run::of(4, ECHO_CANCEL, &changes, 4, true, voice);
    let clear = |run: &Run| {
        let part = samples(8.5)..samples(15.5);
        let (clean, heard) = (&alone.heard[part.clone()], &run.heard);
        let late = align(clean, &heard[part.start..part.end + samples(0.1)]).delay_samples;
        let late = usize::try_from(late).expect("not heard early");
        stoi(clean, &heard[part.start + late..part.end + late])
    };
    let (with_echo, without) = (clear(&bare), clear(&cancelled));
    println!("STOI with the echo {with_echo:.3}, cancelled {without:.3}");
    assert!(without >= 0.6, "{without}");
}

/// What a talker hears of themselves and of a listener with a loudspeaker.
struct Run {
    heard: Vec<f32>,
    /// How long sound waited at the listener, every 20 ms.
    playout_ms: Vec<f64>,
}

impl Run {
    fn of(
        seed: u64,
        stages: &str,
        changes: &[&str],
        jitter_ms: u64,
        has_loudspeaker: bool,
        listener: Vec<f32>,
    ) -> Self {
        let mut sim = SimConference::new(seed, spec(stages), OpusSettings::default(), way(25, 4));
        let talker = sim.join(voice(speech_like(seed + 1, -18.0, 40.0)), false);
        let seconds = listener.len() as f64 / 48e3;
        let noise = white_noise(3, ROOM_NOISE_DBFS, seconds);
        let listener = sim.join(voice(mix(&[&listener, &noise])), false);
        if has_loudspeaker {
            sim.set_acoustics(listener, Acoustics::new(DESK));
        }
        sim.tap(talker);
        let mut playout_ms = Vec::new();
        for change in changes {
            let next = match *change {
                "jitter" | "a shorter way" => Some(way(25, jitter_ms)),
                "a longer way" => Some(way(70, jitter_ms)),
                "no more jitter" => Some(way(25, 4)),
                _ => None,
            };
            if let Some(next) = next {
                sim.set_links(listener, next.clone(), next);
            }
            if has_loudspeaker && *change == "another room" {
                sim.acoustics(listener).change_path(SOFA);
            }
            for _ in 0..(50.0 * PHASE_S) as usize {
                sim.run(Duration::from_millis(20));
                if has_loudspeaker {
                    playout_ms.push(sim.acoustics(listener).playout_delay_ms());
                }
            }
        }
        Self { heard: sim.untap(talker), playout_ms }
    }

    /// The least and the most, between two times.
    fn playout_ms(&self, from_s: f64, to_s: f64) -> (f64, f64) {
        let part = &self.playout_ms[(50.0 * from_s) as usize..(50.0 * to_s) as usize];
        let least = part.iter().copied().fold(f64::MAX, f64::min);
        (least, part.iter().copied().fold(f64::MIN, f64::max))
    }
}

/// A network that loses 1 %, and by how much its packets are late.
fn way(delay_ms: u64, jitter_ms: u64) -> LinkSpec {
    LinkSpec {
        jitter: Jitter::Normal(Duration::from_millis(jitter_ms)),
        loss: Loss::random(0.01),
        in_order: true,
        ..LinkSpec::delayed(Duration::from_millis(delay_ms))
    }
}

fn voice(signal: Vec<f32>) -> Voice {
    Box::new(move |at, out| {
        let at = usize::try_from(at).expect("fits");
        (at..).zip(out).for_each(|(n, sample)| *sample = signal[n % signal.len()]);
        true
    })
}

fn spec(stages: &str) -> Arc<ChainSpec> {
    let text = format!("[chain.test]\n{stages}\n");
    let config = Config::parse(&text, "test.toml", &foldback_server::plugins::registry());
    Arc::clone(&config.expect("a valid chain").chains[0])
}
