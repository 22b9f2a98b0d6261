// Where a person shows that they are the server's operator. The token is kept for the session of this tab only.

import { byId } from "./dom";
import { forgetToken, recallToken, rememberToken } from "./memory";

export class OperatorField {
  readonly #box = byId("operator", HTMLDetailsElement);
  readonly #field = byId("operator-token", HTMLInputElement);
  readonly #show: (token: string) => void;

  /** `show` brings a token to the server. */
  constructor(show: (token: string) => void) {
    this.#show = show;
    byId("operator-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const token = this.#field.value.trim();
      if (!token) return this.#field.focus();
      rememberToken(token);
      show(token);
    });
  }

  /** Asks for the token; shows the one that was asked for before. */
  ask(): void {
    this.#box.hidden = false;
    const known = recallToken();
    if (known) this.#show(known);
  }

  /** The server took it, or asks for none. */
  done(): void {
    this.#box.hidden = true;
    this.#box.open = false;
    this.#field.value = "";
  }

  /** The server did not take it. */
  refused(): void {
    forgetToken();
    this.#field.value = "";
    if (this.#box.open) this.#field.focus();
  }
}
