//! What a server makes of those who mean it harm, while people talk in it who notice nothing.
//!
//! `cargo nextest run --workspace -E 'binary(attacks)' --no-capture` prints the table of docs/security.md.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use foldback_tests::{RtcClient, Server, foldback, free_line_ports, free_tcp_port};
use futures_util::{SinkExt, StreamExt, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const OPERATOR: &str = "0123456789abcdef";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Where attackers seem to come from, as a proxy would tell it: this machine's own are not counted.
const ATTACKER: &str = "203.0.113.9";
const MIB: usize = 1 << 20;

/// Whoever attacks, and what they found out.
struct Attack<'a> {
    server: &'a Server,
    folder: &'a TempDir,
    table: Vec<(&'static str, String)>,
}

impl Attack<'_> {
    fn got(&mut self, attack: &'static str, answer: impl Into<String>) {
        let answer = answer.into();
        println!("| {attack} | {answer} |");
        self.table.push((attack, answer));
    }

    fn token(&self, secret: &str, more: &[&str]) -> String {
        let file = self.folder.path().join(format!("secret-{}", secret.len()));
        std::fs::write(&file, secret).expect("a file");
        let mut command = Command::new(foldback());
        command.args(["token", "create", "--room", "*", "--secret-file"]).arg(file).args(more);
        let made = command.output().expect("the command runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).expect("ASCII").trim().to_owned()
    }

    async fn socket(
        &self,
        headers: &[(&'static str, &str)],
    ) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Error> {
        let mut request = self.server.websocket_url().into_client_request().expect("a URL");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        Ok(tokio_tungstenite::connect_async(request).await?.0)
    }

    /// The code that a `join` with this token is refused with.
    async fn join(&self, token: Option<&str>) -> String {
        let mut socket = self.socket(&[]).await.expect("sockets are taken");
        let join = json!({ "type": "join", "room": "board", "name": "Eve", "token": token });
        socket.send(Message::text(join.to_string())).await.expect("sends");
        let answer = socket.next().await.expect("an answer").expect("a message");
        let answer: Value = serde_json::from_str(answer.to_text().expect("text")).expect("JSON");
        answer["code"].as_str().unwrap_or("joined").to_owned()
    }

    async fn by_tokens(&mut self) {
        let code = self.join(None).await;
        assert_eq!(code, "token-required");
        self.got("no token", code);
        let foreign = self.token("another secret of some other server", &[]);
        let code = self.join(Some(&foreign)).await;
        assert_eq!(code, "bad-token");
        self.got("a token of another issuer", code);
        let expired = self.token(SECRET, &["--for", "1s"]);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let code = self.join(Some(&expired)).await;
        assert_eq!(code, "token-expired");
        self.got("an expired token", code);
        let refused = self.socket(&[("origin", "https://evil.example")]).await;
        let Err(Error::Http(answer)) = refused else { panic!("{refused:?}") };
        assert_eq!(answer.status(), 403);
        self.got("a page of another site", "403");
    }

    /// With a token that is good: it has leaked, say.
    async fn by_half_open_joins(&mut self) {
        let token = self.token(SECRET, &[]);
        let offer = json!({ "type": "offer", "sdp": RtcClient::offer() }).to_string();
        let client = reqwest::Client::new();
        let join = |number: usize| {
            let url = self.server.url(&format!("/offer?room=board-{}&name=e", number % 50));
            let request = client.post(url).bearer_auth(&token).header("x-forwarded-for", ATTACKER);
            let request = request.body(offer.clone());
            async move { request.send().await.expect("an answer").status().as_u16() }
        };
        let answers: Vec<u16> =
            stream::iter(0..10_000).map(join).buffer_unordered(64).collect().await;
        let count = |status: u16| answers.iter().filter(|answer| **answer == status).count();
        let (taken, refused) = (count(200), count(429));
        assert_eq!(taken + refused, 10_000, "{answers:?}");
        assert!((300..400).contains(&taken), "{taken} were taken");
        let people = async || self.server.metrics().await.total("foldback_participants", &[]);
        let start = Instant::now();
        while people().await > 4.0 {
            assert!(start.elapsed() < Duration::from_secs(30), "they stay");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        self.got(
            "10,000 offers that nobody follows up, of one address, with a good token",
            format!("{taken} were answered and let go within 30 s, {refused} got 429"),
        );

        let forwarded = [("x-forwarded-for", ATTACKER)];
        let sockets: Vec<_> = stream::iter(0..10_000)
            .map(|_| self.socket(&forwarded))
            .buffer_unordered(64)
            .filter_map(async |socket| socket.ok())
            .collect()
            .await;
        assert!(sockets.len() <= 100, "{}", sockets.len());
        let open = sockets.len();
        self.got(
            "10,000 sockets on which nobody joins, of one address",
            format!("{open} were opened, the others got 429"),
        );
    }

    async fn by_large_offers(&mut self) {
        let token = self.token(SECRET, &[]);
        let post = async |bytes: usize| {
            let sdp = format!("{}{}", RtcClient::offer(), "a=x:y\r\n".repeat(bytes / 7));
            let body = json!({ "type": "offer", "sdp": sdp }).to_string();
            let url = self.server.url("/offer?room=board&name=e");
            let sent = reqwest::Client::new().post(url).bearer_auth(&token).body(body).send().await;
            sent.expect("an answer").status().as_u16()
        };
        assert_eq!(post(MIB).await, 413);
        let mut socket = self.socket(&[]).await.expect("sockets are taken");
        let offer = json!({ "type": "offer", "sdp": "x".repeat(MIB) });
        // The server may hang up before all of it is out.
        let _ = socket.send(Message::text(offer.to_string())).await;
        let mut closed = None;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                closed = frame.map(|frame| u16::from(frame.code));
            }
        }
        assert!(matches!(closed, None | Some(1009)), "{closed:?}");
        let largest = post(180_000).await;
        self.got(
            "SDP of 1 MiB, and of nearly as much as is taken (180 kB)",
            format!("413, over the WebSocket closed with 1009; {largest}"),
        );
    }

    /// STUN that asks for sessions that are not there, and what is no STUN at all, to every media port, that of a line of
    /// RTP among them.
    async fn by_floods(&mut self) {
        let line = json!({ "codec": "PCMU", "remote": "127.0.0.1:9", "name": "Gateway" });
        let url = self.server.url("/api/v1/rooms/line/rtp");
        let client = reqwest::Client::new();
        let opened = client.post(url).bearer_auth(OPERATOR).body(line.to_string()).send().await;
        let opened = opened.expect("an answer");
        let end = opened.headers()["location"].to_str().expect("ASCII").to_owned();
        let line: Value = opened.json().await.expect("JSON");
        let line: SocketAddr =
            line["local"].as_str().and_then(|it| it.parse().ok()).expect("where");
        let before = self.server.metrics().await.total("foldback_datagrams_received_total", &[]);
        let workers = (0..2).map(|worker| {
            let mut address = self.server.media_address();
            address.set_port(address.port() + worker);
            address
        });
        let ports: Vec<SocketAddr> = workers.chain([line]).collect();
        let stun = stun_request();
        let sent = tokio::task::spawn_blocking(move || {
            let sockets: Vec<_> =
                (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
            let (start, mut sent) = (Instant::now(), 0_u64);
            let junk: Vec<Vec<u8>> = (0..64_usize)
                .map(|n| (0..n * 19).map(|i| (i * 7 + n * 31) as u8).collect())
                .collect();
            while start.elapsed() < Duration::from_secs(5) {
                // As many as are due, 20,000 in a second.
                let due = (start.elapsed().as_secs_f64() * 20_000.0) as u64;
                while sent < due {
                    let turn = usize::try_from(sent).expect("few");
                    let (socket, port) = (&sockets[turn % 8], ports[turn / 2 % 3]);
                    let bytes = if turn % 2 == 0 { &stun } else { &junk[turn / 4 % 64] };
                    // A full queue is the attacker's own loss.
                    let _ = socket.send_to(bytes, port);
                    sent += 1;
                }
                std::thread::sleep(Duration::from_micros(500));
            }
            let mut answer = [0; 2048];
            let answered = sockets.iter().any(|socket| {
                socket.set_nonblocking(true).expect("a socket");
                socket.recv_from(&mut answer).is_ok()
            });
            assert!(!answered, "nobody is answered, so nobody is flooded by way of the server");
            sent
        });
        let sent = sent.await.expect("it was sent");
        let after = self.server.metrics().await.total("foldback_datagrams_received_total", &[]);
        self.got(
            "20,000 datagrams a second to the media ports and a line of RTP for 5 s: STUN for nobody, and junk",
            format!("{sent} were sent, {} were read, none was answered", after - before),
        );
        let ended = client.delete(self.server.url(&end)).send().await;
        assert_eq!(ended.expect("an answer").status(), 204, "the line stayed open meanwhile");
    }

    async fn by_replay(&mut self) {
        let token = self.token(SECRET, &["--name", "Victim"]);
        let (mut victim, id) = RtcClient::join(self.server, "replay", "Victim", Some(&token)).await;
        let sent = tokio::task::spawn_blocking(move || {
            victim.talk_for(Duration::from_secs(3));
            let sent: Vec<Vec<u8>> = victim.sent_rtp().to_vec();
            assert!(sent.len() > 100, "{} packets were sent", sent.len());
            (victim, sent)
        });
        let (victim, sent) = sent.await.expect("it talks");
        let received = async || {
            let url = self.server.url("/api/v1/rooms/replay/participants");
            let asked = reqwest::Client::new().get(url).bearer_auth(OPERATOR).send().await;
            let people: Value = asked.expect("an answer").json().await.expect("JSON");
            let person = people.as_array().and_then(|all| all.iter().find(|it| it["id"] == id));
            person.and_then(|it| it["inbound"]["packetsReceived"].as_u64()).unwrap_or_default()
        };
        // Figures are a second old.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let before = received().await;
        assert!(before > 100, "{before} came");
        let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
        for packet in &sent {
            victim.send_raw(packet);
            stranger.send_to(packet, self.server.media_address()).expect("sent");
        }
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let after = received().await;
        assert_eq!(after, before, "none of {} is taken twice", sent.len());
        self.got(
            "SRTP of a participant once more, from their own address and another one",
            format!("none of {} packets was taken twice", sent.len()),
        );
    }

    /// They go on while the others attack.
    async fn by_connections(&mut self, attacks: Vec<(&'static str, JoinHandle<Duration>)>) {
        for (attack, longest) in attacks {
            let longest = longest.await.expect("each is hung up on");
            assert!(longest < Duration::from_secs(30), "{attack}: {longest:?}");
            self.got(attack, format!("hung up after {:.0} s at most", longest.as_secs_f64()));
        }
    }
}

/// Opens connections, which nobody should hold for long; how long the last one lasted.
async fn hold<F: Future<Output = ()>>(
    connections: usize,
    connection: impl Fn(usize) -> F,
) -> Duration {
    let timed = |number| {
        let connection = connection(number);
        async move {
            let start = Instant::now();
            connection.await;
            start.elapsed()
        }
    };
    let all = futures_util::future::join_all((0..connections).map(timed));
    let lasted = tokio::time::timeout(Duration::from_secs(40), all).await;
    lasted.expect("each is hung up on").into_iter().max().expect("some")
}

/// HTTP that comes slowly, or is none.
async fn speak_slowly(address: String, number: usize) {
    let mut stream = TcpStream::connect(&address).await.expect("connects");
    let head = match number % 3 {
        0 => "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        1 => "POST /offer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{",
        _ => "\u{16}\u{3}\u{1}\u{2}not HTTP at all",
    };
    stream.write_all(head.as_bytes()).await.expect("sends");
    let (mut reader, writer) = stream.into_split();
    let mut answer = Vec::new();
    let ended = async { _ = reader.read_to_end(&mut answer).await };
    let drip = async {
        drip(writer, b"a").await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = ended => {}
        () = drip => {}
    }
}

/// Asks for much, and reads none of it.
async fn read_nothing(address: String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small one");
    let address = address.parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("connects");
    let request = "GET /api/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.repeat(40).as_bytes()).await.expect("sends");
    let (_unread, writer) = stream.into_split();
    drip(writer, b"G").await;
}

/// What is no STUN, on the port for it.
async fn speak_junk(address: SocketAddr, number: usize) {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let junk: Vec<u8> = (0..4096).map(|n: usize| (n * 7 + number * 31) as u8).collect();
    // It may be hung up on before all of it is out.
    let _ = stream.write_all(&junk[..1 + number * 19]).await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Sends this every half second until nobody takes it any more.
async fn drip(mut to: impl AsyncWrite + Unpin, bytes: &[u8]) {
    while to.write_all(bytes).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// HTTP/2 without TLS, by whoever knows that a server has it: one request, and then nothing.
#[tokio::test]
async fn a_connection_of_http_2_on_which_nothing_is_asked_any_more_is_hung_up() {
    let server = Server::start("[chain.talk]\nstages = [{ kind = \"mix\" }]\n").await;
    let address = server.url("").replace("http://", "");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // RFC 9113: preface, empty SETTINGS, HEADERS of `GET /healthz` that end stream 1.
    let fields = [&b"\x82\x86\x44\x08/healthz\x41\x09localhost"[..]].concat();
    let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    request.extend([0, 0, fields.len() as u8, 1, 5, 0, 0, 0, 1]);
    request.extend(&fields);
    stream.write_all(&request).await.expect("sends");
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    // However it is told to go.
    let _ = ended.unwrap_or_else(|_| panic!("it stays: {:?}", String::from_utf8_lossy(&answer)));
}

/// A binding request (RFC 8489, section 6) for a session that is not there, with an integrity that is none.
fn stun_request() -> Vec<u8> {
    let name = b"nobody:nobody!!!";
    let mut bytes = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend([7; 12]);
    bytes.extend([0, 6, 0, name.len() as u8]);
    bytes.extend(name);
    bytes.extend([0, 8, 0, 20]);
    bytes.extend([9; 20]);
    let length = bytes.len() - 20;
    bytes[3] = length as u8;
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_get_nowhere_and_those_who_talk_meanwhile_hear_no_gap() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("a file");
    let tcp_port = free_tcp_port();
    let config = format!(
        "[server]\nworkers = 2\nmedia_tcp_port = {tcp_port}\n[rtp]\nfirst_port = {}\nports = 8\n[chain.talk]\nstages = [{{ kind = \"mix\" }}]\n\
         [auth]\ntoken_secret_file = {secret:?}\ntoken_leeway_s = 0\n\
         [limits]\ntrusted_proxies = [\"127.0.0.0/8\"]\n",
        free_line_ports()
    );
    // Attackers and people share the machine with the server: as in earnest, its media goes first where that is allowed.
    let variables =
        [("FOLDBACK_OPERATOR_TOKEN", OPERATOR), ("FOLDBACK_SERVER_REALTIME_PRIORITY", "10")];
    let server = Server::start_with(&config, &variables).await;
    let mut attack = Attack { server: &server, folder: &folder, table: Vec::new() };
    let legitimate = attack.token(SECRET, &[]);
    let clients = |seconds: &str| {
        Command::new(foldback())
            .args(["load", "--url", &server.url("/"), "--room", "talk", "--participants", "4"])
            .args(["--talkers", "2", "--decode-percent", "100", "--seconds", seconds, "--json"])
            .env("FOLDBACK_LOAD_TOKEN", &legitimate)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs")
    };
    let people = clients("60");
    let start = Instant::now();
    while server.metrics().await.total("foldback_participants", &[]) < 4.0 {
        assert!(start.elapsed() < Duration::from_secs(20), "they do not join");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let start = Instant::now();
    let address = server.url("").replace("http://", "");
    let slowly = {
        let address = address.clone();
        hold(300, move |number| speak_slowly(address.clone(), number))
    };
    let unread = hold(100, move |_| read_nothing(address.clone()));
    let tcp = SocketAddr::new(server.media_address().ip(), tcp_port);
    let junk = hold(200, move |number| speak_junk(tcp, number));
    let connections = vec![
        (
            "300 connections with HTTP that comes a byte each half second, or is none",
            tokio::spawn(slowly),
        ),
        ("100 connections that ask for 60 MB each and read nothing", tokio::spawn(unread)),
        ("200 connections with junk on the media port of TCP", tokio::spawn(junk)),
    ];
    attack.by_tokens().await;
    attack.by_half_open_joins().await;
    attack.by_large_offers().await;
    attack.by_floods().await;
    attack.by_replay().await;
    attack.by_connections(connections).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "people talked no longer: {took:?}");
    assert_eq!(attack.table.len(), 12);

    let people = people.wait_with_output().expect("it ends");
    let report: Value = serde_json::from_slice(&people.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&people.stderr));
    });
    println!("attacked for {took:?}; who talked: {}", report["packets"]);
    assert_eq!(report["joining"]["joined"], 4, "{report}");
    assert_eq!(report["joining"]["broken_off"], 0, "{report}");
    assert_eq!(report["packets"]["lost"], 0, "{report}");
    let figure = |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let heard = figure("/mouth_to_ear/markers_found");
    assert!(heard > 50.0 && heard == figure("/mouth_to_ear/markers_expected"), "{report}");
    // The clients themselves are late, to send and to read, where others have the machine.
    let theirs = 2.0 * figure("/client/lateness/max_ms");
    assert!(figure("/packets/longest_gap_ms") < 100.0 + theirs, "{report}");
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains(SECRET) && !log.contains(&legitimate));
}
