// Who waits to be let in, for hosts and operators.

import { byId, setText } from "./dom";
import type { WaitingPerson } from "./protocol";
import { WaitingRows } from "./waiting-rows";
import { waitsForYou } from "./words";

export interface WaitingListListener {
  admit(ids: number[]): void;
  refuse(ids: number[]): void;
  say(words: string): void;
}

export class WaitingList {
  readonly #listener: WaitingListListener;
  readonly #section = byId("waiting", HTMLElement);
  readonly #rows: WaitingRows;

  constructor(listener: WaitingListListener) {
    this.#listener = listener;
    this.#rows = new WaitingRows(byId("waiting-list", HTMLElement), ({ id }, admit) =>
      admit ? listener.admit([id]) : listener.refuse([id]),
    );
    byId("admit-all", HTMLButtonElement).addEventListener("click", () => listener.admit(this.#rows.ids));
    byId("refuse-all", HTMLButtonElement).addEventListener("click", () => listener.refuse(this.#rows.ids));
  }

  /** All who wait now. */
  show(waiting: WaitingPerson[]): void {
    const hadFocus = this.#section.contains(document.activeElement);
    const added = this.#rows.show(waiting);
    this.#section.hidden = waiting.length === 0;
    setText(byId("waiting-count", HTMLElement), String(waiting.length));
    if (added.length > 0) this.#listener.say(waitsForYou(added.map(({ name }) => name)));
    // Whoever let somebody in by keyboard goes on from there.
    if (hadFocus && !this.#section.contains(document.activeElement) && !this.#rows.focus()) {
      byId("room-title", HTMLElement).focus();
    }
  }

  /** One is in no room, or comes back to one: who waits is told anew. */
  clear(): void {
    this.show([]);
  }
}
