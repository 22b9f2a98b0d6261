// One stay in one room: the WebSocket, the RTCPeerConnection and their order (docs/signalling.md).

import { AUDIO_PATH_LOST, NO_ANSWER, NO_AUDIO_PATH, REMOVED_FOR_SILENCE, serverProblem, socketProblem } from "./words.js";

const ANSWER_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 15_000;
// Refusals that leave nothing to go on with; the others are said and the call goes on.
const FATAL_CODES = new Set(["bad-json", "bad-room", "bad-name", "bad-sdp", "too-large", "internal"]);

export class Call {
  /** Null until joined. */
  pc = null;
  /** Null until joined. */
  participantId = null;

  #socket;
  #stereo = false;
  #stream;
  #listener;
  #muted = false;
  #ended = false;
  #everConnected = false;
  #timer;

  /**
   * Joins `room` as `name` with the microphone `stream`, which the call owns from now on.
   * `listener` has message(message) for each server message, heard(stream) for the room's sound,
   * notice(words) for what a person should know while the call goes on,
   * connected() when audio flows, and ended(words) once at the end (null: left by oneself).
   */
  constructor({ room, name, stream }, listener) {
    this.#stream = stream;
    this.#listener = listener;
    const url = new URL("ws", document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.hash = url.search = "";
    this.#socket = new WebSocket(url);
    this.#socket.onopen = () => this.#send({ type: "join", room, name });
    this.#socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    this.#socket.onclose = (event) => this.#end(socketProblem(event.code, event.reason, this.pc !== null));
    this.#expect(ANSWER_TIMEOUT_MS, NO_ANSWER);
  }

  get muted() {
    return this.#muted;
  }

  set muted(muted) {
    this.#muted = muted;
    this.#applyMute();
    this.#send({ type: "mute", muted });
  }

  get microphoneTrack() {
    return this.#stream.getAudioTracks()[0];
  }

  /** Sends `stream` instead of the microphone so far, without a new offer. */
  async replaceMicrophone(stream) {
    if (this.#ended) {
      stopAll(stream);
      return;
    }
    const old = this.#stream;
    this.#stream = stream;
    this.#applyMute();
    await this.pc?.getSenders()[0]?.replaceTrack(this.microphoneTrack);
    stopAll(old);
  }

  leave() {
    this.#send({ type: "leave" });
    this.#end(null);
  }

  #receive(message) {
    if (this.#ended) return;
    switch (message.type) {
      case "joined":
        this.participantId = message.participant;
        this.#stereo = message.chain.channels === 2;
        this.#listener.message(message);
        this.#offer().catch((error) => this.#end(`The browser could not set up the audio connection (${error.message}).`));
        return;
      case "answer":
        this.#expect(CONNECT_TIMEOUT_MS, NO_AUDIO_PATH);
        this.pc
          .setRemoteDescription({ type: "answer", sdp: message.sdp })
          .catch((error) => this.#end(`The browser did not accept the server's answer (${error.message}).`));
        return;
      case "error":
        if (this.pc === null || FATAL_CODES.has(message.code)) this.#end(serverProblem(message));
        else this.#listener.notice(serverProblem(message));
        return;
      case "participant-left":
        if (message.id === this.participantId) {
          this.#end(message.reason === "timeout" ? REMOVED_FOR_SILENCE : socketProblem(1000, "", true));
          return;
        }
    }
    this.#listener.message(message);
  }

  async #offer() {
    const pc = new RTCPeerConnection();
    this.pc = pc;
    const transceiver = pc.addTransceiver(this.microphoneTrack, { direction: "sendrecv", streams: [this.#stream] });
    askForCaptureTimes(transceiver);
    pc.ontrack = ({ track, streams }) => this.#listener.heard(streams[0] ?? new MediaStream([track]));
    pc.onconnectionstatechange = () => this.#connectionChanged(pc.connectionState);
    const offer = await pc.createOffer();
    // Browsers take from their own description whether to decode stereo.
    if (this.#stereo) offer.sdp = withOpusParameter(offer.sdp, "stereo=1");
    await pc.setLocalDescription(offer);
    // Candidates found until here stand in the description; set with the sending in one go, so none is told twice or lost.
    pc.onicecandidate = ({ candidate }) => this.#send({ type: "candidate", candidate: candidate && candidate.candidate ? candidate.toJSON() : null });
    // In SDP a receiver says how it wants to be sent to: this asks for no packets while there is nothing to hear (RFC 7587). What
    // the browser itself sends is as before, since it takes that from the answer.
    this.#send({ type: "offer", sdp: withOpusParameter(pc.localDescription.sdp, "usedtx=1") });
    this.#applyMute();
    if (this.#muted) this.#send({ type: "mute", muted: true });
  }

  #connectionChanged(state) {
    if (state === "connected") {
      clearTimeout(this.#timer);
      this.#everConnected = true;
      this.#listener.connected();
    } else if (state === "disconnected") {
      this.#listener.notice("The network is interrupted; waiting for it to come back.");
    } else if (state === "failed") {
      this.#end(this.#everConnected ? AUDIO_PATH_LOST : NO_AUDIO_PATH);
    }
  }

  #applyMute() {
    for (const track of this.#stream.getAudioTracks()) track.enabled = !this.#muted;
  }

  #expect(timeoutMs, words) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(words), timeoutMs);
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #end(words) {
    if (this.#ended) return;
    if (words !== null) this.#send({ type: "leave" });
    this.#ended = true;
    clearTimeout(this.#timer);
    this.pc?.close();
    this.pc = null;
    this.participantId = null;
    this.#socket.close(1000);
    stopAll(this.#stream);
    this.#listener.ended(words);
  }
}

function stopAll(stream) {
  for (const track of stream.getTracks()) track.stop();
}

// RFC 7587, section 6.1. A parameter that is there already stays as it is.
function withOpusParameter(sdp, parameter) {
  const opus = /^a=rtpmap:(\d+) opus\//im.exec(sdp)?.[1];
  const line = new RegExp(`^a=fmtp:${opus} .*$`, "m");
  return sdp.replace(line, (found) => (found.split(/[ ;]/).includes(parameter) ? found : `${found};${parameter}`));
}

// When a packet was captured is told only if the page asks for it; browsers that cannot be asked are not.
function askForCaptureTimes(transceiver) {
  const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
  const wanted = extensions?.find(({ uri }) => uri.endsWith("/abs-capture-time"));
  if (!wanted) return;
  wanted.direction = "sendrecv";
  transceiver.setHeaderExtensionsToNegotiate(extensions);
}
