// Who is heard in what the browser plays right now, by the contributing sources of its RTP packets (RFC 3550).

const PERIOD_MS = 100;
/** A source that was not in a packet for so long is heard no more; in steady noise packets come every 400 ms. */
const HEARD_MS = 500;

/** The ids of those who are heard. Browsers tell their level too, but only that of all together. */
export type Heard = ReadonlySet<number>;

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
  return new Set(sources.filter(({ timestamp }) => nowMs - timestamp < HEARD_MS).map(({ source }) => source));
}
