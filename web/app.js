// The page: joins its parts to its elements.

import { Call } from "./call.js";
import { formatMs, showChain, showReadings } from "./chain.js";
import { canChooseSpeaker, listDevices, missingMicrophoneAccess, rememberDevice } from "./devices.js";
import { Figures } from "./figures.js";
import { recall, remember } from "./memory.js";
import { NetworkWatch } from "./network.js";
import { People } from "./people.js";
import { actualProcessing, decide, describe, openMicrophone, same } from "./processing.js";
import { lookUpRoom, nameProblem, roomProblem } from "./room-lookup.js";
import { microphoneProblem } from "./words.js";

const LOOK_UP_DELAY_MS = 300;
const NETWORK_PERIOD_MS = 1000;

const $ = (id) => document.getElementById(id);
const people = new People($("participants"));
const figures = new Figures($("more-figures"), ["server", "browser"]);
let call = null;
let chain = null;
let lookUp = new AbortController();
let watchTimer;

window.foldback = Object.freeze({
  get pc() { return call?.pc ?? null; },
  get participantId() { return call?.participantId ?? null; },
});

start();

function start() {
  $("name").value = recall("name");
  $("room").value = roomOfAddress() || recall("room") || "lobby";
  presetProcessing(new URLSearchParams(location.search));
  $("speaker").disabled = !canChooseSpeaker;
  $("speaker-hint").hidden = canChooseSpeaker;

  $("join-form").addEventListener("submit", (event) => { event.preventDefault(); join(); });
  $("room").addEventListener("input", () => scheduleLookUp(LOOK_UP_DELAY_MS));
  $("mute").addEventListener("click", toggleMute);
  $("leave").addEventListener("click", () => call?.leave());
  $("hear").addEventListener("click", playRoom);
  $("show-devices").addEventListener("click", askForDeviceNames);
  $("mic").addEventListener("change", () => { rememberDevice($("mic"), "mic"); reopenMicrophone(); });
  $("speaker").addEventListener("change", () => { rememberDevice($("speaker"), "speaker"); applySpeaker(); });
  for (const id of ["echo-choice", "noise-choice", "gain-choice"]) $(id).addEventListener("change", reopenMicrophone);
  navigator.mediaDevices?.addEventListener("devicechange", refreshDevices);
  window.addEventListener("hashchange", () => {
    if (call || !roomOfAddress()) return;
    $("room").value = roomOfAddress();
    scheduleLookUp(0);
  });
  window.addEventListener("pagehide", () => call?.leave());

  const missing = missingMicrophoneAccess();
  if (missing) say(missing, "bad");
  refreshDevices();
  scheduleLookUp(0);
}

// ---- before the room ----

function roomOfAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

function scheduleLookUp(delayMs) {
  lookUp.abort();
  lookUp = new AbortController();
  const { signal } = lookUp;
  const room = $("room").value.trim();
  chain = null;
  showRoomChain();
  if (roomProblem(room)) return;
  setTimeout(async () => {
    if (signal.aborted) return;
    try {
      const found = await lookUpRoom(room, signal);
      if (signal.aborted) return;
      chain = found.chain;
      showRoomChain();
    } catch (error) {
      if (!signal.aborted) $("chain-sum").textContent = error.message;
    }
  }, delayMs);
}

async function join() {
  const room = $("room").value.trim();
  const name = $("name").value.trim();
  const problem = missingMicrophoneAccess() ?? fieldProblem("room", roomProblem(room)) ?? fieldProblem("name", nameProblem(name));
  if (problem) return say(problem, "bad");

  lookUp.abort();
  $("join").disabled = true;
  let stream;
  try {
    say("Asking the server about the room…");
    chain = (await lookUpRoom(room)).chain;
    showRoomChain();
    say("Asking for the microphone…");
    stream = await openChosenMicrophone();
  } catch (error) {
    $("join").disabled = false;
    say(error.message, "bad");
    return;
  }
  remember("room", room);
  remember("name", name);
  history.replaceState(null, "", `#${room}`);
  say("Joining…");
  call = new Call({ room, name, stream }, {
    message: receive,
    heard: (sound) => { $("audio").srcObject = sound; applySpeaker(); playRoom(); },
    connected: () => say("You are in the room, and audio flows.", "good"),
    notice: (words) => say(words, "bad"),
    ended: showJoinView,
  });
  watchMicrophone(stream);
  refreshDevices();
}

