use std::f32::consts::TAU;

use foldback_stage::{
    AudioBlock, ParamSpec, RawValue, Stage, StageKind, StageReport, db_to_amplitude,
};

use super::*;
use crate::{Chain, MAX_CHANGES};

const GAIN_DB: ParamSpec = ParamSpec::float("gain_db", "dB", -60.0, 60.0, 0.0, "Gain.").live();
const DELAY: ParamSpec = ParamSpec::int("delay", "", 0, 2000, 0, "In samples.");

/// Late, louder, and counts the blocks that it has seen.
static SHIFT: StageKind = StageKind {
    name: "shift",
    about: "",
    params: &[GAIN_DB, DELAY],
    build: &|params, _| {
        let delay = usize::try_from(params.int(&DELAY)).expect("in range");
        let gain = db_to_amplitude(params.float(&GAIN_DB));
        Ok(Box::new(Shift { line: vec![0.0; delay].into(), gain, blocks: 0.0 }))
    },
};

struct Shift {
    line: std::collections::VecDeque<f32>,
    gain: f32,
    blocks: f32,
}

impl Stage for Shift {
    fn process(&mut self, block: &mut AudioBlock<'_>, _cx: &mut BlockContext<'_>) {
        self.blocks += 1.0;
        for sample in block.planes_mut().flatten() {
            self.line.push_back(*sample * self.gain);
            *sample = self.line.pop_front().expect("as long as the delay, and one");
        }
    }

    fn delay_samples(&self) -> usize {
        self.line.len()
    }

    fn warm_up_blocks(&self) -> usize {
        3
    }

    fn adjust(&mut self, params: &Params) {
        self.gain = db_to_amplitude(params.float(&GAIN_DB));
    }

    fn report(&self, report: &mut StageReport) {
        report.add("blocks", self.blocks);
    }
}

fn stage(name: &str, gain_db: f64, delay: i64) -> StageSpec {
    let mut spec = StageSpec::of(&SHIFT);
    spec.name = name.to_owned();
    spec.params.set(&GAIN_DB, RawValue::Float(gain_db)).expect("in range");
    spec.params.set(&DELAY, RawValue::Int(delay)).expect("in range");
    spec
}

fn off(spec: StageSpec) -> StageSpec {
    StageSpec { enabled: false, ..spec }
}

/// A chain that a tone runs through.
struct Player {
    chain: Chain,
    specs: Vec<StageSpec>,
    played: usize,
    out: Vec<f32>,
}

const TONE_HZ: f32 = 300.0;

impl Player {
    fn new(specs: Vec<StageSpec>) -> Self {
        let chain = Chain::build(&specs, StageFormat::MONO).expect("builds");
        Self { chain, specs, played: 0, out: Vec::new() }
    }

    fn play(&mut self, blocks: usize) {
        for _ in 0..blocks {
            let mut audio = AudioBuffer::mono();
            for (sample, n) in audio.plane_mut(0).iter_mut().zip(self.played..) {
                *sample = 0.25 * (TAU * TONE_HZ * n as f32 / 48e3).sin();
            }
            self.played += BLOCK_SAMPLES;
            self.chain.process(&mut audio, &mut BlockContext::default(), &mut NoProbe);
            self.out.extend_from_slice(audio.plane(0));
        }
    }

    fn change_to(&mut self, specs: Vec<StageSpec>) {
        let change = Change::build(&self.specs, &specs, StageFormat::MONO).expect("builds");
        self.chain.change(change.expect("another chain")).expect("fits");
        self.specs = specs;
    }

    /// Plays until the change is over; returns how many blocks that took.
    fn settle(&mut self) -> usize {
        for blocks in 0..1000 {
            if !self.chain.is_changing() {
                while self.chain.take_over().is_some() {}
                return blocks;
            }
            self.play(1);
        }
        panic!("the change does not end");
    }

    fn blocks_seen_by(&self, stage: usize) -> f32 {
        let report = self.chain.report(stage);
        report.readings().next().map_or(0.0, |reading| reading.value)
    }

    fn largest_step(&self) -> f32 {
        self.out.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }
}

/// The largest step of a tone of that amplitude.
fn step_of_tone(amplitude: f32) -> f32 {
    amplitude * TAU * TONE_HZ / 48e3
}

#[test]
fn the_same_stages_are_no_change() {
    let specs = [stage("a", 0.0, 0), stage("b", 6.0, 3)];
    let change = Change::build(&specs, &specs, StageFormat::MONO).expect("builds");
    assert!(change.is_none());
}

#[test]
fn a_live_parameter_changes_in_the_stage_that_runs() {
    let mut player = Player::new(vec![stage("a", 0.0, 100)]);
    player.play(10);
    player.change_to(vec![stage("a", 6.0, 100)]);
    assert!(!player.chain.is_changing(), "it is over at once");
    player.play(10);
    assert_eq!(player.blocks_seen_by(0), 20.0);
    let peak = player.out[15 * 480..].iter().copied().fold(0.0, f32::max);
    assert!((peak - 0.25 * db_to_amplitude(6.0)).abs() < 0.01, "{peak}");
}

