// A level as a bar.

import { meterShare, SILENCE_DBFS } from "./decibels";
import { make } from "./dom";

export class Meter {
  readonly element: HTMLElement;
  #levelDbfs: number | null = null;

  /** Makes `element` a meter, called `label` by screen readers. */
  constructor(element: HTMLElement, label: string) {
    this.element = element;
    element.classList.add("meter");
    element.setAttribute("role", "meter");
    element.setAttribute("aria-label", label);
    element.setAttribute("aria-valuemin", String(SILENCE_DBFS));
    element.setAttribute("aria-valuemax", "0");
    element.append(make("div", "meter-fill"));
    this.show(SILENCE_DBFS);
  }

  show(levelDbfs: number): void {
    if (levelDbfs === this.#levelDbfs) return;
    this.#levelDbfs = levelDbfs;
    this.element.style.setProperty("--level", meterShare(levelDbfs).toFixed(3));
    this.element.setAttribute("aria-valuenow", levelDbfs.toFixed(1));
    this.element.setAttribute("aria-valuetext", `${Math.round(levelDbfs)} dBFS`);
  }
}
