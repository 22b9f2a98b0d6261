//! Connections of those whose UDP is shut: datagrams in streams of TCP (RFC 6544).

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;

use foldback_metrics::Counters;
use foldback_peer::Route;
use foldback_room::ParticipantId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::framing::{Deframer, FrameTooLong, MAX_FRAME_BYTES, MAX_FRAMED_BYTES, frame};
use crate::poller::Poller;
use crate::socket::mark_as_voice;

/// While more than half of this waits in the kernel, half a second of voice, nothing is added: it
/// would come too late.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 16 * 1024;

/// A connection that a browser opened, with what was read of it already.
pub struct MediaStream {
    socket: TcpStream,
    /// The way of what comes.
    route: Route,
    incoming: Deframer,
    /// A datagram of which the kernel took the beginning, and what is left of it.
    begun: Box<[u8; MAX_FRAMED_BYTES]>,
    left: std::ops::Range<usize>,
    /// What is to be freed with it.
    _place: Box<dyn Any + Send>,
}

impl MediaStream {
    /// A connection of `client`, which came to `candidate`, one of the addresses that clients are
    /// told. `place` is dropped with it. Allocates.
    ///
    /// # Errors
    /// When the operating system does not let it be used without waiting.
    pub fn new(
        socket: TcpStream,
        client: SocketAddr,
        candidate: SocketAddr,
        incoming: Deframer,
        place: impl Any + Send,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        mark_as_voice(&socket, client.is_ipv6());
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES)?;
        let route = Route::tcp(client, candidate);
        let begun = Box::new([0; MAX_FRAMED_BYTES]);
        Ok(Self { socket, route, incoming, begun, left: 0..0, _place: Box::new(place) })
    }

    /// Sends a datagram if there is room for it now; says whether. Allocates nothing.
    fn send(&mut self, datagram: &[u8]) -> bool {
        if !self.send_what_is_left() || !self.has_room() {
            return false;
        }
        let Some(length) = frame(datagram, &mut self.begun) else { return false };
        self.left = 0..length;
        self.send_what_is_left();
        if self.left == (0..length) {
            self.left = 0..0;
            return false;
        }
        true
    }

    /// Whether nothing is left.
    fn send_what_is_left(&mut self) -> bool {
        if !self.left.is_empty() {
            // Where it failed, reading will too.
            let sent = (&self.socket).write(&self.begun[self.left.clone()]);
            self.left.start += sent.unwrap_or_default();
        }
        self.left.is_empty()
    }

    /// Whether little enough waits in the kernel.
    fn has_room(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut socket, Some(&now)).is_ok() && socket[0].revents().contains(PollFlags::OUT)
    }

    /// Reads what is there, as far as it fits; says whether the connection is still open.
    fn read(&mut self) -> bool {
        match (&self.socket).read(self.incoming.space()) {
            Ok(0) => false,
            Ok(bytes) => {
                self.incoming.add(bytes);
                true
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }
}

impl fmt::Debug for MediaStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaStream").field("route", &self.route).finish_non_exhaustive()
    }
}

/// The connections of a worker.
#[derive(Default)]
pub(crate) struct Streams {
    /// Once there was one.
    poller: Option<Poller>,
    /// By their numbers.
    open: Vec<Option<Open>>,
    by_client: HashMap<SocketAddr, usize>,
}

struct Open {
    stream: Box<MediaStream>,
    /// Whose it is, once a session took what came.
    owner: Option<ParticipantId>,
}

impl Streams {
    /// Takes a connection; says by which number it goes. Allocates.
    ///
    /// # Errors
    /// With the connection, when the operating system does not watch it.
    pub(crate) fn add(&mut self, stream: Box<MediaStream>) -> Result<usize, Box<MediaStream>> {
        let number = self.open.iter().position(Option::is_none).unwrap_or(self.open.len());
        if self.poller.is_none() {
            self.poller = Poller::new().ok();
        }
        let watched = self.poller.as_ref().is_some_and(|it| it.add(&stream.socket, number));
        if !watched {
            return Err(stream);
        }
        self.by_client.insert(stream.route.source, number);
        let open = Some(Open { stream, owner: None });
        match self.open.get_mut(number) {
            Some(slot) => *slot = open,
            None => self.open.push(open),
        }
        Ok(number)
    }

