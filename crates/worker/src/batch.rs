//! Many datagrams to many addresses in one system call, where there is one.

/// The most datagrams in one call. What a call costs is spread over so many; those that come first
/// do not wait for all the others.
pub(crate) const BATCH: usize = 64;

pub(crate) use system::Batch;

#[cfg(target_os = "linux")]
mod system {
    use std::io::{self, IoSlice};
    use std::net::{IpAddr, SocketAddrV4};
    use std::os::fd::AsRawFd;

    use nix::libc;
    use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};

    use super::BATCH;
    use crate::socket::MediaSocket;

    /// Headers for `sendmmsg`, used again in every call.
    ///
    /// They name no type of service, so that the socket's own goes into each datagram.
    pub(crate) struct Batch {
        headers: MultiHeaders<SockaddrIn>,
        source: Option<libc::in_pktinfo>,
    }

    impl Batch {
        /// Datagrams that leave from `source`, else from where the route leaves. Allocates.
        pub(crate) fn new(source: Option<IpAddr>) -> Self {
            let source = match source {
                Some(IpAddr::V4(ip)) => Some(libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                }),
                _ => None,
            };
            let space = source.map(|_| nix::cmsg_space!(libc::in_pktinfo));
            Self { headers: MultiHeaders::preallocate(BATCH, space), source }
        }

        /// Sends the first of `datagrams`; returns how many. Allocates nothing.
        ///
        /// # Errors
        /// What was wrong with the very first; none was sent then.
        pub(crate) fn send<'a>(
            &mut self,
            socket: &MediaSocket,
            datagrams: impl Iterator<Item = (SocketAddrV4, &'a [u8])>,
        ) -> io::Result<usize> {
            let mut contents = [[IoSlice::new(&[])]; BATCH];
            let mut addresses = [None; BATCH];
            let mut count = 0;
            for ((to, bytes), (slot, address)) in
                datagrams.zip(contents.iter_mut().zip(&mut addresses))
            {
                *slot = [IoSlice::new(bytes)];
                *address = Some(SockaddrIn::from(to));
                count += 1;
            }
            let source = self.source.as_ref().map(ControlMessage::Ipv4PacketInfo);
            let sent = sendmmsg(
                socket.udp().as_raw_fd(),
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
    use std::net::{IpAddr, SocketAddrV4};

    use crate::socket::MediaSocket;

    /// Datagrams leave one by one.
    pub(crate) struct Batch {
        source: Option<IpAddr>,
    }

    impl Batch {
        /// Datagrams that leave from `source`, else from where the route leaves.
        pub(crate) fn new(source: Option<IpAddr>) -> Self {
            Self { source }
        }

        /// Sends the first of `datagrams`; returns how many. Allocates nothing.
        ///
        /// # Errors
        /// What was wrong with the very first; none was sent then.
        pub(crate) fn send<'a>(
            &mut self,
            socket: &MediaSocket,
            mut datagrams: impl Iterator<Item = (SocketAddrV4, &'a [u8])>,
        ) -> io::Result<usize> {
            let Some((to, bytes)) = datagrams.next() else { return Ok(0) };
            socket.send_one(self.source, to.into(), bytes).map(|()| 1)
        }
    }
}
