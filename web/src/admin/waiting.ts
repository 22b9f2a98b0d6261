// Who waits to be let in, for whatever room.

import { byId, make } from "../dom";
import type { WaitedFor, WaitingPerson } from "../protocol";
import { WaitingRows } from "../waiting-rows";
import { keep } from "./rooms";

export interface WaitingListener {
  decide(room: string, person: WaitingPerson, admit: boolean): void;
  say(words: string): void;
}

export class WaitingView {
  readonly #listener: WaitingListener;
  readonly #section = byId("waiting", HTMLElement);
  readonly #rooms = byId("waiting-rooms", HTMLElement);
  readonly #items = new Map<string, WaitingRoom>();

  constructor(listener: WaitingListener) {
    this.#listener = listener;
  }

  show(rooms: WaitedFor[]): void {
    const hadFocus = this.#section.contains(document.activeElement);
    keep(this.#items, new Set(rooms.map(({ room }) => room)));
    const said: string[] = [];
    for (const { room, waiting } of rooms) {
      let item = this.#items.get(room);
      if (!item) {
        item = new WaitingRoom(room, (person, admit) => this.#listener.decide(room, person, admit));
        this.#items.set(room, item);
        this.#rooms.append(item.element);
      }
      const added = item.rows.show(waiting).map(({ name }) => name);
      const wait = added.length === 1 ? "waits" : "wait";
      if (added.length > 0) said.push(`${added.join(", ")} ${wait} to be let into ${room}.`);
    }
    if (said.length > 0) this.#listener.say(said.join(" "));
    this.#section.hidden = rooms.length === 0;
    // Whoever let somebody in by keyboard goes on from there.
    if (hadFocus && !this.#section.contains(document.activeElement)) {
      const [next] = this.#items.values();
      if (!next?.rows.focus()) byId("rooms-title", HTMLElement).focus();
    }
  }
}

class WaitingRoom {
  readonly element = make("div", "waiting-room");
  readonly rows: WaitingRows;

  constructor(room: string, decide: (person: WaitingPerson, admit: boolean) => void) {
    this.element.dataset.room = room;
    const list = make("ul", "");
    list.setAttribute("aria-label", `Waiting for ${room}`);
    this.rows = new WaitingRows(list, decide);
    this.element.append(make("h4", "", room), list);
  }
}
