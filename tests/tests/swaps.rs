//! The conference chain as it ships and one that is really another, 100 times in each other's place
//! while a tone plays, held against ideal fades of 20 ms between both.

use std::f64::consts::{PI, TAU};
use std::sync::Arc;
use std::time::Duration;

use foldback_chain::{Chain, ChainSpec, Change, NoProbe, StageSpec};
use foldback_config::Config;
use foldback_room::OpusSettings;
use foldback_stage::{AudioBuffer, BLOCK_SAMPLES, BlockContext, StageFormat};
use foldback_testkit::measure::{out_of_band_dbfs, rms_dbfs};
use foldback_testkit::net::LinkSpec;
use foldback_testkit::signal::samples;
use foldback_testkit::sim::{SimConference, Voice};

foldback_testkit::guard_allocations!();

/// Another suppressor than in `config/conference.toml`, another level, another delay.
const OTHER: &str = "[chain.other]\nstages = [
  { kind = \"high-pass\", cutoff_hz = 80 },
  { kind = \"echo-cancel\" },
  { kind = \"noise-suppress\", level = \"low\" },
  { kind = \"auto-gain\", target_dbfs = -18 },
  { kind = \"gain\", name = \"quieter\", gain_db = -6 },
  { kind = \"mix\", max_talkers = 3 },
  { kind = \"limiter\", ceiling_dbfs = -3, lookahead_ms = 10 },
]";

const SWAPS: usize = 100;
/// In which the tone is, and what the stages' filters leave of it.
const BAND_HZ: std::ops::RangeInclusive<f64> = 0.0..=1500.0;

/// What the measures of two runs may differ by beside any fade, since suppressors and `auto-gain`
/// remember what was before. A swap without a fade is seven times the step and 30 dB louder out of band.
const STEP_TOLERANCE: f32 = 1.1;
const OUT_OF_BAND_TOLERANCE_DB: f64 = 3.0;

#[test]
fn a_hundred_swaps_of_the_conference_chain_are_as_smooth_as_ideal_fades() {
    let chains = chains().map(|chain| chain.stages().cloned().collect::<Vec<_>>());
    let steady = chains.each_ref().map(|stages| {
        let mut player = Player::new(stages);
        player.play(1800);
        player.out
    });
    let mut player = Player::new(&chains[0]);
    player.play(400);
    for swap in 1..=SWAPS {
        player.change_to(&chains[swap % 2]);
        player.settle();
        player.play(swap % 7);
    }
    let swapped = &player.out[samples(4.0)..];
    assert_as_smooth("the chain", swapped, &ideal(&steady.map(|sound| sound[192_000..].to_vec())));
}

#[test]
fn a_room_that_swaps_the_conference_chain_a_hundred_times_is_as_smooth_as_ideal_fades() {
    let chains = chains();
    let play = |first: usize, swaps: usize, seconds: u64| {
        let link = LinkSpec::delayed(Duration::from_millis(15));
        let chain = Arc::clone(&chains[first]);
        let mut sim = SimConference::new(14, chain, OpusSettings::default(), link);
        let listener = sim.join(Box::new(|_, _| false), true);
        let talker = sim.join(talker(), false);
        sim.encode_well(talker);
        sim.run(Duration::from_secs(4));
        sim.tap(listener);
        let before = sim.client(listener).heard().len();
        for swap in 1..=swaps {
            sim.change_chain(&chains[swap % 2]);
            // Longer than the new stages warm up, and at every place in a packet.
            let warm_up_ms = [1100, 2100][swap % 2];
            sim.run(Duration::from_millis(warm_up_ms + 10 * (swap as u64 % 7)));
        }
        sim.run(Duration::from_secs(seconds));
        let decoded = sim.client(listener).heard()[before..].to_vec();
        [sim.untap(listener), decoded]
    };
    let [sent_by_one, heard_of_one] = play(0, 0, 13);
    let [sent_by_other, heard_of_other] = play(1, 0, 13);
    let [sent, heard] = play(0, SWAPS, 1);
    assert_as_smooth("what is encoded", &sent, &ideal(&[sent_by_one, sent_by_other]));
    assert_as_smooth("what is decoded", &heard, &ideal(&[heard_of_one, heard_of_other]));
}

fn assert_as_smooth(what: &str, swapped: &[f32], ideal: &[f32]) {
    let steps = [swapped, ideal].map(largest_step);
    let outside = [swapped, ideal].map(|sound| out_of_band_dbfs(sound, BAND_HZ));
    println!(
        "{what}: a step of {:.4}, {:.4} in ideal fades; {:.1} dBFS out of band, {:.1} in ideal fades",
        steps[0], steps[1], outside[0], outside[1]
    );
    assert!(rms_dbfs(swapped) > -25.0, "{what}: the tone is at {:.1} dBFS", rms_dbfs(swapped));
    assert!(steps[0] < STEP_TOLERANCE * steps[1], "{what}: steps of {steps:?}");
    assert!(outside[0] < outside[1] + OUT_OF_BAND_TOLERANCE_DB, "{what}: {outside:?} dBFS");
}

/// As many fades between both at equal delay, each at another place in a syllable.
fn ideal(steady: &[Vec<f32>; 2]) -> Vec<f32> {
    const EVERY: usize = 12 * BLOCK_SAMPLES + 100;
    const FADE: f64 = 960.0;
    let delays = chains().map(|chain| {
        let stages: Vec<_> = chain.stages().cloned().collect();
        Chain::build(&stages, StageFormat::MONO).expect("builds").delay_samples()
    });
    let least = delays[0].min(delays[1]);
    let [one, other] = [0, 1].map(|chain| &steady[chain][delays[chain] - least..]);
    let share = |n: usize| {
        let place = ((n % EVERY) as f64 / FADE).min(1.0);
        let faded = 0.5 - 0.5 * (PI * place).cos();
        (if (n / EVERY).is_multiple_of(2) { faded } else { 1.0 - faded }) as f32
    };
    let both = one.iter().zip(other).enumerate().take(SWAPS * EVERY);
    both.map(|(n, (one, other))| one + (other - one) * share(n)).collect()
}

fn largest_step(sound: &[f32]) -> f32 {
    sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
}

/// Five harmonics of a pitch that swings, in four syllables a second with pauses between them: what
/// no suppressor takes for noise. Loud enough that `auto-gain` leaves it as it is.
fn tone(n: u64) -> f32 {
    let at = (n % 48_000) as f64 / 48e3;
    let syllable = (TAU * 2.0 * at).sin().powi(4);
    let phase = TAU * 150.0 * at + 2.0 * (TAU * 3.0 * at).sin();
    let harmonics: f64 = (1..=5).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum();
    (0.4 * syllable * harmonics) as f32
}

fn talker() -> Voice {
    Box::new(|at, out| {
        out.iter_mut().zip(at..).for_each(|(sample, n)| *sample = tone(n));
        true
    })
}

/// The one that ships, and [`OTHER`].
fn chains() -> [Arc<ChainSpec>; 2] {
    let registry = foldback_server::plugins::registry();
    let other = Config::parse(OTHER, "other.toml", &registry).expect("a valid chain");
    [Config::built_in(&registry), other].map(|config| Arc::clone(&config.chains[0]))
}

/// A chain that the tone runs through.
struct Player {
    chain: Chain,
    stages: Vec<StageSpec>,
    played: u64,
    out: Vec<f32>,
}

impl Player {
    fn new(stages: &[StageSpec]) -> Self {
        let chain = Chain::build(stages, StageFormat::MONO).expect("builds");
        Self { chain, stages: stages.to_vec(), played: 0, out: Vec::new() }
    }

    fn play(&mut self, blocks: usize) {
        for _ in 0..blocks {
            let mut audio = AudioBuffer::mono();
            let samples = audio.plane_mut(0).iter_mut().zip(self.played..);
            samples.for_each(|(sample, n)| *sample = tone(n));
            self.played += BLOCK_SAMPLES as u64;
            self.chain.process(&mut audio, &mut BlockContext::default(), &mut NoProbe);
            self.out.extend_from_slice(audio.plane(0));
        }
    }

    fn change_to(&mut self, stages: &[StageSpec]) {
        let change = Change::build(&self.stages, stages, StageFormat::MONO).expect("builds");
        self.chain.change(change.expect("another chain")).expect("fits");
        self.stages = stages.to_vec();
    }

    /// Plays until the change is over.
    fn settle(&mut self) {
        while self.chain.is_changing() {
            self.play(1);
        }
        drop(self.chain.take_over());
    }
}
