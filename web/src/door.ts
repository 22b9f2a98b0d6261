// The room's door: whether it is locked, which everybody sees, and what hosts do to the whole room.

import { byId } from "./dom";
import type { Joined } from "./protocol";
import { IS_LOCKED, lockedBy } from "./words";

export interface DoorListener {
  /** Asks the server to lock the room, or to unlock it. */
  lock(locked: boolean): void;
  /** Asks it to mute all but hosts. */
  muteAll(): void;
  say(words: string): void;
}

export class Door {
  readonly #badge = byId("room-locked", HTMLElement);
  readonly #tools = byId("host-tools", HTMLElement);
  readonly #lock = byId("lock", HTMLButtonElement);
  readonly #listener: DoorListener;
  #isLocked = false;

  constructor(listener: DoorListener) {
    this.#listener = listener;
    this.#lock.addEventListener("click", () => listener.lock(!this.#isLocked));
    byId("mute-all", HTMLButtonElement).addEventListener("click", () => listener.muteAll());
  }

  /** One came into a room, or back to it. */
  enter({ locked, operator, participants, participant }: Joined): void {
    this.#show(locked);
    this.#tools.hidden = !operator && participants.find(({ id }) => id === participant)?.role !== "host";
  }

  /** The server takes one for its operator. */
  allow(): void {
    this.#tools.hidden = false;
  }

  take({ locked, by }: { locked: boolean; by?: string }): void {
    this.#show(locked);
    this.#listener.say(lockedBy(locked, by));
  }

  leave(): void {
    this.#show(false);
    this.#tools.hidden = true;
  }

  #show(isLocked: boolean): void {
    this.#isLocked = isLocked;
    this.#badge.textContent = isLocked ? IS_LOCKED : "";
    this.#lock.textContent = isLocked ? "Unlock the room" : "Lock the room";
  }
}