#[test]
fn stages_that_stay_go_on_with_their_state_and_new_ones_are_warm_before_they_are_heard() {
    let mut player = Player::new(vec![stage("a", 0.0, 0), stage("b", 0.0, 0), stage("c", 0.0, 0)]);
    player.play(50);
    player.change_to(vec![stage("a", 0.0, 0), stage("new", -6.0, 0), stage("c", 0.0, 0)]);
    let heard_old = player.out.len();
    player.play(3);
    let peak = player.out[heard_old..].iter().copied().fold(0.0, f32::max);
    assert!(peak > 0.24, "the old stage is heard while the new one warms up: {peak}");
    let blocks = 3 + player.settle();
    assert_eq!(blocks, 5, "three to warm up, two to fade");
    player.play(1);
    assert_eq!(player.blocks_seen_by(0), 56.0);
    assert_eq!(player.blocks_seen_by(1), 6.0);
    assert_eq!(player.blocks_seen_by(2), 56.0);
    let end = &player.out[player.out.len() - 480..];
    let peak = end.iter().copied().fold(0.0, f32::max);
    assert!((peak - 0.25 * db_to_amplitude(-6.0)).abs() < 0.005, "{peak}");
}

#[test]
fn stages_come_and_go_at_any_place() {
    let (a, b, c) = (stage("a", 0.0, 0), stage("b", -6.0, 40), stage("c", 0.0, 7));
    let lists: [&[&StageSpec]; 6] = [&[], &[&a], &[&b, &a], &[&a, &c, &b], &[&c], &[&b, &c]];
    let mut player = Player::new(Vec::new());
    for list in lists {
        let specs: Vec<_> = list.iter().map(|spec| (*spec).clone()).collect();
        if specs != player.specs {
            player.change_to(specs);
        }
        player.play(30);
        assert_eq!(player.settle(), 0);
        let delay: usize = player.specs.iter().map(|s| s.params.int(&DELAY) as usize).sum();
        assert_eq!(player.chain.delay_samples(), delay);
        let gain: f32 = player.specs.iter().map(|s| s.params.float(&GAIN_DB)).sum();
        let last = player.out[player.out.len() - 1];
        let at = player.played - 1 - delay;
        let wanted = 0.25 * db_to_amplitude(gain) * (TAU * TONE_HZ * at as f32 / 48e3).sin();
        assert!((last - wanted).abs() < 1e-3, "{last}, not {wanted}");
    }
}

#[test]
fn no_change_is_a_click_whatever_the_delays() {
    for (old, new) in [((0.0, 0), (-12.0, 0)), ((0.0, 0), (0.0, 480)), ((0.0, 700), (6.0, 33))] {
        let mut player = Player::new(vec![stage("old", old.0, old.1)]);
        player.play(10);
        player.change_to(vec![stage("new", new.0, new.1)]);
        player.play(30);
        assert_eq!(player.settle(), 0);
        let loudest = 0.25 * db_to_amplitude(old.0.max(new.0) as f32);
        // A fade of 20 ms moves by at most pi / 2 / 960 of the difference in a sample.
        let most = step_of_tone(loudest) + 2.0 * loudest * std::f32::consts::FRAC_PI_2 / 960.0;
        let found = player.out[4 * 480..].windows(2).map(|w| (w[1] - w[0]).abs());
        let found = found.fold(0.0, f32::max);
        assert!(found <= most, "{old:?} to {new:?}: a step of {found}, {most} allowed");
    }
}

#[test]
fn a_stage_that_is_switched_off_lets_sound_pass_as_late_as_through_it() {
    let mut player = Player::new(vec![stage("a", -20.0, 433)]);
    player.play(10);
    player.change_to(vec![off(stage("a", -20.0, 433))]);
    player.play(20);
    assert_eq!((player.settle(), player.chain.delay_samples()), (0, 433));
    let late = &player.out[player.out.len() - 480..];
    let first = player.played - 480 - 433;
    for (sample, n) in late.iter().zip(first..) {
        assert_eq!(*sample, 0.25 * (TAU * TONE_HZ * n as f32 / 48e3).sin(), "sample {n}");
    }
    player.change_to(vec![stage("a", -20.0, 433)]);
    player.play(20);
    assert!(player.largest_step() <= 1.1 * step_of_tone(0.25) + 0.25 / 600.0);
}

#[test]
fn a_change_waits_for_the_one_before_it_and_too_many_are_refused() {
    let mut player = Player::new(vec![stage("a", 0.0, 0)]);
    for n in 1..=MAX_CHANGES as i64 {
        player.change_to(vec![stage("a", 0.0, n)]);
    }
    let next = [stage("a", 0.0, 100)];
    let one_more = Change::build(&player.specs, &next, StageFormat::MONO).expect("builds");
    assert!(player.chain.change(one_more.expect("another")).is_err(), "it is full");
    assert!(player.settle() > 4 * MAX_CHANGES);
    assert_eq!(player.chain.delay_samples(), MAX_CHANGES);
    let other = [stage("a", 0.0, 0), stage("b", 0.0, 0)];
    let unfit = Change::build(&other, &next, StageFormat::MONO).expect("builds");
    assert!(player.chain.change(unfit.expect("another")).is_err(), "it is for other stages");
}

#[test]
fn silence_ends_a_change_at_once() {
    let mut player = Player::new(vec![stage("a", 0.0, 0)]);
    player.change_to(vec![stage("b", 0.0, 50)]);
    player.change_to(vec![stage("c", 0.0, 20)]);
    assert!(player.chain.is_changing());
    player.chain.idle(&mut BlockContext::default());
    assert!(!player.chain.is_changing());
    assert!(player.chain.take_over().is_some());
    assert_eq!(player.chain.delay_samples(), 20);
}

#[test]
fn while_a_change_is_under_way_the_delay_is_the_longest_of_both() {
    let mut player = Player::new(vec![stage("a", 0.0, 900)]);
    player.change_to(vec![stage("b", 0.0, 50)]);
    player.play(1);
    assert_eq!(player.chain.delay_samples(), 900);
    player.settle();
    assert_eq!(player.chain.delay_samples(), 50);
}
