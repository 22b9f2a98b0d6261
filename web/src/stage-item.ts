// One stage of the chain that is shown: what it is, reads and takes, and what it is set to.

import { make, setText } from "./dom";
import { ParamControl } from "./param-control";
import type { Param, Stage, StagePatch, StageView } from "./protocol";
import { withUnit, wordsAndUnit } from "./units";

export type Part = "in" | "mix" | "out";

export class StageItem {
  readonly element = document.createElement("li");
  readonly #changed: (patch: StagePatch) => void;
  readonly #label: string;
  readonly #name = make("span", "stage");
  readonly #delay = make("span", "delay");
  readonly #runs = document.createElement("input");
  readonly #time = make("span", "time");
  readonly #readings = make("span", "readings");
  readonly #settings = make("details", "settings");
  #params = new Map<string, ParamControl>();
  #declared = "";

  constructor(stage: Stage, part: Part, changed: (patch: StagePatch) => void) {
    this.#changed = changed;
    this.#label = stage.name === stage.kind ? stage.name : `${stage.name} (${stage.kind})`;
    this.element.dataset.kind = stage.kind;
    this.element.dataset.name = stage.name;
    this.element.dataset.part = part;
    this.#runs.type = "checkbox";
    this.#runs.className = "runs";
    this.#runs.setAttribute("role", "switch");
    this.#runs.setAttribute("aria-label", `${this.#label} on`);
    this.#runs.hidden = true;
    this.#runs.disabled = true;
    this.#runs.addEventListener("change", () => {
      changed({ enabled: this.#runs.checked });
      this.#showEnabled(this.#runs.checked);
    });
    this.#time.title = "computing time for each 10 ms of sound";
    this.#settings.hidden = true;
    const live = make("span", "live");
    live.append(this.#time, this.#readings);
    this.element.append(this.#name, this.#delay, this.#runs, live, this.#settings);
    this.show(stage);
  }

  show({ enabled, delay_ms }: Stage): void {
    this.#showEnabled(enabled);
    setText(this.#delay, delay_ms > 0 ? exactMs(delay_ms) : "");
  }

  /** What it reads and how long it computes for a block, in µs; undefined where it has nothing to do. */
  read(readings: Record<string, number> | undefined, timeUs: number | undefined): void {
    const read = Object.entries(readings ?? {}).map(([name, value]) => reading(name, value));
    setText(this.#readings, read.join(", "));
    setText(this.#time, timeUs === undefined ? "" : `${timeUs < 10 ? timeUs : Math.round(timeUs)}\u00a0µs`);
  }

  /** What it is set to; null where that is not known. With `force` in place of what is just being turned too. */
  set(view: StageView | null, force: boolean): void {
    const params = view?.params ?? [];
    this.#runs.hidden = view === null || this.element.dataset.part === "mix";
    this.#settings.hidden = params.length === 0;
    const declared = JSON.stringify(params.map((param) => ({ ...param, value: null })));
    if (declared !== this.#declared) this.#declare(params, declared);
    for (const { name, value } of params) this.#params.get(name)?.show(value, force);
    if (view) this.#showEnabled(view.enabled);
  }

  set editable(editable: boolean) {
    this.#runs.disabled = !editable;
    for (const control of this.#params.values()) control.editable = editable;
  }

  #declare(params: Param[], declared: string): void {
    this.#declared = declared;
    const control = (param: Param) =>
      new ParamControl(param, (value) => this.#changed({ params: { [param.name]: value } }));
    this.#params = new Map(params.map((param) => [param.name, control(param)]));
    for (const control of this.#params.values()) control.editable = !this.#runs.disabled;
    const summary = make("summary", "", "Settings");
    summary.append(make("span", "unseen", ` of ${this.#label}`));
    this.#settings.replaceChildren(summary, ...[...this.#params.values()].map(({ element }) => element));
  }

  #showEnabled(enabled: boolean): void {
    this.#runs.checked = enabled;
    if (enabled) delete this.element.dataset.off;
    else this.element.dataset.off = "";
    setText(this.#name, enabled ? this.#label : `${this.#label}, off`);
  }
}

/** `gain_reduction_db` is "gain reduction 3.2 dB": a reading's name ends in its unit, if it has one. */
export function reading(name: string, value: number): string {
  const [words, unit] = wordsAndUnit(name);
  return `${words} ${withUnit(Number(value.toFixed(unit ? 1 : 2)), unit)}`;
}

export function exactMs(ms: number): string {
  return `${Number(ms.toFixed(1))}\u00a0ms`;
}
