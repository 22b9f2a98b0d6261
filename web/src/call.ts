// One stay on one socket: the WebSocket, the RTCPeerConnection and their order (docs/signalling.md).

import { wantsRelay } from "./address";
import { Arrivals } from "./arrivals";
import { packetsReceived } from "./network";
import type { Pass } from "./pass";
import type { ClientMessage, ServerError, ServerMessage } from "./protocol";
import { type ChannelListener, RoomChannel } from "./room-channel";
import { withOpusParameter } from "./sdp";
import {
  AUDIO_PATH_LOST,
  busy,
  NO_ANSWER,
  NO_AUDIO_PATH,
  REMOVED_BY_OPERATOR,
  REMOVED_FOR_SILENCE,
  serverProblem,
  socketProblem,
  takesNobodyNew,
} from "./words";

const ANSWER_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 15_000;
// ICE checks go on all the while; the server waits for 8 s from the last packet.
const INTERRUPTION_TIMEOUT_MS = 4_000;
const RETRY_AFTER_S = 5;
// Refusals that leave nothing to go on with until audio flows; the others are said and the call goes on.
const FATAL_CODES = new Set(["bad-json", "bad-room", "bad-name", "bad-sdp", "too-large", "internal"]);
// What an offer is refused by.
const OFFER_CODES = new Set(["bad-sdp", "already-connected", "too-fast", "internal"]);
// After these a server takes the same client again.
const PASSING_CLOSE_CODES = new Set([1001, 1005, 1006, 1011, 1012, 1013]);

/** How a call ended: by oneself, for good, or so that joining again may help. */
export type Ending =
  | { kind: "left" }
  | { kind: "refused"; words: string; by?: ServerError }
  | { kind: "lost"; words: string }
  | { kind: "busy"; words: string; retryAfterS: number };

export interface CallListener extends ChannelListener {
  /** Each message of the server but answers, and errors that end the call. */
  message(message: ServerMessage): void;
  /** The room's sound. */
  heard(sound: MediaStream): void;
  /** Audio flows, or flows again. */
  connected(): void;
  /** What a person should know while the call goes on. */
  notice(words: string): void;
  /** Once. */
  ended(ending: Ending): void;
}

export interface CallOptions {
  room: string;
  name: string;
  pass: Pass;
  /** By which one comes back to the room; null: one comes for the first time. */
  returnKey: string | null;
  /** Null: one only listens. */
  microphone: MediaStreamTrack | null;
  muted: boolean;
  /** Kinds of stages that this page runs in the server's stead. */
  spares: string[];
}

export class Call {
  /** Null until joined, and after the end. */
  pc: RTCPeerConnection | null = null;
  /** Null until joined, and after the end. */
  participantId: number | null = null;