function fieldProblem(id, problem) {
  $(id).toggleAttribute("aria-invalid", false);
  if (problem) {
    $(id).setAttribute("aria-invalid", "true");
    $(id).focus();
  }
  return problem;
}

// ---- in the room ----

function receive(message) {
  switch (message.type) {
    case "joined":
      takeChain(message.chain);
      people.reset(message.participants, message.participant);
      showRoomView(message.room);
      showHeadCount();
      break;
    case "chain-changed":
      takeChain(message.chain);
      showRoomChain();
      break;
    case "participant-joined":
      people.add(message.participant);
      showHeadCount();
      say(`${message.participant.name} came in.`);
      break;
    case "participant-left": {
      const name = people.remove(message.id);
      showHeadCount();
      const how = message.reason === "left" ? "left" : "is gone: the connection was lost";
      if (name) say(`${name} ${how}.`);
      break;
    }
    case "participant-muted":
      people.mute(message.id, message.muted);
      break;
    case "levels":
      people.levels(message.levels);
      break;
    case "stats":
      showServerStats(message);
      showReadings($("chain"), message.readings);
      break;
  }
}

function showHeadCount() {
  $("head-count").textContent = people.size === 1 ? "only you" : `${people.size} people`;
}

function showRoomView(room) {
  document.body.dataset.view = "room";
  document.title = `${room} · foldback`;
  $("room-title").textContent = room;
  $("join-view").hidden = true;
  $("room-view").hidden = false;
  for (const id of ["server-latency", "network-rtt", "jitter-buffer", "packets-lost"]) $(id).textContent = "–";
  delete $("packets-lost").dataset.toYou;
  delete $("packets-lost").dataset.toServer;
  figures.clear();
  showMute(false);
  showRoomChain();
  say("You are in the room; the audio is being connected…");
  $("room-title").focus();
  watchNetwork();
}

function showJoinView(words) {
  const wasInRoom = document.body.dataset.view === "room";
  call = null;
  clearInterval(watchTimer);
  document.body.dataset.view = "join";
  document.title = "foldback";
  $("audio").srcObject = null;
  $("hear").hidden = true;
  $("room-view").hidden = true;
  $("join-view").hidden = false;
  $("join").disabled = false;
  $("join").textContent = wasInRoom ? "Join again" : "Join";
  $("join").focus({ preventScroll: true });
  showProcessing();
  say(words ?? "You left the room.", words ? "bad" : "quiet");
}

function toggleMute() {
  if (!call) return;
  call.muted = !call.muted;
  people.mute(call.participantId, call.muted);
  showMute(call.muted);
}

function showMute(muted) {
  $("mute").dataset.muted = String(muted);
  $("mute").textContent = muted ? "Unmute" : "Mute";
}

function playRoom() {
  $("audio").play().then(
    () => { $("hear").hidden = true; },
    (error) => {
      if (error.name !== "NotAllowedError") return;
      $("hear").hidden = false;
      say("Your browser holds back sound until you ask for it: press “Let me hear the room”.", "bad");
    },
  );
}

function watchNetwork() {
  const watch = new NetworkWatch();
  clearInterval(watchTimer);
  watchTimer = setInterval(async () => {
    const pc = call?.pc;
    if (!pc) return;
    const { rttMs, jitterBufferMs, lost, figures: measured } = await watch.read(pc);
    if (call?.pc !== pc) return;
    figures.show("browser", measured);
    if (rttMs !== null) $("network-rtt").textContent = formatMs(rttMs);
    if (jitterBufferMs !== null) $("jitter-buffer").textContent = formatMs(jitterBufferMs);
    if (lost !== null) showLost("toYou", lost);
  }, NETWORK_PERIOD_MS);
}

