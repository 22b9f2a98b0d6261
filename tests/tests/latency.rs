//! Server latency over real UDP with real clients: a measurement, not a test.
//!
//! `cargo test -p foldback-tests --test latency -- --ignored --nocapture`

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use foldback_tests::{Scrape, Server};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};
use tokio_tungstenite::tungstenite::Message;

const CLIENTS: usize = 10;
const PACKET_TIME: Duration = Duration::from_millis(20);
const SETTLE: Duration = Duration::from_secs(20);
const MEASURE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures for a minute and a half, and its figures depend on the machine"]
async fn latency_over_udp() {
    foldback_peer::install_crypto(Instant::now());
    for (mode, median_ms, most_ms) in [("low", 20.0, 28.0), ("balanced", 25.0, 40.0)] {
        let config = format!(
            "[server]\nworkers = 1\n[latency]\nmode = \"{mode}\"\n\
             [chain.clean]\nstages = [{{ kind = \"mix\", max_talkers = 16 }}]\n\
             [[room]]\nname = \"*\"\nchain = \"clean\"\n"
        );
        let server = Server::start(&config).await;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            clients.push(Client::join(&server, number).await);
        }
        let sockets: Vec<_> = clients.iter_mut().map(|c| c.signalling.take()).collect();
        let talking = std::thread::spawn(move || talk(clients, SETTLE + MEASURE));
        tokio::time::sleep(SETTLE).await;
        let before = server.metrics().await;
        tokio::time::sleep(MEASURE).await;
        let after = server.metrics().await;
        talking.join().expect("the clients talk to the end");
        drop(sockets);
        let latency = "foldback_server_latency_seconds";
        let at = |share| quantile_ms(&before, &after, latency, share);
        println!(
            "{mode}: median {:.1} ms, 95 % {:.1} ms, 99 % {:.1} ms (wanted: {median_ms}, {most_ms})",
            at(0.5),
            at(0.95),
            at(0.99),
        );
        for part in ["jitter_buffer", "tick_wait", "chain", "encode"] {
            let name = "foldback_server_latency_part_seconds";
            let total = |suffix: &str| {
                let name = format!("{name}_{suffix}");
                after.total(&name, &[("part", part)]) - before.total(&name, &[("part", part)])
            };
            println!("  {part}: mean {:.2} ms", total("sum") / total("count") * 1e3);
        }
        for counter in ["foldback_samples_concealed_total", "foldback_ticks_skipped_total"] {
            println!("  {counter}: {}", after.total(counter, &[]) - before.total(counter, &[]));
        }
    }
}

/// Of what came between two scrapes, evenly spread within each bucket.
fn quantile_ms(before: &Scrape, after: &Scrape, name: &str, share: f64) -> f64 {
    let buckets = |scrape: &Scrape| -> Vec<(f64, f64)> {
        let mut buckets: Vec<_> = scrape
            .samples(&format!("{name}_bucket"), &[])
            .filter_map(|sample| Some((sample.labels.get("le")?.parse().ok()?, sample.value)))
            .collect();
        buckets.sort_by(|a: &(f64, f64), b| a.0.total_cmp(&b.0));
        buckets
    };
    let counts: Vec<(f64, f64)> = buckets(after)
        .into_iter()
        .zip(buckets(before))
        .map(|((le, now), (_, then))| (le, now - then))
        .collect();
    let wanted = share * counts.last().expect("buckets").1;
    let (mut low, mut below) = (0.0, 0.0);
    for (le, count) in counts {
        if count >= wanted {
            let within = (wanted - below) / (count - below).max(1.0);
            return (low + within * (le - low)) * 1e3;
        }
        (low, below) = (le, count);
    }
    f64::INFINITY
}

struct Client {
    rtc: Rtc,
    mid: Mid,
    opus: Pt,
    socket: UdpSocket,
    address: SocketAddr,
    timeout: Instant,
    connected: bool,
    next_packet: Instant,
    sent: u64,
    payloads: Vec<Vec<u8>>,
    signalling: Option<Signalling>,
}