  #channel: RoomChannel | null = null;
  readonly #socket: WebSocket;
  readonly #listener: CallListener;
  #microphone: MediaStreamTrack | null;
  #muted: boolean;
  #spares: string[];
  #stereo = false;
  #ended = false;
  #everConnected = false;
  /** An offer that restarts ICE was sent, and the connection did not come back yet. */
  #isRestarting = false;
  /** Nothing comes of the room's sound, whatever the browser says of the connection: a browser may call it connected all the while. */
  #isSilent = false;
  readonly #arrivals = new Arrivals();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Joins. The microphone stays the caller's. */
  constructor({ room, name, pass, returnKey, microphone, muted, spares }: CallOptions, listener: CallListener) {
    this.#microphone = microphone;
    this.#muted = muted;
    this.#spares = spares;
    this.#listener = listener;
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#socket = new WebSocket(url);
    const again = returnKey === null ? {} : { return_key: returnKey };
    this.#socket.onopen = () => this.#send({ type: "join", room, name, ...pass, ...again });
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(String(data)) as ServerMessage);
    this.#socket.onclose = ({ code }) => this.#closed(code);
    this.#expect(ANSWER_TIMEOUT_MS, NO_ANSWER);
  }

  /** Tells the room; the microphone's own track is the caller's to switch. */
  mute(muted: boolean): void {
    if (muted === this.#muted) return;
    this.#muted = muted;
    if (this.participantId !== null) this.#send({ type: "mute", muted });
  }

  /** Tells the server what this page does in its stead, in the place of what it was told before. */
  spare(kinds: string[]): void {
    this.#spares = kinds;
    if (this.participantId !== null) this.#send({ type: "spare", kinds });
  }

  /** Tells the server what one asks of it, once one is in the room. */
  ask(message: ClientMessage): void {
    if (this.participantId !== null) this.#send(message);
  }

  /** Writes to the room; whether it went out. */
  write(text: string): boolean {
    return this.#channel?.send({ type: "chat", text }) ?? false;
  }

  /** Sends `track` instead of the microphone so far, without a new offer. */
  async replaceMicrophone(track: MediaStreamTrack): Promise<void> {
    this.#microphone = track;
    await this.pc?.getSenders()[0]?.replaceTrack(track);
  }

  leave(): void {
    this.#end({ kind: "left" });
  }

  #receive(message: ServerMessage): void {
    if (this.#ended) return;
    switch (message.type) {
      case "joined":
        this.participantId = message.participant;
        this.#stereo = message.chain.channels === 2;
        this.#expect(ANSWER_TIMEOUT_MS, NO_ANSWER);
        // First of all, however much is to be said.
        if (this.#muted) this.#send({ type: "mute", muted: true });
        this.#listener.message(message);
        if (this.#spares.length > 0) this.#send({ type: "spare", kinds: this.#spares });
        this.#offer(message.ice_servers).catch((error: unknown) => {
          this.#end({
            kind: "refused",
            words: `The browser could not set up the audio connection (${String(error)}).`,
          });
        });
        return;
      case "answer":
        if (!this.#everConnected) this.#expect(CONNECT_TIMEOUT_MS, NO_AUDIO_PATH);
        this.pc?.setRemoteDescription({ type: "answer", sdp: message.sdp }).catch((error: unknown) => {
          this.#end({ kind: "refused", words: `The browser did not accept the server's answer (${String(error)}).` });
        });
        return;
      case "error":
        this.#refused(message);
        return;
      case "participant-left":
        if (message.id === this.participantId) {
          if (message.reason === "kicked") this.#end({ kind: "refused", words: REMOVED_BY_OPERATOR });
          else this.#end({ kind: "lost", words: message.reason === "timeout" ? REMOVED_FOR_SILENCE : AUDIO_PATH_LOST });
          return;
        }
        break;
      case "waiting":
        // A host takes the time that it takes.
        clearTimeout(this.#timer);
        break;
      case "stats":
        void this.#lookForSound();
        break;
      case "participant-muted":
        if (message.id === this.participantId) this.#muted = message.muted;
        break;
      case "participants-muted":
        if (this.participantId !== null && message.ids.includes(this.participantId)) this.#muted = message.muted;
    }
    this.#listener.message(message);
  }

  #refused(error: ServerError): void {
    // Not of this offer: the next one is on a new socket.
    if (this.#isRestarting && OFFER_CODES.has(error.code)) this.#end({ kind: "lost", words: AUDIO_PATH_LOST });
    else if (error.code === "overloaded") this.#busy(busy(RETRY_AFTER_S));
    else if (error.code === "draining") this.#busy(takesNobodyNew(RETRY_AFTER_S));
    else if (this.participantId === null || (FATAL_CODES.has(error.code) && !this.#everConnected)) {
      this.#end({ kind: "refused", words: serverProblem(error), by: error });
    } else {
      this.#listener.message(error);
      this.#listener.notice(serverProblem(error));
    }
  }

  #busy(words: string): void {
    this.#end({ kind: "busy", words, retryAfterS: RETRY_AFTER_S });
  }

  #closed(code: number): void {
    const kind = PASSING_CLOSE_CODES.has(code) ? "lost" : "refused";
    this.#end({ kind, words: socketProblem(code, this.participantId !== null) });
  }

  async #offer(iceServers: RTCIceServer[]): Promise<void> {
    const iceTransportPolicy = wantsRelay(location.search) ? "relay" : "all";
    const pc = new RTCPeerConnection({ iceServers, iceTransportPolicy });
    this.pc = pc;
    if (this.#microphone) {
      const streams = [new MediaStream([this.#microphone])];
      askForCaptureTimes(pc.addTransceiver(this.#microphone, { direction: "sendrecv", streams }));
    } else pc.addTransceiver("audio", { direction: "recvonly" });
    this.#channel = new RoomChannel(pc, this.#listener);
    pc.ontrack = ({ track, streams }) => this.#listener.heard(streams[0] ?? new MediaStream([track]));
    pc.onconnectionstatechange = () => this.#connectionChanged(pc.connectionState);
    await this.#sendOffer(pc);
    // Candidates found until here stand in the description; set with the sending in one go, so none is told twice or lost.
    pc.onicecandidate = ({ candidate }) =>
      this.#send({ type: "candidate", candidate: candidate?.candidate ? candidate.toJSON() : null });
  }

  async #lookForSound(): Promise<void> {
    const { pc } = this;
    if (!pc || !this.#everConnected) return;
    const received = await packetsReceived(pc);
    if (pc !== this.pc) return;
    const found = this.#arrivals.take(received, performance.now());
    if (found === "lost" && !this.#isSilent) {
      this.#isSilent = true;
      this.#interrupted();
    } else if (found === "arriving" && this.#isSilent) {
      this.#isSilent = false;
      if (pc.connectionState === "connected") this.#restored();
    }
  }

  #interrupted(): void {
    if (this.#isRestarting) return;
    this.#listener.notice("The network is interrupted; looking for another way to the server.");
    this.#expect(INTERRUPTION_TIMEOUT_MS, AUDIO_PATH_LOST);
    // Where it cannot be offered, joining anew will help.
    this.#restartIce().catch(() => undefined);
  }

  #restored(): void {
    clearTimeout(this.#timer);
    this.#isRestarting = false;
    this.#listener.connected();
  }

  /** The network changed, maybe: has ICE look for another way to the server while all else goes on. */
  async #restartIce(): Promise<void> {
    const { pc } = this;
    if (!pc) return;
    this.#isRestarting = true;
    // The connection came back before the answer of a restart, and is gone again: that answer is as good as the next.
    if (pc.signalingState !== "stable") return;
    pc.restartIce();
    await this.#sendOffer(pc);
  }

  async #sendOffer(pc: RTCPeerConnection): Promise<void> {
    const { type, sdp = "" } = await pc.createOffer();
    // Browsers take from their own description whether to decode stereo.
    await pc.setLocalDescription({ type, sdp: this.#stereo ? withOpusParameter(sdp, "stereo=1") : sdp });
    // In SDP a receiver says how it wants to be sent to: this asks for no packets while there is nothing to hear (RFC 7587). What
    // the browser itself sends is as before, since it takes that from the answer.
    this.#send({ type: "offer", sdp: withOpusParameter(pc.localDescription?.sdp ?? "", "usedtx=1") });
  }

  #connectionChanged(state: RTCPeerConnectionState): void {
    if (state === "connected") {
      this.#everConnected = true;
      this.#channel?.expect();
      if (!this.#isSilent) this.#restored();
    } else if (state === "disconnected" || (state === "failed" && this.#everConnected && !this.#isRestarting)) {
      this.#interrupted();
    } else if (state === "failed") {
      this.#end({ kind: "lost", words: this.#everConnected ? AUDIO_PATH_LOST : NO_AUDIO_PATH });
    }
  }

  #expect(timeoutMs: number, words: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end({ kind: "lost", words }), timeoutMs);
  }

  #send(message: ClientMessage): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #end(ending: Ending): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    if (this.participantId !== null) this.#send({ type: "leave" });
    this.#channel?.close();
    this.#channel = null;
    this.pc?.close();
    this.pc = null;
    this.participantId = null;
    this.#socket.close(1000);
    this.#listener.ended(ending);
  }
}

/** Not in TypeScript's library yet; browsers that cannot be asked have neither. */
interface NegotiatesExtensions {
  getHeaderExtensionsToNegotiate(): { uri: string; direction: RTCRtpTransceiverDirection }[];
  setHeaderExtensionsToNegotiate(extensions: { uri: string; direction: RTCRtpTransceiverDirection }[]): void;
}

// When a packet was captured is told only if the page asks for it.
function askForCaptureTimes(transceiver: RTCRtpTransceiver & Partial<NegotiatesExtensions>): void {
  const extensions = transceiver.getHeaderExtensionsToNegotiate?.();
  const wanted = extensions?.find(({ uri }) => uri.endsWith("/abs-capture-time"));
  if (!extensions || !wanted) return;
  wanted.direction = "sendrecv";
  transceiver.setHeaderExtensionsToNegotiate?.(extensions);
}
