// Blocks of one length out of whatever lengths come: browsers give 128 samples at a time, the chain takes 480.

/** One channel of a block, to be processed in place. */
export type Plane = Float32Array;

export class Reblocker {
  readonly #planes: () => readonly Plane[];
  readonly #process: () => void;
  #at = 0;

  /** `planes` tells where the block is, which may be another place after each `process`. */
  constructor(planes: () => readonly Plane[], process: () => void) {
    this.#planes = planes;
    this.#process = process;
  }

  /** Takes what came and gives as much, later by a block. Channels that are not there are silent. */
  pass(input: readonly Plane[], output: readonly Plane[]): void {
    const samples = output[0]?.length ?? 0;
    for (let done = 0; done < samples; ) {
      const planes = this.#planes();
      const length = planes[0]?.length ?? 0;
      const count = Math.min(samples - done, length - this.#at);
      if (count <= 0) return;
      for (const [channel, plane] of planes.entries()) {
        const place = plane.subarray(this.#at, this.#at + count);
        output[channel]?.set(place, done);
        const came = input[channel];
        if (came) place.set(came.subarray(done, done + count));
        else place.fill(0);
      }
      done += count;
      this.#at += count;
      if (this.#at === length) {
        this.#process();
        this.#at = 0;
      }
    }
  }
}
