// Before one joins: the room's chain on one's own microphone, heard and seen, with and without.

import { ChainNode, type ChainReport, canRunStages, stageContext } from "./chain-node";
import { canChooseSpeaker } from "./devices";
import { byId, make, setText } from "./dom";
import { Meter } from "./meter";
import type { Chain, StageView } from "./protocol";
import { readChain } from "./room-chain";
import { reading } from "./stage-item";
import type { Tone } from "./status-line";
import { previewProblem } from "./words";

export interface PreviewListener {
  /** Opens the microphone, or keeps it open. Rejects with an Error whose message a person can read. */
  microphone(): Promise<MediaStreamTrack>;
  say(words: string, tone: Tone): void;
}

/** What runs while one listens. */
interface Listening {
  context: AudioContext;
  chain: ChainNode;
  source: MediaStreamAudioSourceNode | null;
}

/** A load that is told ten times a second in steps of a slow clock is shown as its mean over some seconds. */
const LOAD_FORGETTING = 0.03;

export class PreviewPanel {
  readonly #listener: PreviewListener;
  readonly #panel = byId("preview", HTMLElement);
  readonly #toggle = byId("preview-toggle", HTMLButtonElement);
  readonly #running = byId("preview-running", HTMLElement);
  readonly #with = byId("preview-with", HTMLInputElement);
  readonly #list = byId("preview-stages", HTMLUListElement);
  readonly #sum = byId("preview-sum", HTMLElement);
  readonly #audio = byId("preview-audio", HTMLAudioElement);
  readonly #speaker = byId("speaker", HTMLSelectElement);
  readonly #before = new Meter(byId("preview-before", HTMLElement), "Level before the chain");
  readonly #after = new Meter(byId("preview-after", HTMLElement), "Level after the chain");
  readonly #available = canRunStages();
  #shown = true;
  #channels = 1;
  #stages: StageView[] = [];
  #listening: Listening | null = null;
  /** Ends the attempt to start that is under way. */
  #starting = new AbortController();
  #reading = new AbortController();
  #delayMs = 0;
  #load: number | null = null;

