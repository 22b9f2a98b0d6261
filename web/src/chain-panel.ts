// Shows a room's chain, from top to bottom.

import { byId } from "./dom";
import type { Chain, ChainView, Readings, StagePatches } from "./protocol";
import { exactMs, type Part, StageItem } from "./stage-item";

export class ChainPanel {
  readonly #list = byId("chain", HTMLOListElement);
  readonly #end = byId("chain-end", HTMLElement);
  readonly #sum = byId("chain-sum", HTMLElement);
  readonly #changed: (patches: StagePatches) => void;
  #items = new Map<string, StageItem>();
  #shown = "";
  #editable = false;

  /** `changed` is told what a person turns, once they may. */
  constructor(changed: (patches: StagePatches) => void) {
    this.#changed = changed;
  }

  /** Null: it is not known, and `why` says why. */
  show(chain: Chain | null, why = "Type a room to see what its server does to a voice."): void {
    const stages = chain?.stages ?? [];
    // What is the same stays, with the focus in it and what is unfolded.
    const shown = JSON.stringify(stages.map(({ name, kind }) => [name, kind]));
    if (shown !== this.#shown) this.#build(stages);
    this.#shown = shown;
    for (const stage of stages) this.#items.get(stage.name)?.show(stage);
    this.#end.textContent = chain && !chain.mixes ? "back to you alone" : "everyone but the speaker";
    this.#sum.textContent = chain ? summary(chain) : why;
  }

  /** Shows what each stage reads, and its computing time for a block, in µs. */
  read(readings: Readings, timesUs: Record<string, number>): void {
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

  #build(stages: Chain["stages"]): void {
    const mixAt = stages.findIndex(({ kind }) => kind === "mix");
    const partOf = (index: number): Part => (mixAt < 0 || index < mixAt ? "in" : index === mixAt ? "mix" : "out");
    this.#items = new Map(
      stages.map((stage, index) => {
        const item = new StageItem(stage, partOf(index), (patch) => this.#changed({ [stage.name]: patch }));
        item.editable = this.#editable;
        return [stage.name, item];
      }),
    );
    this.#list.replaceChildren(...[...this.#items.values()].map(({ element }) => element));
  }
}

function summary(chain: Chain): string {
  const delayMs = chain.stages.reduce((sum, stage) => sum + stage.delay_ms, 0);
  const delay =
    delayMs > 0 ? `Its stages hold a voice back by ${exactMs(delayMs)}.` : "Its stages add no delay of their own.";
  const mixing = chain.mixes ? "" : " It does not mix: everyone hears only their own voice.";
  return `Chain “${chain.name}”. ${delay}${mixing}`;
}
