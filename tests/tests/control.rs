//! Stages that change while people talk, in simulated time.

use std::f32::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use foldback_chain::ChainSpec;
use foldback_config::{Config, Overrides};
use foldback_room::OpusSettings;
use foldback_stage::RawValue;
use foldback_testkit::measure::{clicks, tone_dbfs};
use foldback_testkit::net::LinkSpec;
use foldback_testkit::sim::{SimConference, Voice};

foldback_testkit::guard_allocations!();

const TALK: &str = "[chain.talk]\nstages = [{ kind = \"gain\" }, { kind = \"mix\" }, \
    { kind = \"limiter\" }]\n";

#[test]
fn a_live_parameter_changes_what_is_heard_without_a_click_and_at_once() {
    let talk = chain();
    let mut sim = conference(21);
    let listener = sim.join(Box::new(|_, _| false), false);
    let talker = sim.join(tone(400.0, 0.1), false);
    sim.encode_well(talker);
    sim.run(Duration::from_secs(3));
    sim.tap(listener);
    for change in 0..20 {
        sim.change_chain(&with_gain(&talk, if change % 2 == 0 { -12 } else { 0 }));
        // A stage that is built anew fades in over 20 ms after it has warmed up; one that goes on
        // takes its new gain at once.
        sim.run(Duration::from_millis(310));
    }
    sim.change_chain(&with_gain(&talk, -12));
    sim.run(Duration::from_secs(1));
    let heard = sim.untap(listener);
    let found = clicks(&heard);
    assert!(found.is_empty(), "clicks at {found:?}");
    let level = tone_dbfs(&heard[heard.len() - 24_000..], 400.0);
    assert!((level + 20.0 + 12.0).abs() < 1.0, "{level:.1} dBFS, 12 dB below -20");
}

#[test]
fn one_participants_own_stages_change_its_voice_and_leave_the_others_bit_exact() {
    let talk = chain();
    let quieter = with_gain(&talk, -12);
    // `who` of two talks: the one whose stages are its own, or the other.
    let play = |who: usize, own: bool| {
        let mut sim = conference(22);
        let listener = sim.join(Box::new(|_, _| false), false);
        let voice =
            |n| if n == who { tone(400.0, 0.1) } else { Box::new(|_, _: &mut [f32]| false) };
        let (one, other) = (sim.join(voice(0), false), sim.join(voice(1), false));
        sim.encode_well(one);
        sim.encode_well(other);
        sim.run(Duration::from_secs(3));
        sim.tap(listener);
        if own {
            sim.change_input(one, &talk, &quieter);
        }
        sim.run(Duration::from_secs(2));
        sim.untap(listener)
    };
    assert!(play(1, true) == play(1, false), "the other's voice is another");
    let level = |sound: &[f32]| tone_dbfs(&sound[sound.len() - 24_000..], 400.0);
    let (with, without) = (level(&play(0, true)), level(&play(0, false)));
    assert!((without - with - 12.0).abs() < 0.5, "{with:.1} dBFS, {without:.1} without");
}

#[test]
fn stages_of_another_chain_before_mix_come_and_go_for_one_participant_without_a_click() {
    let talk = chain();
    let other = "[chain.talk]\nstages = [{ kind = \"high-pass\" }, { kind = \"gain\", \
        name = \"soft\", gain_db = -6 }, { kind = \"mix\" }, { kind = \"limiter\" }]\n";
    let other = parse(other);
    let mut sim = conference(23);
    let listener = sim.join(Box::new(|_, _| false), false);
    let talker = sim.join(tone(400.0, 0.1), false);
    sim.encode_well(talker);
    sim.run(Duration::from_secs(3));
    sim.tap(listener);
    for change in 0..10 {
        let (from, to) = if change % 2 == 0 { (&talk, &other) } else { (&other, &talk) };
        sim.change_input(talker, from, to);
        sim.run(Duration::from_millis(730));
        let sound = sim.tapped(listener);
        let level = tone_dbfs(&sound[sound.len() - 9_600..], 400.0);
        let wanted = if change % 2 == 0 { -26.0 } else { -20.0 };
        assert!((level - wanted).abs() < 1.0, "{level:.1} dBFS, not {wanted}");
    }
    let found = clicks(sim.tapped(listener));
    assert!(found.is_empty(), "clicks at {found:?}");
}

#[test]
fn the_readings_of_a_room_are_of_the_stages_that_run_in_it() {
    let mut sim = conference(24);
    let _listener = sim.join(Box::new(|_, _| false), false);
    let loud = sim.join(tone(400.0, 0.98), false);
    sim.change_chain(&with_gain(&chain(), 12));
    sim.run(Duration::from_secs(3));
    let mut limited = 0;
    for side in sim.room().readings().filter(|side| side.id.is_none()) {
        let reports: Vec<_> = side.reports().collect();
        assert_eq!(reports.len(), side.chain.output.len());
        limited += reports[0].readings().filter(|reading| reading.value.abs() > 6.0).count();
    }
    assert!(limited > 0, "12 dB too loud is taken down by {loud}'s listeners' limiter");
}

#[test]
fn fewer_talkers_are_heard_from_one_moment_to_the_next_without_a_click_and_more_again() {
    let talk = chain();
    let mut sim = conference(25);
    let listener = sim.join(Box::new(|_, _| false), false);
    for (hz, amplitude) in [(400.0, 0.1), (1_000.0, 0.05)] {
        let talker = sim.join(tone(hz, amplitude), false);
        sim.encode_well(talker);
    }
    sim.run(Duration::from_secs(3));
    sim.tap(listener);
    for max_talkers in [1, 2, 1] {
        let mut overrides = Overrides::default();
        let params = [("max_talkers", RawValue::Int(max_talkers))];
        overrides
            .set(&[], talk.format, talk.mix, "mix", None, &params)
            .expect("a number of talkers");
        sim.change_chain(&overrides.apply(&talk));
        sim.run(Duration::from_secs(1));
        let sound = sim.tapped(listener);
        let last = &sound[sound.len() - 9_600..];
        let (louder, quieter) = (tone_dbfs(last, 400.0), tone_dbfs(last, 1_000.0));
        assert!((louder + 20.0).abs() < 1.0, "{louder:.1} dBFS, not -20");
        let as_wanted = if max_talkers == 2 { quieter > -27.0 } else { quieter < -55.0 };
        assert!(as_wanted, "the quieter of two at {quieter:.1} dBFS, of {max_talkers} heard");
    }
    let found = clicks(sim.tapped(listener));
    assert!(found.is_empty(), "clicks at {found:?}");
}

fn conference(seed: u64) -> SimConference {
    let link = LinkSpec::delayed(Duration::from_millis(15));
    SimConference::new(seed, chain(), OpusSettings::default(), link)
}

fn chain() -> Arc<ChainSpec> {
    parse(TALK)
}

fn parse(text: &str) -> Arc<ChainSpec> {
    let config = Config::parse(text, "test.toml", &foldback_server::plugins::registry());
    Arc::clone(&config.expect("a valid chain").chains[0])
}

fn with_gain(chain: &Arc<ChainSpec>, db: i64) -> Arc<ChainSpec> {
    let mut overrides = Overrides::default();
    let params = [("gain_db", RawValue::Int(db))];
    overrides.set(&chain.input, chain.format, None, "gain", None, &params).expect("a gain");
    overrides.apply(chain)
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
