//! The media socket: its options, batched receiving, and the address each datagram came to.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_ip_tos, set_ipv6_tclass};
use socket2::{Domain, Socket, Type};

/// The largest datagram taken, and what the kernel may join into one read (GRO).
const BUFFER_BYTES: usize = 65_535;
/// Asked of the kernel, for each direction: what 500 participants send within 100 ms, 50 packets a
/// second each. Linux counts about 1.3 KiB for a small one, and grants twice what is asked to make
/// up for that (socket(7)).
pub const KERNEL_BUFFER_BYTES: usize = 2 << 20;
/// What it tells to have granted where all was.
const GRANTED_BYTES: usize = KERNEL_BUFFER_BYTES * if cfg!(target_os = "linux") { 2 } else { 1 };

/// DSCP EF, expedited forwarding (RFC 3246; for voice RFC 8837), above the two bits of ECN.
const TYPE_OF_SERVICE: u8 = 46 << 2;

/// A datagram that seems to have waited longer in the kernel did not: the clock was set.
const MAX_AGE: Duration = Duration::from_secs(1);

/// One UDP port for all sessions of a worker.
pub struct MediaSocket {
    v4: Half,
    /// Where clients are told an address of IPv6. A socket of its own: of one for both, other
    /// systems than Linux send nothing from a chosen address of IPv4.
    v6: Option<Half>,
    port: u16,
    /// Addresses told to clients; a datagram counts as come to one of these.
    candidates: Vec<SocketAddr>,
    /// Those of them that are this machine's own, so that answers leave from them.
    own: Vec<IpAddr>,
}

/// What has one family of addresses.
struct Half {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Half {
    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        let state = UdpSocketState::new((&socket).into())?;
        enlarge_buffers(&socket, &state);
        mark_as_voice(&socket, address.is_ipv6());
        Ok(Self { socket, state })
    }

    fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        mut take: impl FnMut(Instant, &RecvMeta, &[u8]),
    ) -> Read {
        let mut slices = buffers.bytes.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let metas = &mut buffers.metas;
        let Ok(count) = self.state.recv((&self.socket).into(), &mut slices, metas) else {
            return Read { datagrams: 0, more: false };
        };
        let now = Instant::now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut datagrams = 0;
        for (buffer, meta) in slices.iter().zip(&*metas).take(count) {
            // The wall clock may be set meanwhile; the kernel's queue holds no second.
            let age = meta.timestamp.and_then(|taken| wall.checked_sub(taken)).unwrap_or_default();
            let arrival = if age < MAX_AGE { now.checked_sub(age).unwrap_or(now) } else { now };
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                datagrams += 1;
                take(arrival, meta, datagram);
            }
        }
        Read { datagrams, more: count == BATCH_SIZE }
    }
}

/// A UDP port for one line of RTP, of one address.
pub struct LineSocket {
    half: Half,
    told: SocketAddr,
}

impl LineSocket {
    /// Binds `port` at `told`, an address that clients are told, if it is one of `own`, this machine's; else, behind a NAT, at
    /// all of its family.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn bind(told: SocketAddr, own: &[IpAddr]) -> io::Result<Self> {
        let everywhere = match told {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let at = if own.contains(&told.ip()) { told.ip() } else { everywhere };
        Ok(Self { half: Half::bind((at, told.port()).into())?, told })
    }

    /// The address that clients are told.
    #[must_use]
    pub fn told(&self) -> SocketAddr {
        self.told
    }

    /// As [`MediaSocket::receive`].
    pub(crate) fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        mut take: impl FnMut(Instant, SocketAddr, &[u8]),
    ) -> Read {
        self.half.receive(buffers, |arrival, meta, datagram| take(arrival, meta.addr, datagram))
    }

    /// Sends a datagram at once, or not at all.
    pub(crate) fn send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<usize> {
        self.half.socket.send_to(datagram, to)
    }
}

impl AsFd for LineSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.half.socket.as_fd()
    }
}

