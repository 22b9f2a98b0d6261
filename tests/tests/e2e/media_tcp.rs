//! What the media port of TCP takes, and what it does not.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use foldback_tests::{Server, free_tcp_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Within which what is refused at once is closed; the first datagram may take 5 s.
const AT_ONCE: Duration = Duration::from_secs(3);
const MOST_OF_AN_ADDRESS: usize = 256;

#[tokio::test]
async fn connections_that_name_no_session_are_closed_and_counted() {
    let (server, port) = start().await;
    // A request of STUN for a session that is none, in a frame (RFC 4571).
    let mut request =
        vec![0, 1, 0, 16, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    request.extend([0, 6, 0, 9]);
    request.extend(b"none:some\0\0\0");
    let mut framed = u16::try_from(request.len()).expect("short").to_be_bytes().to_vec();
    framed.extend(request);
    for (what, bytes) in [
        ("a session that is none", framed.clone()),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a datagram that is no request", vec![0, 8, 22, 254, 253, 0, 0, 0, 0, 0]),
        ("too long a frame", vec![0xff; 4]),
    ] {
        let mut socket = connect(port).await;
        socket.write_all(&bytes).await.expect("there is room");
        assert!(is_closed(&mut socket, AT_ONCE).await, "{what}");
    }
    let begun = Instant::now();
    let (mut silent, mut begins) = (connect(port).await, connect(port).await);
    begins.write_all(&framed[..20]).await.expect("there is room");
    assert!(!is_closed(&mut silent, AT_ONCE).await, "a datagram may take 5 s");
    assert!(is_closed(&mut silent, Duration::from_secs(10)).await, "who says nothing");
    assert!(
        is_closed(&mut begins, Duration::from_secs(3)).await,
        "who does not end what it begins"
    );
    println!("closed after {:?}", begun.elapsed());
    let metrics = server.metrics().await;
    assert_eq!(metrics.total("foldback_tcp_connections", &[]), 0.0);
    assert_eq!(metrics.total("foldback_tcp_connections_refused_total", &[]), 6.0);
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let (server, port) = start().await;
    let mut open = Vec::new();
    for _ in 0..MOST_OF_AN_ADDRESS {
        open.push(connect(port).await);
    }
    for _ in 0..10 {
        assert!(is_closed(&mut connect(port).await, AT_ONCE).await);
    }
    let counted = server.metrics().await.total("foldback_tcp_connections", &[]);
    assert!(counted <= MOST_OF_AN_ADDRESS as f64, "{counted}");
    drop(open);
    let begun = Instant::now();
    while server.metrics().await.total("foldback_tcp_connections", &[]) > 0.0 {
        assert!(begun.elapsed() < AT_ONCE, "their places are free again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn start() -> (Server, u16) {
    let port = free_tcp_port();
    let config = format!(
        "[server]\nmedia_tcp_port = {port}\n[chain.clean]\nstages = [{{ kind = \"mix\" }}]\n"
    );
    (Server::start(&config).await, port)
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.expect("it listens")
}

/// Whether the other side closes it within so long.
async fn is_closed(socket: &mut TcpStream, within: Duration) -> bool {
    let mut bytes = [0; 16];
    match tokio::time::timeout(within, socket.read(&mut bytes)).await {
        Err(_) => false,
        Ok(Ok(bytes)) => bytes == 0,
        Ok(Err(error)) => error.kind() == ErrorKind::ConnectionReset,
    }
}