function showServerStats(stats) {
  $("server-latency").textContent = formatMs(stats.server_latency_ms.p50);
  $("server-latency-note").textContent = `voice in to mix out; 95 % within ${formatMs(stats.server_latency_ms.p95)}`;
  $("jitter-buffer-note").textContent = `against uneven arrival; the server's: ${formatMs(stats.jitter_buffer_ms)}`;
  showLost("toServer", stats.packets_lost);
  figures.show("server", { ...stats.inbound, ...stats.remoteInbound, ...stats.foldback });
}

function showLost(way, count) {
  const figure = $("packets-lost");
  figure.dataset[way] = count;
  figure.textContent = `${figure.dataset.toYou ?? "–"} · ${figure.dataset.toServer ?? "–"}`;
}

// ---- microphone, speaker, processing ----

function presetProcessing(query) {
  for (const [key, id] of [["ec", "echo-choice"], ["ns", "noise-choice"], ["agc", "gain-choice"]]) {
    if (["auto", "on", "off"].includes(query.get(key))) $(id).value = query.get(key);
  }
}

function wishes() {
  return { ec: $("echo-choice").value, ns: $("noise-choice").value, agc: $("gain-choice").value };
}

async function openChosenMicrophone() {
  try {
    return await openMicrophone($("mic").value, decide(wishes(), chain));
  } catch (error) {
    throw new Error(microphoneProblem(error));
  }
}

// What the browser should do may be another thing now. Some browsers do not change it for an open microphone, so it
// is opened anew.
function takeChain(changed) {
  const before = decide(wishes(), chain);
  chain = changed;
  if (!same(before, decide(wishes(), chain))) reopenMicrophone();
}

// A later change overtakes an earlier one that is still waiting for its microphone.
let reopening = 0;

async function reopenMicrophone() {
  showProcessing();
  if (!call) return;
  const current = call;
  const turn = ++reopening;
  try {
    const stream = await openChosenMicrophone();
    if (turn !== reopening || call !== current) {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    await current.replaceMicrophone(stream);
    watchMicrophone(stream);
    showProcessing();
  } catch (error) {
    say(error.message, "bad");
  }
}

function watchMicrophone(stream) {
  const [track] = stream.getAudioTracks();
  track.onended = async () => {
    if (call?.microphoneTrack !== track) return;
    say("The microphone went away; trying the system's default one.", "bad");
    await refreshDevices();
    $("mic").value = "";
    reopenMicrophone();
  };
}

async function refreshDevices() {
  const named = await listDevices($("mic"), $("speaker"));
  $("show-devices").hidden = named || missingMicrophoneAccess() !== null;
  applySpeaker();
}

async function askForDeviceNames() {
  try {
    const stream = await openChosenMicrophone();
    await refreshDevices();
    for (const track of stream.getTracks()) track.stop();
    $("mic").focus();
  } catch (error) {
    say(error.message, "bad");
  }
}

async function applySpeaker() {
  if (!canChooseSpeaker || $("audio").sinkId === $("speaker").value) return;
  try {
    await $("audio").setSinkId($("speaker").value);
  } catch (error) {
    $("speaker").value = $("audio").sinkId;
    say(`That speaker could not be used (${error.message}). Choose another one.`, "bad");
  }
}

function showRoomChain() {
  showChain({ list: $("chain"), end: $("chain-end"), sum: $("chain-sum") }, chain);
  showProcessing();
}

function showProcessing() {
  const track = call?.microphoneTrack;
  const actual = track && track.readyState === "live" ? actualProcessing(track) : null;
  $("processing").textContent = describe(wishes(), chain, actual);
  for (const what of ["ec", "ns", "agc"]) {
    if (actual?.[what] === undefined) delete $("processing").dataset[what];
    else $("processing").dataset[what] = actual[what] ? "on" : "off";
  }
}

function say(words, tone = "quiet") {
  $("status").textContent = words;
  $("status").dataset.tone = tone;
}
