// What the delay from a mouth to an ear is made of.

import type { LatencyParts } from "./protocol";

/** A packet leaves once it is full. */
const PACKET_MS = 20;
/** By so much an Opus encoder looks ahead for speech: RFC 6716, section 4. There are two on the way. */
const LOOK_AHEAD_MS = 6.5;

/** Where sound waits, in the order of its way. */
export const PARTS = [
  { id: "microphone", name: "Microphone", about: "as yours, where your browser tells" },
  { id: "packet", name: "Packet and codec", about: "a packet of 20 ms fills up; two encoders look 6.5 ms ahead" },
  { id: "there", name: "Network, to the server", about: "half of there and back" },
  { id: "server-buffer", name: "Server: jitter buffer", about: "until packets that come late are in time" },
  { id: "server-tick", name: "Server: next tick", about: "all voices are mixed at the same moments" },
  { id: "server-chain", name: "Server: chain", about: "the delay of its stages, decoding, mixing" },
  { id: "server-encode", name: "Server: encoder", about: "encoding, encrypting, sending" },
  { id: "back", name: "Network, to you", about: "half of there and back" },
  { id: "browser-buffer", name: "Your browser: jitter buffer", about: "until packets that come late are in time" },
  { id: "speaker", name: "Your speaker", about: "as your browser tells; Bluetooth may add to it" },
] as const;

/** What not every browser tells, and nothing of foldback changes. */
const DEVICES = new Set<string>(["microphone", "speaker"]);

export type PartId = (typeof PARTS)[number]["id"];

/** In ms; null where it is not known just now. */
export type DelayParts = Record<PartId, number | null>;

export interface Measured {
  rttMs: number | null;
  jitterBufferMs: number | null;
  microphoneMs: number | null;
  speakerMs: number | null;
  /** Of those who talked in the last second. */
  server: LatencyParts | null;
}

export function delayParts({ rttMs, jitterBufferMs, microphoneMs, speakerMs, server }: Measured): DelayParts {
  const oneWay = rttMs === null ? null : rttMs / 2;
  return {
    microphone: microphoneMs,
    packet: PACKET_MS + 2 * LOOK_AHEAD_MS,
    there: oneWay,
    "server-buffer": server?.jitter_buffer ?? null,
    "server-tick": server?.tick_wait ?? null,
    "server-chain": server?.chain ?? null,
    "server-encode": server?.encode ?? null,
    back: oneWay,
    "browser-buffer": jitterBufferMs,
    speaker: speakerMs,
  };
}

/** All of it, without devices that nothing is known of; null while another part is not known. */
export function total(parts: DelayParts): number | null {
  return PARTS.reduce<number | null>((sum, { id }) => {
    const part = parts[id] ?? (DEVICES.has(id) ? 0 : null);
    return sum === null || part === null ? null : sum + part;
  }, 0);
}

/** The last values of something that is measured once a second; null where it was not known. */
export class History {
  readonly #seconds: number;
  readonly #values: (number | null)[] = [];

  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  add(value: number | null): void {
    this.#values.push(value);
    if (this.#values.length > this.#seconds) this.#values.shift();
  }

  clear(): void {
    this.#values.length = 0;
  }

  range(): { least: number; most: number } | null {
    const known = this.#values.filter((value) => value !== null);
    return known.length > 0 ? { least: Math.min(...known), most: Math.max(...known) } : null;
  }

  /** The `d` of an SVG path in a field of that size, the latest at its right, `top` at its upper edge. */
  path(width: number, height: number, top: number): string {
    const first = this.#seconds - this.#values.length;
    let pen = "M";
    const points = this.#values.map((value, index) => {
      if (value === null) {
        pen = "M";
        return "";
      }
      const x = ((first + index) / (this.#seconds - 1)) * width;
      const y = height - (Math.min(value, top) / top) * height;
      const point = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = "L";
      return point;
    });
    return points.join("");
  }
}
