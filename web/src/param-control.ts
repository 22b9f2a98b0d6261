// A control for one parameter of a stage, made from its declaration.

import { make, setText } from "./dom";
import { ParamScale } from "./param-scale";
import type { Param, ParamValue } from "./protocol";
import { withUnit, wordsAndUnit } from "./units";

/** What the server says of a value that was just turned here may be older than that. */
const OWN_MS = 1_000;

let controls = 0;

export class ParamControl {
  readonly element = make("div", "param");
  readonly #changed: (value: ParamValue) => void;
  readonly #input: HTMLInputElement | HTMLSelectElement;
  readonly #output = document.createElement("output");
  readonly #scale: ParamScale | null;
  readonly #unit: string;
  #turnedAt = Number.NEGATIVE_INFINITY;
  /** What the server knows, or was told. */
  #told: ParamValue | null = null;

  /** `changed` is told each new value: of a parameter that is live while it is turned, else once it is let go. */
  constructor(param: Param, changed: (value: ParamValue) => void) {
    this.#changed = changed;
    const id = `param-${controls++}`;
    this.#unit = param.unit ?? "";
    this.#scale =
      param.min !== undefined && param.max !== undefined
        ? new ParamScale(param.min, param.max, param.type === "integer")
        : null;
    this.#input = inputFor(param, this.#scale);
    this.#input.id = id;
    this.#input.dataset.param = param.name;
    this.#input.setAttribute("aria-describedby", `${id}-about`);
    const label = make("label", "", wordsAndUnit(param.name)[0]);
    label.htmlFor = id;
    this.#output.htmlFor.add(id);
    // Its own text is the value too; a screen reader is told once.
    this.#output.setAttribute("aria-hidden", "true");
    const about = make("p", "hint", param.live ? param.about : `${param.about} Takes effect when you let go.`);
    about.id = `${id}-about`;
    this.element.append(label, ...(this.#scale ? [this.#output] : []), this.#input, about);
    this.#input.addEventListener("input", () => this.#turned(param.live));
    this.#input.addEventListener("change", () => this.#turned(true));
    this.#set(param.value);
  }

  /** Shows what the server says. */
  show(value: ParamValue, force: boolean): void {
    if (force || performance.now() - this.#turnedAt > OWN_MS) this.#set(value);
  }

  set editable(editable: boolean) {
    this.#input.disabled = !editable;
  }

  #turned(tell: boolean): void {
    this.#turnedAt = performance.now();
    const place = this.#input.value;
    const value = this.#scale
      ? this.#scale.valueAt(Number(place))
      : this.#input instanceof HTMLInputElement
        ? this.#input.checked
        : place;
    this.#say(value);
    // A slider that is let go where it was told last has nothing new to tell.
    if (!tell || value === this.#told) return;
    this.#told = value;
    this.#changed(value);
  }

  #set(value: ParamValue): void {
    this.#told = value;
    if (this.#scale) this.#input.value = String(this.#scale.placeOf(Number(value)));
    else if (this.#input instanceof HTMLInputElement) this.#input.checked = value === true;
    else this.#input.value = String(value);
    this.#say(value);
  }

  #say(value: ParamValue): void {
    if (!this.#scale) return;
    const text = withUnit(Number(Number(value).toPrecision(6)), this.#unit);
    setText(this.#output, text);
    this.#input.setAttribute("aria-valuetext", text);
  }
}

function inputFor(param: Param, scale: ParamScale | null): HTMLInputElement | HTMLSelectElement {
  if (param.type === "choice") {
    const select = document.createElement("select");
    select.append(...(param.allowed ?? []).map((word) => new Option(word)));
    return select;
  }
  const input = document.createElement("input");
  if (scale) {
    input.type = "range";
    input.min = "0";
    input.max = String(scale.last);
  } else {
    input.type = "checkbox";
    input.setAttribute("role", "switch");
  }
  return input;
}
