//! A room whose work is divided among threads.

use std::sync::Arc;

use foldback_allocations::of_this_thread;
use foldback_benches::Meeting;
use foldback_config::Config;
use foldback_room::{Economies, ForkJoin, OpusSettings, ParticipantId, Sequential};
use foldback_worker::Crew;

#[global_allocator]
static ALLOCATOR: foldback_allocations::CountingAllocator = foldback_allocations::CountingAllocator;

#[test]
fn a_divided_room_sends_what_an_undivided_one_does_and_allocates_as_little() {
    let registry = foldback_server::plugins::registry();
    let conference = Arc::clone(&Config::built_in(&registry).chains[0]);
    let meeting =
        || Meeting::new(&conference, 12, 5, OpusSettings::default(), Economies::default());
    let (mut divided, mut whole) = (meeting(), meeting());
    let crew = Crew::new(0, 3);
    assert_eq!(crew.threads(), 3);
    for packet in 0..150 {
        let [by_three, by_one] =
            [close(&mut divided, &crew), close(&mut whole, &Sequential)].map(|it| {
                // What libraries keep per thread is made with the first packets.
                assert!(packet < 10 || it.allocations == 0, "packet {packet}");
                it.sent
            });
        assert!(by_three == by_one, "packet {packet}");
    }
}

struct Closed {
    sent: Vec<(ParticipantId, Vec<u8>)>,
    allocations: u64,
}

fn close(meeting: &mut Meeting, crew: &impl ForkJoin) -> Closed {
    meeting.receive();
    let before = of_this_thread();
    meeting.close_packets_with(crew);
    let allocations = of_this_thread() - before;
    Closed {
        sent: meeting.sent().map(|(to, payload)| (to, payload.to_vec())).collect(),
        allocations,
    }
}
