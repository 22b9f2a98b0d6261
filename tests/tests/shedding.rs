//! What a room does without for an overloaded worker, and what is heard of it.

use std::f32::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use foldback_chain::ChainSpec;
use foldback_config::Config;
use foldback_room::{OpusSettings, ParticipantId, Shedding};
use foldback_testkit::measure::{clicks, gaps, tone_dbfs};
use foldback_testkit::net::LinkSpec;
use foldback_testkit::sim::{SimConference, Voice};

foldback_testkit::guard_allocations!();

/// The optional stage makes voices louder, so that it is heard whether it runs.
const TALK: &str = "[chain.talk]\nstages = [{ kind = \"gain\", gain_db = 6, optional = true }, \
    { kind = \"mix\", max_talkers = 4 }]\n";

/// Frequency and amplitude of each talker, the loudest first.
const TALKERS: [(f32, f32); 4] = [(310.0, 0.10), (470.0, 0.07), (730.0, 0.05), (1130.0, 0.03)];

#[test]
fn levels_that_go_up_and_down_while_people_talk_leave_no_click_and_no_gap() {
    let (mut sim, listener) = talking();
    sim.tap(listener);
    for _ in 0..3 {
        for level in levels().into_iter().chain(levels().into_iter().rev()) {
            sim.shed(level);
            sim.run(Duration::from_millis(330));
        }
    }
    let found = clicks(sim.tapped(listener));
    assert!(found.is_empty(), "clicks at {found:?}");
    let heard = sim.client(listener).heard();
    let quiet = gaps(&heard[2 * 48_000..], -60.0, 20.0);
    assert!(quiet.is_empty(), "{} gaps, the first {:?}", quiet.len(), quiet.first());
}

#[test]
fn each_level_spares_what_it_says_and_all_of_it_comes_back() {
    let (mut sim, listener) = talking();
    let full = heard_levels(&mut sim, listener);
    for level in levels() {
        sim.shed(level);
        let heard = heard_levels(&mut sim, listener);
        let lower: Vec<_> = full.iter().zip(&heard).map(|(full, now)| full - now).collect();
        for (talker, lower) in lower.iter().enumerate() {
            let wanted = match (level.level(), talker) {
                (5.., 3) => 20.0..f64::INFINITY,
                (2.., 2 | 3) => 5.0..7.0,
                _ => -1.0..1.0,
            };
            assert!(wanted.contains(lower), "level {}: {lower:.1} dB, {wanted:?}", level.level());
        }
    }
    sim.shed(Shedding::NONE);
    let again = heard_levels(&mut sim, listener);
    for (full, again) in full.iter().zip(&again) {
        assert!((full - again).abs() < 1.0, "{again:.1} dBFS, {full:.1} before");
    }
}

#[test]
fn noise_that_the_optional_stages_took_away_brings_nobody_into_the_mix() {
    let quiet = TALK.replace("gain_db = 6", "gain_db = -40");
    let mut sim = conference(&quiet);
    let noisy = sim.join(tone(200.0, 0.01), false);
    sim.run(Duration::from_secs(2));
    let in_mix = |sim: &SimConference| sim.room().levels().any(|it| it.id == noisy && it.talking);
    assert!(!in_mix(&sim), "the stage takes it away");
    sim.shed(Shedding::NONE.more());
    for _ in 0..500 {
        sim.step();
        assert!(!in_mix(&sim), "it is no voice");
    }
}

/// Every level, from none to most.
fn levels() -> Vec<Shedding> {
    let next = |level: &Shedding| (*level < Shedding::MOST).then(|| level.more());
    std::iter::successors(Some(Shedding::NONE), next).collect()
}

/// Four who talk and one who listens, for a while already.
fn talking() -> (SimConference, ParticipantId) {
    let mut sim = conference(TALK);
    let listener = sim.join(Box::new(|_, _| false), true);
    for (hz, amplitude) in TALKERS {
        let talker = sim.join(syllables(hz, amplitude), false);
        sim.encode_well(talker);
    }
    sim.run(Duration::from_secs(2));
    (sim, listener)
}

/// How loud each of the talkers is sent to the listener, after a moment.
fn heard_levels(sim: &mut SimConference, listener: ParticipantId) -> [f64; 4] {
    sim.run(Duration::from_millis(300));
    sim.tap(listener);
    sim.run(Duration::from_millis(500));
    let sound = sim.untap(listener);
    TALKERS.map(|(hz, _)| tone_dbfs(&sound, f64::from(hz)))
}

fn conference(chain: &str) -> SimConference {
    let link = LinkSpec::delayed(Duration::from_millis(15));
    SimConference::new(41, parse(chain), OpusSettings::default(), link)
}

fn parse(text: &str) -> Arc<ChainSpec> {
    let config = Config::parse(text, "test.toml", &foldback_server::plugins::registry());
    Arc::clone(&config.expect("a valid chain").chains[0])
}

/// A tone that comes and goes four times a second, each at other moments.
fn syllables(hz: f32, amplitude: f32) -> Voice {
    Box::new(move |at, out| {
        for (i, sample) in (0u64..).zip(out) {
            let t = ((at + i) % 48_000) as f32 / 48_000.0;
            *sample = amplitude * (0.5 - 0.5 * (TAU * 4.0 * t + hz).cos()) * (TAU * hz * t).sin();
        }
        true
    })
}

fn tone(hz: f32, amplitude: f32) -> Voice {
    Box::new(move |at, out| {
        for (i, sample) in (0u64..).zip(out) {
            let n = ((at + i) % 48_000) as f32;
            *sample = amplitude * (TAU * hz * n / 48_000.0).sin();
        }
        true
    })
}
