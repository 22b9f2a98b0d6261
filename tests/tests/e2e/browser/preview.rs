//! The server's stages in the browser: before one joins, and in the server's stead.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use foldback_testkit::measure::rms_dbfs;
use foldback_testkit::signal::{mix, pink_noise, read_wav, speech_like, write_wav};
use foldback_tests::{Browser, Server, foldback};
use serde_json::{Value, json};
use tokio::join;

use super::{Kind, MICROPHONE_SECONDS, in_both_browsers};

/// What the page plays of its microphone.
const PREVIEW: &str = "document.querySelector('#preview-audio').srcObject.getAudioTracks()[0]";

/// A room's chain in the page's own worklet, faster than real time.
const RENDER: &str = include_str!("preview/render.js");

fn config(stages: &str) -> String {
    assert!(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/wasm/stages.wasm").exists(),
        "web/wasm/stages.wasm is not there: scripts/wasm.sh builds it"
    );
    format!("[server]\nworkers = 1\n[chain.talk]\nstages = [{stages}]\n")
}

/// A voice with pauses in steady noise.
fn noisy_voice(seconds: f64) -> Vec<f32> {
    mix(&[&speech_like(1, -26.0, seconds), &pink_noise(2, -45.0, seconds)])
}

/// What is heard in the pauses: a tenth of the time it is no louder.
fn floor_dbfs(signal: &[f32]) -> f64 {
    percentile_dbfs(signal, 10)
}

