// A chain of the server's stages in this browser, as a node of an AudioContext.

import type { FromWorklet, ToWorklet, WorkletOptions } from "./chain-worklet";
import workletUrl from "./chain-worklet?worker&url";
import type { Readings } from "./protocol";
import type { ChainRequest } from "./room-chain";

/** Where the server has it, if it was built with it. */
const MODULE_URL = "/stages.wasm";

/** The one rate of all stages, in Hz. */
const SAMPLE_RATE_HZ = 48_000;

export interface ChainReport {
  before_dbfs: number;
  after_dbfs: number;
  readings: Readings;
  faults: number;
}

export interface ChainNodeListener {
  /** Which of the stages run here, and how late each makes a voice. */
  taken?(stages: { name: string; delay_ms: number }[]): void;
  /** Ten a second; `load` is the share of the audio thread's time, 0 to 1. */
  report?(report: ChainReport, load: number): void;
  /** Once: from now on sound goes through as it comes. */
  failed(words: string): void;
}

let able: Promise<boolean> | null = null;

/** Whether this server has the stages, and this browser can run them. */
export function canRunStages(): Promise<boolean> {
  able ??= askForStages();
  return able;
}

async function askForStages(): Promise<boolean> {
  if (!("AudioWorkletNode" in window) || !("WebAssembly" in window)) return false;
  const response = await fetch(MODULE_URL, { method: "HEAD" }).catch(() => null);
  return response?.ok ?? false;
}

/** An AudioContext for stages. Rejects where the browser lets no sound through it. */
export async function stageContext(latencyHint: AudioContextLatencyCategory): Promise<AudioContext> {
  const context = new AudioContext({ sampleRate: SAMPLE_RATE_HZ, latencyHint });
  const late = new Promise((waited) => setTimeout(waited, RESUME_TIMEOUT_MS));
  await Promise.race([context.resume(), late]);
  if (context.state === "running") return context;
  void context.close();
  throw new Error("the browser holds sound back");
}

const RESUME_TIMEOUT_MS = 2_000;

export class ChainNode {
  readonly node: AudioWorkletNode;

  /** Rejects with an Error where the browser cannot load it, or the stages do not take the chain. */
  static async create(context: BaseAudioContext, chain: ChainRequest, listener: ChainNodeListener): Promise<ChainNode> {
    const [module] = await Promise.all([loadModule(), context.audioWorklet.addModule(workletUrl)]);
    return new ChainNode(context, module, chain, listener);
  }

  private constructor(
    context: BaseAudioContext,
    module: ArrayBuffer,
    chain: ChainRequest,
    listener: ChainNodeListener,
  ) {
    const { channels } = chain;
    const processorOptions: WorkletOptions = { module, channels, chain: encode(chain) };
    this.node = new AudioWorkletNode(context, "foldback-chain", {
      channelCount: channels,
      channelCountMode: "explicit",
      outputChannelCount: [channels],
      processorOptions,
    });
    this.node.port.onmessage = ({ data }: MessageEvent<FromWorklet>) => receive(data, listener);
    this.node.onprocessorerror = () => listener.failed("the browser could not start the stages");
  }

  /** Goes on with other stages for as many channels, without a click. */
  set(chain: ChainRequest): void {
    this.#tell({ chain: encode(chain) });
  }

  /** Lets sound pass by the stages, as late as through them. */
  bypass(bypassed: boolean): void {
    this.#tell({ bypassed });
  }

  /** The browser may forget it from now on. */
  end(): void {
    this.node.disconnect();
    this.#tell({ ended: true });
  }

  #tell(message: ToWorklet): void {
    this.node.port.postMessage(message);
  }
}

function receive(message: FromWorklet, listener: ChainNodeListener): void {
  if ("taken" in message) {
    const taken = decode(message.taken) as { stages: { name: string; delay_ms: number }[] } | { error: string };
    if ("error" in taken) listener.failed(taken.error);
    else listener.taken?.(taken.stages);
  } else if ("report" in message) {
    listener.report?.(decode(message.report) as ChainReport, message.load);
  } else {
    listener.failed(message.failed);
  }
}

let module: Promise<ArrayBuffer> | null = null;

function loadModule(): Promise<ArrayBuffer> {
  module ??= fetch(MODULE_URL).then(async (response) => {
    if (!response.ok) throw new Error(`the server has no ${MODULE_URL}`);
    return response.arrayBuffer();
  });
  module.catch(() => {
    module = null;
  });
  return module;
}

function encode(chain: ChainRequest): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(chain));
}

function decode(text: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(text));
}
