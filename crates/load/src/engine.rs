//! A thread with many clients: woken by their datagrams and their deadlines.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::client::Client;
use crate::system;

/// Sockets that are read before deadlines are looked at again: in bursts of hundreds of datagrams
/// sending must not wait for all of them.
const SOCKETS_AT_ONCE: usize = 32;
const WAKER: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

enum Command {
    Add(Box<Client>),
    Measure,
    Finish,
}

/// What an engine hands back.
pub(crate) struct EngineReport {
    /// All its clients, closed.
    pub(crate) clients: Vec<Client>,
    /// CPU time while measuring.
    pub(crate) cpu_time: Duration,
    /// Datagrams that the kernel dropped, since their sockets were full.
    pub(crate) dropped: u64,
}

/// A running engine.
pub(crate) struct Engine {
    commands: Sender<Command>,
    waker: Waker,
    thread: JoinHandle<EngineReport>,
}

impl Engine {
    /// Starts the thread. It counts the sessions that are up into `connected`.
    pub(crate) fn spawn(number: usize, connected: Arc<AtomicUsize>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let timer = Timer::new(&poll)?;
        let (commands, queue) = channel();
        let builder = std::thread::Builder::new().name(format!("load-{number}"));
        let thread = builder.spawn(move || Running::new(poll, timer, queue, connected).run())?;
        Ok(Self { commands, waker, thread })
    }

    /// Hands a client over.
    pub(crate) fn add(&self, client: Client) {
        self.tell(Command::Add(Box::new(client)));
    }

    /// Counts from now on.
    pub(crate) fn measure(&self) {
        self.tell(Command::Measure);
    }

    /// Closes all clients and ends.
    pub(crate) fn finish(self) -> Result<EngineReport, String> {
        self.tell(Command::Finish);
        self.thread.join().map_err(|_| "a thread of the clients panicked".to_owned())
    }

    /// A thread that has ended says why in [`Self::finish`].
    fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
        let _ = self.waker.wake();
    }
}

/// Wakes a poll to the nanosecond: its own timeout counts milliseconds, by which clients would send
/// unevenly, and servers hold sound back for that.
struct Timer(OwnedFd);

impl Timer {
    fn new(poll: &Poll) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Wakes after that time, rather than when it was to before.
    fn set(&self, wait: Duration) -> io::Result<()> {
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Nothing would stop it.
        let wait = wait.max(Duration::from_nanos(1));
        let seconds = i64::try_from(wait.as_secs()).unwrap_or(i64::MAX);
        let it_value = Timespec { tv_sec: seconds, tv_nsec: wait.subsec_nanos().into() };
        let wakes = Itimerspec { it_interval: once, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &wakes)?;
        Ok(())
    }
}

struct Running {
    poll: Poll,
    timer: Timer,
    commands: Receiver<Command>,
    connected: Arc<AtomicUsize>,
    clients: Vec<Client>,
    /// When which client is to run: for each client the earliest entry is the one that counts.
    deadlines: BinaryHeap<Reverse<(Instant, usize)>>,
    /// The entry that counts, by client.
    scheduled: Vec<Option<Instant>>,
    /// CPU time and dropped datagrams from before measuring.
    before: (Duration, u64),
}

impl Running {
    fn new(
        poll: Poll,
        timer: Timer,
        commands: Receiver<Command>,
        connected: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            poll,
            timer,
            commands,
            connected,
            clients: Vec::new(),
            deadlines: BinaryHeap::new(),
            scheduled: Vec::new(),
            before: (Duration::ZERO, 0),
        }
    }

    fn run(mut self) -> EngineReport {
        let mut events = Events::with_capacity(SOCKETS_AT_ONCE);
        let mut buffer = [0; 2048];
        loop {
            let next = self.deadlines.peek().map(|Reverse((at, _))| *at);
            let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
            let timed = wait.is_none_or(|wait| self.timer.set(wait).is_ok());
            // Interrupted, or out of memory: what is due is done all the same.
            let _ = self.poll.poll(&mut events, wait.filter(|_| !timed));
            for event in &events {
                match event.token() {
                    WAKER if self.obey() => return self.finish(),
                    WAKER | TIMER => {}
                    Token(number) => self.with(number, |client| client.receive(&mut buffer)),
                }
            }
            let now = Instant::now();
            while let Some(Reverse((at, number))) = self.deadlines.peek().copied()
                && at <= now
            {
                self.deadlines.pop();
                if self.scheduled[number] == Some(at) {
                    self.scheduled[number] = None;
                    self.with(number, |client| client.run(now));
                }
            }
        }
    }

    /// Returns whether it is to end.
    fn obey(&mut self) -> bool {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Add(client) => self.add(*client),
                Command::Measure => {
                    self.clients.iter_mut().for_each(Client::restart);
                    self.before = self.used();
                }
                Command::Finish => return true,
            }
        }
        false
    }

    fn add(&mut self, mut client: Client) {
        let number = self.clients.len();
        let registry = self.poll.registry();
        if registry.register(&mut client.socket, Token(number), Interest::READABLE).is_err() {
            client.progress.ended = true;
        }
        self.clients.push(client);
        self.scheduled.push(None);
        self.with(number, |client| client.run(Instant::now()));
    }

    /// Does something with a client, and sees to its next deadline.
    fn with(&mut self, number: usize, act: impl FnOnce(&mut Client)) {
        let client = &mut self.clients[number];
        let was_connected = client.progress.connected.is_some();
        act(client);
        if !was_connected && client.progress.connected.is_some() {
            self.connected.fetch_add(1, Ordering::Relaxed);
        }
        let Some(deadline) = client.deadline() else { return };
        if self.scheduled[number].is_none_or(|scheduled| deadline < scheduled) {
            self.scheduled[number] = Some(deadline);
            self.deadlines.push(Reverse((deadline, number)));
        }
    }

    fn used(&self) -> (Duration, u64) {
        let ports: BTreeSet<u16> = self.clients.iter().map(Client::port).collect();
        (system::thread_cpu_time(), system::dropped_datagrams(&ports))
    }

    fn finish(mut self) -> EngineReport {
        let (cpu_time, dropped) = self.used();
        let now = Instant::now();
        for client in &mut self.clients {
            client.close(now);
            // The ears end when nobody can tell them anything more.
            client.role.ears = None;
        }
        EngineReport {
            clients: self.clients,
            cpu_time: cpu_time.saturating_sub(self.before.0),
            dropped: dropped.saturating_sub(self.before.1),
        }
    }
}
