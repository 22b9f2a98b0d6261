//! A conference that goes on and on, with clocks that run apart. `make soak` lets it last four hours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldback_config::Config;
use foldback_room::{OpusSettings, ParticipantId, ReceiverStats};
use foldback_testkit::measure::align;
use foldback_testkit::net::LinkSpec;
use foldback_testkit::signal::speech_like;
use foldback_testkit::sim::{ClientSpec, SimConference};

foldback_testkit::guard_allocations!();

/// Minutes, unless the environment says otherwise.
const MINUTES: u64 = 5;

/// What a client says, over and over.
const VOICE_SECONDS: f64 = 31.0;
const SENDERS_PPM: [f64; 4] = [-500.0, -100.0, 100.0, 500.0];

struct Sender {
    id: ParticipantId,
    ppm: f64,
    voice: Arc<Vec<f32>>,
}

#[test]
fn delay_stays_that_of_the_second_minute_while_clocks_run_apart() {
    let minutes = std::env::var("FOLDBACK_SOAK_MINUTES").ok();
    let minutes = minutes.map_or(MINUTES, |m| m.parse().expect("FOLDBACK_SOAK_MINUTES: minutes"));
    let text = "[chain.clean]\nstages = [{ kind = \"mix\" }]\n";
    let config = Config::parse(text, "soak.toml", &foldback_server::plugins::registry());
    let chain = Arc::clone(&config.expect("a valid chain").chains[0]);
    // How well the mixes are encoded is not at stake, and it is what takes the time.
    let opus = OpusSettings { complexity: 0, ..OpusSettings::default() };
    let link = LinkSpec::delayed(Duration::from_millis(20));
    let mut sim = SimConference::new(31, chain, opus, link);
    let listener = sim.join(Box::new(|_, _| false), false);
    let senders: Vec<_> = (0..).zip(SENDERS_PPM).map(|(i, ppm)| join(&mut sim, i, ppm)).collect();
    sim.run(Duration::from_secs(110));
    let early = measure(&mut sim, listener, &senders);
    sim.run(Duration::from_secs((minutes * 60).saturating_sub(130)));
    let late = measure(&mut sim, listener, &senders);
    for ((sender, (early_ms, before)), (late_ms, after)) in senders.iter().zip(early).zip(late) {
        println!("{:+} ppm: {early_ms:.2} ms, after {minutes} minutes {late_ms:.2} ms", sender.ppm);
        let what = format!("{:+} ppm: {before:?}, then {after:?}", sender.ppm);
        assert!((early_ms - late_ms).abs() < 5.0, "{early_ms} ms, then {late_ms} ms; {what}");
        assert_eq!(before.concealed_samples, after.concealed_samples, "an underrun; {what}");
        assert_eq!(
            before.removed_samples_for_acceleration, after.removed_samples_for_acceleration,
            "samples were taken out; {what}"
        );
    }
}

fn join(sim: &mut SimConference, seed: u64, ppm: f64) -> Sender {
    let voice = Arc::new(speech_like(100 + seed, -26.0, VOICE_SECONDS));
    let said = Arc::clone(&voice);
    let id = sim.join_as(
        ClientSpec { ppm, ..ClientSpec::default() },
        Box::new(move |at, pcm| {
            for (i, sample) in (at..).zip(pcm) {
                *sample = said[(i % said.len() as u64) as usize];
            }
            true
        }),
    );
    Sender { id, ppm, voice }
}

/// Delay of each sender's voice from its capture to the mix that is sent, in ms, by what is heard;
/// and its receiver's counters.
fn measure(
    sim: &mut SimConference,
    listener: ParticipantId,
    senders: &[Sender],
) -> Vec<(f64, ReceiverStats)> {
    sim.tap(listener);
    let begun = sim.now();
    sim.run(Duration::from_secs(10));
    let heard = sim.untap(listener);
    senders
        .iter()
        .map(|sender| {
            let mut delays: Vec<f64> =
                (1..18).filter_map(|half| delay_ms(sim, sender, begun, &heard, half)).collect();
            assert!(delays.len() > 8, "{:+} ppm is hardly heard: {delays:?}", sender.ppm);
            delays.sort_by(f64::total_cmp);
            let stats = sim.room().receiver(sender.id).expect("it is here").stats();
            (delays[delays.len() / 2], stats)
        })
        .collect()
}

/// The delay in half a second of what is heard; `None` where the others drown this voice.
fn delay_ms(
    sim: &SimConference,
    sender: &Sender,
    begun: Instant,
    heard: &[f32],
    half: usize,
) -> Option<f64> {
    const HALF: usize = 24_000;
    let window = &heard[half * HALF..(half + 1) * HALF];
    let played = begun + Duration::from_millis(500) * half as u32;
    let client = sim.client(sender.id);
    // Half a second back should be plenty.
    let spoken = played - Duration::from_millis(500);
    let at = spoken.saturating_duration_since(client.captured_at(0.0)).as_secs_f64();
    let from = (at * 48e3 * (1.0 + sender.ppm * 1e-6)) as u64;
    let voice = &sender.voice;
    let said: Vec<f32> =
        (from..from + 2 * HALF as u64).map(|i| voice[(i % voice.len() as u64) as usize]).collect();
    let found = align(window, &said);
    let position = from as f64 + found.delay_samples as f64;
    let captured = client.captured_at(position);
    let delay_ms = played.saturating_duration_since(captured).as_secs_f64() * 1e3;
    (found.correlation > 0.25 && delay_ms < 400.0).then_some(delay_ms)
}
