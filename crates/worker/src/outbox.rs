//! Datagrams on their way out.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use foldback_metrics::Counters;

use crate::batch::{BATCH, Batch};
use crate::socket::MediaSocket;

/// Datagrams that may wait for the kernel: two packets each for a thousand listeners. What comes
/// on top of them would be late.
const MAX_WAITING: usize = 2048;

/// Collects datagrams and sends many in one call. Its memory is used again.
///
/// What the kernel has no room for waits and goes first next time. A datagram that it refuses (no
/// route, a firewall, too long) is counted and left out; those behind it go their way.
pub struct Outbox {
    socket: Arc<MediaSocket>,
    /// One for each address of this machine, and one for whatever the route leaves from, the last of
    /// each family.
    lanes: Box<[Lane]>,
}

/// Datagrams that leave from one address.
struct Lane {
    source: Option<IpAddr>,
    is_v6: bool,
    batch: Batch,
    queue: Queue,
}

/// Datagrams in the order in which they came.
#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Their contents, one behind the other.
    bytes: Vec<u8>,
}

struct Waiting {
    to: SocketAddr,
    bytes: usize,
}

impl Outbox {
    /// An empty one. Allocates.
    #[must_use]
    pub fn new(socket: Arc<MediaSocket>) -> Self {
        let own = socket.own().iter().map(|own| Lane::new(Some(*own), own.is_ipv6()));
        let others = [false, true].into_iter().filter(|is_v6| !is_v6 || socket.has_v6());
        let lanes = own.chain(others.map(|is_v6| Lane::new(None, is_v6))).collect();
        Self { socket, lanes }
    }

    /// Takes a datagram that is to leave from `source`; sends what it holds once that fills a call.
    pub fn push(
        &mut self,
        source: SocketAddr,
        to: SocketAddr,
        datagram: &[u8],
        count: &mut Counters<u64>,
    ) {
        let lane = self.lanes.iter_mut().find(|lane| lane.is_for(source.ip(), to));
        let Some(lane) = lane else {
            count.datagrams_unsent += 1;
            return;
        };
        if lane.queue.waiting.len() == MAX_WAITING {
            count.datagrams_unsent += 1;
            return;
        }
        lane.queue.push(to, datagram);
        // Beyond that the kernel had no room and is asked again by `flush`.
        if lane.queue.waiting.len() == BATCH {
            lane.send(&self.socket, count);
        }
    }

    /// Sends what it holds, as far as the kernel has room for it.
    pub fn flush(&mut self, count: &mut Counters<u64>) {
        for lane in &mut self.lanes {
            lane.send(&self.socket, count);
        }
    }

    /// Whether nothing waits for room in the kernel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.queue.waiting.is_empty())
    }
}

impl Lane {
    fn new(source: Option<IpAddr>, is_v6: bool) -> Self {
        Self { source, is_v6, batch: Batch::new(source, is_v6), queue: Queue::default() }
    }

    fn is_for(&self, source: IpAddr, to: SocketAddr) -> bool {
        self.is_v6 == to.is_ipv6() && self.source.is_none_or(|own| own == source)
    }

    fn send(&mut self, socket: &MediaSocket, count: &mut Counters<u64>) {
        self.queue.send(count, |datagrams| self.batch.send(socket, datagrams));
    }
}

impl Queue {
    fn push(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.waiting.push(Waiting { to, bytes: datagram.len() });
        self.bytes.extend_from_slice(datagram);
    }

