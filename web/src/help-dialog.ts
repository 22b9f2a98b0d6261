// The dialog that lists the keys and switches them on and off.

import { byId } from "./dom";
import { recall, remember } from "./memory";

export class HelpDialog {
  readonly #dialog = byId("help", HTMLDialogElement);

  /** `switched` is told at once, and after each change, whether the keys are on. */
  constructor(switched: (enabled: boolean) => void) {
    const keys = byId("keys-enabled", HTMLInputElement);
    keys.checked = recall("keys") !== "off";
    switched(keys.checked);
    keys.addEventListener("change", () => {
      remember("keys", keys.checked ? "on" : "off");
      switched(keys.checked);
    });
    byId("help-close", HTMLButtonElement).addEventListener("click", () => this.#dialog.close());
    byId("show-help", HTMLButtonElement).addEventListener("click", () => this.open());
  }

  open(): void {
    this.#dialog.showModal();
  }
}
