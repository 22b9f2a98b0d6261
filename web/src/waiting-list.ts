// Who waits to be let in, for hosts and operators.

import { byId, make, setText } from "./dom";
import type { WaitingPerson } from "./protocol";
import { waitsForYou } from "./words";

export interface WaitingListListener {
  admit(ids: number[]): void;
  refuse(ids: number[]): void;
  say(words: string): void;
}

export class WaitingList {
  readonly #listener: WaitingListListener;
  readonly #section = byId("waiting", HTMLElement);
  readonly #list = byId("waiting-list", HTMLElement);
  readonly #rows = new Map<number, HTMLElement>();

  constructor(listener: WaitingListListener) {
    this.#listener = listener;
    byId("admit-all", HTMLButtonElement).addEventListener("click", () => listener.admit([...this.#rows.keys()]));
    byId("refuse-all", HTMLButtonElement).addEventListener("click", () => listener.refuse([...this.#rows.keys()]));
  }

  /** All who wait now. */
  show(waiting: WaitingPerson[]): void {
    const hadFocus = this.#section.contains(document.activeElement);
    const ids = new Set(waiting.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    const added = waiting.filter(({ id }) => !this.#rows.has(id));
    for (const person of added) this.#add(person);
    this.#section.hidden = waiting.length === 0;
    setText(byId("waiting-count", HTMLElement), String(waiting.length));
    if (added.length > 0) this.#listener.say(waitsForYou(added.map(({ name }) => name)));
    // Whoever let somebody in by keyboard goes on from there.
    if (hadFocus && !this.#section.contains(document.activeElement)) {
      const next = this.#section.hidden ? byId("room-title", HTMLElement) : this.#list.querySelector("button");
      next?.focus();
    }
  }

  /** One is in no room, or comes back to one: who waits is told anew. */
  clear(): void {
    this.show([]);
  }

  #add({ id, name }: WaitingPerson): void {
    const row = make("li", "waiting-person");
    row.dataset.id = String(id);
    const button = (action: string, words: string, act: () => void) => {
      const made = make("button", "quiet", words);
      made.type = "button";
      made.dataset.action = action;
      made.setAttribute("aria-label", `${words}: ${name}`);
      made.addEventListener("click", act);
      return made;
    };
    row.append(
      make("span", "name", name),
      button("admit", "Let in", () => this.#listener.admit([id])),
      button("refuse", "Send away", () => this.#listener.refuse([id])),
    );
    this.#rows.set(id, row);
    this.#list.append(row);
  }
}