impl MediaSocket {
    /// Binds UDP `port` on all addresses of IPv4, and, if there is one of IPv6 in `public`, of that
    /// too. `public` are the addresses told to clients, `own` those of this machine. Port 0 takes a
    /// free one.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn bind(port: u16, public: &[IpAddr], own: &[IpAddr]) -> Result<Self, BindError> {
        let half = |unspecified: IpAddr, port| {
            let family = if unspecified.is_ipv6() { "IPv6" } else { "IPv4" };
            let bound = Half::bind((unspecified, port).into());
            bound.map_err(|reason| BindError { port, family, reason })
        };
        let v4 = half(Ipv4Addr::UNSPECIFIED.into(), port)?;
        let port = v4.socket.local_addr().map_or(port, |address| address.port());
        let has_v6 = public.iter().any(IpAddr::is_ipv6);
        let v6 = has_v6.then(|| half(Ipv6Addr::UNSPECIFIED.into(), port)).transpose()?;
        let candidates = public.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let own = public.iter().filter(|ip| own.contains(ip)).copied().collect();
        Ok(Self { v4, v6, port, candidates, own })
    }

    /// The port it is bound to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Addresses told to clients.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Sleeps until a datagram is there, or there is room for one more if `to_send`, or `streams` or `lines` turn
    /// readable, or `timeout` is over; says where there is something.
    pub(crate) fn wait(
        &self,
        timeout: Duration,
        to_send: bool,
        streams: Option<BorrowedFd<'_>>,
        lines: Option<BorrowedFd<'_>>,
    ) -> Ready {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let wanted = if to_send { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let v4 = PollFd::new(&self.v4.socket, wanted);
        let mut waiting = [v4.clone(), v4.clone(), v4.clone(), v4];
        let mut count = 1;
        let mut add = |fd, wanted| {
            waiting[count] = PollFd::from_borrowed_fd(fd, wanted);
            count += 1;
            count - 1
        };
        let v6 = self.v6.as_ref().map(|v6| add(v6.socket.as_fd(), wanted));
        let streams = streams.map(|fd| add(fd, PollFlags::IN));
        let lines = lines.map(|fd| add(fd, PollFlags::IN));
        // An interrupted wait is a short one.
        let _ = poll(&mut waiting[..count], Some(&timeout));
        let has_some = |index: Option<usize>| {
            index.is_some_and(|index| !(waiting[index].revents() - PollFlags::OUT).is_empty())
        };
        let [v6, streams, lines] = [v6, streams, lines].map(has_some);
        Ready { v4: has_some(Some(0)), v6, streams, lines }
    }

    /// Reads what is there where `ready` says so, as far as it fits, and gives each datagram to `take(arrival, source,
    /// destination, bytes)`. Arrival is when the kernel took it in: a worker that was held up must
    /// not take its own delay for the network's. Allocates nothing.
    pub fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        ready: Ready,
        mut take: impl FnMut(Instant, SocketAddr, SocketAddr, &[u8]),
    ) -> Read {
        let v4 = Some(&self.v4).filter(|_| ready.v4);
        let v6 = self.v6.as_ref().filter(|_| ready.v6);
        let mut all = Read { datagrams: 0, more: false };
        for half in v4.into_iter().chain(v6) {
            let read = self.receive_from(half, buffers, &mut take);
            all.datagrams += read.datagrams;
            all.more |= read.more;
        }
        all
    }

    fn receive_from(
        &self,
        half: &Half,
        buffers: &mut ReceiveBuffers,
        take: &mut impl FnMut(Instant, SocketAddr, SocketAddr, &[u8]),
    ) -> Read {
        half.receive(buffers, |arrival, meta, datagram| {
            let destination = candidate_for(&self.candidates, meta.dst_ip, meta.addr);
            let destination = destination.unwrap_or(SocketAddr::new(meta.addr.ip(), self.port));
            take(arrival, meta.addr, destination, datagram);
        })
    }

    /// Sends one datagram from `source`, else from where the route leaves. Its type of service is
    /// that of the library and not the socket's.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn send_one(
        &self,
        source: Option<IpAddr>,
        to: SocketAddr,
        bytes: &[u8],
    ) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: source,
        };
        let half = self.v6.as_ref().filter(|_| to.is_ipv6()).unwrap_or(&self.v4);
        half.state.try_send((&half.socket).into(), &transmit)
    }

    /// What sends to addresses of IPv6, or of IPv4.
    #[cfg(target_os = "linux")]
    pub(crate) fn udp(&self, is_v6: bool) -> &UdpSocket {
        &self.v6.as_ref().filter(|_| is_v6).unwrap_or(&self.v4).socket
    }

    /// Whether it is reached by IPv6.
    pub(crate) fn has_v6(&self) -> bool {
        self.v6.is_some()
    }

    /// This machine's own addresses among those that clients are told.
    pub(crate) fn own(&self) -> &[IpAddr] {
        &self.own
    }
}

