// One's own hand, up or down.

import { byId } from "./dom";

export class Hand {
  readonly #button = byId("hand", HTMLButtonElement);
  readonly #raise: (raised: boolean) => void;
  #isUp = false;

  /** `raise` tells the room. */
  constructor(raise: (raised: boolean) => void) {
    this.#raise = raise;
    this.#button.addEventListener("click", () => this.toggle());
  }

  toggle(): void {
    this.#isUp = !this.#isUp;
    this.#show();
    this.#raise(this.#isUp);
  }

  /** One came to the room, or came back to it with the hand up. */
  joined(): void {
    if (this.#isUp) this.#raise(true);
  }

  lower(): void {
    this.#isUp = false;
    this.#show();
  }

  #show(): void {
    this.#button.dataset.raised = String(this.#isUp);
    this.#button.textContent = this.#isUp ? "Lower hand" : "Raise hand";
  }
}