    /// Gives up a connection.
    pub(crate) fn remove(&mut self, number: usize) -> Option<Box<MediaStream>> {
        let Open { stream, .. } = self.open.get_mut(number)?.take()?;
        if let Some(poller) = &self.poller {
            poller.remove(&stream.socket);
        }
        if self.by_client.get(&stream.route.source) == Some(&number) {
            self.by_client.remove(&stream.route.source);
        }
        Some(stream)
    }

    /// Some connection of a session.
    pub(crate) fn of(&self, id: ParticipantId) -> Option<usize> {
        self.open.iter().position(|open| open.as_ref().is_some_and(|it| it.owner == Some(id)))
    }

    /// What turns readable when a connection does.
    pub(crate) fn readable(&self) -> Option<BorrowedFd<'_>> {
        self.poller.as_ref().and_then(Poller::readable)
    }

    /// Adds the numbers of connections that may have something to be read.
    pub(crate) fn ready(&self, numbers: &mut Vec<usize>) {
        if !self.by_client.is_empty()
            && let Some(poller) = &self.poller
        {
            poller.ready(self.open.len(), numbers);
        }
    }

    /// Reads from a connection; says whether it is still open.
    pub(crate) fn read(&mut self, number: usize) -> bool {
        self.get(number).is_none_or(|open| open.stream.read())
    }

    /// The next datagram that came by a connection: its way, whose the connection is, and its
    /// length, once it is in `into`.
    ///
    /// # Errors
    /// When what comes are no datagrams.
    pub(crate) fn datagram(
        &mut self,
        number: usize,
        into: &mut [u8; MAX_FRAME_BYTES],
    ) -> Result<Option<(Route, Option<ParticipantId>, usize)>, FrameTooLong> {
        let Some(Open { stream, owner }) = self.get(number) else { return Ok(None) };
        let Some(datagram) = stream.incoming.datagram()? else { return Ok(None) };
        let length = datagram.len();
        into[..length].copy_from_slice(datagram);
        stream.incoming.pass();
        Ok(Some((stream.route, *owner, length)))
    }

    /// A connection is that session's from now on.
    pub(crate) fn learn(&mut self, number: usize, id: ParticipantId) {
        if let Some(open) = self.get(number) {
            open.owner = Some(id);
        }
    }

    /// Sends a datagram to a client, if it is connected and there is room. Allocates nothing and does
    /// not wait.
    pub(crate) fn send(&mut self, client: SocketAddr, datagram: &[u8], count: &mut Counters<u64>) {
        let number = self.by_client.get(&client).copied();
        let open = number.and_then(|number| self.get(number));
        count.send_calls += 1;
        if open.is_some_and(|open| open.stream.send(datagram)) {
            count.datagrams_sent += 1;
        } else {
            count.tcp_datagrams_dropped += 1;
        }
    }

    fn get(&mut self, number: usize) -> Option<&mut Open> {
        self.open.get_mut(number)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::{Duration, Instant};

    use foldback_allocations::of_this_thread;

    use super::*;

    /// A connection, and the browser's end of it.
    fn connection(place: impl Any + Send) -> (Box<MediaStream>, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let candidate = listener.local_addr().expect("bound");
        let browser = TcpStream::connect(candidate).expect("it listens");
        browser.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        let (socket, client) = listener.accept().expect("one came");
        let stream = MediaStream::new(socket, client, candidate, Deframer::default(), place);
        (Box::new(stream.expect("a socket")), browser)
    }

    fn framed(datagram: &[u8]) -> Vec<u8> {
        let mut bytes = [0; MAX_FRAMED_BYTES];
        let length = frame(datagram, &mut bytes).expect("short");
        bytes[..length].to_vec()
    }

    #[test]
    fn what_comes_is_told_and_read_and_a_connection_that_ended_too() {
        let (stream, mut browser) = connection(());
        let route = stream.route;
        let (idle, _other) = connection(());
        let mut streams = Streams::default();
        let number = streams.add(stream).expect("it is watched");
        streams.add(idle).expect("it is watched");
        browser
            .write_all(&[framed(b"the first"), framed(b"the other")].concat())
            .expect("there is room");
        let mut ready = Vec::new();
        let begun = Instant::now();
        while ready.is_empty() && begun.elapsed() < Duration::from_secs(5) {
            streams.ready(&mut ready);
        }
        #[cfg(target_os = "linux")]
        assert_eq!(ready, [number], "nothing comes by the other one");
        assert!(streams.read(number));
        let mut bytes = [0; MAX_FRAME_BYTES];
        for expected in [b"the first", b"the other"] {
            let (way, owner, length) =
                streams.datagram(number, &mut bytes).expect("short").expect("it is there");
            assert_eq!((way, owner, &bytes[..length]), (route, None, &expected[..]));
        }
        assert_eq!(streams.datagram(number, &mut bytes), Ok(None));
        streams.learn(number, ParticipantId(7));
        assert_eq!(
            (streams.of(ParticipantId(7)), streams.of(ParticipantId(8))),
            (Some(number), None)
        );
        drop(browser);
        let begun = Instant::now();
        while streams.read(number) {
            assert!(begun.elapsed() < Duration::from_secs(5), "it has ended");
        }
        assert!(streams.remove(number).is_some() && streams.remove(number).is_none());
        let mut count = Counters::default();
        streams.send(route.source, b"late", &mut count);
        assert_eq!((count.datagrams_sent, count.tcp_datagrams_dropped), (0, 1));
    }

    #[test]
    fn a_browser_that_does_not_read_holds_nothing_up_and_gets_whole_datagrams_later() {
        const DATAGRAM: usize = 1200;
        let (stream, mut browser) = connection(());
        let client = stream.route.source;
        let mut streams = Streams::default();
        streams.add(stream).expect("it is watched");
        let mut count = Counters::default();
        let (begun, before) = (Instant::now(), of_this_thread());
        for number in 0..20_000_u32 {
            let mut datagram = [0; DATAGRAM];
            datagram[..4].copy_from_slice(&number.to_be_bytes());
            streams.send(client, &datagram, &mut count);
        }
        assert_eq!(of_this_thread() - before, 0);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(count.datagrams_sent + count.tcp_datagrams_dropped, 20_000);
        assert!(count.tcp_datagrams_dropped > 0, "{count:?}");

        // Some of one may wait until there is room again.
        let mut deframer = Deframer::default();
        let (mut received, mut last) = (0, None);
        browser.set_nonblocking(true).expect("a socket");
        let begun = Instant::now();
        while received < count.datagrams_sent {
            assert!(begun.elapsed() < Duration::from_secs(10), "{received} of {count:?}");
            if let Ok(bytes) = browser.read(deframer.space()) {
                deframer.add(bytes);
            }
            while let Some(datagram) = deframer.datagram().expect("whole datagrams") {
                assert_eq!(datagram.len(), DATAGRAM);
                let (number, _) = datagram.split_first_chunk().expect("it is long");
                let number = u32::from_be_bytes(*number);
                assert!(last.is_none_or(|last| number > last), "{number} after {last:?}");
                (last, received) = (Some(number), received + 1);
                deframer.pass();
            }
            if count.datagrams_sent < 30_000 && last.is_some() {
                let mut datagram = [0; DATAGRAM];
                let number = 20_000 + u32::try_from(count.send_calls).expect("few");
                datagram[..4].copy_from_slice(&number.to_be_bytes());
                streams.send(client, &datagram, &mut count);
            }
        }
        assert!(last.is_some_and(|last| last > 20_000), "what is new goes out again: {last:?}");
    }
}
