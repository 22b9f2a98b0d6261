// `denoise` of the room's chain in this browser, on the microphone before it is sent, so that the server need not.

import { ChainNode, canRunStages, stageContext } from "./chain-node";
import { byId } from "./dom";
import { recall, remember } from "./memory";
import type { Chain, StageView } from "./protocol";
import { denoiseStages, readChain } from "./room-chain";
import { ownDenoiseProblem } from "./words";

export interface OwnDenoiseListener {
  /** Whether it runs here is another thing than before: the server should know, and the voice go another way. */
  changed(): void;
  problem(words: string): void;
}

/** The way of a voice through the stages. */
interface Way {
  context: AudioContext;
  chain: ChainNode;
  source: MediaStreamAudioSourceNode | null;
  microphone: MediaStreamTrack | null;
  treated: MediaStreamTrack;
}

export class OwnDenoise {
  readonly #listener: OwnDenoiseListener;
  readonly #field = byId("denoise-here-field", HTMLElement);
  readonly #choice = byId("denoise-here", HTMLInputElement);
  readonly #available = canRunStages();
  #canRun = false;
  #stages: StageView[] = [];
  #way: Promise<Way> | null = null;
  #ran = false;
  #reading = new AbortController();

  constructor(listener: OwnDenoiseListener) {
    this.#listener = listener;
    this.#choice.checked = recall("denoise-here") === "on";
    this.#choice.addEventListener("change", () => {
      remember("denoise-here", this.#choice.checked ? "on" : "off");
      this.#settle();
    });
    void this.#available.then((available) => {
      this.#canRun = available;
      this.#settle();
    });
  }

  /** Whether it runs in this browser, or will once there is a microphone. */
  get runs(): boolean {
    return this.#canRun && this.#choice.checked && this.#stages.some(({ enabled }) => enabled);
  }

  /** The kinds of stages that the server need not run. */
  get spares(): string[] {
    return this.runs ? ["denoise"] : [];
  }

  /** The room, or what it does to a voice, is another one; resolves when what follows from it was done. */
  async takeRoom(room: string, chain: Chain | null): Promise<void> {
    this.#reading.abort();
    this.#reading = new AbortController();
    const { signal } = this.#reading;
    // Rooms in stereo are for music.
    const stages = chain?.channels === 1 ? (await readChain(room, undefined, signal))?.stages : [];
    if (signal.aborted || !stages) return;
    this.#stages = denoiseStages(stages);
    await this.#available;
    this.#settle();
    const way = await this.#way?.catch(() => null);
    way?.chain.set(this.#request);
  }

  /** What to send in the place of `microphone`: itself, where nothing runs here. */
  async treat(microphone: MediaStreamTrack): Promise<MediaStreamTrack> {
    if (!this.runs) {
      this.close();
      return microphone;
    }
    this.#way ??= this.#open();
    const opened = this.#way;
    try {
      const way = await opened;
      if (this.#way !== opened) return await this.treat(microphone);
      if (way.microphone !== microphone) {
        const source = way.context.createMediaStreamSource(new MediaStream([microphone]));
        way.source?.disconnect();
        source.connect(way.chain.node);
        Object.assign(way, { source, microphone });
      }
      return way.treated;
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
      return microphone;
    }
  }

  /** Nothing is sent any more. */
  close(): void {
    const way = this.#way;
    this.#way = null;
    void way?.then(
      ({ context, chain }) => {
        chain.end();
        return context.close();
      },
      // It never was.
      () => {},
    );
  }

  get #request() {
    return { channels: 1, stages: this.#stages };
  }

  async #open(): Promise<Way> {
    const context = await stageContext("interactive");
    // Telephones take sound away for a call of their own.
    context.onstatechange = () => {
      if (context.state !== "running" && context.state !== "closed") void context.resume();
    };
    const chain = await ChainNode.create(context, this.#request, { failed: (words) => this.#fail(words) });
    const destination = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    chain.node.connect(destination);
    const [treated] = destination.stream.getAudioTracks();
    if (!treated) throw new Error("the browser gave no track");
    return { context, chain, source: null, microphone: null, treated };
  }

  #fail(words: string): void {
    if (!this.#choice.checked) return;
    this.#choice.checked = false;
    this.#listener.problem(ownDenoiseProblem(words));
    this.#settle();
  }

  /** Shows what there is to choose, and tells what changed. */
  #settle(): void {
    this.#field.hidden = !this.#canRun || this.#stages.length === 0;
    if (this.#ran === this.runs) return;
    this.#ran = this.runs;
    this.#listener.changed();
  }
}
