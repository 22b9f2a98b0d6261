// What the browser itself measures about the connection.

import type { Figures } from "./protocol";

export interface Network {
  /** Null until it is known, as all others. */
  rttMs: number | null;
  jitterBufferMs: number | null;
  /** From the air to the page, and from the page to the air, as far as the browser tells. */
  microphoneMs: number | null;
  speakerMs: number | null;
  /** Packets since the start. */
  lost: number | null;
  received: number | null;
  /** What the browser tells of the room's sound by the names of W3C getStats. */
  figures: Figures;
}

/** What an entry of a report holds depends on its type. */
type Entry = Record<string, unknown>;

export class NetworkWatch {
  readonly #jitterBuffer = new Mean();
  readonly #speaker = new Mean();
  #microphoneMs: number | null = null;

  async read(pc: RTCPeerConnection): Promise<Network> {
    const entries = await entriesOf(pc);
    const inbound = audio(entries, "inbound-rtp");
    const playout = audio(entries, "media-playout");
    // What is sent in the place of a microphone for a while has none.
    this.#microphoneMs = microphoneMs(pc.getSenders()[0]?.track) ?? this.#microphoneMs;
    const rttS = numberOf(selectedPair(entries), "currentRoundTripTime");
    return {
      rttMs: rttS === null ? null : rttS * 1000,
      jitterBufferMs: this.#jitterBuffer.ms(
        numberOf(inbound, "jitterBufferDelay"),
        numberOf(inbound, "jitterBufferEmittedCount"),
      ),
      microphoneMs: this.#microphoneMs,
      speakerMs: this.#speaker.ms(numberOf(playout, "totalPlayoutDelay"), numberOf(playout, "totalSamplesCount")),
      lost: numberOf(inbound, "packetsLost"),
      received: numberOf(inbound, "packetsReceived"),
      figures: {
        ...numbersOf(inbound),
        roundTripTime: numberOf(audio(entries, "remote-inbound-rtp"), "roundTripTime"),
      },
    };
  }
}

/** Packets of the room's sound since the start of the call; null while there are none. */
export async function packetsReceived(pc: RTCPeerConnection): Promise<number | null> {
  return numberOf(audio(await entriesOf(pc), "inbound-rtp"), "packetsReceived");
}

/** Of a sum over samples, which the browser counts from the start of the call: the difference to a second ago is what holds now. */
class Mean {
  #before = { sumS: 0, count: 0 };

  ms(sumS: number | null, count: number | null): number | null {
    if (sumS === null || count === null) return null;
    const before = this.#before;
    this.#before = { sumS, count };
    return count > before.count ? ((sumS - before.sumS) / (count - before.count)) * 1000 : null;
  }
}

/** Not in TypeScript's library yet, and not in every browser. */
interface MeasuresLatency {
  readonly stats?: { readonly latency: number };
  getSettings(): MediaTrackSettings;
}

function microphoneMs(track: MeasuresLatency | null | undefined): number | null {
  const latencyMs = track?.stats?.latency;
  if (!track || !latencyMs) return null;
  // It is that of the first sample of a piece from the device. What the pieces are late by on average is half of their length, and
  // by how much that varies the server's jitter buffer has to make up for, where it is counted.
  const { latency: pieceS = 0 } = track.getSettings() as { latency?: number };
  return Math.max(0, latencyMs - (pieceS * 1000) / 2);
}

async function entriesOf(pc: RTCPeerConnection): Promise<Entry[]> {
  const entries: Entry[] = [];
  (await pc.getStats()).forEach((entry: Entry) => void entries.push(entry));
  return entries;
}

function audio(entries: Entry[], type: string): Entry | undefined {
  return entries.find((entry) => entry.type === type && entry.kind === "audio");
}

function selectedPair(entries: Entry[]): Entry | undefined {
  const id = entries.find((entry) => entry.type === "transport")?.selectedCandidatePairId;
  if (id) return entries.find((entry) => entry.id === id);
  return entries.find((entry) => entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded");
}

function numberOf(entry: Entry | undefined, name: string): number | null {
  const value = entry?.[name];
  return typeof value === "number" ? value : null;
}

function numbersOf(entry: Entry | undefined): Figures {
  const figures: Figures = {};
  for (const [name, value] of Object.entries(entry ?? {})) if (typeof value === "number") figures[name] = value;
  return figures;
}
