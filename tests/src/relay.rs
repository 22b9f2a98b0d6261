//! A bad network between a browser and the server.

use std::collections::BTreeMap;
use std::future::pending;
use std::iter;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use foldback_testkit::net::{Datagram, LinkSpec, LinkStats, Network};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep_until;

/// The largest datagram that UDP carries.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// A UDP relay on this machine, with a simulated link in each direction that the real
/// clock drives: what a browser sends to [`Self::port`] reaches the server's media port as the one
/// link lets it, and the answers come back as the other does.
///
/// STUN, DTLS, RTP and RTCP are all treated alike. Each address that sends to it has links of its
/// own, with seeds of their own, and one address towards the server, which so can tell them apart.
/// Timers are good to a millisecond or two, on top of what the links say. Dropped, it carries
/// nothing any more, what is on its way included.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    links: Arc<Mutex<Links>>,
    carrying: JoinHandle<()>,
}

/// What a [`Relay`] has carried so far, in datagrams, summed over all browsers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// From browsers to the server.
    pub up: LinkStats,
    /// From the server to browsers.
    pub down: LinkStats,
}

impl Relay {
    /// A relay to `server`, an address of this machine: `up` is the way there, `down` the way back.
    /// It runs on the tokio runtime that this is called on.
    ///
    /// # Panics
    /// If no UDP port is free, or a probability of a link is not within 0 to 1.
    pub async fn start(server: SocketAddr, seed: u64, up: LinkSpec, down: LinkSpec) -> Self {
        let towards_browsers = local_socket().await;
        let port = towards_browsers.local_addr().expect("a bound socket has an address").port();
        let links = Arc::new(Mutex::new(Links {
            network: Network::new(seed, LinkSpec::default()),
            server,
            browsers: Vec::new(),
            up,
            down,
        }));
        let (to_carry, answers) = mpsc::unbounded_channel();
        let carrier = Carrier {
            towards_browsers,
            towards_server: BTreeMap::new(),
            server,
            links: Arc::clone(&links),
            readers: JoinSet::new(),
            to_carry,
        };
        Self { port, links, carrying: tokio::spawn(carrier.run(answers)) }
    }

