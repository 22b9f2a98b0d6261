//! The media socket: its options, batched receiving, and the address each datagram came to.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Once;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_ip_tos;

/// The largest datagram taken, and what the kernel may join into one read (GRO).
const BUFFER_BYTES: usize = 65_535;
/// Asked of the kernel, for each direction: what 500 participants send within 100 ms, 50 packets a
/// second each. Linux counts about 1.3 KiB for a small one, and grants twice what is asked to make
/// up for that (socket(7)).
const KERNEL_BUFFER_BYTES: usize = 2 << 20;
/// What it tells to have granted where all was.
const GRANTED_BYTES: usize = KERNEL_BUFFER_BYTES * if cfg!(target_os = "linux") { 2 } else { 1 };

/// DSCP EF, expedited forwarding (RFC 3246; for voice RFC 8837), above the two bits of ECN.
const TYPE_OF_SERVICE: u8 = 46 << 2;

/// A datagram that seems to have waited longer in the kernel did not: the clock was set.
const MAX_AGE: Duration = Duration::from_secs(1);

/// One UDP socket for all sessions of a worker.
pub struct MediaSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    port: u16,
    /// Addresses told to clients; a datagram counts as come to one of these.
    candidates: Vec<SocketAddr>,
    /// Those of them that are this machine's own, so that answers leave from them.
    own: Vec<IpAddr>,
}

impl MediaSocket {
    /// Binds UDP `port` on all IPv4 addresses. `public` are the addresses told to clients, `own`
    /// those of this machine. Port 0 takes a free one.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn bind(port: u16, public: &[IpAddr], own: &[IpAddr]) -> Result<Self, BindError> {
        let open = || -> io::Result<(UdpSocket, UdpSocketState, u16)> {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
            let state = UdpSocketState::new((&socket).into())?;
            enlarge_buffers(&socket, &state);
            ask_for_priority(&socket);
            let port = socket.local_addr()?.port();
            Ok((socket, state, port))
        };
        let (socket, state, port) = open().map_err(|reason| BindError { port, reason })?;
        let candidates = public.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let own = public.iter().filter(|ip| own.contains(ip)).copied().collect();
        Ok(Self { socket, state, port, candidates, own })
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

    /// Sleeps until a datagram is there, or there is room for one more if `to_send`, or `timeout` is
    /// over.
    pub(crate) fn wait(&self, timeout: Duration, to_send: bool) {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // An interrupted wait is a short one.
        let wanted = if to_send { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let _ = poll(&mut [PollFd::new(&self.socket, wanted)], Some(&timeout));
    }

    /// Reads what is there, as far as it fits, and gives each datagram to `take(arrival, source,
    /// destination, bytes)`. Arrival is when the kernel took it in: a worker that was held up must
    /// not take its own delay for the network's. Allocates nothing.
    pub fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        mut take: impl FnMut(Instant, SocketAddr, SocketAddr, &[u8]),
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
            let destination = self.candidate_for(meta.dst_ip);
            // The wall clock may be set meanwhile; the kernel's queue holds no second.
            let age = meta.timestamp.and_then(|taken| wall.checked_sub(taken)).unwrap_or_default();
            let arrival = if age < MAX_AGE { now.checked_sub(age).unwrap_or(now) } else { now };
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                datagrams += 1;
                take(arrival, meta.addr, destination, datagram);
            }
        }
        Read { datagrams, more: count == BATCH_SIZE }
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
        self.state.try_send((&self.socket).into(), &transmit)
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn udp(&self) -> &UdpSocket {
        &self.socket
    }

    /// This machine's own addresses among those that clients are told.
    pub(crate) fn own(&self) -> &[IpAddr] {
        &self.own
    }

    /// Behind a 1:1 NAT the address a datagram came to is not one that clients know; it stands
    /// for the first that they do.
    fn candidate_for(&self, ip: Option<IpAddr>) -> SocketAddr {
        let ip = ip.map(|ip| ip.to_canonical());
        let known = self.candidates.iter().find(|c| Some(c.ip()) == ip);
        let first = known.or(self.candidates.first()).copied();
        first.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.port))
    }
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
fn ask_for_priority(socket: &UdpSocket) {
    static TOLD: Once = Once::new();
    if let Err(error) = set_ip_tos(socket, TYPE_OF_SERVICE) {
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
    reason: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot bind UDP port {} for media: {}; choose another with --media-port or \
             `media_port` in [server]",
            self.port, self.reason
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
            socket.receive(&mut buffers, |_, _, destination, bytes| {
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
