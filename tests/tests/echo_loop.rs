//! The echo of a listener with a loudspeaker, all the way: network, jitter buffers, codec, room.

use std::sync::Arc;
use std::time::Duration;

use foldback_chain::ChainSpec;
use foldback_config::Config;
use foldback_room::OpusSettings;
use foldback_testkit::acoustics::{Acoustics, EchoPath};
use foldback_testkit::measure::rms_dbfs;
use foldback_testkit::net::{Jitter, LinkSpec, Loss};
use foldback_testkit::signal::{samples, speech_like, white_noise};
use foldback_testkit::sim::{SimConference, Voice};

foldback_testkit::guard_allocations!();

const DESK: EchoPath = EchoPath { seed: 1, return_loss_db: 8.0, decay_s: 0.25, latency_s: 0.02 };
const SOFA: EchoPath = EchoPath { seed: 2, return_loss_db: 7.0, decay_s: 0.4, latency_s: 0.023 };

#[test]
fn the_others_hear_the_echo_of_a_loudspeaker_25_db_down_and_so_again_after_changes() {
    let bare = echo_heard("stages = [{ kind = \"mix\" }]");
    let heard = echo_heard("stages = [{ kind = \"echo-cancel\" }, { kind = \"mix\" }]");
    for (change, from, to) in [
        ("none", 6.0, 12.0),
        ("another room", 17.0, 22.0),
        ("a longer way", 27.0, 32.0),
        ("a shorter way", 37.0, 42.0),
        ("more jitter", 47.0, 52.0),
    ] {
        let part = samples(from)..samples(to);
        let echo_dbfs = rms_dbfs(&bare[part.clone()]);
        let reduction_db = echo_dbfs - rms_dbfs(&heard[part]);
        println!("{change}: an echo of {echo_dbfs:.1} dBFS is heard {reduction_db:.1} dB down");
        assert!(echo_dbfs > -40.0, "{change}: there is an echo of {echo_dbfs:.1} dBFS");
        assert!(reduction_db >= 25.0, "{change}: {reduction_db:.1} dB");
    }
}

/// What a talker hears of themselves, from the beginning of their voice on: something changes after
/// 12 s and then every 10 s.
fn echo_heard(stages: &str) -> Vec<f32> {
    let mut sim = SimConference::new(4, spec(stages), OpusSettings::default(), way(25, 4));
    let talker = sim.join(voice(speech_like(5, -20.0, 30.0)), false);
    let listener = sim.join(voice(white_noise(3, -75.0, 30.0)), false);
    sim.set_acoustics(listener, Acoustics::new(DESK));
    sim.tap(talker);
    sim.run(Duration::from_secs(12));
    sim.acoustics(listener).change_path(SOFA);
    for next in [way(70, 4), way(25, 4), way(25, 10)] {
        sim.run(Duration::from_secs(10));
        println!("played after {:.0} ms", sim.acoustics(listener).playout_delay_ms());
        sim.set_links(listener, next.clone(), next);
    }
    sim.run(Duration::from_secs(11));
    println!("played after {:.0} ms", sim.acoustics(listener).playout_delay_ms());
    sim.untap(talker)
}

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
