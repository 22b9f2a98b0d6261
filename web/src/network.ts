// What the browser itself measures about the connection.

import type { Figures } from "./protocol";

export interface Network {
  /** Null until it is known, as all others. */
  rttMs: number | null;
  jitterBufferMs: number | null;
  /** Packets since the start. */
  lost: number | null;
  received: number | null;
  /** What the browser tells of the room's sound by the names of W3C getStats. */
  figures: Figures;
}

/** What an entry of a report holds depends on its type. */
type Entry = Record<string, unknown>;

export class NetworkWatch {
  #before = { delayS: 0, count: 0 };

  async read(pc: RTCPeerConnection): Promise<Network> {
    const entries: Entry[] = [];
    (await pc.getStats()).forEach((entry: Entry) => void entries.push(entry));
    const audio = (type: string) => entries.find((entry) => entry.type === type && entry.kind === "audio");
    const inbound = audio("inbound-rtp");
    const rttS = numberOf(selectedPair(entries), "currentRoundTripTime");
    return {
      rttMs: rttS === null ? null : rttS * 1000,
      jitterBufferMs: this.#jitterBufferMs(inbound),
      lost: numberOf(inbound, "packetsLost"),
      received: numberOf(inbound, "packetsReceived"),
      figures: { ...numbersOf(inbound), roundTripTime: numberOf(audio("remote-inbound-rtp"), "roundTripTime") },
    };
  }

  // The browser counts from the start of the call; the difference to a second ago is what holds now.
  #jitterBufferMs(inbound: Entry | undefined): number | null {
    const delayS = numberOf(inbound, "jitterBufferDelay");
    const count = numberOf(inbound, "jitterBufferEmittedCount");
    if (delayS === null || count === null) return null;
    const before = this.#before;
    this.#before = { delayS, count };
    return count > before.count ? ((delayS - before.delayS) / (count - before.count)) * 1000 : null;
  }
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