fn percentile_dbfs(signal: &[f32], percent: usize) -> f64 {
    let mut levels: Vec<_> = signal.chunks_exact(960).map(rms_dbfs).collect();
    levels.sort_by(f64::total_cmp);
    levels[levels.len() * percent / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_samples_come_out_of_a_browser_as_out_of_the_server() {
    let chain = r#"{ kind = "high-pass", cutoff_hz = 100 }, { kind = "denoise", strength = 0.9 },
        { kind = "equaliser" }, { kind = "gate" }, { kind = "de-esser" },
        { kind = "compressor", threshold_dbfs = -30 }, { kind = "mix" }, { kind = "loudness" },
        { kind = "limiter", ceiling_dbfs = -3 }"#;
    let chain = chain.replace('\n', " ");
    let server = Server::start(&config(&chain)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    write_wav(&file("in.wav"), &noisy_voice(8.0));
    std::fs::write(file("chain.toml"), config(&chain)).expect("a file");
    let mut process = Command::new(foldback());
    process.args(["process", "--no-compensate", "--config"]).arg(file("chain.toml"));
    let done = process.arg(file("in.wav")).arg(file("out.wav")).output().expect("starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (given, _) = read_wav(&file("in.wav"));
    let (expected, _) = read_wav(&file("out.wav"));

    let page = Browser::start().await;
    page.open(&server.url("/")).await;
    let bytes: Vec<u8> = given.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let rendered = page.async_script(RENDER, vec![json!(BASE64.encode(bytes))]).await;
    assert_eq!(rendered["taken"].as_array().map(Vec::len), Some(8), "{}", rendered["taken"]);
    let bytes = BASE64.decode(rendered["samples"].as_str().expect("base64")).expect("base64");
    let heard = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    // By a block later, since browsers give 128 samples at a time.
    let heard: Vec<f32> = heard.skip(480).collect();
    assert!(heard.len() >= given.len() - 480, "{} samples", heard.len());
    let difference: Vec<f32> = heard.iter().zip(&expected).map(|(a, b)| a - b).collect();
    let (level, apart) = (rms_dbfs(&expected), rms_dbfs(&difference) - rms_dbfs(&expected));
    println!("the difference is {apart:.1} dB below {level:.1} dBFS");
    assert!(level > -40.0, "the server's own output is at {level} dBFS");
    assert!(apart < -60.0, "browser and server differ by {apart} dB");
}

in_both_browsers!(before_joining_one_hears_and_sees_the_chain_on_ones_own_voice_with_and_without);
async fn before_joining_one_hears_and_sees_the_chain_on_ones_own_voice_with_and_without(
    kind: Kind,
) {
    let stages = r#"{ kind = "high-pass" }, { kind = "echo-cancel" }, { kind = "denoise" },
        { kind = "mix" }, { kind = "limiter" }"#;
    let page = kind.with_microphone(noisy_voice(MICROPHONE_SECONDS)).await;
    let Some(page) = page else { return };
    let server = Server::start_for_firefox(&config(&stages.replace('\n', " "))).await;
    page.open(&server.url("/r/room?ec=off&ns=off&agc=off")).await;
    let shown = "return !document.querySelector('#preview').hidden";
    page.wait_until("the chain can be heard", shown).await;
    page.click("#preview-toggle").await;
    let runs = "return [...document.querySelectorAll('#preview-stages li')]
        .map(stage => `${stage.dataset.name} ${stage.dataset.runs}`).join()
        === 'high-pass browser,echo-cancel server,denoise browser,limiter browser'
        && document.querySelector('[data-name=denoise] .note').textContent.includes('voice')";
    page.wait_until("the stages run here, but for the server's own", runs).await;
    page.click("#preview-with").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let without = page.record_track(PREVIEW, 6.0).await;
    page.click("#preview-with").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let with = page.record_track(PREVIEW, 6.0).await;
    let (floors, voices) = (
        [&without, &with].map(|heard| floor_dbfs(heard)),
        [&without, &with].map(|heard| percentile_dbfs(heard, 90)),
    );
    println!("without and with the chain: floor {floors:.1?} dBFS, voice {voices:.1?} dBFS");
    assert!(floors[0] > -60.0, "the noise is heard without the chain: {floors:?} dBFS");
    assert!(floors[1] <= floors[0] - 15.0, "the noise floor is at {floors:?} dBFS");
    assert!(voices[1] > voices[0] - 3.0, "the voice is at {voices:?} dBFS");
    let seen = "return ['before', 'after'].map(end =>
        Number(document.querySelector(`#preview-${end}`).ariaValueNow))";
    let seen = page.script(seen, vec![]).await;
    assert!(seen[0].as_f64() > Some(-60.0), "{seen}");

    page.enter("room", "Ann").await;
    let ended = "return document.querySelector('#preview-audio').srcObject === null
        && document.querySelector('#preview').hidden";
    assert_eq!(page.script(ended, vec![]).await, json!(true), "one hears the room now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_removes_noise_itself_spares_the_server_and_the_others_hear_none() {
    let server = Server::start(&config(r#"{ kind = "denoise" }, { kind = "mix" }"#)).await;
    let (speaker, listener) = join!(
        Browser::with_microphone(noisy_voice(MICROPHONE_SECONDS)),
        Browser::with_microphone(vec![0.0; 48_000]),
    );
    speaker.open(&server.url("/r/room?ec=off&ns=off&agc=off")).await;
    speaker.wait_until("the browser can do it", OFFERED).await;
    speaker.click("#denoise-here").await;
    let (_, ()) = join!(speaker.enter("room", "Ann"), listener.join(&server, "room", "Bob"));
    wait_for_denoise(&server, &speaker, false).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let here = listener.record(6.0).await;

    speaker.click("#denoise-here").await;
    wait_for_denoise(&server, &speaker, true).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let there = listener.record(6.0).await;
    let (floors, voices) = (
        [&here, &there].map(|heard| floor_dbfs(heard)),
        [&here, &there].map(|heard| percentile_dbfs(heard, 90)),
    );
    println!("by browser, by server: floor {floors:.1?} dBFS, voice {voices:.1?} dBFS");
    for (floor, voice) in floors.into_iter().zip(voices) {
        assert!(floor < -60.0, "noise is heard at {floors:?} dBFS");
        assert!(voice > -35.0, "the voice is heard at {voices:?} dBFS");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_cannot_get_the_stages_does_without_and_leaves_the_noise_to_the_server() {
    let server = Server::start(&config(r#"{ kind = "denoise" }, { kind = "mix" }"#)).await;
    let page = Browser::with_microphone(vec![0.0; 48_000]).await;
    page.devtools("Network.enable", json!({})).await;
    let block = async |urls: Value| {
        page.devtools("Network.setBlockedURLs", json!({ "urls": urls })).await;
    };
    block(json!(["*/stages.wasm"])).await;
    page.open(&server.url("/r/room")).await;
    let known = "return document.querySelector('#chain [data-name=denoise]') !== null";
    page.wait_until("the chain is shown", known).await;
    page.enter("room", "Ann").await;
    let hidden = "return ['#preview', '#denoise-here-field'].every(id =>
        document.querySelector(id).hidden)";
    assert_eq!(page.script(hidden, vec![]).await, json!(true));

    block(json!([])).await;
    page.open(&server.url("/r/room")).await;
    page.wait_until("it is offered", OFFERED).await;
    block(json!(["*/stages.wasm"])).await;
    page.click("#denoise-here").await;
    page.enter("room", "Ann").await;
    let chosen = page.script("return document.querySelector('#denoise-here').checked", vec![]);
    assert_eq!(chosen.await, json!(false));
    wait_for_denoise(&server, &page, true).await;
}

/// `docs/measurements.md` has what it tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, and judges nothing"]
async fn what_the_stages_take_of_the_audio_threads_time() {
    for stages in [r#"{ kind = "denoise" }"#, "{ kind = \"tone\", enabled = false }", CONFERENCE] {
        let server = Server::start(&config(&format!("{stages}, {{ kind = \"mix\" }}"))).await;
        let page = Browser::with_shared_memory(noisy_voice(MICROPHONE_SECONDS)).await;
        page.devtools("Page.setBypassCSP", json!({ "enabled": true })).await;
        page.open(&server.url("/r/room?ec=off&ns=off&agc=off")).await;
        page.async_script(MEASURE, vec![]).await;
        let shown = "return !document.querySelector('#preview').hidden";
        page.wait_until("the chain can be heard", shown).await;
        page.click("#preview-toggle").await;
        let measured = page.async_script("return foldbackMeasured();", vec![]).await;
        let figure = |name: &str| measured[name].as_f64().expect(name);
        println!("{stages}: {measured}");
        let share = |us: f64| 100.0 * us / (128.0 / 48.0 * 1000.0);
        let (mean, p99) = (figure("meanUs"), figure("p99Us"));
        println!("  mean {:.1} %, p99 {:.1} % of a quantum", share(mean), share(p99));
    }
}

const OFFERED: &str = "return !document.querySelector('#denoise-here-field').hidden";

/// Waits until the server removes the noise of a page's voice, or leaves it alone.
async fn wait_for_denoise(server: &Server, page: &Browser, wanted: bool) {
    for _ in 0..100 {
        let id = page.script("return window.foldback.participantId", vec![]).await;
        let url = server.url(&format!("/api/v1/rooms/room/participants/{id}/chain"));
        let chain: Value = reqwest::get(url).await.expect("answers").json().await.expect("JSON");
        if (chain["stages"][0]["kind"] == "denoise") == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("within 10 s: whether the server removes the noise is not {wanted}");
}

/// What of `config/conference.toml` runs in a browser.
const CONFERENCE: &str =
    r#"{ kind = "high-pass" }, { kind = "denoise" }, { kind = "limiter", ceiling_dbfs = -1 }"#;

/// Times each call of the page's processor by a counter that another thread keeps.
const MEASURE: &str = include_str!("preview/measure.js");
