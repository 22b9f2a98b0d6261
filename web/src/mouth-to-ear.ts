// Measures how long sound takes to the server and back: a marker goes in the place of the microphone, and the server, asked to,
// gives it back beside the room, to nobody else.

import { stageContext } from "./chain-node";
import { byId, setText } from "./dom";
import { findMarker, marker } from "./marker";
import type { ClientMessage } from "./protocol";
import { markerProblem, measuredDelay } from "./words";

const MARKERS = 5;
const LEAST_FOUND = 3;
const EVERY_S = 0.75;
/** Jitter buffers find their place first. */
const SETTLING_S = 1;
/** So long after a marker began it is looked for: what comes back later is not found, since both must be within what an analyser keeps. */
const LOOKED_FOR_AFTER_S = 0.6;
/** The most that an analyser keeps, in samples. */
const WINDOW_SAMPLES = 32_768;
/** In between there is noise, as quiet as a quiet room: packets come as they do while somebody talks. */
const NOISE_PEAK = 0.004;
const ASKED_S = SETTLING_S + MARKERS * EVERY_S + 1;
/** Why a measurement ends with the connection. */
const GONE = new Error("the connection is gone");

export interface MouthToEarListener {
  pc(): RTCPeerConnection | null;
  ask(message: ClientMessage): void;
  /** Sends `track` in the place of the microphone. */
  send(track: MediaStreamTrack): Promise<void>;
  /** Sends the microphone again. */
  restore(): void;
  /** What microphone and speaker add; null where that is not known. */
  devicesMs(): number | null;
}

export class MouthToEar {
  readonly #listener: MouthToEarListener;
  readonly #button = byId("measure-delay", HTMLButtonElement);
  readonly #result = byId("measured-delay", HTMLElement);
  #running: AbortController | null = null;

  constructor(listener: MouthToEarListener) {
    this.#listener = listener;
    this.#button.addEventListener("click", () => void this.#run());
  }

  /** Whether something else than the microphone is sent. */
  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Nothing can be measured any more, or nothing of what was holds any more. */
  clear(): void {
    this.#running?.abort(GONE);
    setText(this.#result, "");
    delete this.#result.dataset.loopMs;
  }

  /** The server refused something: were it this, everybody would hear the marker. */
  refused(): void {
    this.#running?.abort(new Error("the server refused something meanwhile"));
  }

  async #run(): Promise<void> {
    const pc = this.#listener.pc();
    // Before that the server would not know whom to keep it from.
    if (this.#running || pc?.connectionState !== "connected") return;
    const running = new AbortController();
    this.#running = running;
    this.#button.setAttribute("aria-disabled", "true");
    delete this.#result.dataset.loopMs;
    setText(this.#result, `Measuring for ${Math.round(ASKED_S)} s; nobody hears you meanwhile…`);
    try {
      const found = await this.#measure(pc, running.signal);
      if (found.length < LEAST_FOUND) throw new Error("too few of the markers came back");
      const loopMs = found[Math.floor(found.length / 2)] ?? 0;
      const devicesMs = this.#listener.devicesMs();
      this.#result.dataset.loopMs = loopMs.toFixed(1);
      setText(this.#result, measuredDelay(loopMs, found, devicesMs));
    } catch (error) {
      // Where the connection is gone nothing is left to say.
      if (error !== GONE) setText(this.#result, markerProblem(error instanceof Error ? error.message : String(error)));
    } finally {
      this.#running = null;
      this.#button.removeAttribute("aria-disabled");
      this.#listener.ask({ type: "loopback", seconds: 0 });
      this.#listener.restore();
    }
  }

  /** What was found, in ms, in ascending order. */
  async #measure(pc: RTCPeerConnection, signal: AbortSignal): Promise<number[]> {
    const context = await stageContext("interactive");
    try {
      const sent = context.createMediaStreamDestination();
      const [track] = sent.stream.getAudioTracks();
      const received = pc.getReceivers()[0]?.track;
      if (!track || !received) throw new Error("the browser gave no track");
      const [page, server] = [analyser(context), analyser(context)];
      const sounds = context.createBufferSource();
      const { buffer, begins } = markers(context);
      sounds.buffer = buffer;
      sounds.connect(sent);
      // What a track costs within the page, which neither microphone nor speaker do, is on both ways.
      context.createMediaStreamSource(sent.stream).connect(page);
      context.createMediaStreamSource(new MediaStream([received])).connect(server);
      this.#listener.ask({ type: "loopback", seconds: ASKED_S });
      await this.#listener.send(track);
      signal.throwIfAborted();
      const start = context.currentTime + 0.05;
      sounds.start(start);
      const found: number[] = [];
      for (const begin of begins) {
        await until(context, start + begin + LOOKED_FOR_AFTER_S, signal);
        // Both hold the last of the same time: the difference needs no clock.
        const both = [recent(page), recent(server)];
        const [said, heard] = both.map((sound) => findMarker(sound, context.sampleRate));
        if (typeof said === "number" && typeof heard === "number" && heard > said) found.push((heard - said) * 1000);
      }
      return found.sort((a, b) => a - b);
    } finally {
      void context.close();
    }
  }
}

function analyser(context: AudioContext): AnalyserNode {
  return new AnalyserNode(context, { fftSize: WINDOW_SAMPLES, channelCount: 1, channelCountMode: "explicit" });
}

function recent(from: AnalyserNode): Float32Array {
  const samples = new Float32Array(WINDOW_SAMPLES);
  from.getFloatTimeDomainData(samples);
  return samples;
}

/** All that is sent, and when in it each marker begins, in s. */
function markers(context: AudioContext): { buffer: AudioBuffer; begins: number[] } {
  const { sampleRate } = context;
  const begins = Array.from({ length: MARKERS }, (_, n) => SETTLING_S + n * EVERY_S);
  const buffer = context.createBuffer(1, Math.ceil(ASKED_S * sampleRate), sampleRate);
  const sound = buffer.getChannelData(0);
  for (let n = 0; n < sound.length; n++) sound[n] = NOISE_PEAK * (2 * Math.random() - 1);
  const one = marker(sampleRate);
  for (const begin of begins) sound.set(one, Math.round(begin * sampleRate));
  return { buffer, begins };
}

async function until(context: AudioContext, time: number, signal: AbortSignal): Promise<void> {
  while (context.currentTime < time) {
    await new Promise((waited) => {
      setTimeout(waited, (time - context.currentTime) * 1000);
      signal.addEventListener("abort", waited, { once: true });
    });
    signal.throwIfAborted();
    if (context.state !== "running") throw new Error("the browser held sound back");
  }
}
