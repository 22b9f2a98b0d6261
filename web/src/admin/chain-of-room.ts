// A room's chain as it runs: what its stages read, take and are set to, which the operator may turn.

import { make } from "../dom";
import type { ChainView, StagePatch, StagePatches } from "../protocol";
import { StageList } from "../stage-list";
import { merged } from "../stage-sets";

export interface ChainOfRoomListener {
  /** Null where it cannot be had, which is told elsewhere. */
  view(): Promise<ChainView | null>;
  /** Settles once the server has taken it, or has said why not. */
  change(stage: string, patch: StagePatch): Promise<void>;
}

export class ChainOfRoom {
  readonly element = make("details", "room-chain");
  readonly #listener: ChainOfRoomListener;
  readonly #stages: StageList;
  #unsent: StagePatches = {};
  #isSending = false;
  /** Answers to questions that were asked before the last change are old. */
  #changes = 0;

  constructor(room: string, listener: ChainOfRoomListener) {
    this.#listener = listener;
    const summary = make("summary", "", "Stages");
    summary.append(make("span", "unseen", ` of ${room}`));
    const list = make("ol", "chain");
    list.setAttribute("aria-label", `Stages of ${room}, in order`);
    this.#stages = new StageList(list, (stage, patch) => this.#change(stage, patch));
    this.#stages.editable = true;
    const path = make("div", "path");
    path.append(list);
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

  #show(view: ChainView): void {
    const { stages } = view;
    this.#stages.show(stages);
    this.#stages.read(
      Object.fromEntries(stages.map(({ name, readings }) => [name, readings])),
      Object.fromEntries(stages.map(({ name, time_us }) => [name, time_us])),
    );
    this.#stages.set(view);
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
