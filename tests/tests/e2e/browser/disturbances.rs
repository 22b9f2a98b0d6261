//! What strangers send, while two people talk.

use std::net::SocketAddr;
use std::time::Duration;

use foldback_testkit::measure::{clicks, gaps, median_tone_dbfs};
use foldback_testkit::signal::white_noise;
use foldback_tests::{Browser, SETTLING, Server};
use futures_util::SinkExt;
use tokio::join;
use tokio::net::UdpSocket;
use tokio_tungstenite::tungstenite::Message;

use super::{TONE_DBFS, microphone_tone};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_send_is_not_heard_by_those_who_talk() {
    let server = Server::start_with_file("clean.toml").await;
    let (ann, bob) = join!(
        Browser::with_microphone(microphone_tone(440.0)),
        Browser::with_microphone(microphone_tone(660.0)),
    );
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    tokio::time::sleep(2 * SETTLING).await;

    let strangers = async || {
        let end = tokio::time::Instant::now() + Duration::from_secs(4);
        join!(
            random_datagrams(server.media_address(), end),
            bad_bodies(server.url("/offer"), end),
            bad_sockets(server.websocket_url(), end),
        );
    };
    let heard = ann.record_while(strangers).await;

    assert_eq!(gaps(&heard, TONE_DBFS - 30.0, 10.0), [], "gaps in {} samples", heard.len());
    assert_eq!(clicks(&heard), [0_usize; 0], "clicks in {} samples", heard.len());
    let level_dbfs = median_tone_dbfs(&heard, 660.0);
    assert!((level_dbfs - TONE_DBFS).abs() < 3.0, "Bob is at {level_dbfs} dBFS");
    ann.wait_for_participants(&["Ann", "Bob"], Duration::from_secs(1)).await;
}

/// Noise, and noise that begins like STUN, DTLS, RTP and RTCP.
async fn random_datagrams(address: SocketAddr, end: tokio::time::Instant) {
    const BEGINNINGS: [&[u8]; 6] = [
        &[],
        &[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42],
        &[22, 254, 253],
        &[0x80, 111],
        &[0x80, 200],
        &[23, 254, 253, 0, 1],
    ];
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a UDP port is free");
    let noise = bytes_of_noise(1 << 16);
    let mut count = 0_usize;
    while tokio::time::Instant::now() < end {
        for _ in 0..5 {
            let start = count.wrapping_mul(7919) % (noise.len() - 1500);
            let length = count.wrapping_mul(104_729) % 1400;
            let beginning = BEGINNINGS[count % BEGINNINGS.len()];
            let datagram = [beginning, &noise[start..start + length]].concat();
            socket.send_to(&datagram, address).await.expect("loopback takes datagrams");
            count += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("{count} datagrams sent");
}

async fn bad_bodies(url: String, end: tokio::time::Instant) {
    let client = reqwest::Client::new();
    let bodies = ["{", "[]", r#"{"type":"offer","sdp":"v=0"}"#, r#"{"type":"offer","sdp":"\r\n"}"#];
    for body in bodies.iter().cycle() {
        if tokio::time::Instant::now() > end {
            return;
        }
        let response = client.post(&url).body(*body).send().await.expect("the server answers");
        assert!(response.status().is_client_error(), "{} for {body}", response.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn bad_sockets(url: String, end: tokio::time::Instant) {
    while tokio::time::Instant::now() < end {
        let (mut socket, _) =
            tokio_tungstenite::connect_async(&url).await.expect("the server takes sockets");
        for text in ["", "{}", "null", r#"{"type":"offer","sdp":"x"}"#, r#"{"type":"join"}"#] {
            socket.send(Message::text(text)).await.expect("the socket stays open");
        }
        // Dropped without a closing handshake, as strangers do.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn bytes_of_noise(count: usize) -> Vec<u8> {
    let noise = white_noise(1, -6.0, 2.0);
    noise.iter().take(count).map(|sample| (sample * 65_536.0) as i64 as u8).collect()
}
