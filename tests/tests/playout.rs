//! What a participant's chain gets from bad networks, in simulated time.

use std::time::Duration;

use foldback_room::LatencyProfile::{Balanced, Low, Robust};
use foldback_testkit::measure::{align, clicks, stoi};
use foldback_testkit::net::{Jitter, LinkSpec, Loss, Stalls};
use foldback_testkit::playout::{Sending, play};
use foldback_testkit::signal::{speech, speech_like};

foldback_testkit::guard_allocations!();

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A sender behind that network.
fn over(link: LinkSpec) -> Sending {
    Sending { link, ..Sending::default() }
}

/// Concealed samples between two times in s, as a share of all.
fn concealed(played: &foldback_testkit::playout::Played, from: f64, to: f64) -> f64 {
    let at = |s| played.stats_at(Balanced, s);
    let (before, after) = (at(from), at(to));
    let all = after.total_samples_received - before.total_samples_received;
    (after.concealed_samples - before.concealed_samples) as f64 / all as f64
}

#[test]
fn without_jitter_latency_is_what_the_design_implies_at_every_phase() {
    let voice = speech_like(1, -26.0, 4.0);
    // Packets of 20 ms out: arrival to the next tick that closes one, plus the tolerance of 4 ms.
    // Packets of 10 ms out: the last half leaves 10 ms after the first; tolerance 2 ms.
    for (profile, least, most) in [(Balanced, 4.0, 24.0), (Low, 12.0, 22.0)] {
        let mut all = Vec::new();
        for phase in (0..20).map(|i| ms(i) + Duration::from_micros(500)) {
            let played = play(&voice, &Sending { phase, ..Sending::default() }, profile);
            assert_eq!(played.stats.last().expect("ticks").concealed_samples, 0, "{phase:?}");
            all.extend_from_slice(&played.latency_ms[100..]);
        }
        all.sort_by(f64::total_cmp);
        let (first, last) = (all[0], all[all.len() - 1]);
        assert!(first >= least - 0.1 && last <= most + 0.1, "{profile:?}: {first} to {last} ms");
        let median = all[all.len() / 2];
        assert!((median - (least + most) / 2.0).abs() < 1.0, "{profile:?}: median {median} ms");
    }
}

#[test]
fn jitter_is_covered_without_much_more_delay_than_it_needs() {
    let voice = speech_like(2, -26.0, 40.0);
    let without = play(&voice, &Sending::default(), Balanced).mean_delay_ms(Balanced, 5.0, 39.0);
    // The 95th percentile of a normal distribution cut at two deviations, from its least value:
    // (2 + 1.47) deviations.
    for (deviation, percentile) in [(10, 34.7), (20, 69.4)] {
        let jitter = Jitter::CutNormal(ms(deviation));
        let link = LinkSpec { jitter, in_order: true, ..LinkSpec::default() };
        let played = play(&voice, &over(link), Balanced);
        let added = played.mean_delay_ms(Balanced, 5.0, 39.0) - without;
        assert!(added < 1.5 * percentile, "{deviation} ms: {added:.1} ms added");
        let share = concealed(&played, 1.0, 39.0);
        assert!(share < 0.01, "{deviation} ms: {:.2} % concealed", share * 100.0);
    }
}

#[test]
fn stalls_that_recur_are_covered_from_the_third_on() {
    let voice = speech_like(3, -26.0, 45.0);
    let stalls = Stalls { first: ms(5_000), length: ms(150), every: Some(ms(5_000)) };
    for profile in [Balanced, Robust] {
        let link = LinkSpec { stalls: Some(stalls), ..LinkSpec::default() };
        let played = play(&voice, &over(link), profile);
        let before = played.mean_delay_ms(profile, 3.0, 4.9);
        let added = played.mean_delay_ms(profile, 20.0, 44.0) - before;
        assert!(added <= 170.0, "{profile:?}: {added:.1} ms added");
        let share = concealed(&played, 14.9, 44.0);
        assert!(share < 0.01, "{profile:?}: {:.2} % concealed", share * 100.0);
    }
}

#[test]
fn a_single_stall_heals_within_three_seconds_without_a_cut() {
    let text = "The quick brown fox jumps over the lazy dog, and then it runs back home again, \
                because it forgot to close the door of the old green house by the river.";
    let mut voice = speech(text, "en-us").expect("espeak-ng is installed by `make setup`");
    voice.extend_from_within(..);
    let stall = Stalls { first: ms(4_000), length: ms(300), every: None };
    let link = LinkSpec { stalls: Some(stall), ..LinkSpec::default() };
    let played = play(&voice, &over(link), Balanced);
    let before = played.mean_delay_ms(Balanced, 3.0, 3.9);
    let after = played.mean_delay_ms(Balanced, 7.3, 7.4);
    assert!(after < before + 20.0, "{after:.0} ms, {before:.0} ms before the stall");
    // Fast, not cut: what was made up during the stall is what was taken out after it, and the
    // words are all there.
    let stats = played.stats.last().expect("ticks");
    let made_up = stats.concealed_samples + stats.inserted_samples_for_deceleration;
    let difference = made_up.abs_diff(stats.removed_samples_for_acceleration);
    assert!(difference < 2_000, "{stats:?}");
    assert_eq!((stats.packets_lost, stats.packets_discarded), (0, 0));
    let found = clicks(&played.sound);
    assert!(found.is_empty(), "clicks at {found:?}");
    let said = &voice[8 * 48_000..11 * 48_000];
    let heard = &played.sound[8 * 48_000..];
    let late = align(said, heard).delay_samples;
    let late = usize::try_from(late).expect("heard after it was said");
    let intelligibility = stoi(said, &heard[late..late + said.len()]);
    assert!(intelligibility > 0.9, "STOI {intelligibility}");
}

