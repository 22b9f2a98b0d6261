// Shows a room's chain, from top to bottom.

import { byId, make } from "./dom";
import type { Chain, Readings, Stage } from "./protocol";

type Part = "in" | "mix" | "out";

export class ChainPanel {
  readonly #list = byId("chain", HTMLOListElement);
  readonly #end = byId("chain-end", HTMLElement);
  readonly #sum = byId("chain-sum", HTMLElement);

  /** Null: it is not known, and `why` says why. */
  show(chain: Chain | null, why = "Type a room to see what its server does to a voice."): void {
    const stages = chain?.stages ?? [];
    const mixAt = stages.findIndex((stage) => stage.kind === "mix");
    this.#list.replaceChildren(
      ...stages.map((stage, index) => {
        const part = mixAt < 0 || index < mixAt ? "in" : index === mixAt ? "mix" : "out";
        return stageItem(stage, part);
      }),
    );
    this.#end.textContent = chain && !chain.mixes ? "back to you alone" : "everyone but the speaker";
    this.#sum.textContent = chain ? summary(chain) : why;
  }

  /** Shows what each stage reads. */
  readings(readings: Readings): void {
    for (const item of this.#list.querySelectorAll("li")) {
      const read = Object.entries(readings[item.dataset.name ?? ""] ?? {});
      item.querySelector(".readings")?.remove();
      if (read.length === 0) continue;
      item.append(make("span", "readings", read.map(([name, value]) => reading(name, value)).join(", ")));
    }
  }
}

const UNITS: Record<string, string> = {
  db: "dB",
  dbfs: "dBFS",
  lufs: "LUFS",
  ms: "ms",
  s: "s",
  hz: "Hz",
  percent: "%",
  ppm: "ppm",
};

/** `gain_reduction_db` is "gain reduction 3.2 dB": a reading's name ends in its unit, if it has one. */
export function reading(name: string, value: number): string {
  const words = name.split("_");
  const unit = UNITS[words.at(-1) ?? ""];
  if (unit) words.pop();
  return `${words.join(" ")} ${Number(value.toFixed(unit ? 1 : 2))}${unit ? ` ${unit}` : ""}`;
}

function stageItem(stage: Stage, part: Part): HTMLLIElement {
  const item = document.createElement("li");
  item.dataset.kind = stage.kind;
  item.dataset.name = stage.name;
  item.dataset.part = part;
  if (!stage.enabled) item.dataset.off = "";
  const name = stage.name === stage.kind ? stage.name : `${stage.name} (${stage.kind})`;
  item.append(make("span", "stage", stage.enabled ? name : `${name}, off`));
  if (stage.delay_ms > 0) item.append(make("span", "delay", exactMs(stage.delay_ms)));
  return item;
}

function summary(chain: Chain): string {
  const delayMs = chain.stages.reduce((sum, stage) => sum + stage.delay_ms, 0);
  const delay =
    delayMs > 0 ? `Its stages hold a voice back by ${exactMs(delayMs)}.` : "Its stages add no delay of their own.";
  const mixing = chain.mixes ? "" : " It does not mix: everyone hears only their own voice.";
  return `Chain “${chain.name}”. ${delay}${mixing}`;
}

function exactMs(ms: number): string {
  return `${Number(ms.toFixed(1))} ms`;
}
