//! Chromium, Firefox and clients of `foldback load` in one room, for as long as
//! `FOLDBACK_MIXED_SECONDS` says.

use std::process::Command;
use std::time::Duration;

use foldback_testkit::measure::{median_tone_dbfs, tone_dbfs};
use foldback_testkit::signal;
use foldback_tests::{Browser, SETTLING, Server, foldback};
use serde_json::Value;
use tokio::join;

use super::TONE_DBFS;

const SECONDS: u32 = 20;
/// Above all that made-up voices say loudly.
const CHROMIUM_HZ: f64 = 5_000.0;
const FIREFOX_HZ: f64 = 6_000.0;
/// What is recorded is taken out of the pages so often. The end of each, less than a window, is not
/// looked at.
const TAKEN_EVERY: Duration = Duration::from_secs(5);
/// A tone of which so many samples are weaker by so much has a gap.
const WINDOW_SAMPLES: usize = 960;
const GAP_DB: f64 = 20.0;
const ATTEMPTS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_room_of_browsers_and_load_clients_holds_without_a_gap() {
    let seconds = std::env::var("FOLDBACK_MIXED_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |s| s.parse().expect("FOLDBACK_MIXED_SECONDS: seconds"));
    let server = Server::start_for_firefox_with_file("clean.toml").await;
    let Some(ann) = Browser::firefox(FIREFOX_HZ as u32).await else { return };
    // Its file begins again and again: a whole number of periods has no seam.
    let bob = Browser::with_microphone(signal::tone(CHROMIUM_HZ, TONE_DBFS, 60.0)).await;
    join!(ann.join(&server, "mixed-1", "Ann"), bob.join(&server, "mixed-1", "Bob"));
    tokio::time::sleep(2 * SETTLING).await;

    for attempt in 1.. {
        let held = Held::listen(&server, [&ann, &bob], seconds).await;
        println!("{held:#?}");
        assert_eq!(held.figure("/joining/joined"), 4.0);
        for path in ["/joining/broken_off", "/packets/lost"] {
            assert_eq!(held.figure(path), 0.0, "{path}");
        }
        for (ear, lost) in held.ears.iter().zip(held.lost) {
            assert!(ear.seconds > f64::from(seconds), "{ear:?}");
            assert_eq!(lost, 0, "packets to {}", ear.name);
        }
        let gaps = held.gaps();
        if gaps == [0.0; 4] {
            break;
        }
        // Whatever takes the machine away from the server or the clients for several ticks makes gaps.
        let skipped = held.figure("/server/ticks_skipped");
        let late_ms = held.figure("/client/lateness/max_ms");
        let may_be_excused = (skipped > 0.0 || late_ms > 20.0) && attempt < ATTEMPTS;
        assert!(
            may_be_excused,
            "{gaps:?} gaps, {skipped} ticks skipped, {late_ms} ms late, attempt {attempt}"
        );
    }
}

/// What became of the room in a while.
#[derive(Debug)]
struct Held {
    report: Value,
    ears: [Ear; 2],
    /// Packets to each browser.
    lost: [i64; 2],
    #[allow(dead_code, reason = "printed")]
    concealed_samples: [i64; 2],
}

impl Held {
    async fn listen(server: &Server, [ann, bob]: [&Browser; 2], seconds: u32) -> Self {
        let before = [received(ann).await, received(bob).await];
        join!(ann.start_recording(), bob.start_recording());
        let load = tokio::spawn(load(server.url("/"), seconds));
        let mut ears = [Ear::new("Ann", CHROMIUM_HZ), Ear::new("Bob", FIREFOX_HZ)];
        while !load.is_finished() {
            tokio::time::sleep(TAKEN_EVERY).await;
            let (ann_hears, bob_hears) = join!(ann.take_recording(), bob.take_recording());
            ears[0].hear(&ann_hears);
            ears[1].hear(&bob_hears);
        }
        join!(ann.stop_recording(), bob.stop_recording());
        let after = [received(ann).await, received(bob).await];
        let count =
            |index: usize| [0, 1].map(|page: usize| after[page][index] - before[page][index]);
        let report = load.await.expect("the load runs");
        Self { report, ears, lost: count(0), concealed_samples: count(1) }
    }

    /// At Ann, at Bob, and at the clients: of packets, and of what they decode.
    fn gaps(&self) -> [f64; 4] {
        let [ann, bob] = self.ears.each_ref().map(|ear| ear.gaps_at_s.len() as f64);
        [ann, bob, self.figure("/packets/gaps"), self.figure("/mouth_to_ear/holes")]
    }

    fn figure(&self, path: &str) -> f64 {
        self.report.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }
}

/// Four clients, two of whom talk, all of whom listen; returns what they tell in the end.
async fn load(url: String, seconds: u32) -> Value {
    let run = move || {
        Command::new(foldback())
            .args(["load", "--url", &url, "--room", "mixed", "--participants", "4"])
            .args(["--talkers", "2", "--decode-percent", "100", "--ramp", "100", "--json"])
            .args(["--seconds", &seconds.to_string()])
            .output()
            .expect("the command runs")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Listens for one tone.
#[derive(Debug)]
struct Ear {
    name: &'static str,
    tone_hz: f64,
    seconds: f64,
    usual_dbfs: f64,
    lowest_dbfs: f64,
    gaps_at_s: Vec<f64>,
}

impl Ear {
    fn new(name: &'static str, tone_hz: f64) -> Self {
        let (usual_dbfs, lowest_dbfs) = (f64::NAN, f64::INFINITY);
        Self { name, tone_hz, seconds: 0.0, usual_dbfs, lowest_dbfs, gaps_at_s: Vec::new() }
    }

    fn hear(&mut self, heard: &[f32]) {
        if self.usual_dbfs.is_nan() {
            self.usual_dbfs = median_tone_dbfs(heard, self.tone_hz);
            assert!(self.usual_dbfs > TONE_DBFS - 3.0, "{self:?}");
        }
        let hop = WINDOW_SAMPLES / 2;
        let hops = (0..heard.len()).step_by(hop);
        for window in hops.map_while(|from| heard.get(from..from + WINDOW_SAMPLES)) {
            let level_dbfs = tone_dbfs(window, self.tone_hz);
            self.lowest_dbfs = self.lowest_dbfs.min(level_dbfs);
            if level_dbfs < self.usual_dbfs - GAP_DB {
                self.gaps_at_s.push(self.seconds);
            }
            self.seconds += hop as f64 / 48_000.0;
        }
    }
}

/// Packets that a page lost, and samples that it made up, so far.
async fn received(page: &Browser) -> [i64; 2] {
    const COUNTS: &str = "
        const report = await window.foldback.pc.getStats();
        const { packetsLost, concealedSamples } = [...report.values()]
          .find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio');
        return [packetsLost, concealedSamples];
    ";
    let counts = page.async_script(COUNTS, vec![]).await;
    [0, 1].map(|index| counts[index].as_i64().expect("a count"))
}
