//! What a room costs, by participants and talkers, and what it would without sharing mixes and
//! without skipping silence: tables of computing time, as the operating system counts it for this
//! thread. `cargo bench -p foldback-benches --bench tick`

use std::sync::Arc;
use std::time::Duration;

use foldback_benches::{Meeting, cpu_time, ms};
use foldback_chain::ChainSpec;
use foldback_config::Config;
use foldback_room::{Economies, OpusSettings};

/// Packets before the measuring, and in it: 2 and 6 s.
const SETTLING: u64 = 100;
const MEASURED: u64 = 300;

fn main() {
    let registry = foldback_server::plugins::registry();
    let conference = Arc::clone(&Config::built_in(&registry).chains[0]);
    let clean = Meeting::clean_chain();
    let all = Economies::default();
    println!("| chain | participants | talkers | CPU of all | of each | tick, median | 99 % |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (chain, counts) in [(&clean, &[10, 50, 200, 500, 1000][..]), (&conference, &[10, 50, 200])]
    {
        for (participants, talkers) in counts.iter().flat_map(|n| [1, 3, 10].map(|k| (*n, k))) {
            let cost = measure(chain, participants, talkers, all);
            let Cost { of_all, median, late } = cost;
            println!(
                "| {} | {participants} | {talkers} | {of_all:.2} ms/s | {:.4} ms/s | {:.3} ms | \
                 {:.3} ms |",
                chain.name,
                of_all / participants as f64,
                ms(median),
                ms(late),
            );
        }
    }
    println!("\n| 200 participants, 3 talkers, `clean` | CPU of all | of each listener | factor |");
    println!("| --- | --- | --- | --- |");
    // What the talkers cost is not the listeners'.
    let talkers = |economies| measure(&clean, 3, 3, economies).of_all;
    let listener = |of_all: f64| (of_all - talkers(all)) / 197.0;
    let mut least = None;
    for (name, share_mixes, skip_silence) in [
        ("as it is", true, true),
        ("silence not skipped", true, false),
        ("mixes not shared", false, true),
        ("neither", false, false),
    ] {
        let economies = Economies { share_mixes, skip_silence };
        let of_all = measure(&clean, 200, 3, economies).of_all;
        let each = listener(of_all);
        let factor = each / *least.get_or_insert(each);
        println!("| {name} | {of_all:.1} ms/s | {each:.4} ms/s | {factor:.0} |");
    }
}

/// What was measured.
struct Cost {
    /// Computing time in ms for each second of conference.
    of_all: f64,
    /// Of the ticks that close packets.
    median: Duration,
    /// 99 of 100 take no longer.
    late: Duration,
}

fn measure(chain: &Arc<ChainSpec>, n: u64, talkers: u64, economies: Economies) -> Cost {
    let mut meeting = Meeting::new(chain, n, talkers, OpusSettings::default(), economies);
    for _ in 0..SETTLING {
        meeting.receive();
        meeting.close_packets();
    }
    let begun = cpu_time();
    let mut ticks: Vec<_> = (0..MEASURED)
        .map(|_| {
            meeting.receive();
            let begun = cpu_time();
            meeting.close_packets();
            cpu_time() - begun
        })
        .collect();
    let computed = cpu_time() - begun;
    ticks.sort_unstable();
    Cost {
        of_all: ms(computed) / (MEASURED as f64 * 0.02),
        median: ticks[ticks.len() / 2],
        late: ticks[ticks.len() * 99 / 100],
    }
}
