//! What the media socket costs per datagram, beside one system call for each:
//! `cargo bench --workspace --bench io`
//!
//! Times are CPU time of the thread, median of the rounds, all variants in turn in each round.
//! `bare` calls move bytes and addresses alone; `single` ones also carry what the media socket
//! needs: the address of this machine, and when the kernel took a datagram in. Listeners never
//! read: once their buffers are full, the kernel drops what comes, after all of its way through the
//! loopback interface.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use foldback_benches::cpu_time;
use foldback_metrics::Counters;
use foldback_worker::{MediaSocket, Outbox, Ready, ReceiveBuffers};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

const LISTENERS: usize = 500;
/// Speech at 40 kbit/s, encrypted, with header extensions.
const DATAGRAM: [u8; 150] = [0; 150];
const ROUNDS: usize = 400;
/// Datagrams that wait to be read in a round.
const BURST: usize = 128;
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn main() {
    let listeners: Vec<_> = (0..LISTENERS).map(|_| bind()).collect();
    let media = MediaSocket::bind(0, &[LOCALHOST], &[LOCALHOST]).expect("a free port");
    send(&listeners, Arc::new(media));
    let media = MediaSocket::bind(0, &[LOCALHOST], &[LOCALHOST]).expect("a free port");
    receive(&listeners, &media);
}

fn send(listeners: &[UdpSocket], media: Arc<MediaSocket>) {
    let to: Vec<_> = listeners.iter().map(address).collect();
    let (bare, single) = (bind(), bind());
    let state = UdpSocketState::new((&single).into()).expect("a socket");
    let source = media.candidates()[0];
    let mut outbox = Outbox::new(media);
    let mut count = Counters::default();
    let mut times = [vec![], vec![], vec![]];
    for _ in 0..ROUNDS {
        times[0].push(computing(|| {
            for to in &to {
                bare.send_to(&DATAGRAM, to).expect("it is taken");
            }
        }));
        times[1].push(computing(|| {
            for to in &to {
                let transmit = Transmit {
                    destination: *to,
                    ecn: None,
                    contents: &DATAGRAM,
                    segment_size: None,
                    src_ip: Some(LOCALHOST),
                };
                state.try_send((&single).into(), &transmit).expect("it is taken");
            }
        }));
        times[2].push(computing(|| {
            to.iter().for_each(|to| outbox.push(source, *to, &DATAGRAM, &mut count));
            outbox.flush(&mut count);
        }));
    }
    assert_eq!(count.datagrams_sent, (ROUNDS * LISTENERS) as u64);
    show("send to 500 listeners", times, LISTENERS);
}

fn receive(senders: &[UdpSocket], media: &MediaSocket) {
    let (bare, single) = (bind(), bind());
    let state = UdpSocketState::new((&single).into()).expect("a socket");
    let mut buffer = vec![0; 65_535];
    let mut buffers = ReceiveBuffers::default();
    let mut times = [vec![], vec![], vec![]];
    for _ in 0..ROUNDS {
        burst(senders, address(&bare));
        times[0].push(computing(|| {
            for _ in 0..BURST {
                bare.recv_from(&mut buffer).expect("it waits");
            }
        }));
        burst(senders, address(&single));
        times[1].push(computing(|| {
            for _ in 0..BURST {
                let (mut slice, mut meta) = ([IoSliceMut::new(&mut buffer)], [RecvMeta::default()]);
                state.recv((&single).into(), &mut slice, &mut meta).expect("it waits");
            }
        }));
        burst(senders, media.candidates()[0]);
        let mut read = 0;
        times[2].push(computing(|| {
            while read < BURST {
                read += media.receive(&mut buffers, Ready::EVERYWHERE, |_, _, _, _| {}).datagrams;
            }
        }));
    }
    show("receive 128", times, BURST);
}

fn show(what: &str, times: [Vec<Duration>; 3], datagrams: usize) {
    let [bare, single, batched] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_nanos() as f64 / datagrams as f64
    });
    println!(
        "{what}: bare {bare:.0} ns, single {single:.0} ns, batched {batched:.0} ns ({:.2} of single)",
        batched / single
    );
}

/// Each from another address, as participants are.
fn burst(from: &[UdpSocket], to: SocketAddr) {
    for socket in from.iter().take(BURST) {
        socket.send_to(&DATAGRAM, to).expect("there is room");
    }
}

fn bind() -> UdpSocket {
    UdpSocket::bind((LOCALHOST, 0)).expect("a free port")
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

/// What the work takes of this thread.
fn computing(work: impl FnOnce()) -> Duration {
    let before = cpu_time();
    work();
    cpu_time() - before
}
