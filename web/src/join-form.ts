// The form that one joins by, and the look-up of the room that is typed in it.

import { roomOfPath } from "./address";
import { byId } from "./dom";
import { recall, remember } from "./memory";
import type { Chain } from "./protocol";
import { lookUpRoom } from "./room-lookup";
import { nameProblem, roomProblem } from "./room-names";

const LOOK_UP_DELAY_MS = 300;

export interface JoinFormListener {
  /** The chain of the room that is typed; null while it is not known, with why where that can be said. */
  chain(chain: Chain | null, why?: string): void;
  problem(words: string): void;
  join(room: string, name: string): void;
  /** Wants to join no longer. */
  cancel(): void;
}

export class JoinForm {
  readonly #listener: JoinFormListener;
  readonly #view = byId("join-view", HTMLElement);
  readonly #room = byId("room", HTMLInputElement);
  readonly #name = byId("name", HTMLInputElement);
  readonly #join = byId("join", HTMLButtonElement);
  readonly #cancel = byId("cancel", HTMLButtonElement);
  #lookUp = new AbortController();

  constructor(listener: JoinFormListener) {
    this.#listener = listener;
    this.#name.value = recall("name");
    const linked = roomOfPath(location.pathname);
    this.#room.value = linked || recall("room") || "lobby";
    byId("join-title", HTMLElement).textContent = linked ? `Join ${linked}` : "Join a room";
    byId("join-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#room.addEventListener("input", () => void this.#scheduleLookUp());
    this.#cancel.addEventListener("click", () => listener.cancel());
  }

  /** Asks about the room; resolves when the answer was told. */
  lookUp(): Promise<void> {
    return this.#scheduleLookUp(0);
  }

  /** Shows the form again, after a stay in a room or an attempt at one. */
  show(wasInRoom: boolean): void {
    this.#view.hidden = false;
    this.busy(false);
    if (wasInRoom) this.#join.textContent = "Join again";
    this.#join.focus({ preventScroll: true });
  }

  hide(): void {
    this.#view.hidden = true;
    this.#join.textContent = "Join";
  }

  /** While it joins it can only be stopped. */
  busy(busy: boolean): void {
    this.#join.disabled = busy;
    this.#cancel.hidden = !busy;
  }

  #submit(): void {
    const room = this.#room.value.trim();
    const name = this.#name.value.trim();
    const problems = [check(this.#room, roomProblem(room)), check(this.#name, nameProblem(name))];
    const problem = problems.find((problem) => problem !== null);
    if (problem) {
      this.#listener.problem(problem);
      return;
    }
    this.#lookUp.abort();
    remember("room", room);
    remember("name", name);
    this.busy(true);
    this.#listener.join(room, name);
  }

  // Each further letter takes the place of the look-up before.
  async #scheduleLookUp(delayMs = LOOK_UP_DELAY_MS): Promise<void> {
    this.#lookUp.abort();
    this.#lookUp = new AbortController();
    const { signal } = this.#lookUp;
    const room = this.#room.value.trim();
    this.#listener.chain(null);
    if (roomProblem(room)) return;
    await new Promise((waited) => setTimeout(waited, delayMs));
    if (signal.aborted) return;
    try {
      const { chain } = await lookUpRoom(room, signal);
      if (!signal.aborted) this.#listener.chain(chain);
    } catch (error) {
      if (!signal.aborted && error instanceof Error) this.#listener.chain(null, error.message);
    }
  }
}

/** Marks a field that has a problem, and goes there. */
function check(field: HTMLInputElement, problem: string | null): string | null {
  if (problem) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
  } else {
    field.removeAttribute("aria-invalid");
  }
  return problem;
}
