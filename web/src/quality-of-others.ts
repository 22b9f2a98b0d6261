// How good the connections of the others are, as the server measures them.

import { authorization, type Pass } from "./pass";
import type { RoomMember } from "./protocol";
import { describeQuality, LossWindow, type Quality, quality } from "./quality";

const PERIOD_MS = 5_000;
/** Over how many periods losses are rated. */
const RATED_PERIODS = 2;
/** In larger rooms everybody's asking for everybody would cost more than it tells. */
const LARGEST_ROOM = 16;

export class QualityOfOthers {
  readonly #told: (id: number, quality: Quality, words: string) => void;
  readonly #losses = new Map<number, LossWindow>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(told: (id: number, quality: Quality, words: string) => void) {
    this.#told = told;
  }

  /** Asks for all but `self` while there are not too many. */
  start(room: string, pass: Pass, self: number, headCount: () => number): void {
    this.stop();
    this.#timer = setInterval(() => {
      const isWorthIt = headCount() > 1 && headCount() <= LARGEST_ROOM && document.visibilityState === "visible";
      if (isWorthIt) void this.#ask(room, pass, self);
    }, PERIOD_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#losses.clear();
  }

  async #ask(room: string, pass: Pass, self: number): Promise<void> {
    const members = await membersOf(room, pass);
    // The PIN is another one by now, or the token is too old: going on would be guessing, of which the server takes only so much.
    if (!members) return this.stop();
    for (const member of members) if (member.id !== self) this.#rate(member);
  }

  #rate({ id, inbound, remoteInbound }: RoomMember): void {
    if (!inbound) return;
    const losses = this.#losses.get(id) ?? new LossWindow(RATED_PERIODS);
    this.#losses.set(id, losses);
    const roundTripS = remoteInbound?.roundTripTime ?? null;
    const measures = {
      rttMs: roundTripS === null ? null : roundTripS * 1000,
      lostComing: remoteInbound?.fractionLost ?? null,
      lostGoing: losses.take(inbound.packetsLost ?? 0, inbound.packetsReceived ?? 0),
    };
    const rated = quality(measures);
    if (rated) this.#told(id, rated, describeQuality(rated, measures, "them"));
  }
}

/** Nobody, where the server does not answer: then the call itself says so. Null where one may not know. */
async function membersOf(room: string, pass: Pass): Promise<RoomMember[] | null> {
  try {
    const url = `/api/v1/rooms/${encodeURIComponent(room)}/participants`;
    const response = await fetch(url, { headers: authorization(pass) });
    if (response.status === 401 || response.status === 403) return null;
    return response.ok ? ((await response.json()) as RoomMember[]) : [];
  } catch {
    return [];
  }
}
