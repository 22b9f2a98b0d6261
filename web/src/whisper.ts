// Whisper groups: who hears whom, which everybody sees, and for hosts one group to choose.

import { byId, make, setText } from "./dom";
import type { Groups, Joined, Person } from "./protocol";
import { WHISPERS_NO_MORE, whispersWith } from "./words";

/** What the group that a host chooses here is called; programs may have others. */
const GROUP = "whisper";
/** As loud as those who whisper hear the room, where they are to. */
const ROOM_GAIN_DB = -20;

export interface WhisperListener {
  set(groups: Groups): void;
  say(words: string): void;
  nameOf(id: number): string;
}

export class Whisper {
  readonly #listener: WhisperListener;
  readonly #badge = byId("whispering", HTMLElement);
  readonly #people = byId("whisper-people", HTMLElement);
  readonly #hearRoom = byId("whisper-hear-room", HTMLInputElement);
  readonly #boxes = new Map<number, HTMLInputElement>();
  #self = 0;

  constructor(listener: WhisperListener) {
    this.#listener = listener;
    byId("whisper-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const ids = [...this.#boxes].filter(([, box]) => box.checked).map(([id]) => id);
      listener.set({ groups: { [GROUP]: ids }, room_gain_db: this.#hearRoom.checked ? ROOM_GAIN_DB : null });
    });
    byId("end-whisper", HTMLButtonElement).addEventListener("click", () => {
      for (const box of this.#boxes.values()) box.checked = false;
      listener.set({ groups: {}, room_gain_db: null });
    });
  }

  /** One came into a room, or back to it. */
  enter({ participant, participants, whisper }: Joined): void {
    this.#self = participant;
    this.#boxes.clear();
    this.#people.replaceChildren();
    for (const person of participants) this.add(person);
    this.#show(whisper);
  }

  add({ id, name }: Person): void {
    if (this.#boxes.has(id)) return;
    const box = make("input", "");
    box.type = "checkbox";
    const label = make("label", "");
    label.append(box, ` ${name}${id === this.#self ? " (you)" : ""}`);
    this.#boxes.set(id, box);
    this.#people.append(label);
  }

  remove(id: number): void {
    this.#boxes.get(id)?.parentElement?.remove();
    this.#boxes.delete(id);
  }

  take(groups: Groups): void {
    const before = this.#badge.textContent;
    this.#show(groups);
    if (before && !this.#badge.textContent) this.#listener.say(WHISPERS_NO_MORE);
  }

  leave(): void {
    setText(this.#badge, "");
  }

  #show({ groups, room_gain_db }: Groups): void {
    const own = Object.values(groups).filter((ids) => ids.includes(this.#self));
    const others = [...new Set(own.flat())].filter((id) => id !== this.#self);
    const words = own.length === 0 ? "" : whispersWith(others.map(this.#listener.nameOf), room_gain_db !== null);
    setText(this.#badge, words);
    for (const [id, box] of this.#boxes) {
      box.checked = Object.values(groups).some((ids) => ids.includes(id));
    }
    this.#hearRoom.checked = room_gain_db !== null;
  }
}
