// The media threads: how busy they are, and how punctual.

import { byId, make, setText } from "../dom";
import type { WorkerOverview } from "../protocol";

export class WorkersView {
  readonly #list = byId("workers", HTMLUListElement);
  readonly #items = new Map<number, WorkerItem>();

  show(workers: WorkerOverview[]): void {
    for (const worker of workers) {
      let item = this.#items.get(worker.worker);
      if (!item) {
        item = new WorkerItem(worker.worker);
        this.#items.set(worker.worker, item);
        this.#list.append(item.element);
      }
      item.show(worker);
    }
  }
}

class WorkerItem {
  readonly element = make("li", "worker");
  readonly #load = make("span", "load");
  readonly #meter = make("div", "meter");
  readonly #rooms = make("p", "hint");
  readonly #ticks = make("p", "hint");
  readonly #shedding = make("p", "hint");

  constructor(worker: number) {
    this.element.dataset.worker = String(worker);
    this.#meter.setAttribute("role", "meter");
    this.#meter.setAttribute("aria-label", `Load of worker ${worker}`);
    this.#meter.setAttribute("aria-valuemin", "0");
    this.#meter.setAttribute("aria-valuemax", "100");
    this.#meter.append(make("div", "meter-fill"));
    this.#shedding.dataset.field = "shedding";
    this.#ticks.dataset.field = "ticks";
    const head = make("div", "worker-head");
    head.append(make("h3", "", `Worker ${worker}`), this.#load);
    this.element.append(head, this.#meter, this.#rooms, this.#ticks, this.#shedding);
  }

  show(worker: WorkerOverview): void {
    const percent = Math.round(worker.busy * 100);
    setText(this.#load, worker.running ? `${percent} % busy` : "has ended");
    this.#meter.style.setProperty("--level", Math.min(1, worker.busy).toFixed(3));
    this.#meter.setAttribute("aria-valuenow", String(Math.min(100, percent)));
    const divided = worker.rooms_divided > 0 ? `, ${worker.rooms_divided} divided among threads` : "";
    setText(this.#rooms, `${counted(worker.rooms, "room")}${divided}, ${counted(worker.participants, "participant")}`);
    const { mean, max } = worker.tick_lateness_ms;
    const skipped = worker.ticks_skipped > 0 ? `; ${worker.ticks_skipped} left out since the start` : "";
    setText(this.#ticks, `Ticks begin ${mean} ms late, ${max} ms at most${skipped}`);
    const { shedding_level: level, shedding } = worker;
    setText(this.#shedding, level > 0 ? `Sheds load at level ${level}: ${shedding}` : "Sheds no load");
  }
}

export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
