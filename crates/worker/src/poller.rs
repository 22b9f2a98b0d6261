//! Which of many sockets have something to be read, told at once.

#[cfg(target_os = "linux")]
pub(crate) use linux::Poller;
#[cfg(not(target_os = "linux"))]
pub(crate) use others::Poller;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    use rustix::event::Timespec;
    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

    /// Sockets that are told of at once; the others wait for the next turn.
    const AT_ONCE: usize = 64;

    /// Knows which sockets have something to be read, however many there are.
    pub(crate) struct Poller(OwnedFd);

    impl Poller {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self(epoll::create(CreateFlags::CLOEXEC)?))
        }

        pub(crate) fn add(&self, socket: impl AsFd, number: usize) -> bool {
            let data = EventData::new_u64(number as u64);
            epoll::add(&self.0, socket, data, EventFlags::IN).is_ok()
        }

        pub(crate) fn remove(&self, socket: impl AsFd) {
            // Closing it would do the same.
            let _ = epoll::delete(&self.0, socket);
        }

        pub(crate) fn readable(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }

        pub(crate) fn ready(&self, _open: usize, numbers: &mut Vec<usize>) {
            let none = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
            let mut events = [none; AT_ONCE];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let count = epoll::wait(&self.0, &mut events, Some(&now)).unwrap_or_default();
            numbers.extend(events[..count].iter().map(|event| {
                let data = event.data;
                data.u64() as usize
            }));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod others {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};

    /// Has every socket looked at in each turn, every 10 ms at least.
    pub(crate) struct Poller;

    impl Poller {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn add(&self, _socket: impl AsFd, _number: usize) -> bool {
            true
        }

        pub(crate) fn remove(&self, _socket: impl AsFd) {}

        pub(crate) fn readable(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        pub(crate) fn ready(&self, open: usize, numbers: &mut Vec<usize>) {
            numbers.extend(0..open);
        }
    }
}
