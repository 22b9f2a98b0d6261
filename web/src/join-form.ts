// The form that one joins by, and the look-up of the room that is typed in it.

import { roomOfPath } from "./address";
import { byId, setText } from "./dom";
import { recall, remember } from "./memory";
import type { Invitation } from "./pass";
import type { Chain } from "./protocol";
import { lookUpRoom } from "./room-lookup";
import { nameProblem, roomProblem } from "./room-names";
import { HAS_WAITING_ROOM, IS_LOCKED, PIN_NEEDED, WILL_BE_RECORDED } from "./words";

const LOOK_UP_DELAY_MS = 300;

export interface JoinFormListener {
  /** The chain of the room that is typed; null while it is not known, with why where that can be said. */
  chain(chain: Chain | null, why?: string): void;
  problem(words: string): void;
  join(room: string, name: string, pin: string): void;
  /** Wants to join no longer. */
  cancel(): void;
}

export class JoinForm {
  readonly #listener: JoinFormListener;
  readonly #view = byId("join-view", HTMLElement);
  readonly #room = byId("room", HTMLInputElement);
  readonly #name = byId("name", HTMLInputElement);
  readonly #pinField = byId("pin-field", HTMLElement);
  readonly #pin = byId("pin", HTMLInputElement);
  readonly #recorded = byId("room-recorded", HTMLElement);
  readonly #closed = byId("room-closed", HTMLElement);
  readonly #join = byId("join", HTMLButtonElement);
  readonly #cancel = byId("cancel", HTMLButtonElement);
  readonly #isInvited: boolean;
  readonly #isHost: boolean;
  #lookUp = new AbortController();

  constructor(invitation: Invitation | null, listener: JoinFormListener) {
    this.#listener = listener;
    this.#isInvited = invitation !== null;
    this.#isHost = invitation?.role === "host";
    this.#name.value = invitation?.name || recall("name");
    this.#name.readOnly = Boolean(invitation?.name);
    const linked = roomOfPath(location.pathname);
    this.#room.value = linked || recall("room") || "lobby";
    byId("join-title", HTMLElement).textContent = linked ? `Join ${linked}` : "Join a room";
    byId("join-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#room.addEventListener("input", () => {
      // That of another room.
      this.#pinField.hidden = true;
      this.#pin.value = "";
      setText(this.#recorded, "");
      setText(this.#closed, "");
      void this.#scheduleLookUp();
    });
    this.#pin.addEventListener("input", () => this.#pin.removeAttribute("aria-invalid"));
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
    if (wasInRoom) void this.lookUp();
    if (wasInRoom) this.#join.textContent = "Join again";
    this.#join.focus({ preventScroll: true });
  }

  /** The room asks for a PIN, or for another one than was typed. */
  askForPin(): void {
    this.#pinField.hidden = false;
    this.#pin.setAttribute("aria-invalid", "true");
    this.#pin.focus();
    this.#pin.select();
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
    const pin = this.#pinField.hidden ? "" : this.#pin.value.trim();
    const noPin = this.#pinField.hidden || pin ? null : PIN_NEEDED;
    const problems = [
      check(this.#pin, noPin),
      check(this.#room, roomProblem(room)),
      check(this.#name, nameProblem(name)),
    ];
    // The last one that was checked is the first on the page, and has the focus.
    const problem = problems.reverse().find((problem) => problem !== null);
    if (problem) {
      this.#listener.problem(problem);
      return;
    }
    this.#lookUp.abort();
    remember("room", room);
    remember("name", name);
    this.busy(true);
    this.#listener.join(room, name, pin);
  }

  // Each further letter takes the place of the look-up before.
  async #scheduleLookUp(delayMs = LOOK_UP_DELAY_MS): Promise<void> {
    this.#lookUp.abort();
    this.#lookUp = new AbortController();
    const { signal } = this.#lookUp;
    const room = this.#room.value.trim();
    const problem = roomProblem(room);
    this.#listener.chain(null, (room && problem) || undefined);
    if (problem) return;
    await new Promise((waited) => setTimeout(waited, delayMs));
    if (signal.aborted) return;
    try {
      const { chain, pin_required, recording, locked, waiting_room } = await lookUpRoom(room, signal);
      if (signal.aborted) return;
      setText(this.#recorded, recording ? WILL_BE_RECORDED : "");
      const closed = locked ? IS_LOCKED : waiting_room ? HAS_WAITING_ROOM : "";
      setText(this.#closed, this.#isHost ? "" : closed);
      this.#pinField.hidden = !pin_required || this.#isInvited;
      this.#listener.chain(chain);
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
