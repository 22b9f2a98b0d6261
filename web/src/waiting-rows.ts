// Those who wait for a room, each with buttons to let them in and to send them away.

import { make } from "./dom";
import type { WaitingPerson } from "./protocol";

export class WaitingRows {
  readonly #list: HTMLElement;
  readonly #decide: (person: WaitingPerson, admit: boolean) => void;
  readonly #rows = new Map<number, HTMLElement>();

  constructor(list: HTMLElement, decide: (person: WaitingPerson, admit: boolean) => void) {
    this.#list = list;
    this.#decide = decide;
  }

  get ids(): number[] {
    return [...this.#rows.keys()];
  }

  /** All who wait now; gives those who did not before. */
  show(waiting: WaitingPerson[]): WaitingPerson[] {
    const ids = new Set(waiting.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    const added = waiting.filter(({ id }) => !this.#rows.has(id));
    for (const person of added) this.#add(person);
    return added;
  }

  /** The focus goes to the first of them, if there is one. */
  focus(): boolean {
    const button = this.#list.querySelector("button");
    button?.focus();
    return button !== null;
  }

  #add(person: WaitingPerson): void {
    const row = make("li", "waiting-person");
    row.dataset.id = String(person.id);
    const button = (action: string, words: string, admit: boolean) => {
      const made = make("button", "quiet", words);
      made.type = "button";
      made.dataset.action = action;
      made.setAttribute("aria-label", `${words}: ${person.name}`);
      made.addEventListener("click", () => this.#decide(person, admit));
      return made;
    };
    row.append(
      make("span", "name", person.name),
      button("admit", "Let in", true),
      button("refuse", "Send away", false),
    );
    this.#rows.set(person.id, row);
    this.#list.append(row);
  }
}
