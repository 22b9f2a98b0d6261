//! Many datagrams to many addresses in one system call, where there is one.

/// The most datagrams in one call. What a call costs is spread over so many; those that come first
/// do not wait for all the others.
pub(crate) const BATCH: usize = 64;

pub(crate) use system::Batch;

#[cfg(target_os = "linux")]
mod system {
    use std::io::{self, IoSlice};
    use std::net::{IpAddr, SocketAddr};
    use std::os::fd::AsRawFd;

    use nix::libc;
    use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

    use super::BATCH;
    use crate::socket::MediaSocket;

    /// Headers for `sendmmsg`, used again in every call.
    ///
    /// They name no type of service, so that the socket's own goes into each datagram.
    pub(crate) struct Batch {
        headers: MultiHeaders<SockaddrStorage>,
        source: Option<Source>,
        is_v6: bool,
    }

    /// From where, as each family is told.
    enum Source {
        V4(libc::in_pktinfo),
        V6(libc::in6_pktinfo),
    }

    impl Source {
        fn message(&self) -> ControlMessage<'_> {
            match self {
                Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
                Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
            }
        }
    }

    impl Batch {
        /// Datagrams of a family that leave from `source`, else from where the route leaves. Allocates.
        pub(crate) fn new(source: Option<IpAddr>, is_v6: bool) -> Self {
            let source = source.map(|source| match source {
                IpAddr::V4(ip) => Source::V4(libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                }),
                IpAddr::V6(ip) => Source::V6(libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                    ipi6_ifindex: 0,
                }),
            });
            let space = source.as_ref().map(|source| match source {
                Source::V4(_) => nix::cmsg_space!(libc::in_pktinfo),
                Source::V6(_) => nix::cmsg_space!(libc::in6_pktinfo),
            });
            Self { headers: MultiHeaders::preallocate(BATCH, space), source, is_v6 }
        }

        /// Sends the first of `datagrams`; returns how many. Allocates nothing.
        ///
        /// # Errors
        /// What was wrong with the very first; none was sent then.
        pub(crate) fn send<'a>(
            &mut self,
            socket: &MediaSocket,
            datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
        ) -> io::Result<usize> {
            let mut contents = [[IoSlice::new(&[])]; BATCH];
            let mut addresses = [None; BATCH];
            let mut count = 0;
            for ((to, bytes), (slot, address)) in
                datagrams.zip(contents.iter_mut().zip(&mut addresses))
            {
                *slot = [IoSlice::new(bytes)];
                *address = Some(SockaddrStorage::from(to));
                count += 1;
            }
            let source = self.source.as_ref().map(Source::message);
            let sent = sendmmsg(
                socket.udp(self.is_v6).as_raw_fd(),
                &mut self.headers,
                &contents[..count],
                &addresses[..count],
                source.as_slice(),
                MsgFlags::empty(),
            )?;
            Ok(sent.count())
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::net::{IpAddr, SocketAddr};

    use crate::socket::MediaSocket;

    /// Datagrams leave one by one.
    pub(crate) struct Batch {
        source: Option<IpAddr>,
    }

    impl Batch {
        /// Datagrams that leave from `source`, else from where the route leaves.
        pub(crate) fn new(source: Option<IpAddr>, _is_v6: bool) -> Self {
            Self { source }
        }

        /// Sends the first of `datagrams`; returns how many. Allocates nothing.
        ///
        /// # Errors
        /// What was wrong with the very first; none was sent then.
        pub(crate) fn send<'a>(
            &mut self,
            socket: &MediaSocket,
            mut datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
        ) -> io::Result<usize> {
            let Some((to, bytes)) = datagrams.next() else { return Ok(0) };
            socket.send_one(self.source, to, bytes).map(|()| 1)
        }
    }
}
