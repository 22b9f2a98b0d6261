// How good a connection is, in one word, from what was measured in the last seconds.

export type Quality = "good" | "fair" | "poor";

/** Shares are from 0 to 1; null is not known. */
export interface Measures {
  rttMs: number | null;
  /** On the way from the server. */
  lostComing: number | null;
  /** On the way to the server. */
  lostGoing: number | null;
}

// Beyond 300 ms there and back people begin to interrupt each other (ITU-T G.114 has 150 ms one way for most of what is talked);
// a loss of 2 % is mended nearly always, one of 8 % is heard.
const LIMITS = {
  fair: { rttMs: 200, loss: 0.02 },
  poor: { rttMs: 400, loss: 0.08 },
};

/** Null until anything is known. */
export function quality({ rttMs, lostComing, lostGoing }: Measures): Quality | null {
  if (rttMs === null && lostComing === null && lostGoing === null) return null;
  const loss = Math.max(lostComing ?? 0, lostGoing ?? 0);
  const beyond = (limit: { rttMs: number; loss: number }) => (rttMs ?? 0) > limit.rttMs || loss > limit.loss;
  if (beyond(LIMITS.poor)) return "poor";
  return beyond(LIMITS.fair) ? "fair" : "good";
}

const WORDS: Record<Quality, string> = {
  good: "good connection",
  fair: "fair connection",
  poor: "poor connection",
};

/** With why, where it is not good; `whom` names whose connection it is. */
export function describeQuality(
  rated: Quality,
  { rttMs, lostComing, lostGoing }: Measures,
  whom: "you" | "them",
): string {
  if (rated === "good") return WORDS.good;
  const reasons: string[] = [];
  if ((rttMs ?? 0) > LIMITS.fair.rttMs) reasons.push(`${Math.round(rttMs ?? 0)} ms there and back`);
  if ((lostComing ?? 0) > LIMITS.fair.loss) reasons.push(`${percent(lostComing)} lost on the way to ${whom}`);
  if ((lostGoing ?? 0) > LIMITS.fair.loss) reasons.push(`${percent(lostGoing)} lost on the way to the server`);
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
