// Shows a room's chain, from top to bottom.

import { byId } from "./dom";
import type { Chain, ChainView, Readings, StagePatches } from "./protocol";
import { exactMs } from "./stage-item";
import { StageList } from "./stage-list";

export class ChainPanel {
  readonly #stages: StageList;
  readonly #end = byId("chain-end", HTMLElement);
  readonly #sum = byId("chain-sum", HTMLElement);

  /** `changed` is told what a person turns, once they may. */
  constructor(changed: (patches: StagePatches) => void) {
    this.#stages = new StageList(byId("chain", HTMLOListElement), (stage, patch) => changed({ [stage]: patch }));
  }

  /** Null: it is not known, and `why` says why. */
  show(chain: Chain | null, why = "Type a room to see what its server does to a voice."): void {
    this.#stages.show(chain?.stages ?? []);
    this.#end.textContent = chain && !chain.mixes ? "back to you alone" : "everyone but the speaker";
    this.#sum.textContent = chain ? summary(chain) : why;
  }

  /** Shows what each stage reads, and its computing time for a block, in µs. */
  read(readings: Readings, timesUs: Record<string, number>): void {
    this.#stages.read(readings, timesUs);
  }

  /** Shows what the stages are set to; null where that is not known. With `force` also of what a person just turns. */
  set(view: ChainView | null, force = false): void {
    this.#stages.set(view, force);
  }

  /** Whether a person may turn anything. */
  set editable(editable: boolean) {
    this.#stages.editable = editable;
  }

  get isUnfolded(): boolean {
    return this.#stages.isUnfolded;
  }
}

function summary(chain: Chain): string {
  const delayMs = chain.stages.reduce((sum, stage) => sum + stage.delay_ms, 0);
  const delay =
    delayMs > 0 ? `Its stages hold a voice back by ${exactMs(delayMs)}.` : "Its stages add no delay of their own.";
  const mixing = chain.mixes ? "" : " It does not mix: everyone hears only their own voice.";
  return `Chain “${chain.name}”. ${delay}${mixing}`;
}