    /// The UDP port of this machine to which browsers send instead of the server's.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has carried so far.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        let links = lock(&self.links);
        let sum = |stats: &dyn Fn(SocketAddr) -> LinkStats| {
            links.browsers.iter().fold(LinkStats::default(), |sum, browser| {
                let more = stats(*browser);
                LinkStats {
                    sent: sum.sent + more.sent,
                    lost: sum.lost + more.lost,
                    duplicated: sum.duplicated + more.duplicated,
                    delivered: sum.delivered + more.delivered,
                }
            })
        };
        RelayStats {
            up: sum(&|browser| links.network.stats(browser, links.server)),
            down: sum(&|browser| links.network.stats(links.server, browser)),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

#[derive(Debug)]
struct Links {
    network: Network<SocketAddr, Vec<u8>>,
    server: SocketAddr,
    browsers: Vec<SocketAddr>,
    up: LinkSpec,
    down: LinkSpec,
}

impl Links {
    fn add(&mut self, browser: SocketAddr) {
        self.browsers.push(browser);
        self.network.set_link(browser, self.server, self.up.clone());
        self.network.set_link(self.server, browser, self.down.clone());
    }
}

/// A datagram of the server that has just come in, and for whom.
struct Answer {
    browser: SocketAddr,
    at: Instant,
    payload: Vec<u8>,
}

/// Brings datagrams from sockets to links and from links to sockets.
struct Carrier {
    towards_browsers: UdpSocket,
    /// By the browser's address.
    towards_server: BTreeMap<SocketAddr, Arc<UdpSocket>>,
    server: SocketAddr,
    links: Arc<Mutex<Links>>,
    /// One for each socket towards the server.
    readers: JoinSet<()>,
    to_carry: mpsc::UnboundedSender<Answer>,
}

impl Carrier {
    async fn run(mut self, mut answers: mpsc::UnboundedReceiver<Answer>) {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        loop {
            let next = lock(&self.links).network.next_arrival();
            tokio::select! {
                Ok((length, browser)) = self.towards_browsers.recv_from(&mut buffer) => {
                    let now = Instant::now();
                    if !self.towards_server.contains_key(&browser) {
                        self.add(browser).await;
                    }
                    let payload = buffer[..length].to_vec();
                    lock(&self.links).network.send(now, browser, self.server, payload);
                }
                Some(Answer { browser, at, payload }) = answers.recv() => {
                    lock(&self.links).network.send(at, self.server, browser, payload);
                }
                () = until(next) => {}
            }
            for datagram in self.arrived() {
                self.deliver(datagram).await;
            }
        }
    }

    /// A browser's address that was not seen before.
    async fn add(&mut self, browser: SocketAddr) {
        let socket = Arc::new(local_socket().await);
        lock(&self.links).add(browser);
        let (reading, server, to_carry) = (Arc::clone(&socket), self.server, self.to_carry.clone());
        self.readers.spawn(async move {
            let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
            while let Ok((length, from)) = reading.recv_from(&mut buffer).await {
                let answer =
                    Answer { browser, at: Instant::now(), payload: buffer[..length].to_vec() };
                if from == server && to_carry.send(answer).is_err() {
                    return;
                }
            }
        });
        self.towards_server.insert(browser, socket);
    }

    fn arrived(&self) -> Vec<Datagram<SocketAddr, Vec<u8>>> {
        let now = Instant::now();
        let mut links = lock(&self.links);
        iter::from_fn(|| links.network.receive(now)).collect()
    }

    async fn deliver(&self, datagram: Datagram<SocketAddr, Vec<u8>>) {
        let Datagram { from, to, payload, .. } = datagram;
        let socket = self.towards_server.get(&from).map_or(&self.towards_browsers, AsRef::as_ref);
        // What a socket does not take is lost, as on any network.
        let _ = socket.send_to(&payload, to).await;
    }
}

fn lock(links: &Mutex<Links>) -> MutexGuard<'_, Links> {
    links.lock().expect("nothing panics that holds the links")
}

async fn local_socket() -> UdpSocket {
    // Of all addresses: Firefox sends nothing to loopback ones.
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("a UDP port is free")
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use foldback_testkit::net::Loss;

    use super::*;

    /// Within which what loopback carries has come.
    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_perfect_relay_carries_everything_both_ways_and_tells_browsers_apart() {
        let server = local_socket().await;
        let relay =
            Relay::start(address(&server), 1, LinkSpec::default(), LinkSpec::default()).await;
        let browsers = [local_socket().await, local_socket().await];
        let mut seen_as = [None; 2];
        for round in 0..100_u8 {
            for (browser, seen_as) in browsers.iter().zip(&mut seen_as) {
                send(browser, &[round, 1], relay.port()).await;
                let (request, from) = receive(&server).await;
                assert_eq!(request, [round, 1]);
                assert_eq!(*seen_as.get_or_insert(from), from, "one address per browser");
                send(&server, &[round, 2], from.port()).await;
                let (answer, from) = receive(browser).await;
                assert_eq!((answer.as_slice(), from.port()), ([round, 2].as_slice(), relay.port()));
            }
        }
        assert_ne!(seen_as[0], seen_as[1]);
        let carried = LinkStats { sent: 200, delivered: 200, ..LinkStats::default() };
        assert_eq!(relay.stats(), RelayStats { up: carried, down: carried });
    }

    #[tokio::test]
    async fn a_lossy_relay_loses_its_share_in_each_direction() {
        const COUNT: u64 = 4000;
        let server = local_socket().await;
        let lossy = LinkSpec { loss: Loss::random(0.05), ..LinkSpec::default() };
        let relay = Relay::start(address(&server), 1, lossy.clone(), lossy).await;
        let browser = local_socket().await;
        let (mut requests, mut answers) = (0_u64, 0_u64);
        for sent in 1..=COUNT {
            send(&browser, b"request", relay.port()).await;
            let up = settled(|| relay.stats().up, sent).await;
            while requests < up.delivered {
                let (_, from) = receive(&server).await;
                requests += 1;
                send(&server, b"answer", from.port()).await;
                let down = settled(|| relay.stats().down, requests).await;
                while answers < down.delivered {
                    receive(&browser).await;
                    answers += 1;
                }
            }
        }
        let RelayStats { up, down } = relay.stats();
        for way in [up, down] {
            let share = way.lost as f64 / way.sent as f64;
            assert!((0.04..0.06).contains(&share), "{share} lost: {way:?}");
        }
        assert_eq!((up.sent, up.sent - up.lost), (COUNT, requests));
        assert_eq!((down.sent, down.sent - down.lost), (requests, answers));
    }

    #[tokio::test]
    async fn each_way_takes_its_own_time() {
        let (up, down) = (Duration::from_millis(20), Duration::from_millis(40));
        let server = local_socket().await;
        let (up_link, down_link) = (LinkSpec::delayed(up), LinkSpec::delayed(down));
        let relay = Relay::start(address(&server), 1, up_link, down_link).await;
        let browser = local_socket().await;
        let start = Instant::now();
        send(&browser, b"request", relay.port()).await;
        let (_, from) = receive(&server).await;
        let there = start.elapsed();
        send(&server, b"answer", from.port()).await;
        receive(&browser).await;
        let back = start.elapsed() - there;
        assert!(there >= up, "{there:?} on a way of {up:?}");
        assert!(back >= down, "{back:?} on a way of {down:?}");
    }

    /// Waits until so many were handed to a link, and what it did not lose was handed on.
    async fn settled(stats: impl Fn() -> LinkStats, sent: u64) -> LinkStats {
        let settled = async {
            loop {
                let stats = stats();
                if stats.sent == sent && stats.delivered + stats.lost == sent {
                    return stats;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("the relay takes what comes")
    }

    async fn send(from: &UdpSocket, payload: &[u8], port: u16) {
        from.send_to(payload, (Ipv4Addr::LOCALHOST, port)).await.expect("loopback takes datagrams");
    }

    async fn receive(at: &UdpSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 64];
        let received = tokio::time::timeout(PATIENCE, at.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("it comes in time").expect("a socket receives");
        (buffer[..length].to_vec(), from)
    }

    fn address(socket: &UdpSocket) -> SocketAddr {
        let port = socket.local_addr().expect("a bound socket has an address").port();
        (Ipv4Addr::LOCALHOST, port).into()
    }
}
