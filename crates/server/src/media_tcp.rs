//! The media port of TCP, for those whose UDP is shut (RFC 6544): a connection waits here until its
//! first datagram tells which worker it is for.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foldback_metrics::Metrics;
use foldback_peer::stun_ufrag;
use foldback_worker::{Command, Deframer, FrameTooLong, MediaStream, candidate_for};
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::auth::{Seat, Seats};
use crate::conference::Conference;
use crate::serve::ServeError;

/// Connections at a time.
const MOST: usize = 4096;
/// Of one address: an office, with a connection or two for each person.
const MOST_OF_AN_ADDRESS: usize = 256;
/// A connection that has named no session by then is closed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// After a connection could not be accepted: there are as many files open as may be.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections for the media threads.
#[derive(Debug)]
pub(crate) struct MediaTcp {
    listener: TcpListener,
    candidates: Vec<SocketAddr>,
}

impl MediaTcp {
    /// Listens on `port` of all addresses of the families in `public`, which are those that clients
    /// are told. To be called on a tokio runtime.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub(crate) fn bind(port: u16, public: &[IpAddr]) -> Result<Self, ServeError> {
        let listener = listen(port, public.iter().any(IpAddr::is_ipv6)).map_err(|error| {
            ServeError::new(format!(
                "cannot listen on TCP port {port} for media: {error}; choose another as \
                 `media_tcp_port` in [server], or 0 for none"
            ))
        })?;
        let candidates = public.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        Ok(Self { listener, candidates })
    }

    /// Where clients find it.
    pub(crate) fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Takes connections as long as it runs.
    pub(crate) async fn serve(self, conference: Arc<Conference>) {
        let Self { listener, candidates } = self;
        let (candidates, seats) = (Arc::new(candidates), Seats::new(MOST, MOST_OF_AN_ADDRESS));
        loop {
            let (socket, client) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a connection for media could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let metrics = conference.metrics.clone();
            let client = canonical(client);
            let Some(place) = Place::take(&seats, client.ip(), &metrics) else {
                metrics.tcp_refused();
                continue;
            };
            let (conference, candidates) = (Arc::clone(&conference), Arc::clone(&candidates));
            tokio::spawn(async move {
                let brought = bring(socket, client, &candidates, place, &conference).await;
                if let Err(reason) = brought {
                    tracing::debug!(%reason, "a connection for media is closed");
                    metrics.tcp_refused();
                }
            });
        }
    }
}

/// On all addresses of IPv4, and of IPv6 if `has_v6`.
fn listen(port: u16, has_v6: bool) -> io::Result<TcpListener> {
    let all: IpAddr =
        if has_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let address = SocketAddr::new(all, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if has_v6 {
        socket.set_only_v6(false)?;
    }
    // Connections of the server before this one may not be quite over.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Reads the first datagram and gives the connection to the worker with the session that it names.
async fn bring(
    mut socket: TcpStream,
    client: SocketAddr,
    candidates: &[SocketAddr],
    place: Place,
    conference: &Conference,
) -> Result<(), Refused> {
    let local = canonical(socket.local_addr()?);
    let candidate = candidate_for(candidates, Some(local.ip()), client).ok_or(Refused::Nobody)?;
    let mut incoming = Deframer::default();
    let first = first_datagram(&mut socket, &mut incoming, |datagram| {
        stun_ufrag(datagram, |ufrag| conference.ice_names.worker_of(ufrag)).flatten()
    });
    let worker = tokio::time::timeout(PATIENCE, first).await.map_err(|_| Refused::Slow)??;
    let worker = worker.ok_or(Refused::Nobody)?;
    let stream = MediaStream::new(socket.into_std()?, client, candidate, incoming, place)?;
    let command = Command::Stream(Box::new(stream));
    conference.command(worker, command).map_err(|_| Refused::Busy)
}

async fn first_datagram<T>(
    socket: &mut TcpStream,
    incoming: &mut Deframer,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T, Refused> {
    loop {
        if let Some(datagram) = incoming.datagram()? {
            return Ok(read(datagram));
        }
        let bytes = socket.read(incoming.space()).await?;
        if bytes == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        incoming.add(bytes);
    }
}

/// An address of IPv4 is one, also where IPv6 took it in.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Why a connection is closed.
#[derive(Debug)]
enum Refused {
    /// No session has the name that its first datagram has, if it has one.
    Nobody,
    Slow,
    Busy,
    Frame(FrameTooLong),
    Io(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("its first datagram names no session"),
            Self::Slow => write!(f, "it sent no datagram within {} s", PATIENCE.as_secs()),
            Self::Busy => f.write_str("the worker takes no more"),
            Self::Frame(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<FrameTooLong> for Refused {
    fn from(error: FrameTooLong) -> Self {
        Self::Frame(error)
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// That of one connection, counted for as long as it is kept.
struct Place {
    seat: Option<Seat>,
    seats: Arc<Seats>,
    metrics: Metrics,
}

impl Place {
    fn take(seats: &Arc<Seats>, address: IpAddr, metrics: &Metrics) -> Option<Self> {
        let seat = Some(seats.take(address)?);
        metrics.tcp_connections(seats.taken());
        Some(Self { seat, seats: Arc::clone(seats), metrics: metrics.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seat = None;
        self.metrics.tcp_connections(self.seats.taken());
    }
}
