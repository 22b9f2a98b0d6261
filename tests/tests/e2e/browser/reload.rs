//! Another configuration while people talk.

use std::time::Duration;

use foldback_config::Config;
use foldback_testkit::measure::{align, clicks, median_tone_dbfs, out_of_band_dbfs, rms_dbfs};
use foldback_testkit::signal::{samples, tone};
use foldback_tests::{Browser, Server};
use tokio::join;

use super::{TONE_DBFS, microphone_tone};

const SPEAKER_HZ: f64 = 440.0;

fn quieter_by(db: u32, look_ahead_ms: u32) -> String {
    format!(
        "[server]\nworkers = 1\n[chain.talk]\nstages = [\n\
         {{ kind = \"high-pass\" }},\n{{ kind = \"gain\", gain_db = -{db} }},\n\
         {{ kind = \"mix\" }},\n{{ kind = \"limiter\", lookahead_ms = {look_ahead_ms} }},\n]\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_20_times_leaves_no_click_and_a_mistake_in_it_changes_nothing() {
    let server = Server::start(&quieter_by(0, 5)).await;
    let (speaker, listener) = join!(
        Browser::with_microphone(microphone_tone(SPEAKER_HZ)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    join!(speaker.join(&server, "room", "Speaker"), listener.join(&server, "room", "Listener"));
    tokio::time::sleep(Duration::from_secs(8)).await;

    let changes = async || {
        for change in 1..=20 {
            tokio::time::sleep(Duration::from_millis(400)).await;
            let (db, look_ahead_ms) = if change % 2 == 0 { (0, 5) } else { (12, 9) };
            server.reload(&quieter_by(db, look_ahead_ms));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.reload(&quieter_by(12, 5));
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    let heard = listener.record_while(changes).await;
    let read_again = server.log().matches("the configuration was read again").count();
    assert!(read_again > 0 && read_again.is_multiple_of(21), "{read_again} times");
    let found = clicks(&heard);
    assert!(found.is_empty(), "clicks at {found:?}");
    let level = |heard: &[f32]| median_tone_dbfs(&heard[heard.len() - 48_000..], SPEAKER_HZ);
    let quiet = level(&heard);
    assert!((quiet - (TONE_DBFS - 12.0)).abs() < 2.0, "{quiet} dBFS, 12 dB below {TONE_DBFS}");
    let taken = "foldback_config_last_reload_successful";
    assert_eq!(server.metrics().await.total(taken, &[]), 1.0);

    server.reload("[chain.talk]\nstages = [{ kind = \"gian\" }]\n");
    let still = level(&listener.record(2.0).await);
    assert!((still - quiet).abs() < 3.0, "{still} dBFS after a mistake, {quiet} before");
    assert_eq!(server.metrics().await.total(taken, &[]), 0.0);
    assert!(server.log().contains("did you mean \"gain\"?"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conference_chain_and_another_swapped_100_times_are_as_smooth_as_ideal_fades() {
    let shipped = Config::BUILT_IN_TEXT;
    let replaced = |text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "`{from}` is not in conference.toml any more");
        text.replace(from, to)
    };
    let denoise = "{ kind = \"denoise\", optional = true }";
    let other = replaced(shipped, denoise, "{ kind = \"high-pass\", name = \"second\" }");
    let other =
        replaced(&other, "{ kind = \"mix\"", "{ kind = \"gain\", gain_db = -9 }, { kind = \"mix\"");
    let server = Server::start(shipped).await;
    let (speaker, listener) =
        join!(Browser::with_microphone(syllables()), Browser::with_microphone(vec![0.0; 48_000]),);
    join!(speaker.join(&server, "room", "Speaker"), listener.join(&server, "room", "Listener"));
    tokio::time::sleep(Duration::from_secs(8)).await;

    let one = listener.record(6.0).await;
    let mut swapped = Vec::new();
    let mut attempts = 0;
    while swapped.len() < 25 {
        attempts += 1;
        assert!(attempts <= 60, "{} of 60 recordings are undisturbed", swapped.len());
        listener.start_recording().await;
        // Few, as a busy machine leaves few seconds undisturbed.
        for swap in 1..=4 {
            server.reload(if swap % 2 == 0 { shipped } else { &other });
            // Longer than `denoise` warms up, or what stands in its place.
            tokio::time::sleep(Duration::from_millis([1_350, 450][swap % 2])).await;
        }
        swapped.extend(listener.stop_undisturbed_recording().await);
    }
    let read_again = server.log().matches("the configuration was read again").count();
    assert_eq!(read_again, 4 * attempts);
    server.reload(&other);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let other = listener.record(6.0).await;

    let found: Vec<_> = swapped.iter().map(|sound| clicks(sound)).collect();
    assert!(found.iter().all(Vec::is_empty), "clicks at {found:?}");
    let [loud, quiet] = [&one, &other].map(|sound| rms_dbfs(sound));
    assert!(loud > -30.0 && loud - quiet > 6.0, "{loud} dBFS and {quiet} are two chains");
    let outside = |sound: &[f32]| out_of_band_dbfs(sound, 0.0..=1500.0);
    let mut of_swapped: Vec<_> = swapped.iter().map(|sound| outside(sound)).collect();
    of_swapped.sort_by(f64::total_cmp);
    let swaps = of_swapped[12];
    let [fades, cuts] = [960, 1].map(|samples| outside(&ideal_fades(&one, &other, samples)));
    println!("out of band are swaps {swaps:.1}, ideal fades {fades:.1}, cuts {cuts:.1} dBFS");
    // Real codecs and playout differ by a few dB from run to run.
    assert!(swaps < fades + 12.0 && swaps < cuts - 12.0, "{swaps}, {fades}, {cuts} dBFS");
}

/// Fades between two recordings of one periodic sound, each at another place in it.
fn ideal_fades(one: &[f32], other: &[f32], fade_samples: usize) -> Vec<f32> {
    const EVERY: usize = 5_860;
    let second = &one[samples(1.0)..samples(2.0)];
    let from = |sound: &[f32]| usize::try_from(align(second, sound).delay_samples).expect("in it");
    let both = one[samples(1.0)..].iter().zip(&other[from(&other[..samples(3.0)])..]);
    let share = |n: usize| {
        let place = ((n % EVERY) as f32 / fade_samples as f32).min(1.0);
        let faded = 0.5 - 0.5 * (std::f32::consts::PI * place).cos();
        if (n / EVERY).is_multiple_of(2) { faded } else { 1.0 - faded }
    };
    both.enumerate().map(|(n, (one, other))| one + (other - one) * share(n)).collect()
}

/// Four syllables a second of five harmonics below 800 Hz: what no suppressor takes for noise. It
/// repeats itself every second, so that no loop has a seam.
fn syllables() -> Vec<f32> {
    let harmonics = [1.0, 2.0, 3.0, 4.0, 5.0].map(|k: f64| tone(150.0 * k, -10.0 - 6.0 * k, 1.0));
    let swell = tone(2.0, 0.0, 1.0);
    let sum = |n: usize| harmonics.iter().map(|harmonic| harmonic[n]).sum::<f32>();
    (0..swell.len()).map(|n| 2.0 * sum(n) * swell[n].powi(4)).collect()
}