  constructor(listener: PreviewListener) {
    this.#listener = listener;
    this.#toggle.addEventListener("click", () => {
      if (this.#listening) this.end();
      else void this.#start();
    });
    this.#with.addEventListener("change", () => this.#listening?.chain.bypass(!this.#with.checked));
    this.#speaker.addEventListener("change", () => void this.#applySpeaker());
  }

  /** The room of the form is another one, or its chain; null while it is not known. */
  async takeRoom(room: string, chain: Chain | null): Promise<void> {
    this.#reading.abort();
    this.#reading = new AbortController();
    const { signal } = this.#reading;
    if (!chain || !(await this.#available)) return;
    const stages = (await readChain(room, undefined, signal))?.stages;
    if (signal.aborted || !stages) return;
    if (chain.channels !== this.#channels) this.end();
    this.#channels = chain.channels;
    this.#stages = stages;
    this.show(this.#shown);
    this.#listening?.chain.set(this.#request);
  }

  /** Another track is the microphone from now on. */
  takeMicrophone(track: MediaStreamTrack): void {
    if (!this.#listening) return;
    try {
      connect(this.#listening, track);
    } catch (error) {
      this.#failed(error instanceof Error ? error.message : String(error));
    }
  }

  /** Comes back with the form, and goes with it when one joins. */
  show(shown: boolean): void {
    if (!shown) this.end();
    this.#shown = shown;
    this.#panel.hidden = !shown || this.#stages.length === 0;
  }

  end(): void {
    this.#starting.abort();
    const listening = this.#listening;
    this.#listening = null;
    this.#audio.srcObject = null;
    this.#running.hidden = true;
    this.#toggle.textContent = "Hear it on your voice";
    listening?.chain.end();
    void listening?.context.close();
  }

  get #request() {
    return { channels: this.#channels, stages: this.#stages };
  }

  async #start(): Promise<void> {
    this.#starting.abort();
    this.#starting = new AbortController();
    const { signal } = this.#starting;
    this.#toggle.disabled = true;
    try {
      const microphone = await this.#listener.microphone();
      const listening = await this.#open(signal);
      if (!listening) return;
      this.#listening = listening;
      connect(listening, microphone);
      if (!this.#with.checked) listening.chain.bypass(true);
      this.#running.hidden = false;
      this.#toggle.textContent = "Stop";
    } catch (error) {
      this.end();
      this.#listener.say(previewProblem(error instanceof Error ? error.message : String(error)), "bad");
    } finally {
      this.#toggle.disabled = false;
    }
  }

  /** Null where it is wanted no longer. */
  async #open(signal: AbortSignal): Promise<Listening | null> {
    const context = await stageContext("interactive");
    try {
      const chain = await ChainNode.create(context, this.#request, {
        taken: (stages) => this.#took(stages),
        report: (report, load) => this.#report(report, load),
        failed: (words) => this.#failed(words),
      });
      // By an element, since few browsers let an AudioContext choose its speaker.
      const destination = new MediaStreamAudioDestinationNode(context, { channelCount: this.#channels });
      chain.node.connect(destination);
      this.#audio.srcObject = destination.stream;
      await this.#applySpeaker();
      await this.#audio.play();
      if (!signal.aborted) return { context, chain, source: null };
      chain.end();
    } catch (error) {
      void context.close();
      throw error;
    }
    void context.close();
    return null;
  }

  #failed(words: string): void {
    this.end();
    this.#listener.say(previewProblem(words), "bad");
  }

  async #applySpeaker(): Promise<void> {
    // One that is not there any more leaves it where it was.
    if (canChooseSpeaker) await this.#audio.setSinkId(this.#speaker.value).catch(() => {});
  }

  #took(running: { name: string; delay_ms: number }[]): void {
    const here = new Set(running.map(({ name }) => name));
    this.#delayMs = running.reduce((sum, { delay_ms }) => sum + delay_ms, 0);
    this.#load = null;
    const shown = this.#stages.filter(({ part }) => part !== "mix");
    this.#list.replaceChildren(...shown.map((stage) => stageItem(stage, here.has(stage.name))));
  }

  #report(report: ChainReport, load: number): void {
    this.#before.show(report.before_dbfs);
    this.#after.show(report.after_dbfs);
    this.#load = this.#load === null ? load : this.#load + LOAD_FORGETTING * (load - this.#load);
    for (const item of this.#list.children) {
      const note = item.querySelector(".note");
      if (!(item instanceof HTMLElement) || !(note instanceof HTMLElement) || item.dataset.runs !== "browser") continue;
      const read = Object.entries(report.readings[item.dataset.name ?? ""] ?? {});
      const words = read.map(([name, value]) => reading(name, value)).join(", ") || "in your browser";
      setText(note, this.#with.checked ? words : "passed by");
    }
    const percent = this.#load * 100;
    setText(
      this.#sum,
      `The stages hold your voice back by ${Math.round(this.#delayMs)} ms here, and take ` +
        `${percent < 1 ? "less than 1" : percent.toFixed(0)} % of the time that your browser has for sound.`,
    );
  }
}

function connect(listening: Listening, microphone: MediaStreamTrack): void {
  listening.source?.disconnect();
  listening.source = listening.context.createMediaStreamSource(new MediaStream([microphone]));
  listening.source.connect(listening.chain.node);
}

function stageItem(stage: StageView, here: boolean): HTMLLIElement {
  const item = document.createElement("li");
  item.dataset.name = stage.name;
  item.dataset.runs = here && stage.enabled ? "browser" : here ? "off" : "server";
  const note = { browser: "", off: "off", server: "on the server only" }[item.dataset.runs] ?? "";
  item.append(make("span", "stage", stage.name), make("span", "note", note));
  return item;
}
