//! Minutes of conference in simulated time: real sessions, the real room, a seeded network.

use std::f32::consts::TAU;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use foldback_chain::ChainSpec;
use foldback_config::Config;
use foldback_room::OpusSettings;
use foldback_testkit::measure::{clicks, fit_tones, gaps, rms_dbfs, tone_dbfs};
use foldback_testkit::net::{Jitter, LinkSpec, Loss};
use foldback_testkit::sim::{ClientSpec, SimConference, Voice};

foldback_testkit::guard_allocations!();

#[test]
fn each_of_three_hears_the_other_two_and_not_itself() {
    let mut sim = conference(1, CLEAN, LinkSpec::delayed(Duration::from_millis(20)));
    let ids = [440.0_f32, 660.0, 880.0].map(|hz| (sim.join(tone(hz, 0.1), true), hz));
    sim.run(Duration::from_secs(6));
    for (id, own) in ids {
        let heard = last_seconds(sim.client(id).heard(), 3.0);
        for hz in [440.0_f32, 660.0, 880.0] {
            let level = tone_dbfs(heard, f64::from(hz));
            if hz == own {
                assert!(level < -62.0, "{id} hears itself at {level:.1} dBFS");
            } else {
                assert!((level + 20.0).abs() < 1.5, "{id} hears {hz} Hz at {level:.1} dBFS");
            }
        }
    }
}

#[test]
fn fifty_with_three_talkers_run_ten_minutes_with_four_encoders() {
    // How well the mixes are encoded is not at stake here, and it is what takes the time.
    let cheap = OpusSettings { complexity: 0, ..OpusSettings::default() };
    let mut sim = SimConference::new(2, spec(CLEAN), cheap, home_network());
    let talkers: Vec<_> = (0..3).map(|i| sim.join(talker(i), false)).collect();
    let listeners: Vec<_> = (0..47).map(|_| sim.join(Box::new(|_, _| false), false)).collect();
    sim.run(Duration::from_secs(5));
    sim.tap(listeners[0]);
    let (mut most, mut ticks_with_four, mut ticks) = (0, 0, 0);
    for _ in 0..600 * 100 {
        sim.step();
        let encoders = sim.room().encoders_at_work();
        most = most.max(encoders);
        ticks += 1;
        ticks_with_four += u32::from(encoders == 4);
    }
    assert_eq!(most, 4, "one for all listeners, one for each talker");
    assert!(ticks_with_four * 100 > ticks * 95, "four at work in {ticks_with_four} of {ticks}");
    // Talker 0 speaks all the time, so a listener always hears somebody.
    let quiet = gaps(sim.tapped(listeners[0]), -60.0, 20.0);
    assert!(quiet.is_empty(), "{} gaps, the first {:?}", quiet.len(), quiet.first());
    assert!(sim.lost().is_empty(), "lost {:?}", sim.lost());
    for id in talkers.iter().chain(&listeners) {
        let packets = sim.client(*id).packets_heard();
        assert!(packets > 30_000, "{id} got {packets} packets in ten minutes");
    }
}

