//! What is heard through networks that lose packets and deliver them unevenly.

use std::time::{Duration, Instant};

use foldback_testkit::measure::{gaps, median_tone_dbfs, rms_dbfs};
use foldback_testkit::net::{Jitter, LinkSpec, Loss};
use foldback_testkit::signal::{speech_like, to_rms};
use foldback_tests::{Browser, Relay, SETTLING, Server};
use serde_json::json;
use tokio::join;

use super::{Kind, MICROPHONE_SECONDS, TONE_DBFS, in_both_browsers, microphone_tone};

/// One worker: there is one media port, whatever room is used.
const CONFIG: &str = "
[server]
workers = 1

[chain.clean]
stages = [{ kind = \"mix\" }]
";

const VOICE_DBFS: f64 = -20.0;
/// The voice is never below this for longer than a pitch period.
const QUIETEST_DBFS: f64 = VOICE_DBFS - 20.0;
/// What is below this is no voice.
const GAP_DBFS: f64 = VOICE_DBFS - 30.0;

/// What the jitter buffers of server and browser may take to find their place.
const ADAPTING: Duration = Duration::from_secs(10);
const RECORDED: Duration = Duration::from_secs(15);

/// As `tc qdisc add dev lo root netem delay 50ms 30ms loss 5%` makes of each direction: evenly
/// distributed from 20 to 80 ms, whatever became of the packets before, so that they overtake each
/// other.
fn bad_network() -> LinkSpec {
    LinkSpec {
        delay: Duration::from_millis(20),
        jitter: Jitter::Uniform(Duration::from_millis(60)),
        loss: Loss::random(0.05),
        ..LinkSpec::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_behind_a_bad_network_hears_and_is_heard_without_gaps() {
    let server = Server::start(CONFIG).await;
    let relay = Relay::start(server.media_address(), 1, bad_network(), bad_network()).await;
    let (far, near) = join!(
        Browser::with_microphone(continuous_voice(1)),
        Browser::with_microphone(continuous_voice(2)),
    );
    join!(join_through(&far, &relay, &server, "room", "Far"), near.join(&server, "room", "Near"),);
    tokio::time::sleep(ADAPTING).await;

    let before = Losses::of(&relay, &server, &far).await;
    join!(far.start_recording(), near.start_recording());
    tokio::time::sleep(RECORDED).await;
    let lost = Losses::of(&relay, &server, &far).await.since(before);
    let (far_hears, near_hears) = join!(far.stop_recording(), near.stop_recording());

    println!("while recorded: {lost:?}");
    // 37 of the 750 packets in each direction are what is to be expected.
    assert!(lost.relay_up >= 15 && lost.relay_down >= 15, "{lost:?}");
    assert!(2 * lost.counted_by_server >= lost.relay_up, "{lost:?}");
    assert!(2 * lost.counted_by_page >= lost.relay_down, "{lost:?}");

    for (name, heard) in [("Far", far_hears), ("Near", near_hears)] {
        let seconds = heard.len() as f64 / 48_000.0;
        assert!(seconds > RECORDED.as_secs_f64() - 1.0, "{name} heard only {seconds} s");
        let level_dbfs = rms_dbfs(&heard);
        let longest = gaps(&heard, GAP_DBFS, 0.0).into_iter().max_by_key(|gap| gap.samples);
        let longest_ms = longest.map_or(0.0, |gap| gap.milliseconds());
        println!("{name} hears {level_dbfs:.1} dBFS rms, the longest gap is {longest_ms:.1} ms");
        assert!((level_dbfs - VOICE_DBFS).abs() < 3.0, "{name} hears {level_dbfs} dBFS rms");
        // A machine that is too busy for the server's ticks makes gaps too.
        assert_eq!(
            gaps(&heard, GAP_DBFS, 60.0),
            [],
            "gaps that {name} hears; {} ticks skipped",
            lost.ticks_skipped
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_offers_it_sends_lost_packets_again_while_the_way_is_short() {
    /// Chromium asks for no NACK of Opus by itself, and with RED none is needed.
    const ASK_FOR_NACK: &str = "
        const original = RTCPeerConnection.prototype.setLocalDescription;
        RTCPeerConnection.prototype.setLocalDescription = async function () {
          const { type, sdp } = await this.createOffer();
          const red = sdp.match(/a=rtpmap:(\\d+) red/)[1];
          const opus = sdp.match(/a=rtpmap:(\\d+) opus/)[1];
          const kept = sdp.split('\\r\\n')
            .filter(line => !new RegExp(`^a=(rtpmap|fmtp|rtcp-fb):${red} `).test(line))
            .map(line => line.startsWith('m=audio') ? line.replace(` ${red}`, '') : line);
          const at = kept.findIndex(line => line.startsWith(`a=rtpmap:${opus} `));
          kept.splice(at + 1, 0, `a=rtcp-fb:${opus} nack`);
          return original.call(this, { type, sdp: kept.join('\\r\\n') });
        };
    ";
    const SENT_AGAIN: &str = "
        const report = await window.foldback.pc.getStats();
        return [...report.values()]
          .find(({ type, kind }) => type === 'outbound-rtp' && kind === 'audio')
          .retransmittedPacketsSent;
    ";
    let lossy =
        LinkSpec { loss: Loss::random(0.05), ..LinkSpec::delayed(Duration::from_millis(5)) };
    let server = Server::start(CONFIG).await;
    let relay = Relay::start(server.media_address(), 2, lossy, LinkSpec::default()).await;
    let far = Browser::with_microphone(continuous_voice(3)).await;
    open_through(&far, &relay, &server).await;
    far.script(ASK_FOR_NACK, vec![]).await;
    far.enter("room", "Far").await;
    // Round trips come with the page's reports, every 5 s.
    tokio::time::sleep(ADAPTING).await;

    let before = Losses::of(&relay, &server, &far).await;
    let sent_again = far.async_script(SENT_AGAIN, vec![]).await.as_u64().expect("a count");
    tokio::time::sleep(RECORDED).await;
    let lost = Losses::of(&relay, &server, &far).await.since(before);
    let now = far.async_script(SENT_AGAIN, vec![]).await.as_u64().expect("a count");
    let sent_again = now - sent_again;
    println!("{lost:?}, {sent_again} sent again");
    assert!(lost.relay_up >= 15, "{lost:?}");
    // What is sent again may be lost again.
    assert!(2 * sent_again >= lost.relay_up, "{sent_again} sent again of {lost:?}");
    assert!(3 * lost.counted_by_server < lost.relay_up, "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_sends_copies_is_mended_from_them_and_asked_for_nothing() {
    /// RED first, so that Chromium sends it, and NACK beside it.
    const SEND_RED: &str = "
        const original = RTCPeerConnection.prototype.setLocalDescription;
        RTCPeerConnection.prototype.setLocalDescription = async function () {
          const { codecs } = RTCRtpReceiver.getCapabilities('audio');
          const of = type => codecs.filter(({ mimeType }) => mimeType === type);
          for (const transceiver of this.getTransceivers()) {
            transceiver.setCodecPreferences([...of('audio/red'), ...of('audio/opus')]);
          }
          const { type, sdp } = await this.createOffer();
          const opus = sdp.match(/a=rtpmap:(\\d+) opus/)[1];
          const nack = sdp.replace(/a=rtpmap:\\d+ opus.*\\r\\n/, `$&a=rtcp-fb:${opus} nack\\r\\n`);
          return original.call(this, { type, sdp: nack });
        };
    ";
    const RECEIVED: &str = "
        const answer = await fetch('/api/v1/rooms/room/participants');
        const [{ foldback: { redPacketsUsed } }] = await answer.json();
        const report = await window.foldback.pc.getStats();
        const sent = [...report.values()]
          .find(({ type, kind }) => type === 'outbound-rtp' && kind === 'audio');
        return [redPacketsUsed, sent.retransmittedPacketsSent];
    ";
    let lossy =
        LinkSpec { loss: Loss::random(0.05), ..LinkSpec::delayed(Duration::from_millis(5)) };
    let server = Server::start(CONFIG).await;
    let relay = Relay::start(server.media_address(), 3, lossy, LinkSpec::default()).await;
    let far = Browser::with_microphone(continuous_voice(4)).await;
    open_through(&far, &relay, &server).await;
    far.script(SEND_RED, vec![]).await;
    far.enter("room", "Far").await;
    tokio::time::sleep(ADAPTING + RECORDED).await;

    let lost = relay.stats().up.lost;
    let counts = far.async_script(RECEIVED, vec![]).await;
    println!("{lost} lost; [from copies, sent again] = {counts}");
    let from_copies = counts[0].as_u64().expect("a count");
    assert!(lost >= 20, "{lost} lost");
    // Of two in a row the first copy is lost with the second packet; datagrams that are no audio
    // are lost too.
    assert!(3 * from_copies >= 2 * lost, "{from_copies} of {lost} from copies");
    assert_eq!(counts[1], json!(0), "sent again beside copies");
}

in_both_browsers!(a_page_whose_way_to_the_server_is_gone_takes_another_one);
async fn a_page_whose_way_to_the_server_is_gone_takes_another_one(kind: Kind) {
    let Some(far) = kind.with_microphone(microphone_tone(440.0)).await else { return };
    let server = Server::start_for_firefox(CONFIG).await;
    let as_is = LinkSpec::default;
    let first = Relay::start(server.media_address(), 4, as_is(), as_is()).await;
    let second = Relay::start(server.media_address(), 5, as_is(), as_is()).await;
    let near = Browser::with_microphone(vec![0.0; 48_000]).await;
    join!(join_through(&far, &first, &server, "room", "Far"), near.join(&server, "room", "Near"));
    let id = far.script("return window.foldback.participantId", vec![]).await;
    far.script("window.firstCall = window.foldback.pc", vec![]).await;
    tokio::time::sleep(SETTLING).await;

    far.script("[window.relayPort] = arguments", vec![json!(second.port())]).await;
    drop(first);
    let gone = Instant::now();
    let back = "const { pc } = window.foldback;
        return pc?.remoteDescription.sdp.includes(` ${window.relayPort} typ `)
          && pc.connectionState === 'connected'
          && document.querySelector('#status').dataset.tone === 'good'";
    far.wait_until("Far is back", back).await;
    let took = gone.elapsed();
    println!("back after {took:?}");
    // Firefox says that nothing comes after 8 s, Chromium after 5.
    assert!(took < Duration::from_secs(5), "back after {took:?}");
    let same = "return window.foldback.pc === window.firstCall";
    assert_eq!(far.script(same, vec![]).await, json!(true), "the same connection");
    assert_eq!(far.script("return window.foldback.participantId", vec![]).await, id);
    assert_eq!(near.participants().await, ["Far", "Near"]);
    tokio::time::sleep(SETTLING).await;
    let heard_dbfs = median_tone_dbfs(&near.record(1.0).await, 440.0);
    assert!((heard_dbfs - TONE_DBFS).abs() < 3.0, "Near hears Far at {heard_dbfs} dBFS");
}

in_both_browsers!(a_page_of_a_silent_room_or_a_server_that_stood_still_keeps_to_its_way);
async fn a_page_of_a_silent_room_or_a_server_that_stood_still_keeps_to_its_way(kind: Kind) {
    const OFFERS: &str = "
        [window.firstCall, window.offers] = [window.foldback.pc, 0];
        const original = firstCall.setLocalDescription;
        firstCall.setLocalDescription = function (description) {
          window.offers += 1;
          return original.call(this, description);
        };
    ";
    let Some(ann) = kind.with_microphone(vec![0.0; 48_000]).await else { return };
    let server = Server::start_for_firefox(CONFIG).await;
    let bob = Browser::with_microphone(vec![0.0; 48_000]).await;
    join!(ann.join(&server, "room", "Ann"), bob.join(&server, "room", "Bob"));
    join!(ann.toggle_mute(), bob.toggle_mute());
    ann.script(OFFERS, vec![]).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    for seconds in [1, 2] {
        server.freeze_for(Duration::from_secs(seconds)).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    let kept = "const { pc } = window.foldback;
        return [pc === window.firstCall, pc?.connectionState, window.offers]";
    assert_eq!(ann.script(kept, vec![]).await, json!([true, "connected", 0]));
    assert_eq!(ann.participants().await, ["Ann", "Bob"]);
}

/// Speech without its pauses: every gap in what is heard of it comes from the way.
fn continuous_voice(seed: u64) -> Vec<f32> {
    let speech = speech_like(seed, VOICE_DBFS, MICROPHONE_SECONDS);
    let mut voice = Vec::with_capacity(speech.len());
    let mut end_of_pause = 0;
    for pause in gaps(&speech, QUIETEST_DBFS, 10.0) {
        voice.extend_from_slice(&speech[end_of_pause..pause.start]);
        end_of_pause = pause.start + pause.samples;
    }
    voice.extend_from_slice(&speech[end_of_pause..]);
    let voice = to_rms(voice, VOICE_DBFS);
    assert_eq!(gaps(&voice, GAP_DBFS, 20.0), [], "gaps in the voice itself");
    voice
}

/// Joins as [`Browser::join`] does, but with `relay` in the place of the server's media port.
async fn join_through(page: &Browser, relay: &Relay, server: &Server, room: &str, name: &str) {
    open_through(page, relay, server).await;
    page.enter(room, name).await;
}

/// Opens the page, with `relay` in the place of the server's media port.
async fn open_through(page: &Browser, relay: &Relay, server: &Server) {
    const PATCH: &str = "
        [window.relayPort] = arguments;
        const original = RTCPeerConnection.prototype.setRemoteDescription;
        RTCPeerConnection.prototype.setRemoteDescription = async function ({ type, sdp }) {
          const candidate = /^(a=candidate:\\S+ \\d+ udp \\d+ \\S+) \\d+ /gmi;
          const changed = sdp.replace(candidate, `$1 ${window.relayPort} `);
          if (changed === sdp) throw new Error('the answer holds no UDP candidate');
          return original.call(this, { type, sdp: changed });
        };
    ";
    page.open(&server.url("/?ec=off&ns=off&agc=off")).await;
    page.script(PATCH, vec![json!(relay.port())]).await;
}

/// Packets lost so far, as the relay, the server and the page behind the relay count them, and the
/// time that the server lost.
#[derive(Clone, Copy, Debug)]
struct Losses {
    relay_up: u64,
    relay_down: u64,
    /// Those that came back by FEC or as a copy included.
    counted_by_server: u64,
    counted_by_page: u64,
    ticks_skipped: u64,
}

impl Losses {
    async fn of(relay: &Relay, server: &Server, page: &Browser) -> Self {
        const LOST: &str = "
            const report = await window.foldback.pc.getStats();
            return [...report.values()]
              .find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio').packetsLost;
        ";
        let metrics = server.metrics().await;
        let counted = |name| metrics.total(name, &[]) as u64;
        let by_page = page.async_script(LOST, vec![]).await;
        let relayed = relay.stats();
        Self {
            relay_up: relayed.up.lost,
            relay_down: relayed.down.lost,
            counted_by_server: counted("foldback_packets_lost_total"),
            counted_by_page: by_page.as_u64().expect("the page counts lost packets"),
            ticks_skipped: counted("foldback_ticks_skipped_total"),
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            relay_up: self.relay_up - before.relay_up,
            relay_down: self.relay_down - before.relay_down,
            counted_by_server: self.counted_by_server - before.counted_by_server,
            counted_by_page: self.counted_by_page - before.counted_by_page,
            ticks_skipped: self.ticks_skipped - before.ticks_skipped,
        }
    }
}