#[test]
fn a_clock_that_runs_away_is_followed() {
    let voice = speech_like(4, -26.0, 150.0);
    for ppm in [-500.0, -100.0, 100.0, 500.0] {
        let played = play(&voice, &Sending { ppm, ..Sending::default() }, Balanced);
        let (early, late) = (
            played.mean_delay_ms(Balanced, 60.0, 70.0),
            played.mean_delay_ms(Balanced, 140.0, 149.0),
        );
        assert!((early - late).abs() < 5.0, "{ppm} ppm: {early:.1} ms, then {late:.1} ms");
        let (before, after) = (played.stats_at(Balanced, 30.0), played.stats_at(Balanced, 149.0));
        assert_eq!(before.concealed_samples, after.concealed_samples, "{ppm} ppm: underruns");
        assert_eq!(
            before.removed_samples_for_acceleration, after.removed_samples_for_acceleration,
            "{ppm} ppm: samples were taken out"
        );
        let known = played.drift_ppm.expect("the drift is known");
        assert!((known - ppm).abs() < 2.0, "{ppm} ppm taken for {known}");
    }
}

#[test]
fn packets_of_every_length_are_played_without_a_gap() {
    let voice = speech_like(5, -26.0, 8.0);
    for packet_ms in [10, 20, 40, 60] {
        for profile in [Low, Balanced, Robust] {
            let played = play(&voice, &Sending { packet_ms, ..Sending::default() }, profile);
            let stats = played.stats_at(profile, 7.8);
            let what = format!("{packet_ms} ms, {profile:?}");
            assert_eq!((stats.concealed_samples, stats.packets_lost), (0, 0), "{what}");
            let delay = played.mean_delay_ms(profile, 5.0, 7.5);
            assert!(delay < f64::from(packet_ms) + 45.0, "{what}: {delay:.0} ms");
        }
    }
}

#[test]
fn duplicates_and_reordering_are_put_right() {
    let voice = speech_like(6, -26.0, 30.0);
    let link = LinkSpec { duplicate: 0.1, reorder: 0.05, held_back: ms(45), ..LinkSpec::default() };
    let played = play(&voice, &over(link), Balanced);
    let share = concealed(&played, 5.0, 29.0);
    assert!(share < 0.01, "{:.2} % concealed", share * 100.0);
    assert!(played.stats_at(Balanced, 29.0).packets_discarded > 100, "the duplicates");
}

#[test]
fn the_next_packet_is_waited_for_only_once_packets_are_lost() {
    let voice = speech_like(7, -26.0, 30.0);
    let lossy = |loss| LinkSpec { loss, ..LinkSpec::default() };
    let delay =
        |sending: &Sending| play(&voice, sending, Balanced).mean_delay_ms(Balanced, 20.0, 29.0);
    let fec = Sending { fec_percent: 10, ..Sending::default() };
    let without_loss = delay(&fec);
    assert!((without_loss - delay(&Sending::default())).abs() < 1.0, "{without_loss} ms");
    let with_loss = Sending { link: lossy(Loss::random(0.05)), ..fec };
    let waits = delay(&with_loss) - without_loss;
    assert!((15.0..25.0).contains(&waits), "{waits} ms longer");
    let plain = Sending { fec_percent: 0, ..with_loss.clone() };
    let waits = delay(&plain) - without_loss;
    assert!(waits.abs() < 5.0, "{waits} ms longer without anything to wait for");
    let stats = *play(&voice, &with_loss, Balanced).stats.last().expect("ticks");
    assert!(stats.fec_packets_used > stats.packets_lost / 2, "{stats:?}");
    let red = Sending { copies: 1, ..plain };
    let stats = *play(&voice, &red, Balanced).stats.last().expect("ticks");
    assert!(stats.red_packets_used > 40, "{stats:?}");
}

#[test]
fn two_packets_are_waited_for_only_once_pairs_are_lost_and_copies_reach_so_far() {
    let voice = speech_like(9, -26.0, 40.0);
    let after = |copies, fec_percent, loss| {
        let link = LinkSpec { loss, ..LinkSpec::default() };
        let sending = Sending { copies, fec_percent, link, ..Sending::default() };
        let played = play(&voice, &sending, Balanced);
        (played.mean_delay_ms(Balanced, 20.0, 39.0), concealed(&played, 20.0, 39.0))
    };
    let (still, _) = after(2, 0, Loss::None);
    // Every ninth is lost, or every ninth and the one after it.
    let single = || Loss::trace(&"000010000".repeat(300));
    let pairs = || Loss::trace(&"000011000".repeat(300));
    let none = 0.0..=0.005;
    for (copies, fec_percent, loss, waited, left, what) in [
        (2, 0, single(), 20.0, none.clone(), "two copies, single losses"),
        (2, 0, pairs(), 40.0, none, "two copies, pairs"),
        (1, 0, pairs(), 20.0, 0.10..=0.12, "one copy, pairs"),
        // Opus leaves its FEC away where it thinks that nothing is lost with the packet.
        (1, 20, pairs(), 40.0, 0.0..=0.04, "one copy that has FEC, pairs"),
    ] {
        let (delay, share) = after(copies, fec_percent, loss);
        let waits = delay - still;
        assert!((waits - waited).abs() < 5.0, "{what}: {waits:.1} ms longer");
        assert!(left.contains(&share), "{what}: {:.2} % concealed", share * 100.0);
    }
}