#[test]
fn the_same_seed_gives_the_same_samples_and_another_seed_others() {
    let run = |seed| {
        let mut sim = conference(seed, CLEAN, rough_network());
        let listener = sim.join(Box::new(|_, _| false), false);
        (0..3).for_each(|i| {
            sim.join(talker(i), false);
        });
        sim.tap(listener);
        sim.run(Duration::from_secs(30));
        let mut hasher = DefaultHasher::new();
        sim.tapped(listener).iter().for_each(|s| s.to_bits().hash(&mut hasher));
        hasher.finish()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn two_voices_at_full_level_stay_clean_behind_a_limiter() {
    let limiter = "stages = [{ kind = \"mix\" }, { kind = \"limiter\", ceiling_dbfs = -1 }]";
    let (mix, heard) = two_full_scale_tones(limiter);
    let before_encoder = fit_tones(&mix, &[440.0, 660.0]).residual_db;
    assert!(before_encoder < -45.0, "what is not the tones is at {before_encoder:.1} dB");
    let decoded = fit_tones(&heard, &[440.0, 660.0]).residual_db;
    assert!(decoded < -40.0, "what is not the tones is at {decoded:.1} dB for the listener");
}

#[test]
fn without_a_limiter_the_sum_saturates_and_never_wraps() {
    let (mix, _) = two_full_scale_tones(CLEAN);
    // A sum that wraps jumps by nearly 2 from one sample to the next; these tones, clipped,
    // change by 0.13 at most.
    let largest = mix.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    assert!(largest < 0.3, "a step of {largest}");
    assert!(mix.iter().all(|s| s.abs() <= 1.0));
    assert!(mix.iter().any(|s| s.abs() > 0.999), "the sum of both must reach full scale");
}

#[test]
fn who_vanishes_or_leaves_makes_no_click_for_the_others() {
    let mut sim = conference(5, CLEAN, LinkSpec::delayed(Duration::from_millis(15)));
    let listener = sim.join(Box::new(|_, _| false), true);
    let steady = sim.join(tone(300.0, 0.1), false);
    let leaver = sim.join(tone(500.0, 0.1), false);
    let vanisher = sim.join(tone(700.0, 0.1), false);
    sim.run(Duration::from_secs(3));
    sim.tap(listener);
    sim.vanish(vanisher);
    sim.run(Duration::from_secs(2));
    assert!(tone_dbfs(last_seconds(sim.tapped(listener), 0.5), 700.0) < -60.0, "it is gone");
    sim.leave(vanisher);
    sim.run(Duration::from_secs(1));
    sim.leave(leaver);
    sim.run(Duration::from_secs(1));
    let found = clicks(sim.tapped(listener));
    assert!(found.is_empty(), "clicks at {found:?}");
    assert!((tone_dbfs(last_seconds(sim.tapped(listener), 0.5), 300.0) + 20.0).abs() < 1.0);
    assert_eq!(sim.room().len(), 2, "the listener and {steady} stay");
}

#[test]
fn a_chain_that_is_changed_a_hundred_times_while_a_tone_plays_leaves_no_click() {
    let one = "stages = [{ kind = \"high-pass\" }, { kind = \"gain\", gain_db = -3 }, \
               { kind = \"mix\" }, { kind = \"limiter\" }]";
    let other = "stages = [{ kind = \"gain\", name = \"quieter\", gain_db = -9 }, \
                 { kind = \"limiter\", name = \"first\", lookahead_ms = 10 }, \
                 { kind = \"mix\", max_talkers = 3 }, { kind = \"limiter\" }]";
    let play = |changes: usize, chains: [&str; 2]| {
        let mut sim = conference(14, chains[0], LinkSpec::delayed(Duration::from_millis(15)));
        let listener = sim.join(Box::new(|_, _| false), false);
        let talker = sim.join(tone(400.0, 0.2), false);
        sim.encode_well(talker);
        sim.run(Duration::from_secs(3));
        sim.tap(listener);
        let chains = chains.map(spec);
        for change in 1..=changes {
            sim.change_chain(&chains[change % 2]);
            // Longer than it takes to warm a limiter up, and at every place in a packet.
            sim.run(Duration::from_millis(570 + 10 * (change as u64 % 7)));
        }
        sim.run(Duration::from_secs(1));
        sim.untap(listener)
    };
    let steady = [play(0, [one, one]), play(0, [other, other])];
    let changed = play(100, [one, other]);
    // What a click has most of, and a faded tone nothing: the fourth difference passes what is near
    // half the sampling rate.
    let edges = |sound: &[f32]| {
        let edge = |w: &[f32]| (w[0] - 4.0 * w[1] + 6.0 * w[2] - 4.0 * w[3] + w[4]).abs();
        sound.windows(5).map(edge).fold(0.0, f32::max)
    };
    let steps = |sound: &[f32]| sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    let most =
        |of: &dyn Fn(&[f32]) -> f32| steady.iter().map(|sound| of(sound)).fold(0.0, f32::max);
    let (edge, step) = (edges(&changed), steps(&changed));
    assert!(edge < 1.5 * most(&edges), "an edge of {edge}, {} without changes", most(&edges));
    assert!(step < 1.05 * most(&steps), "a step of {step}, {} without changes", most(&steps));
    let rate = |hz: f64| tone_dbfs(last_seconds(&changed, 0.5), hz);
    assert!((rate(400.0) + 14.0 + 3.0).abs() < 1.0, "{} dBFS at the end", rate(400.0));
}

#[test]
fn a_room_that_stops_mixing_gives_each_their_own_voice_back() {
    let mixing = "stages = [{ kind = \"mix\" }]";
    let alone = "stages = [{ kind = \"gain\", gain_db = -6 }]";
    let mut sim = conference(15, mixing, LinkSpec::delayed(Duration::from_millis(15)));
    let low = sim.join(tone(400.0, 0.1), false);
    let high = sim.join(tone(900.0, 0.1), false);
    sim.run(Duration::from_secs(3));
    for (chain, own, others) in [(alone, -26.0, -100.0), (mixing, -100.0, -20.0)] {
        sim.change_chain(&spec(chain));
        sim.run(Duration::from_secs(3));
        for (id, mine, theirs) in [(low, 400.0, 900.0), (high, 900.0, 400.0)] {
            sim.tap(id);
            sim.run(Duration::from_millis(500));
            let heard = sim.untap(id);
            for (hz, wanted) in [(mine, own), (theirs, others)] {
                let level = tone_dbfs(&heard, hz);
                let right =
                    if wanted < -99.0 { level < -60.0 } else { (level - wanted).abs() < 1.5 };
                assert!(right, "{chain}: {hz} Hz at {level:.1} dBFS, not {wanted}");
            }
        }
    }
}

#[test]
fn muting_and_unmuting_make_no_click() {
    let chain = "stages = [{ kind = \"limiter\", ceiling_dbfs = 0, lookahead_ms = 10 }, { kind = \"mix\" }]";
    let mut sim = conference(12, chain, LinkSpec::delayed(Duration::from_millis(15)));
    let listener = sim.join(Box::new(|_, _| false), false);
    let talker = sim.join(tone(400.0, 0.1), false);
    sim.run(Duration::from_secs(3));
    sim.tap(listener);
    for muted in [true, false, true] {
        sim.set_muted(talker, muted);
        sim.run(Duration::from_secs(2));
        let level = tone_dbfs(last_seconds(sim.tapped(listener), 0.5), 400.0);
        assert_eq!(level < -80.0, muted, "at {level:.1} dBFS when muted: {muted}");
    }
    let found = clicks(sim.tapped(listener));
    assert!(found.is_empty(), "clicks at {found:?}");
}

#[test]
fn listeners_share_encoders_by_what_is_lost_on_their_way() {
    let cheap = OpusSettings { complexity: 0, expected_loss_percent: 0, ..OpusSettings::default() };
    let way = LinkSpec::delayed(Duration::from_millis(20));
    let mut sim = SimConference::new(21, spec(CLEAN), cheap, way.clone());
    let silent = || -> Voice { Box::new(|_, _| false) };
    let takes_copies = ClientSpec { red: true, ..ClientSpec::default() };
    let talker = sim.join(tone(440.0, 0.1), false);
    let listeners: Vec<_> = (0..6).map(|_| sim.join_as(takes_copies, silent())).collect();
    sim.run(Duration::from_secs(10));
    assert_eq!(sim.room().encoders_at_work(), 1, "one for all who listen");
    let lossy = LinkSpec { loss: Loss::random(0.08), ..way.clone() };
    for id in &listeners[..3] {
        sim.set_links(*id, lossy.clone(), way.clone());
    }
    sim.run(Duration::from_secs(30));
    assert_eq!(sim.room().encoders_at_work(), 2, "one more for the three behind loss");
    let copies = |sim: &SimConference, id| sim.client(id).copies_heard();
    assert!(copies(&sim, listeners[0]) > 500, "each packet carries the one before it");
    assert_eq!(copies(&sim, listeners[5]), 0, "nothing is lost there");
    for id in &listeners[..3] {
        sim.set_links(*id, way.clone(), way.clone());
    }
    sim.run(Duration::from_secs(150));
    assert_eq!(sim.room().encoders_at_work(), 1, "all is well again");
    assert_eq!(sim.client(listeners[5]).sources(), [talker.0 as u32]);
}

#[test]
fn packets_name_those_who_are_heard_in_them_the_loudest_first() {
    let mut sim = conference(22, CLEAN, LinkSpec::delayed(Duration::from_millis(20)));
    let listener = sim.join(Box::new(|_, _| false), false);
    let quiet = sim.join(tone(440.0, 0.05), false);
    let loud = sim.join(tone(660.0, 0.2), false);
    sim.run(Duration::from_secs(4));
    assert_eq!(sim.client(listener).sources(), [loud.0 as u32, quiet.0 as u32]);
    assert_eq!(sim.client(loud).sources(), [quiet.0 as u32], "nobody hears themselves");
}

#[test]
fn listeners_are_told_when_what_they_hear_was_captured() {
    let mut sim = conference(24, CLEAN, LinkSpec::delayed(Duration::from_millis(20)));
    let listener = sim.join(Box::new(|_, _| false), false);
    let tells = ClientSpec { tells_capture_ms_ahead: Some(250), ..ClientSpec::default() };
    sim.join_as(tells, tone(440.0, 0.1));
    let begun = sim.now();
    sim.run(Duration::from_secs(4));
    let captured = sim.client(listener).captured().expect("it is told");
    let told = captured - Duration::from_millis(250);
    let now = sim.now().saturating_duration_since(begun);
    // A packet of 20 ms, 20 ms each way, and what the room takes.
    let ago = now.saturating_sub(told).as_millis();
    assert!((60..110).contains(&ago), "captured {ago} ms ago");
}

#[test]
fn lost_packets_are_taken_from_the_copies_that_clients_send() {
    let way = LinkSpec::delayed(Duration::from_millis(20));
    let mut sim = conference(23, CLEAN, way.clone());
    let spec = ClientSpec { red: true, ..ClientSpec::default() };
    let talker = sim.join_as(spec, tone(440.0, 0.1));
    sim.run(Duration::from_secs(3));
    let lossy = LinkSpec { loss: Loss::random(0.10), ..way.clone() };
    sim.set_links(talker, way, lossy);
    sim.run(Duration::from_secs(30));
    let stats = sim.room().receiver(talker).expect("it is here").stats();
    assert!(stats.red_packets_used > 100, "{stats:?}");
    let missing = stats.packets_lost - stats.red_packets_used;
    assert!(missing < 40, "only where two in a row are lost: {stats:?}");
}

#[test]
fn numbers_and_times_that_wrap_on_the_wire_are_no_gap() {
    let mut sim = conference(25, CLEAN, LinkSpec::delayed(Duration::from_millis(20)));
    let listener = sim.join(Box::new(|_, _| false), false);
    // The numbers wrap after 6 s, the time after 8 s.
    let spec = ClientSpec {
        red: true,
        rtp_begins_at: (u16::MAX - 300, u32::MAX - 8 * 48_000),
        ..ClientSpec::default()
    };
    let talker = sim.join_as(spec, tone(440.0, 0.1));
    sim.run(Duration::from_secs(4));
    sim.tap(listener);
    sim.run(Duration::from_secs(8));
    let stats = sim.room().receiver(talker).expect("it is here").stats();
    assert!(stats.packets_received > 580, "{stats:?}");
    assert_eq!((stats.packets_lost, stats.packets_discarded, stats.packets_invalid), (0, 0, 0));
    assert_eq!(stats.concealed_samples, 0);
    assert_eq!(gaps(sim.tapped(listener), -40.0, 5.0), []);
}

#[test]
fn loss_and_jitter_leave_no_gaps_in_speech() {
    let mut sim = conference(6, CLEAN, rough_network());
    let listener = sim.join(Box::new(|_, _| false), false);
    sim.join(tone(440.0, 0.1), false);
    sim.run(Duration::from_secs(5));
    sim.tap(listener);
    sim.run(Duration::from_secs(60));
    let mix = sim.tapped(listener);
    // libopus lets a lost tone fall by 25 dB within its 20 ms; a gap is what is longer and lower.
    let holes = gaps(mix, -50.0, 30.0);
    assert!(holes.is_empty(), "{} gaps, the first {:?}", holes.len(), holes.first());
    assert!((rms_dbfs(mix) + 23.0).abs() < 1.5, "level {:.1} dBFS", rms_dbfs(mix));
}

#[test]
fn an_echo_chain_returns_each_only_its_own_voice() {
    let mut sim = conference(9, "stages = []", LinkSpec::delayed(Duration::from_millis(10)));
    let (a, b) = (sim.join(tone(440.0, 0.1), true), sim.join(tone(660.0, 0.1), true));
    sim.run(Duration::from_secs(4));
    for (id, own, other) in [(a, 440.0, 660.0), (b, 660.0, 440.0)] {
        let heard = last_seconds(sim.client(id).heard(), 2.0);
        assert!((tone_dbfs(heard, own) + 20.0).abs() < 1.5);
        assert!(tone_dbfs(heard, other) < -60.0);
    }
}

#[test]
fn the_conference_chain_runs_in_the_tick_without_allocating() {
    let registry = foldback_server::plugins::registry();
    let chain = Arc::clone(&Config::built_in(&registry).chains[0]);
    let mut sim = SimConference::new(11, chain, OpusSettings::default(), home_network());
    let listener = sim.join(Box::new(|_, _| false), false);
    sim.join(talker(0), false);
    sim.join(talker(1), false);
    sim.tap(listener);
    // `SimConference::step` runs `Room::tick` under the guard; an allocation ends the program.
    sim.run(Duration::from_secs(20));
    assert_eq!(sim.room().faults(), 0, "no stage was taken out");
    assert!(rms_dbfs(last_seconds(sim.tapped(listener), 10.0)) > -50.0);
}

const CLEAN: &str = "stages = [{ kind = \"mix\" }]";

fn conference(seed: u64, chain: &str, link: LinkSpec) -> SimConference {
    SimConference::new(seed, spec(chain), OpusSettings::default(), link)
}

fn spec(stages: &str) -> Arc<ChainSpec> {
    let text = format!("[chain.test]\n{stages}\n");
    let config = Config::parse(&text, "test.toml", &foldback_server::plugins::registry());
    Arc::clone(&config.expect("a valid chain").chains[0])
}

fn home_network() -> LinkSpec {
    LinkSpec {
        jitter: Jitter::Normal(Duration::from_millis(3)),
        in_order: true,
        ..LinkSpec::delayed(Duration::from_millis(20))
    }
}

fn rough_network() -> LinkSpec {
    LinkSpec {
        jitter: Jitter::Normal(Duration::from_millis(10)),
        loss: Loss::random(0.05),
        reorder: 0.01,
        held_back: Duration::from_millis(15),
        ..LinkSpec::delayed(Duration::from_millis(30))
    }
}

fn tone(hz: f32, amplitude: f32) -> Voice {
    Box::new(move |at, out| {
        for (i, sample) in (0u64..).zip(out) {
            // The phase is taken in whole periods of a second, so that it stays exact for hours.
            let n = ((at + i) % 48_000) as f32;
            *sample = amplitude * (TAU * hz * n / 48_000.0).sin();
        }
        true
    })
}

/// Syllables of a few harmonics; never silent for long.
fn talker(number: u16) -> Voice {
    let pitch = 110.0 + 40.0 * f32::from(number);
    Box::new(move |at, out| {
        for (i, sample) in (0u64..).zip(out) {
            let n = ((at + i) % 48_000) as f32 / 48_000.0;
            let syllable = 0.6 + 0.4 * (TAU * 4.0 * n).sin();
            let voice: f32 =
                (1..6).map(|k| (TAU * pitch.round() * k as f32 * n).sin() / k as f32).sum();
            *sample = 0.08 * syllable * voice;
        }
        true
    })
}

/// What the listener is sent, and what it decodes.
fn two_full_scale_tones(chain: &str) -> (Vec<f32>, Vec<f32>) {
    let mut sim = conference(3, chain, LinkSpec::delayed(Duration::from_millis(10)));
    let listener = sim.join(Box::new(|_, _| false), true);
    let amplitude = foldback_db(-1.0);
    for hz in [440.0, 660.0] {
        let voice = sim.join(tone(hz, amplitude), false);
        sim.encode_well(voice);
    }
    sim.run(Duration::from_secs(4));
    sim.tap(listener);
    sim.run(Duration::from_secs(2));
    let heard = last_seconds(sim.client(listener).heard(), 2.0).to_vec();
    (sim.tapped(listener).to_vec(), heard)
}

fn foldback_db(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

fn last_seconds(samples: &[f32], seconds: f64) -> &[f32] {
    let count = (seconds * 48_000.0) as usize;
    &samples[samples.len().saturating_sub(count)..]
}
