// The stages of a chain, in order, in a list of a page.

import type { ChainView, Readings, Stage, StagePatch } from "./protocol";
import { type Part, StageItem } from "./stage-item";

export class StageList {
  readonly #list: HTMLElement;
  readonly #changed: (stage: string, patch: StagePatch) => void;
  #items = new Map<string, StageItem>();
  #shown = "";
  #editable = false;

  /** `changed` is told what a person turns, once they may. */
  constructor(list: HTMLElement, changed: (stage: string, patch: StagePatch) => void) {
    this.#list = list;
    this.#changed = changed;
  }

  show(stages: Stage[]): void {
    // What is the same stays, with the focus in it and what is unfolded.
    const shown = JSON.stringify(stages.map(({ name, kind }) => [name, kind]));
    if (shown !== this.#shown) this.#build(stages);
    this.#shown = shown;
    for (const stage of stages) this.#items.get(stage.name)?.show(stage);
  }

  /** Shows what each stage reads, and its computing time for a block, in µs. */
  read(readings: Readings, timesUs: Record<string, number | undefined>): void {
    for (const [name, item] of this.#items) item.read(readings[name], timesUs[name]);
  }

  /** Shows what the stages are set to; null where that is not known. With `force` also of what a person just turns. */
  set(view: ChainView | null, force = false): void {
    for (const [name, item] of this.#items) {
      item.set(view?.stages.find((stage) => stage.name === name) ?? null, force);
    }
  }

  /** Whether a person may turn anything. */
  set editable(editable: boolean) {
    this.#editable = editable;
    for (const item of this.#items.values()) item.editable = editable;
  }

  get isUnfolded(): boolean {
    return this.#list.querySelector("details[open]") !== null;
  }

  #build(stages: Stage[]): void {
    const mixAt = stages.findIndex(({ kind }) => kind === "mix");
    const partOf = (index: number): Part => (mixAt < 0 || index < mixAt ? "in" : index === mixAt ? "mix" : "out");
    this.#items = new Map(
      stages.map((stage, index) => {
        const item = new StageItem(stage, partOf(index), (patch) => this.#changed(stage.name, patch));
        item.editable = this.#editable;
        return [stage.name, item];
      }),
    );
    this.#list.replaceChildren(...[...this.#items.values()].map(({ element }) => element));
  }
}