type Signalling =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

impl Client {
    async fn join(server: &Server, number: usize) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a socket that does not block");
        let address = socket.local_addr().expect("bound");
        let now = Instant::now();
        let builder = Rtc::builder().set_rtp_mode(true).clear_codecs();
        let mut rtc = builder.enable_opus(true, false).build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("plain"));
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("a media line was added");
        let url = server.websocket_url();
        let (mut signalling, _) = tokio_tungstenite::connect_async(url).await.expect("a socket");
        let join = json!({ "type": "join", "room": "r", "name": format!("n{number}") });
        let offer = json!({ "type": "offer", "sdp": offer.to_sdp_string() });
        for message in [join, offer] {
            signalling.send(Message::text(message.to_string())).await.expect("sent");
        }
        let answer = loop {
            let message = signalling.next().await.expect("an answer").expect("an answer");
            let value: Value =
                serde_json::from_str(message.to_text().unwrap_or("{}")).unwrap_or_default();
            if value["type"] == "answer" {
                break value["sdp"].as_str().expect("SDP").to_owned();
            }
        };
        let answer = SdpAnswer::from_sdp_string(&answer).expect("an answer");
        rtc.sdp_api().accept_answer(pending, answer).expect("the answer fits");
        let opus = rtc.codec_config().params().first().expect("Opus").pt();
        // Each at its own place between two ticks.
        let next_packet = now + Duration::from_micros(20_000 * number as u64 / CLIENTS as u64);
        let voice = foldback_testkit::signal::speech_like(number as u64, -26.0, 5.0);
        let payloads = encoded(&voice);
        Self {
            rtc,
            mid,
            opus,
            socket,
            address,
            timeout: now,
            connected: false,
            next_packet,
            sent: 0,
            payloads,
            signalling: Some(signalling),
        }
    }

    fn run(&mut self, now: Instant) {
        let mut buffer = [0; 2000];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let bytes = &buffer[..length];
                    if let Ok(r) = Receive::new(Protocol::Udp, from, self.address, bytes) {
                        self.rtc.handle_input(Input::Receive(now, r)).expect("good");
                        self.drain();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        while self.next_packet <= now {
            self.next_packet += PACKET_TIME;
            if self.connected {
                self.send(now);
            }
        }
        if self.timeout <= now {
            self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
            self.drain();
        }
    }

    fn send(&mut self, now: Instant) {
        let payload = self.payloads[self.sent as usize % self.payloads.len()].clone();
        let rtp_time = (self.sent * 960) as u32;
        let write = RtpWrite::new(self.opus, (self.sent + 1).into(), rtp_time, now, payload);
        self.sent += 1;
        let mut api = self.rtc.direct_api();
        api.stream_tx_by_mid(self.mid, None).expect("a sending stream").write_rtp(write);
        self.rtc.handle_input(Input::Timeout(now)).expect("time passes");
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output().expect("the session lives") {
                Output::Timeout(at) => {
                    self.timeout = at;
                    return;
                }
                Output::Transmit(t) => {
                    let _ = self.socket.send_to(&t.contents, t.destination);
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(_) => {}
            }
        }
    }
}

fn encoded(voice: &[f32]) -> Vec<Vec<u8>> {
    use audiopus::coder::Encoder;
    use audiopus::{Application, Channels, SampleRate};
    let encoder =
        Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip).expect("an encoder");
    let encode = |pcm: &[f32]| {
        let mut bytes = [0; 1275];
        let length = encoder.encode_float(pcm, &mut bytes).expect("encodes");
        bytes[..length].to_vec()
    };
    voice.chunks_exact(960).map(encode).collect()
}

fn talk(mut clients: Vec<Client>, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        for client in &mut clients {
            client.run(Instant::now());
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    assert!(clients.iter().all(|client| client.connected), "everybody was connected");
}