    /// Hands what waits to `send`, which says how many of the first it took, or what was wrong
    /// with the very first.
    fn send(
        &mut self,
        count: &mut Counters<u64>,
        mut send: impl FnMut(Datagrams<'_>) -> io::Result<usize>,
    ) {
        let (mut first, mut at) = (0, 0);
        while first < self.waiting.len() {
            let rest =
                Datagrams { waiting: self.waiting[first..].iter(), bytes: &self.bytes[at..] };
            count.send_calls += 1;
            let gone = match send(rest) {
                Ok(sent) => {
                    count.datagrams_sent += sent as u64;
                    sent
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                Err(_) => {
                    count.datagrams_unsent += 1;
                    1
                }
            };
            at += self.waiting[first..first + gone].iter().map(|gone| gone.bytes).sum::<usize>();
            first += gone;
        }
        self.waiting.drain(..first);
        self.bytes.drain(..at);
    }
}

/// Datagrams from some point of a queue on.
struct Datagrams<'a> {
    waiting: std::slice::Iter<'a, Waiting>,
    bytes: &'a [u8],
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = (SocketAddr, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.waiting.next()?;
        let (datagram, rest) = self.bytes.split_at(next.bytes);
        self.bytes = rest;
        Some((next.to, datagram))
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.lanes.iter().map(|lane| lane.queue.waiting.len());
        f.debug_struct("Outbox").field("waiting", &waiting.sum::<usize>()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::time::Duration;

    use foldback_allocations::of_this_thread;

    use super::*;

    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn outbox() -> (Outbox, SocketAddr) {
        let socket = MediaSocket::bind(0, &[LOCALHOST], &[LOCALHOST]).expect("a free port");
        let source = socket.candidates()[0];
        (Outbox::new(Arc::new(socket)), source)
    }

    fn receiver() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        let address = socket.local_addr().expect("bound");
        (socket, address)
    }

    fn next(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2000];
        let (length, from) = socket.recv_from(&mut buffer).expect("it comes");
        (buffer[..length].to_vec(), from)
    }

    #[test]
    fn every_destination_gets_its_own_datagrams_in_their_order() {
        let (mut outbox, source) = outbox();
        let receivers: Vec<_> = (0..BATCH + 7).map(|_| receiver()).collect();
        let mut count = Counters::default();
        for round in 0..2 {
            for (index, (_, to)) in receivers.iter().enumerate() {
                let datagram = vec![round; index + 1];
                outbox.push(source, *to, &datagram, &mut count);
            }
        }
        outbox.flush(&mut count);
        for (index, (socket, _)) in receivers.iter().enumerate() {
            for round in 0..2 {
                assert_eq!(next(socket), (vec![round; index + 1], source));
            }
        }
        assert_eq!(count.datagrams_sent, 2 * receivers.len() as u64);
        assert_eq!(count.datagrams_unsent, 0);
        assert!(outbox.is_empty());
        #[cfg(target_os = "linux")]
        assert_eq!(count.send_calls, 3, "{count:?}");
    }

    #[test]
    fn what_is_refused_takes_nothing_else_with_it() {
        let (mut outbox, source) = outbox();
        let (socket, good) = receiver();
        // Broadcasts are refused to a socket that did not ask for them, port 0 is no address, and
        // no datagram is that long.
        let broadcast = SocketAddr::from((Ipv4Addr::BROADCAST, 9));
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let too_long = vec![0; 65_600];
        let mut count = Counters::default();
        for number in 0..10_u8 {
            outbox.push(source, broadcast, b"lost", &mut count);
            outbox.push(source, good, &[number], &mut count);
            outbox.push(source, good, &too_long, &mut count);
            outbox.push(source, nowhere, b"lost", &mut count);
        }
        outbox.flush(&mut count);
        for number in 0..10 {
            assert_eq!(next(&socket), (vec![number], source));
        }
        assert_eq!((count.datagrams_sent, count.datagrams_unsent), (10, 30));
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_the_kernel_has_no_room_for_goes_first_when_it_has() {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let mut queue = Queue::default();
        (0..5_u8).for_each(|number| queue.push(to, &vec![number; usize::from(number)]));
        let mut count = Counters::default();
        let mut taken = Vec::new();
        let mut send = |queue: &mut Queue, mut room: usize| {
            queue.send(&mut count, |datagrams| match std::mem::take(&mut room) {
                0 => Err(ErrorKind::WouldBlock.into()),
                room => {
                    let before = taken.len();
                    taken.extend(datagrams.take(room).map(|(_, bytes)| bytes.to_vec()));
                    Ok(taken.len() - before)
                }
            });
        };
        send(&mut queue, 2);
        assert_eq!(queue.waiting.len(), 3);
        queue.push(to, b"later");
        send(&mut queue, 9);
        let expected = [vec![], vec![1], vec![2; 2], vec![3; 3], vec![4; 4], b"later".to_vec()];
        assert_eq!(taken, expected);
        assert!(queue.waiting.is_empty() && queue.bytes.is_empty());
        assert_eq!((count.datagrams_sent, count.datagrams_unsent), (6, 0));
    }

    #[test]
    fn what_would_be_late_is_not_taken() {
        let (mut outbox, source) = outbox();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        let lane = &mut outbox.lanes[0];
        (0..MAX_WAITING).for_each(|_| lane.queue.push(to, b"kept"));
        let mut count = Counters::default();
        outbox.push(source, to, b"too many", &mut count);
        assert_eq!(count.datagrams_unsent, 1);
        assert_eq!(outbox.lanes[0].queue.waiting.len(), MAX_WAITING);
    }

    #[test]
    fn a_source_that_is_not_this_machines_leaves_the_choice_to_the_route() {
        let (mut outbox, _) = outbox();
        let (socket, to) = receiver();
        let mut count = Counters::default();
        let public = SocketAddr::from(([203, 0, 113, 7], 8000));
        outbox.push(public, to, b"behind a NAT", &mut count);
        outbox.flush(&mut count);
        assert_eq!(next(&socket).0, b"behind a NAT");
    }

    #[test]
    fn nothing_is_allocated_once_the_memory_is_there() {
        let (mut outbox, source) = outbox();
        let (_socket, to) = receiver();
        let mut count = Counters::default();
        let mut send = |datagrams| {
            let before = of_this_thread();
            (0..datagrams).for_each(|_| outbox.push(source, to, &[0; 200], &mut count));
            outbox.flush(&mut count);
            of_this_thread() - before
        };
        assert!(send(500) > 0, "the first time it is");
        assert_eq!(send(500), 0);
    }
}
