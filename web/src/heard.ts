// Who is heard in what the browser plays right now, by the contributing sources of its RTP packets (RFC 3550, RFC 6465).

import { SILENCE_DBFS } from "./decibels";

const PERIOD_MS = 100;
/** A source that was not in a packet for so long is heard no more; packets come every 20 ms. */
const HEARD_MS = 200;

/** In dBFS, by the ids of those who are heard; null where the browser does not tell their level. */
export type Heard = ReadonlyMap<number, number | null>;

export class HeardWatch {
  readonly #told: (heard: Heard) => void;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(told: (heard: Heard) => void) {
    this.#told = told;
  }

  /** Tells ten times a second who is heard, from the first packet on that names anybody. */
  start(pc: () => RTCPeerConnection | null): void {
    this.stop();
    let isNamed = false;
    this.#timer = setInterval(() => {
      const sources = pc()?.getReceivers()[0]?.getContributingSources() ?? [];
      isNamed ||= sources.length > 0;
      if (isNamed) this.#told(heardOf(sources, performance.timeOrigin + performance.now()));
    }, PERIOD_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Those of `sources` that were in a packet lately. */
export function heardOf(sources: RTCRtpContributingSource[], nowMs: number): Heard {
  const heard = new Map<number, number | null>();
  for (const { source, timestamp, audioLevel } of sources) {
    if (nowMs - timestamp < HEARD_MS) heard.set(source, levelDbfs(audioLevel));
  }
  return heard;
}

function levelDbfs(audioLevel: number | undefined): number | null {
  if (audioLevel === undefined) return null;
  return Math.max(SILENCE_DBFS, 20 * Math.log10(audioLevel));
}
