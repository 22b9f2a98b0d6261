//! What two cores carry of what one carries, in many rooms and in one large room, and whether they
//! carry 100 small rooms in real time. Rooms only: what clients and encryption cost is left out, so
//! that there are two idle cores. `cargo bench -p foldback-benches --bench cores`

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use foldback_benches::{Meeting, cpu_time, ms};
use foldback_chain::ChainSpec;
use foldback_config::Config;
use foldback_room::{Economies, ForkJoin, OpusSettings, Sequential, TICK};
use foldback_worker::Crew;

/// Packets before the measuring.
const SETTLING: u64 = 100;
/// Both sides take turns, of so many packets: threads are begun for each turn, as workers are not.
const TURNS: usize = 50;
const PACKETS_OF_A_TURN: u32 = 20;
/// In real time.
const SECONDS: u32 = 60;
/// A worker skips ticks from here on.
const TOO_LATE: Duration = Duration::from_millis(50);

fn main() {
    let registry = foldback_server::plugins::registry();
    let conference = Arc::clone(&Config::built_in(&registry).chains[0]);
    let clean = Meeting::clean_chain();
    let crew = Crew::new(0, 2);

    println!("| | one thread | two | as many times as much |");
    println!("| --- | --- | --- | --- |");
    for chain in [&clean, &conference] {
        let mut rooms = meetings(chain, 24, 4, 1);
        let ratio = by_turns(&mut rooms, in_one_piece, in_two_halves);
        println!("| 24 rooms of 4, one talks, `{}` | {ratio}", chain.name);
        for (participants, talkers) in [(16, 16), (60, 6)] {
            let mut rooms = meetings(chain, 1, participants, talkers);
            let ratio = by_turns(
                &mut rooms,
                |rooms| a_turn(|| rooms.iter_mut().for_each(|room| pass_with(room, &Sequential))),
                |rooms| a_turn(|| rooms.iter_mut().for_each(|room| pass_with(room, &crew))),
            );
            println!("| a room of {participants}, {talkers} talk, `{}` | {ratio}", chain.name);
        }
    }

    let Punctuality { late, worst, lost, cpu } = in_real_time(meetings(&clean, 100, 4, 1));
    println!(
        "\n100 rooms of 4, one talks, `clean`, {SECONDS} s on two threads: 99 % of the ticks began \
         within {:.2} ms, the last after {:.1} ms; {lost} of {} were lost; {:.2} cores were busy",
        ms(late),
        ms(worst),
        2 * SECONDS * 100,
        cpu.as_secs_f64() / f64::from(SECONDS),
    );
}

fn meetings(chain: &Arc<ChainSpec>, rooms: usize, n: u64, talkers: u64) -> Vec<Meeting> {
    let meeting = || Meeting::new(chain, n, talkers, OpusSettings::default(), Economies::default());
    let mut meetings: Vec<_> = (0..rooms).map(|_| meeting()).collect();
    for _ in 0..SETTLING {
        meetings.iter_mut().for_each(pass);
    }
    meetings
}

fn pass(meeting: &mut Meeting) {
    pass_with(meeting, &Sequential);
}

fn pass_with(meeting: &mut Meeting, crew: &impl ForkJoin) {
    meeting.receive();
    meeting.close_packets_with(crew);
}

fn a_turn(mut pass: impl FnMut()) {
    (0..PACKETS_OF_A_TURN).for_each(|_| pass());
}

fn in_one_piece(rooms: &mut [Meeting]) {
    a_turn(|| rooms.iter_mut().for_each(pass));
}

/// Each half by a thread of its own, as by two workers.
fn in_two_halves(rooms: &mut [Meeting]) {
    let (one, other) = rooms.split_at_mut(rooms.len() / 2);
    thread::scope(|scope| {
        for half in [one, other] {
            scope.spawn(|| a_turn(|| half.iter_mut().for_each(pass)));
        }
    });
}

/// A row: the time that 20 ms take either way, medians, and the ratio.
fn by_turns(
    rooms: &mut [Meeting],
    one: impl Fn(&mut [Meeting]),
    two: impl Fn(&mut [Meeting]),
) -> String {
    let mut took = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        took[0].push(time(|| one(rooms)));
        took[1].push(time(|| two(rooms)));
    }
    let [one, two] = took.map(|mut took| {
        took.sort_unstable();
        ms(took[took.len() / 2] / PACKETS_OF_A_TURN)
    });
    format!("{one:.2} ms | {two:.2} ms | {:.2} |", one / two)
}

fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

struct Punctuality {
    /// 99 of 100 ticks began no later.
    late: Duration,
    worst: Duration,
    lost: usize,
    /// Computing time of both threads.
    cpu: Duration,
}

/// Half of the rooms on each of two threads, which begin a tick every 10 ms. Of each half's rooms
/// half close their packets with either tick.
fn in_real_time(mut rooms: Vec<Meeting>) -> Punctuality {
    let half = rooms.len() / 2;
    let others = rooms.split_off(half);
    let threads: Vec<_> = [rooms, others].map(|rooms| thread::spawn(|| keep_time(rooms))).into();
    let (mut lateness, mut cpu) = (Vec::new(), Duration::ZERO);
    for thread in threads {
        let (of_one, computed) = thread.join().expect("a thread that ends");
        lateness.extend(of_one);
        cpu += computed;
    }
    lateness.sort_unstable();
    Punctuality {
        late: lateness[lateness.len() * 99 / 100],
        worst: lateness[lateness.len() - 1],
        lost: lateness.iter().filter(|late| **late > TOO_LATE).count(),
        cpu,
    }
}

/// How late each tick began, and the computing time of all.
fn keep_time(mut rooms: Vec<Meeting>) -> (Vec<Duration>, Duration) {
    let begun = cpu_time();
    let mut deadline = Instant::now();
    let late = (0..SECONDS * 100).map(|tick| {
        deadline += TICK;
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        let late = deadline.elapsed();
        for (index, room) in rooms.iter_mut().enumerate() {
            match (index + tick as usize).is_multiple_of(2) {
                true => room.receive(),
                false => room.close_packets(),
            }
        }
        late
    });
    (late.collect(), cpu_time() - begun)
}
