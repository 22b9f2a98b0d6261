//! The ways by which sound reaches the server: connections where UDP is shut, relays, IPv6.

use foldback_testkit::measure::median_tone_dbfs;
use foldback_tests::{Browser, SETTLING, Server, TurnServer, free_tcp_port};
use serde_json::json;
use tokio::join;

use super::{Kind, TONE_DBFS, in_both_browsers, microphone_tone};

const CHAIN: &str = "
[chain.clean]
stages = [{ kind = \"mix\" }]
";

const FAR_HZ: f64 = 440.0;
const NEAR_HZ: f64 = 660.0;

in_both_browsers!(a_page_that_is_left_tcp_alone_talks_and_hears);
async fn a_page_that_is_left_tcp_alone_talks_and_hears(kind: Kind) {
    const WITHOUT_UDP: &str = "
        const original = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = async function ({ type, sdp }) {
          const left = sdp.replace(/^a=candidate:\\S+ \\d+ udp .*\\r\\n/gmi, '');
          if (left === sdp) throw new Error('the answer holds no UDP candidate');
          return original.call(this, { type, sdp: left });
        };
    ";
    let Some(far) = kind.with_microphone(microphone_tone(FAR_HZ)).await else { return };
    let server = with_tcp().await;
    let near = Browser::with_microphone(microphone_tone(NEAR_HZ)).await;
    far.open(&server.url("/?ec=off&ns=off&agc=off")).await;
    far.script(WITHOUT_UDP, vec![]).await;
    join!(far.enter("room", "Far"), near.join(&server, "room", "Near"));
    talk_to_each_other(&far, &near).await;
    assert_eq!(way_of(&far).await, "tcp");
    assert_eq!(way_of(&near).await, "udp", "whoever has UDP does not take a connection");
    let open = async || server.metrics().await.total("foldback_tcp_connections", &[]);
    assert!(open().await >= 1.0);
    far.leave().await;
    near.leave().await;
    tokio::time::sleep(SETTLING).await;
    assert_eq!(open().await, 0.0, "connections go with those who left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_whose_udp_is_shut_talks_and_hears() {
    let server = with_tcp().await;
    let (far, near) = join!(
        Browser::without_udp(microphone_tone(FAR_HZ)),
        Browser::with_microphone(microphone_tone(NEAR_HZ)),
    );
    join!(far.join(&server, "room", "Far"), near.join(&server, "room", "Near"));
    talk_to_each_other(&far, &near).await;
    assert_eq!(way_of(&far).await, "tcp");
    let metrics = server.metrics().await;
    assert_eq!(metrics.total("foldback_tcp_datagrams_dropped_total", &[]), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_behind_a_relay_talks_and_hears() {
    const SECRET: &str = "what both servers know";
    let Some(turn) = TurnServer::start(SECRET).await else { return };
    for transport in ["udp", "tcp"] {
        let server = Server::start_for_firefox(&with_relay(&turn, transport, SECRET)).await;
        let (far, near) = join!(
            Browser::with_microphone(microphone_tone(FAR_HZ)),
            Browser::with_microphone(microphone_tone(NEAR_HZ)),
        );
        far.open(&server.url("/?ec=off&ns=off&agc=off&relay")).await;
        join!(far.enter("room", "Far"), near.join(&server, "room", "Near"));
        talk_to_each_other(&far, &near).await;
        assert_eq!(way_of(&far).await, format!("relay by {transport}"));
        assert_eq!(way_of(&near).await, "udp", "a relay is the last choice");
        assert!(!server.log().contains(SECRET), "{}", server.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_with_another_secret_takes_nobody_and_the_page_says_that_there_is_no_way() {
    let Some(turn) = TurnServer::start("what both servers know").await else { return };
    let config = with_relay(&turn, "udp", "what only one knows");
    let server = Server::start_for_firefox(&config).await;
    let far = Browser::with_microphone(microphone_tone(FAR_HZ)).await;
    far.open(&server.url("/?ec=off&ns=off&agc=off&relay")).await;
    far.fill("#room", "room").await;
    far.fill("#name", "Far").await;
    far.click("#join").await;
    let told = "return document.querySelector('#status').textContent.includes('UDP')";
    far.wait_until("the page says that audio does not get through", told).await;
    let refused = turn.log().lines().filter(|line| line.contains("error 401")).count();
    assert!(refused >= 2, "with credentials, too: {}", turn.log());
}

/// What a browser tells first of itself is of IPv4, which none of the server's addresses fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_talk_over_ipv6() {
    let Some(address) = Server::own_ipv6() else {
        return println!("left out: this machine has no address of IPv6");
    };
    let server = Server::start_at(address, CHAIN).await;
    let (far, near) = join!(
        Browser::with_microphone(microphone_tone(FAR_HZ)),
        Browser::with_microphone(microphone_tone(NEAR_HZ)),
    );
    join!(far.join(&server, "room", "Far"), near.join(&server, "room", "Near"));
    talk_to_each_other(&far, &near).await;
    let remote = far.async_script(REMOTE_ADDRESS, vec![]).await;
    assert_eq!(remote, json!(address.to_string()));
}

const REMOTE_ADDRESS: &str = "
    const report = [...(await window.foldback.pc.getStats()).values()];
    const pair = report.find(({ type, nominated, state }) =>
      type === 'candidate-pair' && nominated && state === 'succeeded');
    return report.find(({ id }) => id === pair.remoteCandidateId).address.replace(/[[\\]]/g, '');
";

async fn with_tcp() -> Server {
    let port = free_tcp_port();
    Server::start_for_firefox(&format!("[server]\nmedia_tcp_port = {port}\n{CHAIN}")).await
}

fn with_relay(turn: &TurnServer, transport: &str, secret: &str) -> String {
    let url = format!("turn:{}?transport={transport}", turn.address());
    format!("[ice]\nservers = [{{ urls = [\"{url}\"], secret = \"{secret}\" }}]\n{CHAIN}")
}

async fn talk_to_each_other(far: &Browser, near: &Browser) {
    tokio::time::sleep(SETTLING).await;
    let (far_hears, near_hears) = join!(far.record(3.0), near.record(3.0));
    for (name, heard, other_hz, own_hz) in
        [("Far", far_hears, NEAR_HZ, FAR_HZ), ("Near", near_hears, FAR_HZ, NEAR_HZ)]
    {
        let [other_dbfs, own_dbfs] = [other_hz, own_hz].map(|hz| median_tone_dbfs(&heard, hz));
        println!("{name} hears the other at {other_dbfs:.1} dBFS, themselves at {own_dbfs:.1}");
        assert!((other_dbfs - TONE_DBFS).abs() < 3.0, "{name} hears the other at {other_dbfs}");
        assert!(own_dbfs < other_dbfs - 40.0, "{name} hears themselves at {own_dbfs} dBFS");
    }
}

/// By what the sound of a page travels: `udp`, `tcp`, or `relay by` what leads to the relay.
async fn way_of(page: &Browser) -> String {
    const WAY: &str = "
        const report = [...(await window.foldback.pc.getStats()).values()];
        const pair = report.find(({ type, nominated, state }) =>
          type === 'candidate-pair' && nominated && state === 'succeeded');
        const { candidateType, protocol, relayProtocol } =
          report.find(({ id }) => id === pair.localCandidateId);
        return candidateType === 'relay' ? `relay by ${relayProtocol}` : protocol;
    ";
    page.async_script(WAY, vec![]).await.as_str().expect("a word").to_owned()
}
