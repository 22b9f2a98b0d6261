//! What an idle participant of a room takes of memory, the session beside it (`crates/peer/tests`)
//! left out.

use foldback_benches::Meeting;
use foldback_room::{Economies, OpusSettings};
use foldback_stage_testkit::alloc::resident_kib;

const PARTICIPANTS: u64 = 300;
/// The most that one may take, in KiB, in a room of so many: somewhat more than the 39 that were
/// counted, since kernels count pages, of sizes that differ.
const MOST_KIB: f64 = 50.0;
/// Packets of 20 ms that each sends: all memory that goes round has gone round then.
const PACKETS: u64 = 400;

#[test]
fn an_idle_participant_of_a_large_room_takes_little_memory() {
    run(&mut meeting(2));
    let before = resident_kib();
    let mut large = meeting(PARTICIPANTS);
    run(&mut large);
    let participant = (resident_kib() - before) as f64 / PARTICIPANTS as f64;
    println!("an idle participant takes {participant:.0} KiB in a room of {PARTICIPANTS}");
    drop(large);
    assert!(participant <= MOST_KIB, "{participant:.0} KiB");
}

fn meeting(participants: u64) -> Meeting {
    let (opus, economies) = (OpusSettings::default(), Economies::default());
    Meeting::new(&Meeting::clean_chain(), participants, 0, opus, economies)
}

fn run(meeting: &mut Meeting) {
    for _ in 0..PACKETS {
        meeting.receive();
        meeting.close_packets();
    }
}
