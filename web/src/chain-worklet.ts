// The audio thread's part: a chain of the server's own stages (crates/wasm) on what goes through this node. It is a file of
// its own, which an AudioContext loads.

import { type Plane, Reblocker } from "./reblock";

// What an AudioWorkletGlobalScope has, which TypeScript's library leaves out.
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare function registerProcessor(name: string, processor: unknown): void;
declare const sampleRate: number;

/** As crates/wasm exports it. */
interface Module {
  memory: WebAssembly.Memory;
  chain_text(bytes: number): number;
  chain_set(): number;
  chain_plane(channel: number): number;
  chain_process(): void;
  chain_bypass(bypassed: number): void;
  chain_report(): number;
}

export interface WorkletOptions {
  /** The WebAssembly. */
  module: ArrayBuffer;
  channels: number;
  /** A request of crates/wasm, as JSON in UTF-8: an audio thread has no encoder of its own. */
  chain: Uint8Array;
}

export type ToWorklet = { chain: Uint8Array } | { bypassed: boolean } | { ended: true };

/** `taken` and `report` are JSON in UTF-8, as crates/wasm answers; `load` is the share of the audio thread's time, 0 to 1. */
export type FromWorklet = { taken: Uint8Array } | { report: Uint8Array; load: number } | { failed: string };

const BLOCK_SAMPLES = 480;
const REPORT_PERIOD_S = 0.1;

// Chromium has no better clock on the audio thread; over many quanta its mean is as good.
const clockMs = typeof performance === "undefined" ? () => Date.now() : () => performance.now();

class ChainProcessor extends AudioWorkletProcessor {
  readonly #module: Module;
  readonly #channels: number;
  readonly #blocks: Reblocker;
  #planes: Plane[] = [];
  #failed = false;
  #ended = false;
  #busyMs = 0;
  #samples = 0;

  constructor({ processorOptions }: { processorOptions: WorkletOptions }) {
    super();
    const { module, channels, chain } = processorOptions;
    this.#channels = channels;
    this.#module = new WebAssembly.Instance(new WebAssembly.Module(module)).exports as unknown as Module;
    this.#blocks = new Reblocker(
      () => this.#planesNow(),
      () => this.#module.chain_process(),
    );
    this.#set(chain);
    this.port.onmessage = ({ data }: MessageEvent<ToWorklet>) => {
      if ("chain" in data) this.#guard(() => this.#set(data.chain));
      else if ("bypassed" in data) this.#guard(() => this.#module.chain_bypass(data.bypassed ? 1 : 0));
      else this.#ended = true;
    };
  }

  process([input = []]: Plane[][], [output = []]: Plane[][]): boolean {
    const beganMs = clockMs();
    if (this.#failed) this.#pass(input, output);
    else this.#guard(() => this.#blocks.pass(input, output));
    this.#busyMs += clockMs() - beganMs;
    this.#samples += output[0]?.length ?? 0;
    if (this.#samples >= REPORT_PERIOD_S * sampleRate) {
      const load = this.#busyMs / ((1000 * this.#samples) / sampleRate);
      this.#guard(() => this.#tell({ report: this.#answer(this.#module.chain_report()), load }));
      this.#busyMs = 0;
      this.#samples = 0;
    }
    return !this.#ended;
  }

  #set(chain: Uint8Array): void {
    const place = this.#module.chain_text(chain.length);
    new Uint8Array(this.#module.memory.buffer, place, chain.length).set(chain);
    this.#tell({ taken: this.#answer(this.#module.chain_set()) });
    this.#planes = [];
  }

  /** Memory that grew is at another place. */
  #planesNow(): Plane[] {
    const { buffer } = this.#module.memory;
    if (this.#planes[0]?.buffer !== buffer) {
      this.#planes = Array.from(
        { length: this.#channels },
        (_, channel) => new Float32Array(buffer, this.#module.chain_plane(channel), BLOCK_SAMPLES),
      );
    }
    return this.#planes;
  }

  #answer(bytes: number): Uint8Array {
    return new Uint8Array(this.#module.memory.buffer, this.#module.chain_text(bytes), bytes).slice();
  }

  /** A stage that broke ends the module, and nothing else: the voice goes on as it came. */
  #guard(run: () => void): void {
    if (this.#failed) return;
    try {
      run();
    } catch (error) {
      this.#failed = true;
      this.#tell({ failed: String(error) });
    }
  }

  #pass(input: Plane[], output: Plane[]): void {
    for (const [channel, plane] of output.entries()) plane.set(input[channel] ?? input[0] ?? plane.fill(0));
  }

  #tell(message: FromWorklet): void {
    this.port.postMessage(message);
  }
}

registerProcessor("foldback-chain", ChainProcessor);