/// Which of `candidates`, the addresses that clients know, `client` means that came to `ip`. Behind a
/// 1:1 NAT that is not one of them; it stands for the first of the client's family.
#[must_use]
pub fn candidate_for(
    candidates: &[SocketAddr],
    ip: Option<IpAddr>,
    client: SocketAddr,
) -> Option<SocketAddr> {
    let ip = ip.map(|ip| ip.to_canonical());
    let known = candidates.iter().find(|candidate| Some(candidate.ip()) == ip);
    let of_family = || candidates.iter().find(|candidate| candidate.is_ipv6() == client.is_ipv6());
    known.or_else(of_family).copied()
}

/// What is short is told once, however many workers there are.
fn enlarge_buffers(socket: &UdpSocket, state: &UdpSocketState) {
    static TOLD: Once = Once::new();
    // The kernel grants what its limits allow.
    let _ = state.set_recv_buffer_size(socket.into(), KERNEL_BUFFER_BYTES);
    let _ = state.set_send_buffer_size(socket.into(), KERNEL_BUFFER_BYTES);
    let receive = state.recv_buffer_size(socket.into()).unwrap_or_default();
    let send = state.send_buffer_size(socket.into()).unwrap_or_default();
    if receive.min(send) < GRANTED_BYTES {
        TOLD.call_once(|| {
            tracing::warn!(
                receive_bytes = receive,
                send_bytes = send,
                wanted_bytes = GRANTED_BYTES,
                "the kernel grants media sockets small buffers, which overflow with hundreds of \
                 participants; raise net.core.rmem_max and net.core.wmem_max to \
                 {KERNEL_BUFFER_BYTES}"
            );
        });
    }
}

/// Networks that tell voice apart may let it go first; others take no notice.
pub(crate) fn mark_as_voice(socket: impl AsFd, is_v6: bool) {
    static TOLD: Once = Once::new();
    let marked = match is_v6 {
        true => set_ipv6_tclass(socket, TYPE_OF_SERVICE.into()),
        false => set_ip_tos(socket, TYPE_OF_SERVICE),
    };
    if let Err(error) = marked {
        TOLD.call_once(|| {
            tracing::warn!(%error, "media packets leave unmarked (DSCP), which is harmless");
        });
    }
}

impl fmt::Debug for MediaSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaSocket")
            .field("port", &self.port)
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

/// Where there is something to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    v4: bool,
    v6: bool,
    pub(crate) streams: bool,
    pub(crate) lines: bool,
}

impl Ready {
    /// Wherever it may be.
    pub const EVERYWHERE: Self = Self { v4: true, v6: true, streams: true, lines: true };
}

/// What one call of [`MediaSocket::receive`] read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Datagrams.
    pub datagrams: usize,
    /// Whether it read all that fits, so that there may be more.
    pub more: bool,
}

