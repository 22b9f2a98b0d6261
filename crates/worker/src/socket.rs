//! The media socket: batched receiving, and the address each datagram came to.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The largest datagram taken, and what the kernel may join into one read (GRO).
const BUFFER_BYTES: usize = 65_535;
/// Asked of the kernel: 50 ms of packets of a few hundred talkers.
const KERNEL_BUFFER_BYTES: usize = 2 << 20;

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
            // The kernel grants what its limits allow.
            let _ = state.set_recv_buffer_size((&socket).into(), KERNEL_BUFFER_BYTES);
            let _ = state.set_send_buffer_size((&socket).into(), KERNEL_BUFFER_BYTES);
            let port = socket.local_addr()?.port();
            Ok((socket, state, port))
        };
        let (socket, state, port) = open().map_err(|reason| BindError { port, reason })?;
        let candidates = public.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        Ok(Self { socket, state, port, candidates, own: own.to_vec() })
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

    /// Sleeps until a datagram is there or `timeout` is over.
    pub(crate) fn wait(&self, timeout: Duration) {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // An interrupted wait is a short one.
        let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&timeout));
    }

    /// Reads what is there and gives each datagram to `take(arrival, source, destination, bytes)`.
    /// Returns how many there were. Arrival is when the kernel took it in: a worker that was held
    /// up must not take its own delay for the network's.
    pub(crate) fn receive(
        &self,
        buffers: &mut ReceiveBuffers,
        mut take: impl FnMut(Instant, SocketAddr, SocketAddr, &[u8]),
    ) -> usize {
        let mut slices = buffers.bytes.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let metas = &mut buffers.metas;
        let Ok(count) = self.state.recv((&self.socket).into(), &mut slices, metas) else {
            return 0;
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
        datagrams
    }

    /// Sends one datagram; false if the operating system did not take it.
    pub(crate) fn send(&self, source: SocketAddr, to: SocketAddr, bytes: &[u8]) -> bool {
        let src_ip = self.own.contains(&source.ip()).then(|| source.ip());
        let transmit =
            Transmit { destination: to, ecn: None, contents: bytes, segment_size: None, src_ip };
        self.state.try_send((&self.socket).into(), &transmit).is_ok()
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

impl fmt::Debug for MediaSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaSocket")
            .field("port", &self.port)
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

/// Where datagrams are read into.
pub(crate) struct ReceiveBuffers {
    bytes: Box<[Vec<u8>; BATCH_SIZE]>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl ReceiveBuffers {
    pub(crate) fn new() -> Self {
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
