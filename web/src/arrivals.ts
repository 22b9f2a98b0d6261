// Whether the room's sound still arrives. Browsers say that a connection is gone once ICE checks fail: Chromium after 5 s, Firefox
// after 8. The server sends at least a packet every 400 ms, so that their absence says it earlier.

/** Four packets of a silence are missing, or 87 of a voice. */
const LOST_AFTER_MS = 1_750;
/** The server's figures come once a second. If they stall too it is the server that stands still, or the whole network, or this machine. */
const LONGEST_STALL_MS = 1_500;

/** To be asked at each of the server's figures, which come another way than the sound: timers of hidden pages are slow. */
export class Arrivals {
  #received: number | null = null;
  #heardAtMs = 0;
  #askedAtMs = 0;

  /** `received`: packets since the start of the call, null while there are none. `nowMs`: of any clock that goes steadily. */
  take(received: number | null, nowMs: number): "arriving" | "waiting" | "lost" {
    const stalled = nowMs - this.#askedAtMs > LONGEST_STALL_MS;
    this.#askedAtMs = nowMs;
    const arriving = received !== this.#received && this.#received !== null;
    if (arriving || stalled || this.#received === null) this.#heardAtMs = nowMs;
    this.#received = received;
    if (arriving) return "arriving";
    return nowMs - this.#heardAtMs > LOST_AFTER_MS ? "lost" : "waiting";
  }
}
