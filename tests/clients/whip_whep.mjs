// The npm package whip-whep on @roamhq/wrtc, which is libwebrtc for Node.
//
//   node whip_whep.mjs speak URL HZ SECONDS           a tone of -20 dBFS
//   node whip_whep.mjs listen URL SECONDS FILE        what is heard, as 16-bit PCM, 48 kHz, mono
//
// TOKEN is shown as Bearer. With RESTART ICE starts anew in the middle.
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import wrtc from "@roamhq/wrtc";
import { WHEPClient } from "whip-whep/whep.js";
import { WHIPClient } from "whip-whep/whip.js";

const RATE = 48000;
const { RTCAudioSink, RTCAudioSource } = wrtc.nonstandard;
const [role, url, ...rest] = process.argv.slice(2);
const { TOKEN, RESTART } = process.env;

// What the clients ask for and are answered is told for the test to read.
const { fetch } = globalThis;
globalThis.fetch = async (address, options = {}) => {
  const answer = await fetch(address, options);
  console.log(`${options.method ?? "GET"} ${answer.status}`);
  return answer;
};

const pc = new wrtc.RTCPeerConnection();
const connected = new Promise((resolve, reject) => {
  pc.addEventListener("iceconnectionstatechange", () => {
    console.log(`ice ${pc.iceConnectionState}`);
    if (["connected", "completed"].includes(pc.iceConnectionState)) resolve();
    if (pc.iceConnectionState === "failed") reject(new Error("ICE failed"));
  });
});

async function restart(client) {
  const names = () => [pc.localDescription, pc.remoteDescription].map(({ sdp }) => sdp.match(/a=ice-ufrag:(\S+)/)[1]);
  const before = names();
  await client.restart();
  const after = names();
  console.log(`restarted ${before.every((name, side) => name !== after[side])}`);
}

async function speak(hz, seconds) {
  const source = new RTCAudioSource();
  const stream = new wrtc.MediaStream([source.createTrack()]);
  pc.addTransceiver(stream.getAudioTracks()[0], { direction: "sendonly", streams: [stream] });
  const client = new WHIPClient();
  await client.publish(pc, url, TOKEN);
  await connected;
  const blocks = seconds * 100;
  const begin = performance.now();
  let restarted = null;
  for (let block = 0; block < blocks; block++) {
    const samples = Int16Array.from({ length: RATE / 100 }, (_, n) => {
      const time = block / 100 + n / RATE;
      return Math.round(32767 * 0.1 * Math.sin(2 * Math.PI * hz * time));
    });
    source.onData({ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: samples.length });
    if (RESTART && block === blocks / 2) restarted = restart(client);
    await sleep(Math.max(0, begin + (block + 1) * 10 - performance.now()));
  }
  await restarted;
  await client.stop();
}

async function listen(seconds, file) {
  const { receiver } = pc.addTransceiver("audio", { direction: "recvonly" });
  const heard = [];
  const sink = new RTCAudioSink(receiver.track);
  sink.ondata = ({ samples, sampleRate, channelCount }) => {
    // Before anything came there is silence at another rate.
    if (sampleRate !== RATE) return;
    for (let n = 0; n < samples.length; n += channelCount) heard.push(samples[n]);
  };
  const client = new WHEPClient();
  await client.view(pc, url, TOKEN);
  await connected;
  await sleep((seconds / 2) * 1000);
  if (RESTART) await restart(client);
  await sleep((seconds / 2) * 1000);
  sink.stop();
  writeFileSync(file, Int16Array.from(heard));
  await client.stop();
}

if (role === "speak") await speak(Number(rest[0]), Number(rest[1]));
else await listen(Number(rest[0]), rest[1]);
console.log("done");
process.exit(0);
