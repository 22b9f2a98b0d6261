// The table of figures: each by its name in W3C getStats, as the server measures one's voice and as the browser
// measures the room.

import { make, setText } from "./dom";
import type { Figures } from "./protocol";

type Told = (now: Figures, before: Figures) => string;

/** From top to bottom: the name, what it is in words, and how it is told from the figures now and a second ago. */
const FIGURES: [name: string, words: string, told: Told][] = [
  [
    "packetsLost",
    "packets that did not come, or not in time",
    (now) => share(now.packetsLost, (now.packetsReceived ?? 0) + (now.packetsLost ?? 0)),
  ],
  ["packetsDiscarded", "packets that came too late, or twice", (now) => count(now.packetsDiscarded)],
  ["jitter", "how unevenly packets come", (now) => seconds(now.jitter)],
  ["jitterBufferDelay", "how long sound waits so as to be even again", mean("jitterBufferDelay")],
  ["jitterBufferTargetDelay", "how long it is meant to wait", mean("jitterBufferTargetDelay")],
  [
    "concealedSamples",
    "sound made up where packets were missing",
    (now) => share(now.concealedSamples, now.totalSamplesReceived),
  ],
  [
    "insertedSamplesForDeceleration",
    "sound stretched, to wait longer",
    (now) => share(now.insertedSamplesForDeceleration, now.totalSamplesReceived),
  ],
  [
    "removedSamplesForAcceleration",
    "sound sped up, to wait less",
    (now) => share(now.removedSamplesForAcceleration, now.totalSamplesReceived),
  ],
  ["roundTripTime", "there and back", (now) => seconds(now.roundTripTime)],
  [
    "clockDriftPpm",
    "millionths by which your sound card runs fast; not a W3C name",
    (now) => signed(now.clockDriftPpm),
  ],
];

const UNKNOWN = "–";

export class FiguresTable<Observer extends string> {
  readonly #cells = new Map<Observer, Map<string, HTMLElement>>();
  readonly #previous = new Map<Observer, Figures>();

  /** Fills `body`, a tbody, with a row for each figure and in it a cell for each of `observers`. */
  constructor(body: HTMLElement, observers: Observer[]) {
    for (const observer of observers) this.#cells.set(observer, new Map());
    body.replaceChildren(...FIGURES.map(([name, words]) => this.#row(name, words)));
  }

  /** Shows what `observer` measures; what is not in it is left open. */
  show(observer: Observer, now: Figures): void {
    const before = this.#previous.get(observer) ?? {};
    this.#previous.set(observer, now);
    for (const [name, , told] of FIGURES) this.#tell(observer, name, told(now, before));
  }

  /** Forgets everything that was shown. */
  clear(): void {
    this.#previous.clear();
    for (const observer of this.#cells.keys()) for (const [name] of FIGURES) this.#tell(observer, name, UNKNOWN);
  }

  #row(name: string, words: string): HTMLTableRowElement {
    const row = document.createElement("tr");
    row.dataset.figure = name;
    const head = document.createElement("th");
    head.scope = "row";
    const code = document.createElement("code");
    code.append(...breakable(name));
    head.append(code, " ", make("span", "note", words));
    row.append(head);
    for (const [observer, cells] of this.#cells) {
      const cell = make("td", "", UNKNOWN);
      cell.dataset.by = observer;
      cells.set(name, cell);
      row.append(cell);
    }
    return row;
  }

  #tell(observer: Observer, name: string, text: string): void {
    const cell = this.#cells.get(observer)?.get(name);
    if (cell) setText(cell, text);
  }
}

/** Sums over samples since the beginning become the mean over those of the last second. */
function mean(name: string): Told {
  return (now, before) => {
    const since = (counted: string) => (now[counted] ?? 0) - (before[counted] ?? 0);
    const samples = since("jitterBufferEmittedCount");
    return samples > 0 ? seconds(since(name) / samples) : UNKNOWN;
  };
}

type Value = Figures[string];

function seconds(value: Value): string {
  return isNumber(value) ? `${(value * 1000).toFixed(1)}\u00a0ms` : UNKNOWN;
}

function count(value: Value): string {
  return isNumber(value) ? String(value) : UNKNOWN;
}

function share(part: Value, whole: Value): string {
  if (!isNumber(part)) return UNKNOWN;
  return isNumber(whole) && whole > 0 ? `${part} (${((part / whole) * 100).toFixed(2)}\u00a0%)` : String(part);
}

function signed(value: Value): string {
  return isNumber(value) ? `${value > 0 ? "+" : ""}${value.toFixed(1)}` : UNKNOWN;
}

function isNumber(value: Value): value is number {
  return Number.isFinite(value);
}

/** Narrow screens may break a long name before its capitals. */
function breakable(name: string): (Node | string)[] {
  return name.split(/(?=[A-Z])/).flatMap((part, index) => (index > 0 ? [document.createElement("wbr"), part] : [part]));
}
