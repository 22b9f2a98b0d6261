// Shows where the delay comes from, and how it was in the last minute.

import { type DelayParts, History, PARTS, total } from "./delay";
import { byId, make, setText } from "./dom";
import { formatMs } from "./words";

const SECONDS = 60;
const [WIDTH, HEIGHT] = [600, 120];
/** The plot's upper edge, at least. */
const LEAST_TOP_MS = 200;
const UNKNOWN = "–";

export class DelayPanel {
  readonly #total = byId("delay-total", HTMLElement);
  readonly #bar = byId("delay-bar", HTMLElement);
  readonly #plot = byId("delay-plot", HTMLElement);
  readonly #range = byId("delay-range", HTMLElement);
  readonly #history = new History(SECONDS);
  readonly #path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  readonly #cells = new Map<string, { segment: HTMLElement; value: HTMLElement }>();

  constructor() {
    const rows = PARTS.map(({ id, name, about }) => {
      const segment = make("span", "segment");
      const value = make("dd", "part-value", UNKNOWN);
      segment.dataset.part = value.dataset.part = id;
      this.#cells.set(id, { segment, value });
      this.#bar.append(segment);
      const row = make("div", "part");
      row.append(make("dt", "part-name", name), value, make("dd", "note part-about", about));
      return row;
    });
    byId("delay-parts", HTMLElement).replaceChildren(...rows);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(this.#path);
    this.#plot.replaceChildren(svg);
    this.clear();
  }

  clear(): void {
    this.#history.clear();
    for (const { segment, value } of this.#cells.values()) {
      segment.style.flexGrow = "0";
      setText(value, UNKNOWN);
    }
    setText(this.#total, UNKNOWN);
    this.#draw();
  }

  /** Takes what was measured in the last second. */
  show(parts: DelayParts): void {
    for (const { id } of PARTS) {
      const cell = this.#cells.get(id);
      // What was known last stands until there is news: nobody may have talked just now.
      const part = parts[id];
      if (!cell || part === null) continue;
      cell.segment.style.flexGrow = String(part);
      setText(cell.value, formatMs(part));
    }
    const sum = total(parts);
    this.#history.add(sum);
    if (sum !== null) setText(this.#total, `about ${formatMs(Math.round(sum))}`);
    this.#draw();
  }

  #draw(): void {
    const range = this.#history.range();
    const top = Math.max(LEAST_TOP_MS, range?.most ?? 0);
    this.#path.setAttribute("d", this.#history.path(WIDTH, HEIGHT, top));
    const words = range
      ? `The last minute: ${formatMs(Math.round(range.least))} to ${formatMs(Math.round(range.most))}; the plot ends at ${formatMs(Math.round(top))}.`
      : "It is known once somebody talks.";
    setText(this.#range, words);
  }
}
