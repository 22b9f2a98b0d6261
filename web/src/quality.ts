// How good a connection is, in one word, from what was measured in the last seconds.

export type Quality = "good" | "fair" | "poor";

/** Shares are from 0 to 1; null is not known. */
export interface Measures {
  rttMs: number | null;
  lostToYou: number | null;
  lostToServer: number | null;
}

// Beyond 300 ms there and back people begin to interrupt each other (ITU-T G.114 has 150 ms one way for most of what is talked);
// a loss of 2 % is mended nearly always, one of 8 % is heard.
const LIMITS = {
  fair: { rttMs: 200, loss: 0.02 },
  poor: { rttMs: 400, loss: 0.08 },
};

/** Null until anything is known. */
export function quality({ rttMs, lostToYou, lostToServer }: Measures): Quality | null {
  if (rttMs === null && lostToYou === null && lostToServer === null) return null;
  const loss = Math.max(lostToYou ?? 0, lostToServer ?? 0);
  const beyond = (limit: { rttMs: number; loss: number }) => (rttMs ?? 0) > limit.rttMs || loss > limit.loss;
  if (beyond(LIMITS.poor)) return "poor";
  return beyond(LIMITS.fair) ? "fair" : "good";
}

const WORDS: Record<Quality, string> = {
  good: "good connection",
  fair: "fair connection",
  poor: "poor connection",
};

/** With why, where it is not good. */
export function describeQuality(rated: Quality, { rttMs, lostToYou, lostToServer }: Measures): string {
  if (rated === "good") return WORDS.good;
  const reasons: string[] = [];
  if ((rttMs ?? 0) > LIMITS.fair.rttMs) reasons.push(`${Math.round(rttMs ?? 0)} ms there and back`);
  if ((lostToYou ?? 0) > LIMITS.fair.loss) reasons.push(`${percent(lostToYou)} lost on the way to you`);
  if ((lostToServer ?? 0) > LIMITS.fair.loss) reasons.push(`${percent(lostToServer)} lost on the way to the server`);
  return `${WORDS[rated]}: ${reasons.join(", ")}`;
}

function percent(share: number | null): string {
  return `${((share ?? 0) * 100).toFixed(0)} %`;
}

/** The share of packets lost over the last seconds, from two counters that only grow. */
export class LossWindow {
  readonly #spans: number;
  #counts: { lost: number; received: number }[] = [];

  /** Over the last `spans` pairs of counts. */
  constructor(spans: number) {
    this.#spans = spans;
  }

  /** Takes the counters as they are now; null until packets came. */
  take(lost: number, received: number): number | null {
    this.#counts.push({ lost, received });
    if (this.#counts.length > this.#spans + 1) this.#counts.shift();
    const first = this.#counts[0] ?? { lost: 0, received: 0 };
    const lostSince = Math.max(0, lost - first.lost);
    const all = lostSince + received - first.received;
    return all > 0 ? lostSince / all : null;
  }
}
