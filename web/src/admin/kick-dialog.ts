// Asks once more before somebody is taken out of a room.

import { byId } from "../dom";
import type { MemberOverview } from "../protocol";

export class KickDialog {
  readonly #dialog = byId("kick", HTMLDialogElement);
  readonly #title = byId("kick-title", HTMLElement);
  #asked: { room: string; member: MemberOverview } | null = null;

  constructor(sure: (room: string, member: MemberOverview) => void) {
    byId("kick-sure", HTMLButtonElement).addEventListener("click", () => {
      this.#dialog.close();
      if (this.#asked) sure(this.#asked.room, this.#asked.member);
    });
    byId("kick-cancel", HTMLButtonElement).addEventListener("click", () => this.#dialog.close());
  }

  ask(room: string, member: MemberOverview): void {
    this.#asked = { room, member };
    this.#title.textContent = `Take ${member.name} out of ${room}?`;
    this.#dialog.showModal();
  }
}
