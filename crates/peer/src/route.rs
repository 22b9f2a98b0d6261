//! The way of a datagram.

use std::net::SocketAddr;

use str0m::net::Protocol;

/// What carries datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// A TCP connection that the browser opened (RFC 6544), each datagram in a frame (RFC 4571).
    Tcp,
}

/// Where a datagram comes from and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// By what.
    pub transport: Transport,
    /// From where.
    pub source: SocketAddr,
    /// To where.
    pub destination: SocketAddr,
}

impl Route {
    /// By UDP.
    #[must_use]
    pub fn udp(source: SocketAddr, destination: SocketAddr) -> Self {
        Self { transport: Transport::Udp, source, destination }
    }

    /// By a TCP connection.
    #[must_use]
    pub fn tcp(source: SocketAddr, destination: SocketAddr) -> Self {
        Self { transport: Transport::Tcp, source, destination }
    }
}

impl From<Transport> for Protocol {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => Self::Udp,
            Transport::Tcp => Self::Tcp,
        }
    }
}

impl From<Protocol> for Transport {
    /// No candidate of ours has another one than these two.
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp | Protocol::SslTcp | Protocol::Tls => Self::Udp,
        }
    }
}