/// Where datagrams are read into.
#[derive(Debug)]
pub struct ReceiveBuffers {
    bytes: Box<[Vec<u8>; BATCH_SIZE]>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Default for ReceiveBuffers {
    fn default() -> Self {
        Self {
            bytes: Box::new(std::array::from_fn(|_| vec![0; BUFFER_BYTES])),
            metas: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

/// The media port cannot be had.
#[derive(Debug)]
pub struct BindError {
    port: u16,
    family: &'static str,
    reason: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot bind UDP port {} of {} for media: {}; choose another with --media-port or \
             `media_port` in [server]",
            self.port, self.family, self.reason
        )
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use foldback_allocations::of_this_thread;
    use foldback_metrics::Counters;

    use super::*;
    use crate::outbox::Outbox;

    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn media_socket() -> (MediaSocket, SocketAddr) {
        let socket = MediaSocket::bind(0, &[LOCALHOST], &[LOCALHOST]).expect("a free port");
        let address = socket.candidates()[0];
        (socket, address)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_leaves_by_ipv6_is_marked_as_voice() {
        use nix::sys::socket::sockopt::Ipv6RecvTClass;
        use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
        use std::os::fd::AsRawFd;

        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let Ok(receiver) = UdpSocket::bind((v6, 0)) else {
            return println!("left out: this machine has no IPv6");
        };
        receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        setsockopt(&receiver, Ipv6RecvTClass, &true).expect("Linux knows it");
        let socket = MediaSocket::bind(0, &[v6], &[v6]).expect("a free port");
        let source = socket.candidates()[0];
        let mut outbox = Outbox::new(Arc::new(socket));
        let to = receiver.local_addr().expect("bound");
        outbox.push(source, to, b"voice", &mut Counters::default());
        outbox.flush(&mut Counters::default());
        let mut bytes = [0; 16];
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let mut space = nix::cmsg_space!(i32);
        let flags = MsgFlags::empty();
        let message = recvmsg::<()>(receiver.as_raw_fd(), &mut slices, Some(&mut space), flags);
        let message = message.expect("it comes");
        let mut control = message.cmsgs().expect("there is space for it");
        assert!(control.any(|item| item == ControlMessageOwned::Ipv6TClass(46 << 2)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_leaves_is_marked_as_voice() {
        use nix::sys::socket::sockopt::IpRecvTos;
        use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
        use std::os::fd::AsRawFd;

        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        receiver.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        setsockopt(&receiver, IpRecvTos, &true).expect("Linux knows it");
        let to = receiver.local_addr().expect("bound");
        let (socket, source) = media_socket();
        let mut outbox = Outbox::new(Arc::new(socket));
        // From an address of this machine and from whatever the route has.
        for source in [source, SocketAddr::from(([203, 0, 113, 7], source.port()))] {
            outbox.push(source, to, b"voice", &mut Counters::default());
            outbox.flush(&mut Counters::default());
            let mut bytes = [0; 16];
            let mut slices = [IoSliceMut::new(&mut bytes)];
            let mut space = nix::cmsg_space!(u8);
            let message = recvmsg::<()>(
                receiver.as_raw_fd(),
                &mut slices,
                Some(&mut space),
                MsgFlags::empty(),
            )
            .expect("it comes");
            let mut control = message.cmsgs().expect("there is space for it");
            let marked = control.any(|item| item == ControlMessageOwned::Ipv4Tos(46 << 2));
            assert!(marked, "from {source}");
        }
    }

    #[test]
    fn each_family_is_read_and_answered_from_the_address_that_was_asked() {
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        let Ok(client_v6) = UdpSocket::bind((v6, 0)) else {
            return println!("left out: this machine has no IPv6");
        };
        let both = [LOCALHOST, v6];
        let socket = Arc::new(MediaSocket::bind(0, &both, &both).expect("a free port"));
        let client_v4 = UdpSocket::bind((LOCALHOST, 0)).expect("a free port");
        let mut outbox = Outbox::new(Arc::clone(&socket));
        let mut buffers = ReceiveBuffers::default();
        for (client, candidate) in [&client_v4, &client_v6].into_iter().zip(socket.candidates()) {
            client.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
            client.send_to(b"request", candidate).expect("there is room");
            let ready = socket.wait(Duration::from_secs(5), false, None, None);
            assert_eq!((ready.v4, ready.v6), (candidate.is_ipv4(), candidate.is_ipv6()));
            let mut came = Vec::new();
            socket.receive(&mut buffers, ready, |_, from, to, bytes| {
                came.push((from, to, bytes.to_vec()));
            });
            let from = client.local_addr().expect("bound");
            assert_eq!(came, [(from, *candidate, b"request".to_vec())]);
            let mut count = Counters::default();
            outbox.push(*candidate, from, b"answer", &mut count);
            // What clients know and the machine has not: behind a NAT.
            let public: IpAddr = if from.is_ipv6() { "2001:db8::7" } else { "203.0.113.7" }
                .parse()
                .expect("an address");
            outbox.push((public, candidate.port()).into(), from, b"from a NAT", &mut count);
            outbox.flush(&mut count);
            assert_eq!((count.datagrams_sent, count.datagrams_unsent), (2, 0));
            let mut bytes = [0; 16];
            let received: Vec<_> = (0..2)
                .map(|_| {
                    let (length, from) = client.recv_from(&mut bytes).expect("it comes");
                    assert_eq!(from, *candidate);
                    bytes[..length].to_vec()
                })
                .collect();
            assert_eq!(received, [b"answer".to_vec(), b"from a NAT".to_vec()]);
        }
    }

    #[test]
    fn without_an_address_of_ipv6_there_is_no_socket_for_it() {
        let (socket, source) = media_socket();
        assert!(!socket.has_v6());
        let mut outbox = Outbox::new(Arc::new(socket));
        let mut count = Counters::default();
        outbox.push(source, ([0, 0, 0, 0, 0, 0, 0, 1], 9).into(), b"lost", &mut count);
        assert_eq!(count.datagrams_unsent, 1);
    }

    #[test]
    fn what_came_to_an_address_behind_a_nat_came_to_the_one_of_its_family_that_clients_know() {
        let address = |text: &str| -> SocketAddr { text.parse().expect("an address") };
        let known = [address("203.0.113.7:8000"), address("[2001:db8::7]:8000")];
        for (came_to, client, expected) in [
            ("203.0.113.7", "192.0.2.1:5", Some(known[0])),
            ("2001:db8::7", "[2001:db8::1]:5", Some(known[1])),
            ("10.0.0.7", "192.0.2.1:5", Some(known[0])),
            ("fd00::7", "[2001:db8::1]:5", Some(known[1])),
            ("::ffff:203.0.113.7", "192.0.2.1:5", Some(known[0])),
        ] {
            let ip = Some(came_to.parse().expect("an address"));
            assert_eq!(candidate_for(&known, ip, address(client)), expected, "{came_to}");
        }
        assert_eq!(candidate_for(&known[..1], None, address("[2001:db8::1]:5")), None);
    }

    #[test]
    fn a_burst_is_read_in_few_calls_and_in_memory_that_is_there() {
        let (socket, address) = media_socket();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let mut buffers = ReceiveBuffers::default();
        for number in 0..BATCH_SIZE + 3 {
            sender.send_to(&vec![0; number + 1], address).expect("there is room");
        }
        let mut lengths = Vec::with_capacity(BATCH_SIZE + 3);
        let before = of_this_thread();
        let mut read = || {
            socket.receive(&mut buffers, Ready::EVERYWHERE, |_, _, destination, bytes| {
                assert_eq!(destination, address);
                lengths.push(bytes.len());
            })
        };
        let reads = [read(), read()];
        assert_eq!(of_this_thread() - before, 0);
        assert_eq!(reads[0], Read { datagrams: BATCH_SIZE, more: true });
        assert_eq!(reads[1], Read { datagrams: 3, more: false });
        assert_eq!(lengths, (1..=BATCH_SIZE + 3).collect::<Vec<_>>());
    }
}
