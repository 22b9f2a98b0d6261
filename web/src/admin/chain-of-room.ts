// A room's chain as it runs: what its stages read, take and are set to, which the operator may turn.

import { make } from "../dom";
import type { ChainView, Stage, StagePatch, StagePatches } from "../protocol";
import { type Part, StageItem } from "../stage-item";
import { merged } from "../stage-sets";

const PARTS: Record<ChainView["stages"][number]["part"], Part> = { input: "in", mix: "mix", output: "out" };

export interface ChainOfRoomListener {
  /** Null where it cannot be had, which is told elsewhere. */
  view(): Promise<ChainView | null>;
  /** Settles once the server has taken it, or has said why not. */
  change(stage: string, patch: StagePatch): Promise<void>;
}

export class ChainOfRoom {
  readonly element = make("details", "room-chain");
  readonly #listener: ChainOfRoomListener;
  readonly #list = make("ol", "chain");
  #items = new Map<string, StageItem>();
  #shown = "";
  #unsent: StagePatches = {};
  #isSending = false;
  /** Answers to questions that were asked before the last change are old. */
  #changes = 0;

  constructor(room: string, listener: ChainOfRoomListener) {
    this.#listener = listener;
    const summary = make("summary", "", "Stages");
    summary.append(make("span", "unseen", ` of ${room}`));
    this.#list.setAttribute("aria-label", `Stages of ${room}, in order`);
    const path = make("div", "path");
    path.append(this.#list);
    this.element.append(summary, path);
    this.element.addEventListener("toggle", () => void this.refresh());
  }

  /** Asks how it is, while somebody looks. */
  async refresh(): Promise<void> {
    if (!this.element.open) return;
    const changes = this.#changes;
    const view = await this.#listener.view();
    if (view && changes === this.#changes) this.#show(view);
  }

  #show({ stages }: ChainView): void {
    // What is the same stays, with the focus in it and what is unfolded.
    const shown = JSON.stringify(stages.map(({ name, kind }) => [name, kind]));
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#items = new Map(stages.map((stage) => [stage.name, this.#item(stage, PARTS[stage.part])]));
      this.#list.replaceChildren(...[...this.#items.values()].map(({ element }) => element));
    }
    for (const stage of stages) {
      const item = this.#items.get(stage.name);
      item?.show(stage);
      item?.read(stage.readings, stage.time_us);
      item?.set(stage, false);
    }
  }

  #item(stage: Stage, part: Part): StageItem {
    const item = new StageItem(stage, part, (patch) => this.#change(stage.name, patch));
    item.editable = true;
    return item;
  }

  #change(stage: string, patch: StagePatch): void {
    this.#changes += 1;
    this.#unsent[stage] = merged(this.#unsent[stage], patch);
    if (!this.#isSending) void this.#flush();
  }

  /** One after the other: what is turned meanwhile goes out together. */
  async #flush(): Promise<void> {
    this.#isSending = true;
    for (let next = Object.entries(this.#unsent); next.length > 0; next = Object.entries(this.#unsent)) {
      this.#unsent = {};
      for (const [stage, patch] of next) await this.#listener.change(stage, patch);
    }
    this.#isSending = false;
  }
}
